/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pipeline with plugins that decide for flows, on a journal and a flow table of its own. For the tests of
 * chain and decisions together.
 *
 * What a plugin answers to each packet of a burst is a table; how often it was asked is written down.
 */
#ifndef UNIT_FLOW_PIPELINE_H
#define UNIT_FLOW_PIPELINE_H

#include "burst_fixture.h"
#include "flow_image.h"
#include "pipeline.h"

#include <nfqe/plugin.h>

#define FLOW_PIPELINE_FIRST_ID 500
#define FLOW_PIPELINE_MEMBERS_MAX 3
#define FLOW_PIPELINE_MARK UINT32_C(0xaabbccdd) /* of every packet */
#define NO_FLOW 99 /* in place of a flow's number */
#define ACCEPT_FLOW (NFQE_ACCEPT | NFQE_FLOW)
#define DROP_FLOW (NFQE_DROP | NFQE_FLOW)

/* How the burst goes through the plugin chain: packet by packet in two ways, or plugin by plugin in two. */
enum way {
    WITHOUT_BATCH, /* no member has handle_batch() */
    ONE_BY_ONE,    /* all have it, but the burst goes to handle() */
    BATCH,         /* all have it */
    MIXED,         /* the first and the third one have it */
    WAYS,
};

/*
 * A packet of flow `flow`: 'd' data, 'a' data of the other end, 's' a SYN; first fragments: 'f' of data, 'g' of a SYN;
 * with a wrong checksum: 'w' data, 'v' a SYN.
 */
struct what {
    uint32_t flow;
    char kind;
};

struct flow_pipeline {
    struct pipeline pipeline;
    struct burst_fixture *fixture;
    struct flow_image image;
    struct queue_stats stats; /* of all runs */
    struct decide_invalid invalid; /* of the last run */
    int code; /* that a run has to return: 0, unless the test damages the table */
    struct flow_pipeline_member {
        nfqe_verdict answers[BURST_MAX];
        unsigned asked[BURST_MAX]; /* in the last run */
    } members[FLOW_PIPELINE_MEMBERS_MAX];
};

extern struct flow_pipeline flow_pipeline;

/* Whether a member is asked about the whole burst before its first answer counts. */
bool flow_pipeline_in_bursts(enum way way);

/* Makes the packet. */
void flow_pipeline_packet(struct flow_packet *packet, const struct what *what);

/*
 * A new pipeline, and an empty table. All members answer CONTINUE until the test says otherwise; the last one may
 * decide for flows. Packets that no member decides are dropped.
 */
void flow_pipeline_build(enum way way, unsigned members);

/*
 * Runs a burst: flow_pipeline_begin() fills the journal, and flow_pipeline_finish() runs the pipeline and checks the
 * table. A test that calls the two can give packets their verdict in between.
 */
void flow_pipeline_run(enum way way, const struct what *what, unsigned count);
void flow_pipeline_begin(enum way way, const struct what *what, unsigned count);
void flow_pipeline_finish(unsigned count);

/* flags: beside BURST_DECIDED. mark: what the packet leaves with. */
void flow_pipeline_assert(unsigned packet, nfqe_verdict verdict, uint32_t flags);
void flow_pipeline_assert_mark(unsigned packet, uint32_t mark);

/* For cmocka. */
int flow_pipeline_set_up(void **state);
int flow_pipeline_tear_down(void **state);

#endif
