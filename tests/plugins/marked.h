/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * marked.h - how a test plugin recognises the datagrams that a test has marked.
 *
 * The traffic generator of the live tests (tests/support/pump.c) and their Python senders put a fixed head in front of
 * every UDP payload: a magic of 4 bytes, the flow, the sequence number, and one byte that is the mark. The mark travels
 * in the payload, so that marked and unmarked datagrams are of the same flow and only a plugin can tell them apart.
 *
 * Always: other packets have the mark 0. The head fits the 128 bytes that NFQE_NEED_HEADERS asks for,
 * after IPv4 as well as after IPv6.
 */
#ifndef NFQE_TEST_MARKED_H
#define NFQE_TEST_MARKED_H

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <string.h>

#define MARKED_MAGIC "nfqp"
#define MARKED_MAGIC_SIZE 4
#define MARKED_OFFSET 16 /* of the mark */

static inline unsigned mark_of(const struct nfqe_packet *packet)
{
    uint32_t len = 0;
    const uint8_t *payload = nfqe_udp(packet) != NULL ? nfqe_payload(packet, &len) : NULL;

    return payload != NULL && len > MARKED_OFFSET && memcmp(payload, MARKED_MAGIC, MARKED_MAGIC_SIZE) == 0
               ? payload[MARKED_OFFSET]
               : 0;
}

static inline bool is_marked(const struct nfqe_packet *packet)
{
    return mark_of(packet) != 0;
}

#endif
