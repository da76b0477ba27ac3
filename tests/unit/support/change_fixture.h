/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet that is changed, and beside it the model of the same change (change_model.h).
 *
 * What is done to the packet by these functions is done to the model; a difference, or an operation that fails, is a
 * failure of the running test. There is one model, for the case that was begun last.
 */
#ifndef UNIT_CHANGE_FIXTURE_H
#define UNIT_CHANGE_FIXTURE_H

#include "builder.h"
#include "change_model.h"
#include "packet/change.h"

#define PROTOCOL_DCCP 33
#define PROTOCOL_SCTP 132
#define PROTOCOL_UDP_LITE 136

struct change_case {
    struct builder builder;
    struct nfqe_packet packet;
    struct packet_change change;
};

extern uint8_t change_case_rooms[2][PACKET_CHANGE_ROOM]; /* the packet's, and the spare one */
extern uint8_t *change_case_spare;
extern struct change_model change_case_model;

/* Appends a transport header; bytes that differ; lengths and right checksums. */
void change_case_transport(struct builder *builder, uint8_t protocol);
void change_case_payload(struct builder *builder, size_t len);
void change_case_end(struct builder *builder, uint8_t protocol);

/* The packet of the builder is received, with these flags of the kernel's. */
void change_case_begin(struct change_case *this, uint16_t flags);

/* Builds a packet with IPv4 options or an IPv6 extension header, and begins with it. */
void change_case_build(struct change_case *this, unsigned version, uint8_t protocol, size_t payload);

/* What a plugin does. */
uint8_t *change_case_write(struct change_case *this, uint32_t offset, uint32_t len);
void change_case_write_byte(struct change_case *this, uint32_t offset, uint8_t value);
void change_case_splice(struct change_case *this, uint32_t offset, uint32_t remove, const char *bytes, uint32_t count);

/* The packet is ready for the kernel, with all bytes, lengths and checksums as they must be. */
void change_case_finish(struct change_case *this);

/* Its checksums are those that it would have if it was made so. */
void change_case_assert_right(const struct change_case *this);

#endif
