/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program of a queue process, in a process of its own, between a supervisor, a kernel and workers that the test is
 * or makes: its stages, and the ends of its workers. Each packet gets its verdict.
 */
#include "queue_fixture.h"

#include "base/channel.h"
#include "base/clock.h"
#include "process/messages.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define SLOW_PACKETS 7 /* which take longer than the time-out */
#define LOOKS 3

/* ---- begin and end -------------------------------------------------------------------------------------------- */

static void test_workers_open_before_the_queue_is_bound_and_answer_after_that(void **state)
{
    (void)state;
    fixture_start(QUEUE_OPEN);
    fixture_open_worker(IS_GOOD);
    fixture_put(200);
    assert_int_equal(fixture.control->state, QUEUE_OPENED);
    poll(NULL, 0, 20);
    assert_int_equal(fixture.memory->verdicts[1], 0);
    fixture_request(QUEUE_RUN);
    fixture_answered(1, 200, 0);
    assert_int_equal(fixture.control->state, QUEUE_SERVING);
    for (unsigned i = 0; i < 50; i++) {
        fixture_put(1);
        fixture_answered(201 + i, 201 + i, 0);
    }
    assert_int_equal(journal_totals(fixture_journal())->stats.packets, 250);
    fixture_leave();
}

static void test_stop_and_exit_answer_what_is_queued_and_close_the_plugins(void **state)
{
    uint32_t worker;

    (void)state;
    fixture_start(QUEUE_RUN);
    fixture.memory->deeds[3] = WAITS_FOR_ME;
    worker = fixture_open_worker(WAITS_IN_CLOSE);
    fixture_put(5);
    WAIT_UNTIL(fixture.memory->shown[3] != 0);
    fixture_request(QUEUE_STOP);
    WAIT_UNTIL(fixture.control->state == QUEUE_DRAINING);
    assert_int_equal(fixture.memory->stops, 1);
    fixture_request(QUEUE_EXIT);
    fixture.memory->go_on = 1;
    fixture_answered(1, 5, 0);
    fixture_lost(worker, QUEUE_LOSS_ENDED);
    fixture_ended(0);
    assert_int_equal(fixture.memory->stops, 1);
    assert_int_equal(fixture.control->state, QUEUE_CLOSING);
    assert_true(journal_is_idle(fixture_journal()));
}

static void test_plugin_in_close_is_named_and_a_new_worker_is_refused(void **state)
{
    struct queue_message message;
    uint32_t worker;

    (void)state;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(WAITS_IN_CLOSE);
    assert_int_equal(fixture.control->closing, PLUGINS_MAX);
    fixture_request(QUEUE_EXIT);
    WAIT_UNTIL(fixture.control->closing == 0);
    message = queue_message_make(QUEUE_NEW_WORKER, 77);
    assert_int_equal(channel_send(fixture.channel, &message, sizeof(message), &fixture.channel, 1), 0);
    message = fixture_lost(77, QUEUE_LOSS_REFUSED);
    assert_non_null(strstr(message.text, "leaves"));
    fixture.memory->go_on = 1;
    message = fixture_lost(worker, QUEUE_LOSS_ENDED);
    assert_int_equal(message.stage, RING_CLOSING);
    assert_int_equal(message.plugin, 0);
    fixture_ended(0);
}

static void test_close_that_hangs_is_given_up(void **state)
{
    uint32_t worker;

    (void)state;
    fixture.group.load_timeout_ms = FIXTURE_TIMEOUT_MS;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(HANGS_IN_CLOSE);
    fixture_request(QUEUE_EXIT);
    assert_int_equal(fixture_lost(worker, QUEUE_LOSS_HUNG).stage, RING_CLOSING);
    fixture_ended(0);
}

/* It says nothing any more. */
static void test_worker_that_does_not_leave_is_given_up(void **state)
{
    uint32_t worker;

    (void)state;
    fixture.group.load_timeout_ms = FIXTURE_TIMEOUT_MS;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IGNORES);
    fixture_request(QUEUE_EXIT);
    assert_int_equal(fixture_lost(worker, QUEUE_LOSS_HUNG).stage, RING_OPENED);
    fixture_ended(0);
}

static void test_exit_in_place_of_a_queue_leaves_the_kernel_alone(void **state)
{
    uint32_t worker;

    (void)state;
    fixture.engine.queues[0].kernel.bound = false;
    fixture_start(QUEUE_OPEN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_request(QUEUE_EXIT);
    fixture_lost(worker, QUEUE_LOSS_ENDED);
    fixture_ended(0);
    assert_int_equal(fixture.memory->stops, 0);
}

static void test_end_of_the_supervisor_ends_it(void **state)
{
    (void)state;
    fixture_start(QUEUE_RUN);
    WAIT_UNTIL(fixture.control->state == QUEUE_SERVING);
    close(fixture.channel);
    fixture.channel = -1;
    fixture_ended(PROCESS_EXIT_FAILED);
}

/* ---- workers -------------------------------------------------------------------------------------------------- */

static void test_packet_that_kills_is_named_and_the_others_go_to_the_spare(void **state)
{
    struct queue_message lost;
    uint32_t worker;

    (void)state;
    fixture.memory->deeds[7] = KILLS_ITSELF;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_open_worker(IS_GOOD);
    fixture_put(100);
    lost = fixture_lost(worker, QUEUE_LOSS_ENDED);
    assert_true(lost.in_plugin && lost.packet_known);
    assert_int_equal(lost.packet_id, 7);
    assert_int_equal(lost.plugin, 0);
    fixture_answered(7, 7, NFQE_DROP);
    fixture_answered(1, 6, 0);
    fixture_answered(8, 100, 0);
    assert_int_equal(fixture.memory->shown[7], 1);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.crash_verdicts != 0);
    assert_int_equal(journal_totals(fixture_journal())->stats.crash_verdicts, 1);
    fixture_leave();
}

static void test_idle_worker_that_is_killed_is_guilty_of_nothing(void **state)
{
    struct queue_message lost;
    uint32_t worker;

    (void)state;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_put(10);
    fixture_answered(1, 10, 0);
    fixture_kill_worker(worker);
    lost = fixture_lost(worker, QUEUE_LOSS_ENDED);
    assert_false(lost.in_plugin || lost.packet_known);
    fixture_put(10);
    fixture_open_worker(IS_GOOD);
    fixture_answered(11, 20, 0);
    fixture_leave();
}

static void test_hang_is_given_up_after_the_time_out_and_its_packet_named(void **state)
{
    struct queue_message lost;
    struct fixture_time begun;
    uint32_t worker;

    (void)state;
    fixture.group.handle_timeout_ms = FIXTURE_TIMEOUT_MS;
    fixture.memory->deeds[2] = HANGS;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_open_worker(IS_GOOD);
    begun = fixture_now();
    fixture_put(100);
    fixture_answered(1, 1, 0); /* it does not wait for the one that hangs */
    fixture_took(begun, 0, FIXTURE_TIMEOUT_MS - 1);
    lost = fixture_lost(worker, QUEUE_LOSS_HUNG);
    fixture_took(begun, FIXTURE_TIMEOUT_MS - 1, 3 * FIXTURE_TIMEOUT_MS);
    assert_true(lost.packet_known);
    assert_int_equal(lost.packet_id, 2);
    fixture_answered(2, 2, NFQE_DROP);
    fixture_answered(3, 100, 0); /* the process that hangs is not dead yet */
    fixture_leave();
}

/* Not for ever: what keeps it from running may be threads of its own plugin. */
static void test_worker_that_gets_too_little_cpu_has_twice_the_time(void **state)
{
    struct fixture_time begun;
    uint32_t worker;

    (void)state;
    fixture.group.handle_timeout_ms = FIXTURE_TIMEOUT_MS;
    fixture.memory->deeds[2] = HANGS;
    fixture.memory->starved = 1;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    begun = fixture_now();
    fixture_put(2);
    fixture_lost(worker, QUEUE_LOSS_HUNG);
    fixture_took(begun, 2 * FIXTURE_TIMEOUT_MS - 1, 4 * FIXTURE_TIMEOUT_MS);
    fixture_leave();
}

/* The time-out is one for each packet. */
static void test_worker_that_is_slow_with_each_packet_is_kept(void **state)
{
    (void)state;
    fixture.group.handle_timeout_ms = FIXTURE_TIMEOUT_MS;
    for (unsigned i = 1; i <= SLOW_PACKETS; i++) {
        fixture.memory->deeds[i] = IS_SLOW;
    }
    fixture_start(QUEUE_RUN);
    fixture_open_worker(IS_GOOD);
    fixture_put(SLOW_PACKETS);
    fixture_answered(1, SLOW_PACKETS, 0);
    for (unsigned i = 1; i <= SLOW_PACKETS; i++) {
        assert_int_equal(fixture.memory->shown[i], 1);
    }
    fixture_leave();
}

/* The time in which none of them ran does not count. */
static void test_time_in_which_all_stand_still_convicts_no_worker(void **state)
{
    uint32_t progress;
    uint32_t worker;

    (void)state;
    fixture.group.handle_timeout_ms = FIXTURE_TIMEOUT_MS;
    fixture.memory->deeds[1] = WAITS_FOR_ME;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_put(10);
    WAIT_UNTIL(fixture.memory->shown[1] != 0);
    kill(fixture.process, SIGSTOP);
    kill(fixture.workers[worker].pid, SIGSTOP);
    poll(NULL, 0, 2 * FIXTURE_TIMEOUT_MS);
    progress = journal_progress(fixture_journal());
    kill(fixture.process, SIGCONT);
    WAIT_UNTIL(journal_progress(fixture_journal()) - progress >= LOOKS);
    fixture.memory->go_on = 1;
    kill(fixture.workers[worker].pid, SIGCONT);
    fixture_answered(1, 10, 0);
    assert_int_equal(fixture.memory->shown[1], 1);
    fixture_request(QUEUE_EXIT);
    fixture_lost(worker, QUEUE_LOSS_ENDED);
}

static void test_worker_that_never_opens_is_given_up(void **state)
{
    struct queue_message lost;
    struct fixture_time begun;
    uint32_t worker;

    (void)state;
    fixture.group.load_timeout_ms = FIXTURE_TIMEOUT_MS;
    fixture_start(QUEUE_OPEN);
    begun = fixture_now();
    worker = fixture_add_worker(NEVER_OPENS);
    lost = fixture_lost(worker, QUEUE_LOSS_HUNG);
    fixture_took(begun, FIXTURE_TIMEOUT_MS - 1, 3 * FIXTURE_TIMEOUT_MS);
    assert_int_equal(lost.stage, RING_OPENING);
    assert_int_equal(lost.plugin, 0);
    assert_false(lost.in_plugin);
}

/* It says all the time that it opens another plugin. */
static void test_worker_that_only_seems_to_open_is_given_up(void **state)
{
    uint32_t worker;

    (void)state;
    fixture.group.load_timeout_ms = FIXTURE_TIMEOUT_MS;
    fixture_start(QUEUE_OPEN);
    worker = fixture_add_worker(BUSTLES);
    fixture_lost(worker, QUEUE_LOSS_HUNG);
}

static void test_worker_that_fails_says_why(void **state)
{
    struct queue_message lost;
    uint32_t worker;

    (void)state;
    fixture_start(QUEUE_OPEN);
    worker = fixture_add_worker(FAILS);
    lost = fixture_lost(worker, QUEUE_LOSS_ENDED);
    assert_int_equal(lost.stage, RING_FAILED);
    assert_string_equal(lost.text, "no file");
}

static void test_answer_without_a_packet_breaks_the_protocol(void **state)
{
    uint32_t worker;

    (void)state;
    fixture_start(QUEUE_RUN);
    worker = fixture_add_worker(LIES);
    fixture_lost(worker, QUEUE_LOSS_BROKEN);
    fixture_open_worker(IS_GOOD);
    fixture_put(10);
    fixture_answered(1, 10, 0);
    fixture_leave();
}

static void test_retired_workers_leave_and_another_one_goes_on(void **state)
{
    struct queue_message lost;
    uint32_t worker;

    (void)state;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_put(10);
    fixture_answered(1, 10, 0);
    fixture_retire();
    lost = fixture_lost(worker, QUEUE_LOSS_ENDED);
    assert_int_equal(lost.stage, RING_CLOSING);
    assert_false(lost.in_plugin);
    fixture_put(10);
    fixture_open_worker(IS_GOOD);
    fixture_answered(11, 20, 0);
    fixture_leave();
}

/* Its successor in the place gets a flow's next packets only when it has answered those before. */
static void test_retired_worker_answers_what_it_has_before_another_one_gets_more(void **state)
{
    uint32_t worker;
    uint32_t next;

    (void)state;
    fixture.memory->deeds[2] = WAITS_FOR_ME;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(IS_GOOD);
    fixture_put(5);
    WAIT_UNTIL(fixture.memory->shown[2] != 0);
    fixture_retire();
    next = fixture_open_worker(IS_GOOD);
    fixture_put(5);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == 10);
    assert_int_equal(fixture.memory->shown[6], 0);
    fixture.memory->go_on = 1;
    fixture_answered(1, 10, 0);
    for (uint32_t id = 1; id <= 10; id++) {
        assert_int_equal(fixture.memory->shown[id], 1);
        assert_int_equal(fixture.memory->shown_by[id], fixture.workers[id <= 5 ? worker : next].pid);
    }
    fixture_lost(worker, QUEUE_LOSS_ENDED);
    fixture_leave();
}

static void test_worker_that_is_retired_while_it_opens_leaves_without_having_opened(void **state)
{
    uint32_t worker;

    (void)state;
    fixture_start(QUEUE_RUN);
    worker = fixture_add_worker(OPENS_WHEN_I_SAY);
    fixture_retire();
    fixture.memory->go_on = 1;
    fixture_lost(worker, QUEUE_LOSS_ENDED);
    fixture_leave();
}

static void test_worker_without_a_pidfd_is_refused(void **state)
{
    struct queue_message message = queue_message_make(QUEUE_NEW_WORKER, 5);

    (void)state;
    fixture_start(QUEUE_OPEN);
    assert_int_equal(channel_send(fixture.channel, &message, sizeof(message), NULL, 0), 0);
    message = fixture_lost(5, QUEUE_LOSS_REFUSED);
    assert_non_null(strstr(message.text, "pidfd"));
    assert_int_equal(message.plugin, PLUGINS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_workers_open_before_the_queue_is_bound_and_answer_after_that),
        FIXTURE_TEST(test_stop_and_exit_answer_what_is_queued_and_close_the_plugins),
        FIXTURE_TEST(test_plugin_in_close_is_named_and_a_new_worker_is_refused),
        FIXTURE_TEST(test_close_that_hangs_is_given_up),
        FIXTURE_TEST(test_worker_that_does_not_leave_is_given_up),
        FIXTURE_TEST(test_exit_in_place_of_a_queue_leaves_the_kernel_alone),
        FIXTURE_TEST(test_end_of_the_supervisor_ends_it),
        FIXTURE_TEST(test_packet_that_kills_is_named_and_the_others_go_to_the_spare),
        FIXTURE_TEST(test_idle_worker_that_is_killed_is_guilty_of_nothing),
        FIXTURE_TEST(test_hang_is_given_up_after_the_time_out_and_its_packet_named),
        FIXTURE_TEST(test_worker_that_gets_too_little_cpu_has_twice_the_time),
        FIXTURE_TEST(test_worker_that_is_slow_with_each_packet_is_kept),
        FIXTURE_TEST(test_time_in_which_all_stand_still_convicts_no_worker),
        FIXTURE_TEST(test_worker_that_never_opens_is_given_up),
        FIXTURE_TEST(test_worker_that_only_seems_to_open_is_given_up),
        FIXTURE_TEST(test_worker_that_fails_says_why),
        FIXTURE_TEST(test_answer_without_a_packet_breaks_the_protocol),
        FIXTURE_TEST(test_retired_workers_leave_and_another_one_goes_on),
        FIXTURE_TEST(test_retired_worker_answers_what_it_has_before_another_one_gets_more),
        FIXTURE_TEST(test_worker_that_is_retired_while_it_opens_leaves_without_having_opened),
        FIXTURE_TEST(test_worker_without_a_pidfd_is_refused),
    };

    return cmocka_run_group_tests_name("queue_process", tests, NULL, NULL);
}
