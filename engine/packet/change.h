/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A private copy of a packet that a plugin changes: struct packet_change, one for each packet that a worker has.
 *
 * Until the first change there is no copy, and nothing here costs anything. From it on, packet->data is the copy, and
 * after each operation the struct says what the parser finds in it; the IP and UDP lengths are right, the checksums are
 * old until packet_change_finish(). An operation that fails changes nothing. What a kernel would not take of the result
 * is such a failure: packet/change_rules.h.
 *
 * There are two errors beside those of the rules: -EINVAL, the bytes are not all in the packet; -EMSGSIZE, the packet
 * would be longer than COPY_RANGE_MAX. Offsets count from packet->data. Padding after the IP packet is not part of it:
 * the copy is without it. [worker]
 */
#ifndef ENGINE_PACKET_CHANGE_H
#define ENGINE_PACKET_CHANGE_H

#include "base/limits.h"
#include "packet/change_repair.h"

#include <nfqe/packet.h>

#include <stdbool.h>
#include <stdint.h>

#define PACKET_CHANGE_ROOM COPY_RANGE_MAX /* bytes of each buffer */

struct packet_change {
    uint8_t *buffer;  /* of the packet alone; its bytes if is_changed */
    uint8_t **spare;  /* a buffer that many packets share: each operation that moves bytes makes the packet in it, and
                         exchanges the two */
    bool is_changed;
    uint32_t rules;   /* that are applied, see change_rules_check() */
    unsigned broken;  /* the last of them that was: enum change_rule; CHANGE_RULES: a checksum that cannot be made */
    uint32_t len;     /* bytes in buffer */
    uint32_t udp_rest; /* bytes of the IP packet after the UDP datagram */
    struct change_extent same;
    struct nfqe_packet received; /* if is_changed: as it was before the first change, without padding */
};

/* For the next packet. buffer, *spare: PACKET_CHANGE_ROOM bytes each, which may have any contents. */
static inline void packet_change_init(struct packet_change *change, uint8_t *buffer, uint8_t **spare, uint32_t rules)
{
    change->buffer = buffer;
    change->spare = spare;
    change->is_changed = false;
    change->rules = rules;
}

/*
 * `len` bytes at `offset`, to be written until the next operation for the packet: *bytes. What is written counts when
 * the next one, or packet_change_check(), looks at it.
 */
int packet_change_writable(struct packet_change *change, struct nfqe_packet *packet, uint32_t offset, uint32_t len,
                           uint8_t **bytes);

/* Puts `count` bytes in place of the `remove` bytes at `offset`. bytes: NULL only if count is 0. */
int packet_change_splice(struct packet_change *change, struct nfqe_packet *packet, uint32_t offset, uint32_t remove,
                         const uint8_t *bytes, uint32_t count);

/* Puts `len` bytes in place of the whole packet. */
int packet_change_replace(struct packet_change *change, struct nfqe_packet *packet, const uint8_t *bytes, uint32_t len);

/*
 * Looks at what was written. 0: the packet can be sent as it is, or was not changed. -EOPNOTSUPP also if a checksum
 * cannot be made: see change_can_repair().
 */
int packet_change_check(struct packet_change *change, struct nfqe_packet *packet);

/*
 * The same, and makes the checksums: the packet is as the kernel is to get it, packet->len bytes at packet->data. Once,
 * before the verdict.
 */
int packet_change_finish(struct packet_change *change, struct nfqe_packet *packet);

#endif
