/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker keeps of its answers for flows: which packets reach no plugin, for how long, and what a new connection
 * changes.
 *
 * Flows are numbers here, as for the worker. The plugins count how often they are called; what they answer is drawn or
 * a table. How the answers and the flow table agree is in test_decide_in_flight.c.
 */
#include "unit.h"

#include "plugin/chain_run.h"

#include <string.h>

#define ACCEPT_FLOW (NFQE_ACCEPT | NFQE_FLOW)
#define DROP_FLOW (NFQE_DROP | NFQE_FLOW)
#define PACKETS (BURST_MAX * BURSTS_IN_FLIGHT)
#define MEMBERS 2
#define NUMBER 5
#define EPOCH 17
#define ROUNDS 20000
#define SMALL 8 /* packets of a drawn burst */

static nfqe_verdict given[MEMBERS][PACKETS];
static unsigned asked[MEMBERS];
static unsigned numbers[MEMBERS];
static _Atomic uint32_t words[3];
static nfqe_verdict room[BURST_MAX];
static struct plugin_chain chain;
static struct chain_flows flows;
static struct chain_run run;
static struct nfqe_packet packets[PACKETS];

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    unsigned member = *(const unsigned *)self;

    asked[member]++;
    return given[member][packet->id];
}

static void handle_batch(void *self, struct nfqe_packet *const *batch, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, batch[i]);
    }
}

/* batches: bit i: member i has handle_batch(). The last member may answer for flows. All answer NFQE_CONTINUE. */
static void build(unsigned batches, nfqe_verdict default_verdict, nfqe_verdict on_crash)
{
    memset(given, 0, sizeof(given));
    memset(asked, 0, sizeof(asked));
    memset(&chain, 0, sizeof(chain));
    for (unsigned i = 0; i < MEMBERS; i++) {
        numbers[i] = i;
        plugin_chain_add(&chain,
                         &(struct plugin_chain_member){.handle = handle,
                                                       .handle_batch = (batches & 1u << i) != 0 ? handle_batch : NULL,
                                                       .self = &numbers[i],
                                                       .rights.needs = i + 1 == MEMBERS ? NFQE_NEED_FLOW : 0});
    }
    memset(&flows, 0x5a, sizeof(flows));
    chain_flows_init(&flows, &chain, default_verdict, on_crash);
    run = (struct chain_run){
        .chain = &chain,
        .position = {.packet = &words[0], .plugin = &words[1], .progress = &words[2]},
        .verdicts_end = room + BURST_MAX,
        .flows = &flows,
    };
}

static void start(void)
{
    build(0, NFQE_DROP, NFQE_DROP);
    chain_flows_begin_burst(&flows);
}

/* The answer to packet `index`, of a flow. Its plugins are called or not. */
static struct plugin_answer ask(unsigned index, uint32_t number, uint32_t epoch, char kind)
{
    const struct chain_flow flow = {
        .number = number, .epoch = epoch, .begins = kind == 's', .accepted = kind == 'A' || kind == 's'};

    return chain_run_flow_packet(&run, &packets[index], index % BURST_MAX, &flow);
}

static void assert_asked(unsigned index, uint32_t number, uint32_t epoch, char kind, unsigned times)
{
    unsigned before = asked[0];

    ask(index, number, epoch, kind);
    assert_int_equal(asked[0] - before, times);
}

/* ---- one flow ------------------------------------------------------------------------------------------------- */

/* As many packets of it as can be in flight, in bursts of any size; the tenth is answered for the flow. */
static void test_flow_that_is_answered_at_its_packet_10_is_seen_10_times(void **state)
{
    (void)state;
    for (unsigned burst = 1; burst <= BURST_MAX; burst++) {
        for (nfqe_verdict verdict = NFQE_ACCEPT; verdict <= NFQE_DROP; verdict++) {
            build(0, NFQE_DROP, NFQE_DROP);
            for (unsigned i = 0; i < PACKETS; i++) {
                given[1][i] = i == 9 ? verdict | NFQE_FLOW : NFQE_CONTINUE;
            }
            for (unsigned i = 0; i < PACKETS; i++) {
                struct plugin_answer answer;

                if (i % burst == 0) {
                    chain_flows_begin_burst(&flows);
                }
                answer = ask(i, NUMBER, EPOCH, 'd');
                assert_int_equal(answer.verdict, i < 9 ? NFQE_CONTINUE : verdict | NFQE_FLOW);
                assert_int_equal(answer.plugin, i < 9 ? MEMBERS : 1);
            }
            assert_int_equal(asked[0], 10);
            assert_int_equal(asked[1], 10);
        }
    }
}

/* Of the burst with its packet 10, handle_batch() gets all packets at once. */
static void test_flow_that_is_answered_in_a_batch_is_seen_in_no_later_one(void **state)
{
    (void)state;
    for (unsigned batches = 1; batches < 4; batches++) {
        build(batches, NFQE_DROP, NFQE_DROP);
        for (unsigned i = 0; i < PACKETS; i++) {
            given[1][i] = i == 9 ? ACCEPT_FLOW : NFQE_DROP;
        }
        for (unsigned first = 0; first < PACKETS; first += BURST_MAX) {
            struct chain_batch batch = {.count = BURST_MAX};
            struct chain_flow of[BURST_MAX];
            struct plugin_answer answers[BURST_MAX];

            for (unsigned i = 0; i < BURST_MAX; i++) {
                batch.packets[i] = &packets[first + i];
                batch.places[i] = i;
                of[i] = (struct chain_flow){.number = NUMBER, .epoch = EPOCH};
            }
            chain_flows_begin_burst(&flows);
            assert_int_equal(chain_run_batch(&run, &batch, of, answers), first == 0);
            for (unsigned i = 0; i < BURST_MAX; i++) {
                assert_int_equal(answers[i].verdict, first + i < 9 ? NFQE_DROP : ACCEPT_FLOW);
                assert_int_equal(answers[i].plugin, 1);
            }
        }
        assert_int_equal(asked[0], BURST_MAX);
        assert_int_equal(asked[1], BURST_MAX);
    }
}

static void test_answer_counts_for_its_number_and_epoch_alone(void **state)
{
    (void)state;
    start();
    given[1][0] = ACCEPT_FLOW;
    for (uint32_t number = 0; number < FLOWS_IN_FLIGHT_MAX; number++) {
        assert_asked(0, number, EPOCH, 'd', 1);
        assert_asked(1, number, EPOCH, 'd', 0);
    }
    for (uint32_t number = 0; number < FLOWS_IN_FLIGHT_MAX; number++) {
        assert_asked(1, number, EPOCH, 'd', 0);
        assert_asked(1, number, EPOCH + 1, 'd', 1); /* from now on another flow */
        assert_asked(1, number, EPOCH + 1, 'd', 1);
        assert_asked(0, number, EPOCH, 'd', 1);
        assert_asked(1, number, EPOCH, 'd', 0);
        assert_asked(1, number, EPOCH - 1, 'd', 1);
    }
}

static void test_packets_without_flow_are_always_given_to_the_plugins(void **state)
{
    static const uint32_t none[] = {CHAIN_NO_FLOW, FLOWS_IN_FLIGHT_MAX};

    (void)state;
    start();
    given[1][0] = ACCEPT_FLOW;
    for (unsigned i = 0; i < 2; i++) {
        assert_asked(0, none[i], EPOCH, 'd', 1);
        assert_asked(0, none[i], EPOCH, 'd', 1);
    }
    assert_asked(1, 0, EPOCH, 'd', 1);
    assert_asked(1, FLOWS_IN_FLIGHT_MAX - 1, EPOCH, 'd', 1);
}

static void test_only_an_answer_for_a_flow_of_a_plugin_that_may_give_it_is_kept(void **state)
{
    static const nfqe_verdict others[] = {NFQE_ACCEPT,           NFQE_DROP,          NFQE_CONTINUE, NFQE_FLOW,
                                          NFQE_HELD | NFQE_FLOW, ACCEPT_FLOW | 0x200};

    (void)state;
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        start();
        given[1][0] = others[i];
        assert_asked(0, NUMBER, EPOCH, 'd', 1);
        assert_asked(0, NUMBER, EPOCH, 'd', 1);
    }
    start();
    given[0][0] = ACCEPT_FLOW; /* this plugin may not */
    assert_asked(0, NUMBER, EPOCH, 'd', 1);
    assert_asked(0, NUMBER, EPOCH, 'd', 1);
}

/* ---- new connections ------------------------------------------------------------------------------------------ */

static void test_packet_that_begins_a_connection_of_an_accepted_flow_is_given_to_the_plugins(void **state)
{
    (void)state;
    start();
    given[1][0] = ACCEPT_FLOW;
    given[1][1] = NFQE_DROP;
    given[1][2] = NFQE_ACCEPT;
    assert_asked(0, NUMBER, EPOCH, 'd', 1);
    assert_asked(1, NUMBER, EPOCH, 's', 1);
    assert_asked(2, NUMBER, EPOCH, 'd', 1); /* and so are the later ones of its burst */
    assert_asked(2, NUMBER, EPOCH, 'd', 1);
    assert_asked(3, NUMBER + 1, EPOCH, 'd', 1);
    chain_flows_begin_burst(&flows);
    assert_asked(2, NUMBER, EPOCH, 'd', 0); /* it was dropped, so it has ended nothing */
}

static void test_answer_is_found_when_the_number_of_the_burst_wraps(void **state)
{
    (void)state;
    start();
    given[1][0] = ACCEPT_FLOW;
    flows.burst = UINT32_MAX;
    assert_asked(0, NUMBER, EPOCH, 'd', 1);
    chain_flows_begin_burst(&flows);
    assert_asked(1, NUMBER, EPOCH, 'd', 0);
}

static void test_packet_that_begins_a_connection_of_a_dropped_flow_is_dropped(void **state)
{
    (void)state;
    start();
    given[1][0] = DROP_FLOW;
    given[1][1] = NFQE_ACCEPT;
    assert_asked(0, NUMBER, EPOCH, 'd', 1);
    assert_int_equal(ask(1, NUMBER, EPOCH, 's').verdict, DROP_FLOW);
    assert_int_equal(ask(1, NUMBER, EPOCH, 'd').verdict, DROP_FLOW);
    assert_int_equal(asked[1], 1);
}

/* Accepted by a plugin, by the default verdict, or in place of an answer that is not valid. */
static void test_accepted_packet_that_begins_a_connection_ends_the_answer_for_the_flow(void **state)
{
    static const nfqe_verdict answers[] = {NFQE_ACCEPT, NFQE_DROP, NFQE_CONTINUE, NFQE_HELD};

    (void)state;
    for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        for (nfqe_verdict default_verdict = NFQE_ACCEPT; default_verdict <= NFQE_DROP; default_verdict++) {
            for (nfqe_verdict on_crash = NFQE_ACCEPT; on_crash <= NFQE_DROP; on_crash++) {
                bool accepted =
                    i == 0 || (i == 2 && default_verdict == NFQE_ACCEPT) || (i == 3 && on_crash == NFQE_ACCEPT);

                build(0, default_verdict, on_crash);
                chain_flows_begin_burst(&flows);
                given[1][0] = ACCEPT_FLOW;
                given[1][1] = answers[i];
                assert_asked(0, NUMBER, EPOCH, 'd', 1);
                assert_asked(1, NUMBER, EPOCH, 's', 1);
                chain_flows_begin_burst(&flows);
                assert_asked(1, NUMBER, EPOCH, 'd', accepted ? 1 : 0);
                assert_asked(0, NUMBER, EPOCH, 'd', accepted ? 1 : 0);
                assert_asked(2, NUMBER, EPOCH, 'd', 0); /* answered for the new connection */
            }
        }
    }
}

static void test_answer_for_the_flow_of_a_new_connection_counts_at_once(void **state)
{
    (void)state;
    for (nfqe_verdict verdict = NFQE_ACCEPT; verdict <= NFQE_DROP; verdict++) {
        start();
        given[1][0] = ACCEPT_FLOW;
        given[1][1] = verdict | NFQE_FLOW;
        assert_asked(0, NUMBER, EPOCH, 'd', 1);
        assert_asked(1, NUMBER, EPOCH, 's', 1);
        assert_int_equal(ask(2, NUMBER, EPOCH, 'd').verdict, verdict | NFQE_FLOW);
        assert_int_equal(asked[1], 2);
    }
}

/* The flow table knew the flow before the worker did: the packet came to the worker since it begins a connection. */
static void test_flow_that_the_table_has_accepted_is_answered_so_but_for_the_new_connection(void **state)
{
    struct plugin_answer answer;

    (void)state;
    start();
    given[1][1] = NFQE_DROP;
    assert_asked(1, NUMBER, EPOCH, 's', 1);
    assert_asked(1, NUMBER, EPOCH, 'd', 1);
    chain_flows_begin_burst(&flows);
    answer = ask(1, NUMBER, EPOCH, 'd');
    assert_int_equal(answer.verdict, ACCEPT_FLOW);
    assert_int_equal(answer.plugin, 1); /* one that may give it */
    given[1][2] = NFQE_ACCEPT;
    assert_asked(2, NUMBER, EPOCH, 's', 1);
    assert_asked(1, NUMBER, EPOCH, 'A', 1); /* what the table had when a later packet came does not count */
    chain_flows_begin_burst(&flows);
    assert_asked(1, NUMBER, EPOCH, 'A', 1);
}

/* ---- batches and single packets ------------------------------------------------------------------------------- */

static void draw(uint64_t *random, struct chain_flow *of)
{
    static const nfqe_verdict answers[] = {NFQE_ACCEPT, NFQE_DROP, ACCEPT_FLOW, ACCEPT_FLOW, DROP_FLOW, NFQE_HELD};

    for (unsigned i = 0; i < SMALL; i++) {
        bool begins = unit_random_below(random, 4) == 0;

        of[i] = (struct chain_flow){.number = unit_random_below(random, 3), .epoch = EPOCH, .begins = begins};
        of[i].number = of[i].number == 2 ? CHAIN_NO_FLOW : of[i].number;
        for (unsigned member = 0; member < MEMBERS; member++) {
            given[member][i] =
                unit_random_below(random, 3) == 0 ? NFQE_CONTINUE : answers[unit_random_below(random, 6)];
        }
    }
}

/* Answers to two bursts, each as a batch or packet by packet. */
static void answer_bursts(uint64_t random, unsigned batches, struct plugin_answer answers[2][SMALL])
{
    nfqe_verdict default_verdict = unit_random_below(&random, 2) == 0 ? NFQE_ACCEPT : NFQE_DROP;
    nfqe_verdict on_crash = unit_random_below(&random, 2) == 0 ? NFQE_ACCEPT : NFQE_DROP;

    build(batches, default_verdict, on_crash);
    for (unsigned burst = 0; burst < 2; burst++) {
        struct chain_flow of[SMALL];
        struct chain_batch batch = {.count = SMALL};

        draw(&random, of);
        chain_flows_begin_burst(&flows);
        for (unsigned i = 0; i < SMALL; i++) {
            batch.packets[i] = &packets[i];
            batch.places[i] = i;
            if (batches == 0) {
                answers[burst][i] = chain_run_flow_packet(&run, &packets[i], i, &of[i]);
            }
        }
        if (batches != 0) {
            chain_run_batch(&run, &batch, of, answers[burst]);
        }
    }
}

static void test_batch_answers_as_packet_by_packet(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        struct plugin_answer expected[2][SMALL];

        answer_bursts(round * UINT64_C(0x9e3779b97f4a7c15), 0, expected);
        for (unsigned batches = 1; batches < 4; batches++) {
            struct plugin_answer answers[2][SMALL];

            answer_bursts(round * UINT64_C(0x9e3779b97f4a7c15), batches, answers);
            assert_memory_equal(answers, expected, sizeof(expected));
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PACKETS; i++) {
        packets[i] = (struct nfqe_packet){.size = sizeof(packets[i]), .id = i};
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flow_that_is_answered_at_its_packet_10_is_seen_10_times),
        cmocka_unit_test(test_flow_that_is_answered_in_a_batch_is_seen_in_no_later_one),
        cmocka_unit_test(test_answer_counts_for_its_number_and_epoch_alone),
        cmocka_unit_test(test_packets_without_flow_are_always_given_to_the_plugins),
        cmocka_unit_test(test_only_an_answer_for_a_flow_of_a_plugin_that_may_give_it_is_kept),
        cmocka_unit_test(test_packet_that_begins_a_connection_of_an_accepted_flow_is_given_to_the_plugins),
        cmocka_unit_test(test_answer_is_found_when_the_number_of_the_burst_wraps),
        cmocka_unit_test(test_packet_that_begins_a_connection_of_a_dropped_flow_is_dropped),
        cmocka_unit_test(test_accepted_packet_that_begins_a_connection_ends_the_answer_for_the_flow),
        cmocka_unit_test(test_answer_for_the_flow_of_a_new_connection_counts_at_once),
        cmocka_unit_test(test_flow_that_the_table_has_accepted_is_answered_so_but_for_the_new_connection),
        cmocka_unit_test(test_batch_answers_as_packet_by_packet),
    };

    return cmocka_run_group_tests_name("chain_flows", tests, set_up, NULL);
}
