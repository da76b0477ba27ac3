/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An arena with a burst in it; see burst.h.
 *
 * The packets have no bytes: neither the arena nor the chain looks into them.
 */
#include "burst_fixture.h"

#include "unit.h"

void burst_fixture_init(struct burst_fixture *burst)
{
    assert_int_equal(arena_new(BURST_QUEUE, BURST_SHAPE, &burst->arena, &burst->arena_fd), 0);
    arena_prepare(burst->arena, BURST_QUEUE, BURST_SHAPE);
}

void burst_fixture_done(struct burst_fixture *burst)
{
    arena_free(burst->arena, BURST_SHAPE, &burst->arena_fd);
    burst->arena = NULL;
}

void burst_fill(struct burst_fixture *burst, unsigned count, uint32_t first_id, enum arena_phase phase)
{
    arena_begin_receive(burst->arena);
    for (unsigned i = 0; i < count; i++) {
        burst->arena->messages[i].msg_len = BURST_LEN;
        burst->arena->verdicts[i].id = first_id + i;
        burst->arena->verdicts[i].verdict = 0;
        burst->arena->verdicts[i].flags = 0;
        burst->packets[i] = (struct nfqe_packet){.size = sizeof(struct nfqe_packet), .id = first_id + i};
    }
    burst->arena->packets = count;
    arena_enter(burst->arena, phase);
}

int burst_set_up(void **state)
{
    static struct burst_fixture burst;

    burst_fixture_init(&burst);
    *state = &burst;
    return 0;
}

int burst_tear_down(void **state)
{
    burst_fixture_done(*state);
    return 0;
}
