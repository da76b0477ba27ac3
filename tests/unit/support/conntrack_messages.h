/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds what is inside NFQA_CT, as the kernel's __ctnetlink_glue_build() does, for the tests of its decoder: with
 * libmnl, which shares no code with it.
 */
#ifndef UNIT_CONNTRACK_MESSAGES_H
#define UNIT_CONNTRACK_MESSAGES_H

#include <nfqe/abi.h>

#include <stddef.h>
#include <stdint.h>

#define CONNTRACK_SIZE 1024

struct conntrack_message {
    _Alignas(8) uint8_t bytes[CONNTRACK_SIZE]; /* a netlink header, then the attributes */
    const uint8_t *attributes;
    size_t len;
};

/* All attributes of an entry of IPv4 (TCP), or of IPv6 (ICMPv6), but the one of type `without`; 0: all. */
void conntrack_message_make(struct conntrack_message *message, int ipv6, uint16_t without);

/* What that must be decoded to, with NFQA_CT_INFO of `info`. */
void conntrack_message_expected(struct nfqe_conntrack_entry *expected, int ipv6, uint16_t without, uint32_t info);

/* The types of its attributes, ending with 0. */
extern const uint16_t conntrack_message_types[];

/* Attributes that are given one by one. */
void conntrack_message_begin(struct conntrack_message *message);
void conntrack_message_put(struct conntrack_message *message, uint16_t type, const void *value, size_t len);
void conntrack_message_nest(struct conntrack_message *message, uint16_t type, uint16_t inner, const void *value,
                            size_t len);

#endif
