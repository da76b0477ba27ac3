/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A chain with plugins that decide for flows, on an arena and a flow table of its own. For the tests of chain.c.
 *
 * What a plugin answers to each packet of a burst is a table; how often it was asked is written down.
 */
#ifndef UNIT_FLOW_CHAIN_H
#define UNIT_FLOW_CHAIN_H

#include "burst/chain.h"
#include "burst_fixture.h"
#include "flow_image.h"

#include <nfqe/plugin.h>

#define FLOW_CHAIN_FIRST_ID 500
#define FLOW_CHAIN_MEMBERS_MAX 3
#define FLOW_CHAIN_MARK UINT32_C(0xaabbccdd) /* of every packet */
#define NO_FLOW 99 /* in place of a flow's number */
#define ACCEPT_FLOW (NFQE_ACCEPT | NFQE_FLOW)
#define DROP_FLOW (NFQE_DROP | NFQE_FLOW)

/* How the burst goes through the chain: three times by packet, with no difference to be seen, and by plugin. */
enum way {
    WITHOUT_BATCH, /* no member has handle_batch() */
    ONE_BY_ONE,    /* all have it, but the burst has crashed */
    BATCH,         /* all have it */
    MIXED,         /* the first and the third one have it */
    WAYS,
};

/* A packet of flow `flow`: 'd' data, 'a' data of the other end, 's' a SYN. */
struct what {
    uint32_t flow;
    char kind;
};

struct flow_chain {
    struct chain chain;
    struct burst_fixture *burst;
    struct flow_image image;
    struct chain_report report; /* of the last run */
    struct flow_chain_member {
        nfqe_verdict answers[BURST_MAX];
        unsigned asked[BURST_MAX]; /* in the last run */
    } members[FLOW_CHAIN_MEMBERS_MAX];
};

extern struct flow_chain flow_chain;

/* Whether a member is asked about the whole burst before its first answer counts. */
bool flow_chain_in_bursts(enum way way);

/*
 * A new chain, and an empty table. All members answer CONTINUE until the test says otherwise; the last one may decide
 * for flows. What nobody decides is dropped.
 */
void flow_chain_build(enum way way, unsigned members);

/* Runs a burst; or takes up one of which verdicts stand already, see flow_chain_begin(). The table is in order. */
void flow_chain_run(enum way way, const struct what *what, unsigned count);
void flow_chain_begin(enum way way, const struct what *what, unsigned count);
void flow_chain_finish(unsigned count);

/* flags: beside ARENA_DECIDED. mark: what the packet leaves with. */
void flow_chain_assert(unsigned packet, nfqe_verdict verdict, uint32_t flags);
void flow_chain_assert_mark(unsigned packet, uint32_t mark);

/* For cmocka. */
int flow_chain_set_up(void **state);
int flow_chain_tear_down(void **state);

#endif
