/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds the netlink messages that the kernel's nfnetlink_queue sends, for the tests of the decoder.
 *
 * A table has the value of each attribute. From it are made a message with all attributes, messages without one of
 * them, and the packets that they must be decoded to.
 */
#ifndef UNIT_KERNEL_MESSAGES_H
#define UNIT_KERNEL_MESSAGES_H

#include <nfqe/packet.h>

#include <stddef.h>
#include <stdint.h>

#define MESSAGES_SIZE 2048
#define MESSAGES_QUEUE 4711
#define MESSAGES_ID UINT32_C(0xfedcba98)

struct message_attribute {
    uint16_t type; /* NFQA_... */
    uint16_t len;
    const void *value;
};

extern const struct message_attribute message_attributes[];
extern const size_t message_attribute_count;

/* A message under construction; bytes[] is aligned for netlink. */
struct message {
    _Alignas(8) uint8_t bytes[MESSAGES_SIZE];
    size_t len;
};

/* An NFQNL_MSG_PACKET of MESSAGES_QUEUE without any attribute. */
void message_begin(struct message *message);
void message_put(struct message *message, uint16_t type, const void *value, size_t len);
void message_put_id(struct message *message, uint32_t id);

/* All attributes of the table but the one of type `without`; 0: all. */
void message_all(struct message *message, uint16_t without);

/* An NLMSG_ERROR that answers the request with this sequence. */
void message_answer(struct message *message, int error, uint32_t sequence);

/* What message_all() must be decoded to, apart from `data`. */
void message_expected(struct nfqe_packet *expected, uint16_t without);

/* Fails the running test at the first member that differs. Does not compare `data`. */
void message_assert_packet(const struct nfqe_packet *packet, const struct nfqe_packet *expected);

/* Where attribute `type` begins in the message; its length is the 16 bits there. */
size_t message_attribute_offset(const struct message *message, uint16_t type);

#endif
