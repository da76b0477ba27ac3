/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An arena with a burst in it, as a worker leaves it: messages that were received, packets that were decoded,
 * verdicts that stand. For the tests of arena.c and chain.c.
 *
 * Nothing was received from a socket: the receive headers are filled in as recvmmsg() would.
 */
#ifndef UNIT_BURST_FIXTURE_H
#define UNIT_BURST_FIXTURE_H

#include "burst/arena.h"

#include <nfqe/packet.h>

#define BURST_SLOT_SIZE 256
#define BURST_SHAPE ((struct arena_shape){.slot_size = BURST_SLOT_SIZE})
#define BURST_QUEUE 7
#define BURST_LEN 60 /* bytes of each message */

struct burst_fixture {
    struct arena *arena;
    int arena_fd;
    struct nfqe_packet packets[BURST_MAX];
};

/* A fresh arena, prepared, IDLE. */
void burst_fixture_init(struct burst_fixture *burst);
void burst_fixture_done(struct burst_fixture *burst);

/* `count` messages received, each a packet, with the ids first_id, first_id + 1, ..., none decided; enters `phase`. */
void burst_fill(struct burst_fixture *burst, unsigned count, uint32_t first_id, enum arena_phase phase);

/* For cmocka: set up and tear down; *state is the burst. */
int burst_set_up(void **state);
int burst_tear_down(void **state);

#endif
