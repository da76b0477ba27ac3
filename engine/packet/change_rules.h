/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which changed packets a kernel takes in place of a received one.
 *
 * The kernel drops one that it does not take, and reports the verdict as done. So all rules of all kernels that are
 * known are applied before; a kernel that was found to have fewer needs fewer. The worker applies them when a plugin
 * changes a packet, the queue process once more to what a worker says: any bytes may be given.
 */
#ifndef ENGINE_PACKET_CHANGE_RULES_H
#define ENGINE_PACKET_CHANGE_RULES_H

#include <nfqe/packet.h>

#include <stdint.h>

/* In the order in which they are applied. */
enum change_rule {
    CHANGE_RULE_WHOLE,         /* the received packet was not truncated */
    CHANGE_RULE_SIZE,          /* at most COPY_RANGE_MAX bytes */
    CHANGE_RULE_IP,            /* IPv4 or IPv6, and stays so */
    CHANGE_RULE_HOOK,          /* not on a bridge */
    CHANGE_RULE_IP_LENGTH,     /* as long as the IP header says */
    CHANGE_RULE_IPV4_HEADER,   /* the same length and options */
    CHANGE_RULE_IPV4_FRAGMENT, /* the same fragment bits and offset; "don't fragment" may change */
    CHANGE_RULE_IPV6_HEADERS,  /* the same next header and extension headers */
    CHANGE_RULE_TRANSPORT,     /* does not end before the transport header */
    CHANGE_RULE_GSO,           /* a packet of segmentation offload keeps its length */
    CHANGE_RULE_FRAGMENT,      /* a fragment keeps its length: those after it say where they begin */
    CHANGE_RULE_CHECKSUM,      /* a fragment without the checksum of its datagram keeps what that is about */
    CHANGE_RULES,
};

#define CHANGE_RULES_ALL ((UINT32_C(1) << CHANGE_RULES) - 1)

/*
 * The first rule of the set `rules` (bits: 1 << enum change_rule) that the packet breaks, or CHANGE_RULES. received: as
 * it was parsed, not changed; its padding does not count. bytes: the `len` bytes in its place; NULL if len is 0.
 * [worker] [queue process]
 */
enum change_rule change_rules_check(const struct nfqe_packet *received, const uint8_t *bytes, uint32_t len,
                                    uint32_t rules);

/* What a plugin gets for a broken rule: -EMSGSIZE or -EOPNOTSUPP; 0 for CHANGE_RULES. */
int change_rule_error(enum change_rule rule);

/* For the log, after "the changed packet ". Of CHANGE_RULES: "". */
const char *change_rule_text(enum change_rule rule);

#endif
