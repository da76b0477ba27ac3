/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several bursts in flight, with workers that answer one after the other, in any order of bursts: each packet gets the
 * verdict that it gets if the bursts are run one by one, the packets of a flow are decided in order, and no plugin sees
 * a packet that it does not see then.
 *
 * Bursts, answers and the order of events are drawn. The reference is support/pipeline.h. The rest of the loop is what a
 * process does that is no worker itself: look up, submit, take answers, decide.
 */
#include "flow_pipeline.h"

#include "unit.h"

#include "flow/flow_in_flight.h"
#include "plugin/chain_run.h"

#include <string.h>

#define ROUNDS 20000
#define BURSTS 8
#define PACKETS 6
#define FLOWS 3
#define WORKERS 2
#define MEMBERS_MAX FLOW_PIPELINE_MEMBERS_MAX
#define BYPASS_MARK UINT32_C(0x11)
#define BYPASS_MASK UINT32_C(0xff)
#define NOW UINT64_C(5000)

struct play {
    unsigned members;
    struct decide_policy policy;
    struct what what[BURSTS][PACKETS];
    nfqe_verdict given[BURSTS][MEMBERS_MAX][PACKETS];
};

struct outcome {
    uint32_t verdicts[BURSTS][PACKETS];
    uint32_t marks[BURSTS][PACKETS];
    uint32_t flags[BURSTS][PACKETS];
    bool asked[BURSTS][MEMBERS_MAX][PACKETS];
    nfqe_verdict flows[FLOWS]; /* at the end */
    unsigned invalid;
};

/* ---- the plays ---------------------------------------------------------------------------------------------- */

static void draw(uint64_t *random, struct play *play)
{
    static const nfqe_verdict answers[] = {NFQE_CONTINUE, NFQE_ACCEPT, NFQE_DROP, ACCEPT_FLOW,
                                           ACCEPT_FLOW,   DROP_FLOW,   NFQE_HELD, NFQE_CONTINUE};

    play->members = 1 + unit_random_below(random, MEMBERS_MAX);
    play->policy = (struct decide_policy){.default_verdict = NFQE_ACCEPT + unit_random_below(random, 2),
                                          .on_crash = NFQE_ACCEPT + unit_random_below(random, 2),
                                          .bypass_mark = BYPASS_MARK,
                                          .bypass_mask = BYPASS_MASK};
    for (unsigned i = 0; i < BURSTS; i++) {
        for (unsigned packet = 0; packet < PACKETS; packet++) {
            play->what[i][packet].flow =
                unit_random_below(random, 10) == 0 ? NO_FLOW : unit_random_below(random, FLOWS);
            play->what[i][packet].kind = "ddddasfgwv"[unit_random_below(random, 10)];
            for (unsigned member = 0; member < play->members; member++) {
                play->given[i][member][packet] = answers[unit_random_below(random, 8)];
            }
        }
    }
}

static void read_verdicts(const struct burst *burst, unsigned number, struct outcome *outcome)
{
    for (unsigned packet = 0; packet < PACKETS; packet++) {
        assert_true(burst_is_decided(burst, packet));
        outcome->verdicts[number][packet] = burst->entries[packet].verdict;
        outcome->marks[number][packet] = burst->entries[packet].mark;
        outcome->flags[number][packet] = burst->entries[packet].flags;
    }
}

static void read_flows(struct outcome *outcome)
{
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        const struct flow_entry *entry = flow_image_entry(&flow_pipeline.image, flow);

        outcome->flows[flow] = entry != NULL ? entry->verdict : NFQE_CONTINUE;
    }
}

static void build(const struct play *play)
{
    flow_pipeline_build(WITHOUT_BATCH, play->members);
    flow_pipeline.pipeline.policy = play->policy;
    for (unsigned member = 0; member < play->members; member++) {
        flow_pipeline.pipeline.chain.members[member].rights.needs = NFQE_NEED_FLOW;
    }
}

static void play_one_by_one(const struct play *play, struct outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    build(play);
    for (unsigned i = 0; i < BURSTS; i++) {
        for (unsigned member = 0; member < play->members; member++) {
            memcpy(flow_pipeline.members[member].answers, play->given[i][member], sizeof(play->given[i][member]));
        }
        flow_pipeline_run(WITHOUT_BATCH, play->what[i], PACKETS);
        read_verdicts(flow_pipeline.fixture->burst, i, outcome);
        outcome->invalid += flow_pipeline.invalid.count;
        for (unsigned packet = 0; packet < PACKETS; packet++) {
            for (unsigned member = 0; member < play->members; member++) {
                outcome->asked[i][member][packet] = flow_pipeline.members[member].asked[packet] > 0;
            }
        }
    }
    read_flows(outcome);
}

/* ---- in flight ---------------------------------------------------------------------------------------------- */

/* A packet that is with a worker, or was. */
struct submitted {
    unsigned burst; /* its number in the play */
    unsigned packet;
    struct chain_flow flow;
    struct plugin_answer answer;
};

static struct slot {
    struct burst *burst;
    struct burst_fixture fixture;
    struct flow_burst flow_burst;
    struct flow_packet bytes[PACKETS];
    struct nfqe_packet packets[PACKETS];
    unsigned number; /* of the burst in the play */
    unsigned undecided;
    bool used;
} slots[BURSTS_IN_FLIGHT];

static struct worker {
    struct chain_run run;
    struct chain_flows flows;
    struct submitted packets[BURSTS * PACKETS];
    unsigned submitted, answered, decided;
    unsigned burst; /* that the last packet was of */
} workers[WORKERS];

static struct flow_in_flight in_flight;
static const struct play *current;
static struct outcome *result;
static unsigned next_burst;
static unsigned last_decided[FLOWS]; /* burst and packet of the flow, as one number counted from 1 */
static unsigned at_once;             /* packets that were decided without a worker, in all plays */
static _Atomic uint32_t words[3];

static void note_decided(unsigned burst, unsigned packet)
{
    uint32_t flow = current->what[burst][packet].flow;

    if (flow != NO_FLOW) {
        assert_true(last_decided[flow] < burst * PACKETS + packet + 1);
        last_decided[flow] = burst * PACKETS + packet + 1;
    }
}

static struct decide decide_in(struct slot *slot)
{
    return (struct decide){.policy = &current->policy,
                           .flows = &flow_pipeline.image.flows,
                           .flow_burst = &slot->flow_burst,
                           .burst = slot->burst};
}

static void submit_packet(struct slot *slot, unsigned packet, bool accepted)
{
    const struct flow_lookup *lookup = &slot->flow_burst.lookups[packet];
    uint32_t flow = current->what[slot->number][packet].flow;
    struct worker *worker = &workers[flow % WORKERS];
    struct submitted *submitted = &worker->packets[worker->submitted++];
    uint32_t number = flow_in_flight_acquire(&in_flight, lookup);

    assert_int_equal(number == FLOW_IN_FLIGHT_NONE, flow == NO_FLOW);
    *submitted = (struct submitted){.burst = slot->number, .packet = packet};
    submitted->flow = (struct chain_flow){.number = number,
                                          .epoch = flow_in_flight_epoch(&in_flight, number),
                                          .begins = lookup->traits.begins,
                                          .alone = lookup->traits.alone,
                                          .accepted = accepted};
    slot->undecided++;
}

static void submit(struct slot *slot)
{
    struct decide decide = decide_in(slot);

    slot->used = true;
    slot->number = next_burst++;
    slot->undecided = 0;
    burst_fill(&slot->fixture, PACKETS, FLOW_PIPELINE_FIRST_ID, BURST_HANDLING);
    for (unsigned i = 0; i < PACKETS; i++) {
        flow_pipeline_packet(&slot->bytes[i], &current->what[slot->number][i]);
        slot->burst->entries[i].mark = FLOW_PIPELINE_MARK;
        slot->packets[i] = slot->bytes[i].packet;
        slot->packets[i].id = FLOW_PIPELINE_FIRST_ID + i;
    }
    flow_table_begin_burst(decide.flows, decide.flow_burst, slot->packets, PACKETS, NOW);
    for (unsigned i = 0; i < PACKETS; i++) {
        if (flow_in_flight_find(&in_flight, &slot->flow_burst.lookups[i]) != FLOW_IN_FLIGHT_NONE) {
            submit_packet(slot, i, false);
        } else if (decide_by_flow(&decide, i)) {
            note_decided(slot->number, i);
            at_once++;
        } else {
            const struct flow_lookup *lookup = &slot->flow_burst.lookups[i];

            submit_packet(slot, i,
                          (lookup->traits.alone || flow_burst_has_begun(&slot->flow_burst, i)) &&
                              flow_table_is_accepted(decide.flows, lookup));
        }
    }
    flow_burst_begin_again(&slot->flow_burst);
}

static struct slot *slot_of(unsigned burst)
{
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        if (slots[i].used && slots[i].number == burst) {
            return &slots[i];
        }
    }
    fail();
    return NULL;
}

/* The worker answers its next packet. */
static void answer(struct worker *worker)
{
    struct submitted *submitted = &worker->packets[worker->answered++];
    struct nfqe_packet packet = slot_of(submitted->burst)->packets[submitted->packet];
    unsigned before[MEMBERS_MAX] = {0};

    if (worker->burst != submitted->burst) {
        worker->burst = submitted->burst;
        chain_flows_begin_burst(&worker->flows);
    }
    for (unsigned member = 0; member < current->members; member++) {
        flow_pipeline.members[member].answers[submitted->packet] =
            current->given[submitted->burst][member][submitted->packet];
        before[member] = flow_pipeline.members[member].asked[submitted->packet];
    }
    submitted->answer = chain_run_flow_packet(&worker->run, &packet, submitted->packet, &submitted->flow);
    for (unsigned member = 0; member < current->members; member++) {
        result->asked[submitted->burst][member][submitted->packet] =
            flow_pipeline.members[member].asked[submitted->packet] != before[member];
    }
}

/* The worker's next answer becomes a verdict. */
static void decide_next(struct worker *worker)
{
    const struct submitted *submitted = &worker->packets[worker->decided++];
    struct slot *slot = slot_of(submitted->burst);
    struct decide decide = decide_in(slot);
    struct decide_invalid invalid = {.count = 0};

    assert_false(burst_is_decided(slot->burst, submitted->packet));
    decide_answered(&decide, submitted->packet, submitted->answer,
                    plugin_chain_rights(worker->run.chain, submitted->answer.plugin), &invalid);
    flow_in_flight_release(&in_flight, submitted->flow.number);
    note_decided(submitted->burst, submitted->packet);
    result->invalid += invalid.count;
    slot->undecided--;
}

static void prepare(const struct play *play, struct outcome *outcome)
{
    memset(outcome, 0, sizeof(*outcome));
    memset(last_decided, 0, sizeof(last_decided));
    build(play);
    current = play;
    result = outcome;
    next_burst = 0;
    flow_in_flight_init(&in_flight);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];

        worker->submitted = worker->answered = worker->decided = 0;
        worker->burst = BURSTS;
        worker->run = (struct chain_run){
            .chain = &flow_pipeline.pipeline.chain,
            .position = {.packet = &words[0], .plugin = &words[1], .progress = &words[2]},
            .flows = &worker->flows,
        };
        chain_flows_init(&worker->flows, worker->run.chain, play->policy.default_verdict, play->policy.on_crash);
    }
}

/* in_flight_max: bursts. */
static void play_in_flight(uint64_t *random, unsigned in_flight_max, const struct play *play, struct outcome *outcome)
{
    unsigned finished = 0;

    prepare(play, outcome);
    while (finished < BURSTS) {
        struct slot *slot = &slots[unit_random_below(random, in_flight_max)];
        struct worker *worker = &workers[unit_random_below(random, WORKERS)];

        switch (unit_random_below(random, 3)) {
        case 0:
            if (!slot->used && next_burst < BURSTS) {
                submit(slot);
            }
            break;
        case 1:
            if (worker->answered < worker->submitted) {
                answer(worker);
            }
            break;
        default:
            if (worker->decided < worker->answered) {
                decide_next(worker);
            }
            break;
        }
        for (unsigned i = 0; i < in_flight_max; i++) {
            if (slots[i].used && slots[i].undecided == 0) {
                read_verdicts(slots[i].burst, slots[i].number, outcome);
                slots[i].used = false;
                finished++;
            }
        }
    }
    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        struct flow_packet packet;
        struct flow_burst burst;

        flow_packet_make(&packet, flow, false, 0);
        flow_table_begin_burst(&flow_pipeline.image.flows, &burst, &packet.packet, 1, NOW);
        assert_int_equal(flow_in_flight_find(&in_flight, &burst.lookups[0]), FLOW_IN_FLIGHT_NONE);
    }
    read_flows(outcome);
}

static void test_bursts_in_flight_are_decided_as_one_by_one(void **state)
{
    uint64_t random = 662607015000000;

    (void)state;
    at_once = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct outcome expected;
        struct outcome outcome;
        struct play play;

        draw(&random, &play);
        play_one_by_one(&play, &expected);
        play_in_flight(&random, 1 + round % BURSTS_IN_FLIGHT, &play, &outcome);
        assert_memory_equal(outcome.verdicts, expected.verdicts, sizeof(expected.verdicts));
        assert_memory_equal(outcome.marks, expected.marks, sizeof(expected.marks));
        assert_memory_equal(outcome.flags, expected.flags, sizeof(expected.flags));
        assert_memory_equal(outcome.asked, expected.asked, sizeof(expected.asked));
        assert_memory_equal(outcome.flows, expected.flows, sizeof(expected.flows));
        assert_int_equal(outcome.invalid, expected.invalid);
    }
    assert_true(at_once > ROUNDS * 3);
}

static int set_up(void **state)
{
    flow_pipeline_set_up(state);
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        burst_fixture_init(&slots[i].fixture);
        slots[i].burst = slots[i].fixture.burst;
        slots[i].used = false;
    }
    return 0;
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        burst_fixture_done(&slots[i].fixture);
    }
    return flow_pipeline_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bursts_in_flight_are_decided_as_one_by_one, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("decide_in_flight", tests, NULL, NULL);
}
