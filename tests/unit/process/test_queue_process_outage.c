/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process without a worker, its successor, and how often it wakes up: packets wait, get the --on-outage verdict,
 * or are finished by another process, and each gets one verdict.
 */
#include "queue_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define OUTAGE_TIMEOUT_MS 150
#define STEP_MS 20 /* so much may count from the look before */
#define STILL_MS 500
#define SETTLE_MAX 40 /* looks, 50 ms apart */
#define LOOK_NS_MIN (3 * NS_PER_MS)

/* ---- outages -------------------------------------------------------------------------------------------------- */

static void test_outage_begins_after_the_time_out_and_ends_with_a_worker(void **state)
{
    struct fixture_time begun = fixture_now();
    uint32_t worker;

    (void)state;
    fixture.group.outage_timeout_ms = OUTAGE_TIMEOUT_MS;
    fixture_start(QUEUE_RUN);
    fixture_put(300);
    fixture_answered(1, 300, NFQE_DROP);
    fixture_took(begun, OUTAGE_TIMEOUT_MS - 1, 10 * OUTAGE_TIMEOUT_MS);
    assert_int_not_equal(fixture.control->outage, 0);
    fixture_put(10); /* at once */
    fixture_answered(301, 310, NFQE_DROP);
    worker = fixture_open_worker(IS_GOOD);
    WAIT_UNTIL(fixture.control->outage == 0);
    fixture_put(10);
    fixture_answered(311, 320, 0);
    begun = fixture_now();
    fixture_kill_worker(worker);
    fixture_lost(worker, QUEUE_LOSS_ENDED);
    fixture_put(2);
    fixture_answered(321, 322, NFQE_DROP);
    fixture_took(begun, OUTAGE_TIMEOUT_MS - STEP_MS - 1, 10 * OUTAGE_TIMEOUT_MS);
    fixture_leave();
}

static void test_worker_within_the_time_out_gets_what_has_waited(void **state)
{
    (void)state;
    fixture_start(QUEUE_RUN);
    fixture_put(300);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == BURST_MAX * BURSTS_IN_FLIGHT);
    assert_int_equal(fixture.memory->verdicts[1], 0);
    fixture_open_worker(IS_GOOD);
    fixture_answered(1, 300, 0);
    fixture_leave();
}

/* The time in which all stood still does not count. */
static void test_time_in_which_all_stand_still_begins_no_outage(void **state)
{
    uint32_t progress;

    (void)state;
    fixture.group.outage_timeout_ms = STILL_MS;
    fixture_start(QUEUE_OPEN);
    fixture_add_worker(OPENS_WHEN_I_SAY);
    fixture_put(10);
    fixture_request(QUEUE_RUN);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == 10);
    kill(fixture.process, SIGSTOP);
    poll(NULL, 0, 2 * STILL_MS);
    progress = journal_progress(fixture_journal());
    kill(fixture.process, SIGCONT);
    WAIT_UNTIL(journal_progress(fixture_journal()) != progress);
    fixture.memory->go_on = 1; /* the worker has nothing more to do */
    fixture_answered(1, 10, 0);
    fixture_leave();
}

static void test_given_up_is_an_outage_at_once_until_it_is_not_and_a_worker_is_there(void **state)
{
    (void)state;
    fixture_start(QUEUE_RUN);
    fixture_put(5);
    fixture_give_up(true);
    fixture_answered(1, 5, NFQE_DROP);
    fixture_open_worker(IS_GOOD);
    fixture_put(5);
    fixture_answered(6, 10, NFQE_DROP);
    assert_int_not_equal(fixture.control->outage, 0);
    fixture_give_up(false);
    WAIT_UNTIL(fixture.control->outage == 0);
    fixture_put(5);
    fixture_answered(11, 15, 0);
    fixture_leave();
}

/* As the supervisor does: the worker's packets are still its own. */
static void test_workers_that_are_given_up_answer_what_they_have_before_the_outage(void **state)
{
    uint32_t worker;

    (void)state;
    fixture.memory->deeds[2] = WAITS_FOR_ME;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_put(5);
    WAIT_UNTIL(fixture.memory->shown[2] != 0);
    fixture_give_up(true);
    fixture_retire();
    fixture_put(5);
    poll(NULL, 0, 30);
    assert_int_equal(fixture.memory->verdicts[6], 0);
    fixture.memory->go_on = 1;
    fixture_answered(1, 5, 0);
    fixture_answered(6, 10, NFQE_DROP);
    fixture_lost(worker, QUEUE_LOSS_ENDED);
    fixture_leave();
}

/* A packet has its verdict, the plugin's or that of --on-outage accept. Returns whether it is the latter. */
static bool was_decided_by_outage(uint32_t id)
{
    bool was_shown;

    WAIT_UNTIL(fixture.memory->verdicts[id] != 0);
    was_shown = fixture.memory->shown[id] != 0;
    fixture_answered(id, id, was_shown ? 0 : NFQE_ACCEPT);
    return !was_shown;
}

/* Flows are bound to places: those of the place that has a worker do not change to the --on-outage verdict. */
static void test_outage_of_one_place_is_not_one_of_the_others(void **state)
{
    unsigned by_outage = 0;
    uint32_t worker;

    (void)state;
    fixture.group.workers = 2;
    fixture.group.outage_timeout_ms = 6 * OUTAGE_TIMEOUT_MS;
    fixture.group.on_outage = OUTAGE_ACCEPT;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_put_flows(200);
    for (uint32_t id = 1; id <= 200; id++) {
        by_outage += was_decided_by_outage(id);
    }
    assert_in_range(by_outage, 50, 150);
    assert_int_equal(fixture.control->outage, 2);
    fixture_kill_worker(worker);
    fixture_lost(worker, QUEUE_LOSS_ENDED);
    fixture_put_flows(50); /* in one burst: if the packets that wait took all four, the others would wait, too */
    for (uint32_t id = 1; id <= 50; id++) {
        if (fixture.memory->shown[id] == 0) {
            fixture_answered(200 + id, 200 + id, NFQE_ACCEPT);
        }
    }
    fixture_open_worker(IS_GOOD);
    for (uint32_t id = 1; id <= 50; id++) {
        if (fixture.memory->shown[id] != 0) {
            fixture_answered(200 + id, 200 + id, 0);
            assert_int_equal(fixture.memory->shown[200 + id], 1);
        }
    }
    fixture_leave();
}

/* ---- its own death -------------------------------------------------------------------------------------------- */

static void test_successor_finishes_what_was_in_flight(void **state)
{
    (void)state;
    fixture.memory->deeds[3] = HANGS;
    fixture_start(QUEUE_RUN);
    fixture_open_worker(IS_GOOD);
    fixture_put(100);
    WAIT_UNTIL(fixture.memory->shown[3] != 0);
    fixture_kill_process();
    fixture.memory->deeds[3] = ANSWERS;
    fixture_put(100);
    fixture_start(QUEUE_RUN);
    fixture_open_worker(IS_GOOD);
    fixture_answered(1, 200, 0);
    fixture_request(QUEUE_EXIT);
    fixture_ended(0);
    assert_true(journal_is_idle(fixture_journal()));
    assert_int_equal(journal_totals(fixture_journal())->stats.packets, 200);
}

static void test_successor_goes_through_all_stages_at_once(void **state)
{
    (void)state;
    fixture_start(QUEUE_RUN);
    fixture_put(10);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == 10);
    fixture_request(QUEUE_STOP);
    WAIT_UNTIL(fixture.control->state == QUEUE_DRAINING);
    fixture_kill_process();
    fixture_put(10);
    fixture_start(QUEUE_EXIT);
    fixture_open_worker(IS_GOOD);
    fixture_answered(1, 20, 0);
    fixture_ended(0);
    assert_int_equal(fixture.control->state, QUEUE_CLOSING);
    assert_int_equal(fixture.memory->stops, 2);
    assert_true(journal_is_idle(fixture_journal()));
}

static void test_successor_that_is_to_leave_reads_the_socket_first(void **state)
{
    (void)state;
    fixture_put(10);
    fixture_start(QUEUE_EXIT);
    fixture_open_worker(IS_GOOD);
    fixture_answered(1, 10, 0);
    fixture_ended(0);
    assert_true(journal_is_idle(fixture_journal()));
}

static void test_successor_of_an_outage_does_not_wait_again(void **state)
{
    (void)state;
    fixture.group.outage_timeout_ms = OUTAGE_TIMEOUT_MS;
    fixture_start(QUEUE_RUN);
    WAIT_UNTIL(fixture.control->outage != 0);
    fixture_kill_process();
    fixture.group.outage_timeout_ms = FIXTURE_NEVER_MS;
    fixture_start(QUEUE_RUN);
    fixture_put(10);
    fixture_answered(1, 10, NFQE_DROP);
    fixture_leave();
}

/* The other place's packets wait for its worker, as long as they would have without the death. */
static void test_successor_of_an_outage_of_one_place_has_that_one_alone(void **state)
{
    unsigned by_outage = 0;

    (void)state;
    fixture.group.workers = 2;
    fixture.group.on_outage = OUTAGE_ACCEPT;
    fixture.control->outage = 2;
    fixture_start(QUEUE_RUN);
    fixture_put_flows(200);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == 200);
    fixture_open_worker(IS_GOOD); /* for the first place that has none */
    for (uint32_t id = 1; id <= 200; id++) {
        by_outage += was_decided_by_outage(id);
    }
    assert_in_range(by_outage, 50, 150);
    assert_int_equal(fixture.control->outage, 2);
    fixture_leave();
}

/* With a worker that is open the outage of its place is over, before anything is decided by it. */
static void test_successor_of_an_outage_with_an_open_worker_has_it_decide_what_is_left(void **state)
{
    unsigned by_outage = 0;

    (void)state;
    fixture.group.workers = 2;
    fixture.group.on_outage = OUTAGE_ACCEPT;
    fixture_start(QUEUE_RUN);
    fixture_put_flows(200);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == 200);
    fixture_kill_process();
    fixture.control->outage = 3;
    fixture_start(QUEUE_OPEN);
    fixture_open_worker(IS_GOOD);
    fixture_request(QUEUE_RUN);
    for (uint32_t id = 1; id <= 200; id++) {
        by_outage += was_decided_by_outage(id);
    }
    assert_in_range(by_outage, 50, 150);
    WAIT_UNTIL(fixture.control->outage == 2);
    fixture_leave();
}

/* ---- at rest -------------------------------------------------------------------------------------------------- */

static void test_it_says_that_it_is_at_work_while_packets_wait(void **state)
{
    struct fixture_time begun;

    (void)state;
    fixture_start(QUEUE_RUN);
    fixture_put(300);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == BURST_MAX * BURSTS_IN_FLIGHT);
    begun = fixture_now();
    for (unsigned i = 0; i < 20; i++) {
        uint32_t progress = journal_progress(fixture_journal());

        WAIT_UNTIL(journal_progress(fixture_journal()) != progress);
    }
    fixture_took(begun, 0, 20 * 25);
}

/* How often it has waited. */
static unsigned long waits(void)
{
    char line[256];
    unsigned long count = 0;
    char path[64];
    FILE *status;

    snprintf(path, sizeof(path), "/proc/%d/status", fixture.process);
    status = fopen(path, "re");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status) != NULL && sscanf(line, "voluntary_ctxt_switches: %lu", &count) != 1) {
    }
    fclose(status);
    return count;
}

/* What it had to do when the test saw the last verdict may take a while. */
static void assert_sleeps(void)
{
    unsigned long before = 0;

    for (unsigned i = 0; waits() != before; i++) {
        assert_true(i < SETTLE_MAX);
        before = waits();
        poll(NULL, 0, 50);
    }
    poll(NULL, 0, 200);
    assert_int_equal(waits(), before);
}

static void test_idle_queue_wakes_nobody(void **state)
{
    (void)state;
    fixture_start(QUEUE_RUN);
    fixture_open_worker(IS_GOOD);
    fixture_put(300);
    fixture_answered(1, 300, 0);
    assert_sleeps();
    fixture_leave();
}

static void test_full_socket_wakes_only_for_looks(void **state)
{
    unsigned long before;
    uint64_t begun_ns;

    (void)state;
    fixture_start(QUEUE_RUN);
    fixture_put(300);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == BURST_MAX * BURSTS_IN_FLIGHT);
    before = waits();
    begun_ns = monotonic_ns();
    poll(NULL, 0, 200);
    WAIT_UNTIL(waits() != before);
    assert_true(waits() - before < (monotonic_ns() - begun_ns) / LOOK_NS_MIN);
    fixture_open_worker(IS_GOOD);
    fixture_answered(1, 300, 0);
    fixture_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_outage_begins_after_the_time_out_and_ends_with_a_worker),
        FIXTURE_TEST(test_worker_within_the_time_out_gets_what_has_waited),
        FIXTURE_TEST(test_time_in_which_all_stand_still_begins_no_outage),
        FIXTURE_TEST(test_given_up_is_an_outage_at_once_until_it_is_not_and_a_worker_is_there),
        FIXTURE_TEST(test_workers_that_are_given_up_answer_what_they_have_before_the_outage),
        FIXTURE_TEST(test_outage_of_one_place_is_not_one_of_the_others),
        FIXTURE_TEST(test_successor_finishes_what_was_in_flight),
        FIXTURE_TEST(test_successor_goes_through_all_stages_at_once),
        FIXTURE_TEST(test_successor_that_is_to_leave_reads_the_socket_first),
        FIXTURE_TEST(test_successor_of_an_outage_does_not_wait_again),
        FIXTURE_TEST(test_successor_of_an_outage_of_one_place_has_that_one_alone),
        FIXTURE_TEST(test_successor_of_an_outage_with_an_open_worker_has_it_decide_what_is_left),
        FIXTURE_TEST(test_it_says_that_it_is_at_work_while_packets_wait),
        FIXTURE_TEST(test_idle_queue_wakes_nobody),
        FIXTURE_TEST(test_full_socket_wakes_only_for_looks),
    };

    return cmocka_run_group_tests_name("queue_process_outage", tests, NULL, NULL);
}
