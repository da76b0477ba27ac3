/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring with both sides in one process, and packets that are told apart by their ids and bytes. For the tests of
 * process/ring.
 *
 * The worker's side has descriptors of its own, as if they had been passed to it.
 */
#ifndef UNIT_RING_FIXTURE_H
#define UNIT_RING_FIXTURE_H

#include "process/ring_answer.h"
#include "process/ring_submit.h"

#define RING_SLOT_SIZE 256

struct ring_fixture {
    struct ring_submit queue;
    struct ring_answer worker;
    int fds[RING_FDS]; /* what the worker was passed, duplicated once more */
};

/* A ring whose worker has attached. */
void ring_fixture_init(struct ring_fixture *fixture);

/* The same, and its plugins may change packets. */
void ring_fixture_init_changing(struct ring_fixture *fixture);
void ring_fixture_done(struct ring_fixture *fixture);

/* For cmocka: set up and tear down; *state is the fixture. */
int ring_set_up(void **state);
int ring_tear_down(void **state);

/* The packet with this id: its length and bytes follow from it. Valid until the next call. */
const struct nfqe_packet *ring_test_packet(uint32_t id);

/* Whether it is that packet, as a plugin would see it. */
bool ring_is_test_packet(const struct nfqe_packet *packet, uint32_t id);

/* Submits a frame of `count` packets with the ids first_id, ...; their origins are {0, low bits of the id}. */
void ring_submit_test_frame(struct ring_submit *ring, uint32_t first_id, uint32_t count);

/* Handles a frame: answers every packet with its id. */
void ring_answer_test_frame(struct ring_answer *ring);

/* Takes an answer; it is for the packet with this id. */
void ring_assert_answered(struct ring_submit *ring, uint32_t id, bool last);

#endif
