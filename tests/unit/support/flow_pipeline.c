/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building the pipeline and running bursts of packets through it, each way.
 */
#include "flow_pipeline.h"

#include "unit.h"

#include <string.h>

#define CAPACITY 8
#define NOW UINT64_C(5000) /* ns */
#define GRE 47
#define WINDOW 34 /* offset */

struct flow_pipeline flow_pipeline;

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    struct flow_pipeline_member *member = self;

    member->asked[packet->id - FLOW_PIPELINE_FIRST_ID]++;
    return member->answers[packet->id - FLOW_PIPELINE_FIRST_ID];
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

bool flow_pipeline_in_bursts(enum way way)
{
    return way == BATCH || way == MIXED;
}

void flow_pipeline_build(enum way way, unsigned members)
{
    struct pipeline *pipeline = &flow_pipeline.pipeline;

    *pipeline = (struct pipeline){.policy = {.default_verdict = NFQE_DROP, .on_crash = NFQE_DROP},
                                  .flows = &flow_pipeline.image.flows};
    flow_pipeline.code = 0;
    memset(flow_pipeline.members, 0, sizeof(flow_pipeline.members));
    for (unsigned i = 0; i < members; i++) {
        bool batch = way == BATCH || way == ONE_BY_ONE || (way == MIXED && i % 2 == 0);

        plugin_chain_add(&pipeline->chain,
                         &(struct plugin_chain_member){.handle = handle,
                                                       .handle_batch = batch ? handle_batch : NULL,
                                                       .self = &flow_pipeline.members[i],
                                                       .rights.needs = i == members - 1 ? NFQE_NEED_FLOW : 0});
    }
    memset(flow_pipeline.image.header, 0, flow_pipeline.image.size);
    flow_image_attach(&flow_pipeline.image, FLOW_IMAGE_IDLE_MS);
}

void flow_pipeline_packet(struct flow_packet *packet, const struct what *what)
{
    bool syn = what->kind == 's' || what->kind == 'g' || what->kind == 'v';

    flow_packet_make(packet, what->flow, what->kind == 'a', syn ? NFQE_TCP_SYN : 0);
    if (what->kind == 'f' || what->kind == 'g') {
        packet->packet.flags |= NFQE_PACKET_FRAGMENT;
    }
    if (what->kind == 'w' || what->kind == 'v') {
        packet->bytes[WINDOW] ^= 1;
    }
    if (what->flow == NO_FLOW) {
        packet->packet.protocol = GRE;
    }
}

void flow_pipeline_begin(enum way way, const struct what *what, unsigned count)
{
    static struct flow_packet bytes[BURST_MAX];
    struct burst_fixture *fixture = flow_pipeline.fixture;

    burst_fill(fixture, count, FLOW_PIPELINE_FIRST_ID, BURST_HANDLING);
    flow_pipeline.pipeline.one_by_one = way == ONE_BY_ONE;
    for (unsigned i = 0; i < count; i++) {
        flow_pipeline_packet(&bytes[i], &what[i]);
        bytes[i].packet.id = FLOW_PIPELINE_FIRST_ID + i;
        fixture->burst->entries[i].mark = FLOW_PIPELINE_MARK;
        fixture->packets[i] = bytes[i].packet;
    }
}

void flow_pipeline_finish(unsigned count)
{
    struct burst_fixture *fixture = flow_pipeline.fixture;

    for (unsigned i = 0; i < FLOW_PIPELINE_MEMBERS_MAX; i++) {
        memset(flow_pipeline.members[i].asked, 0, sizeof(flow_pipeline.members[i].asked));
    }
    assert_int_equal(pipeline_run(&flow_pipeline.pipeline, fixture->burst, fixture->packets, count, NOW,
                                  &flow_pipeline.stats, &flow_pipeline.invalid),
                     flow_pipeline.code);
    assert_string_equal(flow_image_fault(&flow_pipeline.image), "");
}

void flow_pipeline_run(enum way way, const struct what *what, unsigned count)
{
    flow_pipeline_begin(way, what, count);
    flow_pipeline_finish(count);
}

void flow_pipeline_assert(unsigned packet, nfqe_verdict verdict, uint32_t flags)
{
    const struct burst_entry *entry = &flow_pipeline.fixture->burst->entries[packet];

    assert_int_equal(entry->verdict, verdict);
    assert_int_equal(entry->flags & ~BURST_INVALID, BURST_DECIDED | flags);
    assert_int_equal(entry->id, FLOW_PIPELINE_FIRST_ID + packet);
}

void flow_pipeline_assert_mark(unsigned packet, uint32_t mark)
{
    assert_int_equal(flow_pipeline.fixture->burst->entries[packet].mark, mark);
}

int flow_pipeline_set_up(void **state)
{
    burst_set_up(state);
    flow_pipeline.fixture = *state;
    flow_image_init(&flow_pipeline.image, CAPACITY, NULL);
    return 0;
}

int flow_pipeline_tear_down(void **state)
{
    flow_image_done(&flow_pipeline.image);
    return burst_tear_down(state);
}
