/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said while the engine serves: when a loss has a line, its cause and remedy; a start without packets; plugins
 * that answer none.
 *
 * The test makes the looks: what the kernel says, and the time of the event loop.
 */
#include "engine_fixture.h"
#include "log_lines.h"

#include "base/clock.h"
#include "process/figures.h"

#include <stdio.h>
#include <string.h>

#define QUEUES 7
#define FIRST ENGINE_FIXTURE_QUEUE

static struct {
    struct engine_fixture base;
    struct figures figures;
    struct nfqueue_status kernel[QUEUES];
    bool known; /* /proc can be read */
    uint64_t now_ns;
} fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, QUEUES, 1000);
    for (unsigned i = 0; i < QUEUES; i++) {
        fixture.kernel[i].queue = FIRST + i;
        fixture.base.engine.queues[i].kernel.settings.max_len = 20;
        fixture.base.engine.queues[i].kernel.receive_buffer = 4096;
    }
    fixture.known = true;
    fixture.now_ns = 5 * NS_PER_S;
    fixture.base.loop.now_ns = fixture.now_ns;
    figures_begin(&fixture.figures, &fixture.base.engine, &fixture.base.loop);
    log_lines_clear();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    engine_fixture_done(&fixture.base);
    return 0;
}

static struct queue_stats *stats_of(unsigned index)
{
    return &fixture.base.engine.queues[index].shm.journal->totals[0].stats;
}

/* So many looks, one a second. */
static void look(unsigned looks)
{
    for (unsigned i = 0; i < looks; i++) {
        fixture.now_ns += NS_PER_S;
        fixture.base.loop.now_ns = fixture.now_ns;
        for (unsigned j = 0; j < QUEUES && fixture.known; j++) {
            figures_note(&fixture.figures, j, &fixture.kernel[j]);
        }
        figures_look(&fixture.figures, fixture.known);
    }
}

#define FULL(queue, packets)                                                                                           \
    "queue " queue ": the kernel dropped " packets                                                                     \
    " packets, since 20 waited already: plugins are slower than the traffic, or a worker was missing; more "           \
    "--workers, more queues, a larger --max-len, or --fail-open"
#define BUFFER(queue, packets)                                                                                         \
    "queue " queue ": the kernel dropped " packets                                                                     \
    " packets, since those that wait filled the receive buffer of 4096 bytes; raise --receive-buffer"

/* ---- losses ------------------------------------------------------------------------------------------------------ */

static void test_loss_is_said_at_the_next_look_with_its_cause(void **state)
{
    (void)state;
    look(1);
    assert_int_equal(log_lines.count, 0);
    fixture.kernel[1].queue_dropped = 915;
    look(1);
    log_lines_assert(FULL("8", "915"));
    log_lines_clear();
    fixture.kernel[0].user_dropped = 3;
    look(1);
    log_lines_assert(BUFFER("7", "3"));
}

static void test_losses_of_ten_seconds_are_one_line(void **state)
{
    (void)state;
    fixture.kernel[0].queue_dropped = UINT32_MAX - 1; /* the kernel's figure wraps */
    look(1);
    log_lines_assert(FULL("7", "4294967294"));
    log_lines_clear();
    for (unsigned i = 0; i < 9; i++) {
        fixture.kernel[0].queue_dropped += 2;
        look(1);
    }
    assert_int_equal(log_lines.count, 0);
    look(1);
    log_lines_assert(FULL("7", "18"));
    log_lines_clear();
    look(20);
    assert_int_equal(log_lines.count, 0);
    fixture.kernel[0].queue_dropped++;
    look(1);
    log_lines_assert(FULL("7", "1"));
}

static void test_causes_have_lines_of_their_own(void **state)
{
    const char *const lines[] = {FULL("7", "1"), BUFFER("7", "2"), NULL};

    (void)state;
    fixture.kernel[0].queue_dropped = 1;
    fixture.kernel[0].user_dropped = 2;
    look(1);
    log_lines_assert_all(lines);
}

static void test_many_queues_are_a_few_lines(void **state)
{
    (void)state;
    for (unsigned i = 0; i < QUEUES; i++) {
        fixture.kernel[i].queue_dropped = 1;
    }
    look(1);
    assert_int_equal(log_lines.count, 5);
    log_lines_clear();
    fixture.kernel[0].queue_dropped = 5;
    look(10);
    assert_int_equal(log_lines.count, 2);
    assert_string_equal(log_lines.text[0], "... 2 more lines about packets of queues not shown");
    assert_string_equal(log_lines.text[1], FULL("7", "4"));
}

/* It is in what the queue process counts. */
static void test_full_socket_is_known_without_proc(void **state)
{
    (void)state;
    stats_of(0)->packets = 1;
    fixture.known = false;
    look(1);
    assert_int_equal(log_lines.count, 0);
    stats_of(2)->receive_errors = 3;
    look(9);
    log_lines_assert(
        "queue 9: receives fail, 3 so far: the kernel drops packets, since those that wait fill the receive "
        "buffer of 4096 bytes; raise --receive-buffer");
    stats_of(2)->receive_errors = 4;
    look(1);
    assert_int_equal(log_lines.count, 1);
    look(1);
    assert_int_equal(log_lines.count, 2);
}

/* A reading can fail once. */
static void test_receives_that_failed_while_the_kernel_said_how_many_it_dropped_have_no_line(void **state)
{
    (void)state;
    stats_of(2)->packets = 1;
    stats_of(2)->receive_errors = 3;
    look(1);
    fixture.known = false;
    look(1);
    assert_int_equal(log_lines.count, 0);
    stats_of(2)->receive_errors = 4;
    look(1);
    assert_int_equal(log_lines.count, 1);
}

#define CUT(queue)                                                                                                     \
    "queue " queue ": a packet came without its last bytes: the kernel copies 65531 at most; plugins see the "         \
    "beginning (NFQE_PACKET_TRUNCATED), and the final counter truncated has the number of such packets; see --gso"

static void test_packets_without_their_last_bytes_are_said_once_for_each_queue(void **state)
{
    const char *const lines[] = {CUT("9"), CUT("7"), NULL};

    (void)state;
    stats_of(0)->packets = 1;
    look(1);
    assert_int_equal(log_lines.count, 0);
    stats_of(2)->truncated = 3;
    look(1);
    log_lines_assert(CUT("9"));
    stats_of(2)->truncated = 5000;
    stats_of(0)->truncated = 1;
    fixture.known = false;
    look(30);
    log_lines_assert_all(lines);
}

/* ---- no packet --------------------------------------------------------------------------------------------------- */

#define RULES                                                                                                          \
    " within 10 s; if there should be some, look for the rules that send them there, in this network namespace: "      \
    "iptables-save | grep NFQUEUE; ip6tables-save | grep NFQUEUE; nft list ruleset | grep queue"

static void test_start_without_packets_is_said_once(void **state)
{
    (void)state;
    look(9);
    assert_int_equal(log_lines.count, 0);
    look(1);
    log_lines_assert("no packet has come to any of the 7 queues" RULES);
    look(100);
    assert_int_equal(log_lines.count, 1);
}

static void test_single_queue_without_packets_is_named(void **state)
{
    (void)state;
    fixture.base.engine.queue_count = 1;
    look(10);
    log_lines_assert("no packet has come to queue 7" RULES);
    fixture.base.engine.queue_count = QUEUES;
}

static void test_one_packet_of_any_queue_is_enough(void **state)
{
    (void)state;
    stats_of(QUEUES - 1)->packets = 1;
    look(20);
    assert_int_equal(log_lines.count, 0);
}

static void test_packet_that_was_dropped_has_come(void **state)
{
    (void)state;
    fixture.kernel[3].user_dropped = 1;
    look(20);
    log_lines_assert(BUFFER("10", "1"));
}

/* ---- no answer --------------------------------------------------------------------------------------------------- */

static void answer(unsigned index, unsigned decided, unsigned crashed)
{
    stats_of(index)->packets += decided + crashed;
    stats_of(index)->accepted += decided;
    stats_of(index)->dropped += crashed;
    stats_of(index)->crash_verdicts += crashed;
}

static void test_plugins_that_answer_none_are_said_to_do_so(void **state)
{
    (void)state;
    answer(0, 100, 100);
    answer(1, 0, 4);
    look(10);
    assert_int_equal(log_lines.count, 0);
    answer(0, 0, 5);
    answer(1, 3, 2);
    look(10);
    log_lines_assert(
        "queue 7: no plugin answers any more: in the last 10 s, each of 5 packets got the --on-crash verdict, "
        "since a plugin crashed or hung on it");
    log_lines_clear();
    answer(0, 1, 50);
    answer(1, 0, 4);
    look(10);
    assert_int_equal(log_lines.count, 0);
}

static void test_many_queues_without_answers_are_a_few_lines(void **state)
{
    (void)state;
    for (unsigned i = 0; i < QUEUES; i++) {
        answer(i, 0, 5);
    }
    look(10);
    assert_int_equal(log_lines.count, 5);
    log_lines_clear();
    look(10);
    fixture.kernel[0].queue_dropped = 5;
    look(1);
    assert_int_equal(log_lines.count, 2);
    assert_string_equal(log_lines.text[0], "... 2 more lines about packets of queues not shown");
    assert_string_equal(log_lines.text[1], FULL("7", "5"));
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_loss_is_said_at_the_next_look_with_its_cause),
        WITH_ENGINE(test_losses_of_ten_seconds_are_one_line),
        WITH_ENGINE(test_causes_have_lines_of_their_own),
        WITH_ENGINE(test_many_queues_are_a_few_lines),
        WITH_ENGINE(test_full_socket_is_known_without_proc),
        WITH_ENGINE(test_receives_that_failed_while_the_kernel_said_how_many_it_dropped_have_no_line),
        WITH_ENGINE(test_packets_without_their_last_bytes_are_said_once_for_each_queue),
        WITH_ENGINE(test_start_without_packets_is_said_once),
        WITH_ENGINE(test_single_queue_without_packets_is_named),
        WITH_ENGINE(test_one_packet_of_any_queue_is_enough),
        WITH_ENGINE(test_packet_that_was_dropped_has_come),
        WITH_ENGINE(test_plugins_that_answer_none_are_said_to_do_so),
        WITH_ENGINE(test_many_queues_without_answers_are_a_few_lines),
    };

    return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}
