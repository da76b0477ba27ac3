/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A chain with plugins that decide for flows; see flow_chain.h.
 */
#include "flow_chain.h"

#include "unit.h"

#include <string.h>

#define CAPACITY 8
#define NOW UINT64_C(5000) /* ns */

struct flow_chain flow_chain;

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    struct flow_chain_member *member = self;

    member->asked[packet->id - FLOW_CHAIN_FIRST_ID]++;
    return member->answers[packet->id - FLOW_CHAIN_FIRST_ID];
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

bool flow_chain_in_bursts(enum way way)
{
    return way == BATCH || way == MIXED;
}

void flow_chain_build(enum way way, unsigned members)
{
    struct chain *chain = &flow_chain.chain;

    *chain = (struct chain){.default_verdict = NFQE_DROP, .on_crash = NFQE_DROP, .flows = &flow_chain.image.flows};
    memset(flow_chain.members, 0, sizeof(flow_chain.members));
    for (unsigned i = 0; i < members; i++) {
        bool batch = way == BATCH || way == ONE_BY_ONE || (way == MIXED && i % 2 == 0);

        chain_add(chain, &(struct chain_member){.handle = handle,
                                                .handle_batch = batch ? handle_batch : NULL,
                                                .self = &flow_chain.members[i],
                                                .gives_flows = i == members - 1});
    }
    memset(flow_chain.image.header, 0, flow_chain.image.size);
    flow_image_attach(&flow_chain.image, FLOW_IMAGE_IDLE_MS);
}

void flow_chain_begin(enum way way, const struct what *what, unsigned count)
{
    static struct flow_packet bytes[BURST_MAX];
    struct burst_fixture *burst = flow_chain.burst;

    burst_fill(burst, count, FLOW_CHAIN_FIRST_ID, ARENA_HANDLING);
    burst->arena->one_by_one = way == ONE_BY_ONE;
    for (unsigned i = 0; i < count; i++) {
        flow_packet_make(&bytes[i], what[i].flow, what[i].kind == 'a', what[i].kind == 's' ? NFQE_TCP_SYN : 0);
        bytes[i].packet.id = FLOW_CHAIN_FIRST_ID + i;
        burst->arena->verdicts[i].mark = FLOW_CHAIN_MARK;
        if (what[i].flow == NO_FLOW) {
            bytes[i].packet.flags = NFQE_PACKET_FRAGMENT;
        }
        burst->packets[i] = bytes[i].packet;
    }
}

void flow_chain_finish(unsigned count)
{
    struct burst_fixture *burst = flow_chain.burst;

    for (unsigned i = 0; i < FLOW_CHAIN_MEMBERS_MAX; i++) {
        memset(flow_chain.members[i].asked, 0, sizeof(flow_chain.members[i].asked));
    }
    flow_table_begin_burst(&flow_chain.image.flows, burst->packets, count, NOW);
    chain_run(&flow_chain.chain, burst->arena, burst->packets, count, &flow_chain.report);
    assert_string_equal(flow_image_fault(&flow_chain.image), "");
}

void flow_chain_run(enum way way, const struct what *what, unsigned count)
{
    flow_chain_begin(way, what, count);
    flow_chain_finish(count);
}

void flow_chain_assert(unsigned packet, nfqe_verdict verdict, uint32_t flags)
{
    const struct arena_verdict *entry = &flow_chain.burst->arena->verdicts[packet];

    assert_int_equal(entry->verdict, verdict);
    assert_int_equal(entry->flags, ARENA_DECIDED | flags);
    assert_int_equal(entry->id, FLOW_CHAIN_FIRST_ID + packet);
}

void flow_chain_assert_mark(unsigned packet, uint32_t mark)
{
    assert_int_equal(flow_chain.burst->arena->verdicts[packet].mark, mark);
}

int flow_chain_set_up(void **state)
{
    burst_set_up(state);
    flow_chain.burst = *state;
    flow_image_init(&flow_chain.image, CAPACITY, NULL);
    return 0;
}

int flow_chain_tear_down(void **state)
{
    flow_image_done(&flow_chain.image);
    return burst_tear_down(state);
}
