/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lost workers: the queue process says that a worker is lost, and from then on the slot belongs to another one, whatever
 * becomes of the process.
 *
 * A process that has been killed while another one traces it stays until its tracer lets it go, which is as good as a
 * system call that cannot be interrupted.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/clock.h"

#include <nfqe/plugin.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000

static struct children *const children = &children_fixture.children;
static void serve(void)
{
    children_fixture_begin(LONG_MS);
    children_start_serving();
}

static unsigned count_places(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < children->places; i++) {
        count += children->queues[0].workers[i].number != 0;
    }
    return count;
}

/* ---- its process and its loss ------------------------------------------------------------------------------------ */

/* The queue process knows the packet, the supervisor the exit status: only both make the line. */
static void test_report_has_the_packet_and_the_status(void **state)
{
    struct queue_message *loss = &children_fixture.scripts[0].loss;
    pid_t pid;
    char line[160];

    (void)state;
    serve();
    *loss =
        (struct queue_message){.stage = RING_OPENED, .plugin = 2, .in_plugin = 1, .packet_known = 1, .packet_id = 101};
    pid = children_pid(0, 0);
    children_kill_worker(0, 0);
    snprintf(line, sizeof(line),
             "queue 7: plugin third 3.0 was killed (SIGKILL) on packet 101; verdict drop; worker %d replaced", pid);
    log_lines_assert(line);
    assert_int_equal(children->queues[0].births_backoff.wait_ms, 0); /* a packet was decided by its end */
    children_wait_opened(0, 0, pid);
    assert_int_equal(children_control(0)->restarts, 1);
}

/* Its end alone is not enough: what it did with its packets is not known yet. */
static void test_worker_that_has_ended_keeps_its_slot_until_its_queue_process_says_that_it_is_lost(void **state)
{
    struct children_worker *worker;
    uint32_t number;

    (void)state;
    serve();
    worker = children_worker(0, 0);
    number = worker->number;
    kill(children_queue_pid(0), SIGSTOP);
    children_turn_for(50);
    kill(worker->process.pid, SIGKILL);
    while (!worker->ended) {
        children_turn_for(1);
    }
    children_turn_for(50);
    assert_int_equal(worker->number, number);
    assert_false(worker->lost);
    assert_int_equal(children->births, CHILDREN_QUEUES);
    assert_int_equal(log_lines.count, 0);
    kill(children_queue_pid(0), SIGCONT);
    children_wait_lines(1);
    children_wait_opened(0, 0, worker->pid);
}

static void test_worker_that_is_given_up_is_killed_and_reported_at_once(void **state)
{
    pid_t pid;
    char line[160];

    (void)state;
    serve();
    children_fixture.base.group.handle_timeout_ms = 100;
    pid = children_pid(0, 0);
    children_hold(pid);
    children_say_lost(0, children_worker(0, 0), QUEUE_LOSS_HUNG, 1);
    children_wait_lines(1);
    snprintf(line, sizeof(line),
             "queue 7: plugin second 2.0 made no progress for 100 ms in handle_batch(); its packets go through "
             "handle() one by one; worker %d replaced",
             pid);
    log_lines_assert(line);
    children_wait_opened(0, 0, pid); /* although it is still there */
    assert_int_equal(count_places(), 2);
    log_lines_clear();
    children_let_go();
    while (count_places() > 1) {
        children_turn_for(1);
    }
    assert_int_equal(log_lines.count, 0); /* said once */
    assert_int_equal(children_control(0)->restarts, 1);
}

static void test_loss_that_is_said_twice_counts_once(void **state)
{
    struct children_worker *worker;
    uint32_t number;

    (void)state;
    serve();
    worker = children_worker(0, 0);
    number = worker->number;
    children_hold(worker->process.pid);
    children_answer(0);
    children_say_lost(0, worker, QUEUE_LOSS_BROKEN, 1);
    children_say_lost(0, worker, QUEUE_LOSS_HUNG, 1);
    children_wait_lines(1);
    children_turn_for(50);
    assert_int_equal(worker->number, number);
    assert_int_equal(worker->loss.loss, QUEUE_LOSS_BROKEN);
    assert_int_equal(children_control(0)->restarts, 1);
    assert_int_equal(log_lines.count, 1);
    assert_int_equal(children->births, CHILDREN_QUEUES + 1);
}

/* The ends of both come in any order, and what has been said of the worker is not lost. */
static void test_worker_that_was_lost_is_reported_although_its_queue_process_has_ended(void **state)
{
    struct children_worker *worker;
    pid_t pid;
    char line[160];

    (void)state;
    children_fixture.scripts[0].way = WAY_STAY;
    serve();
    worker = children_worker(0, 0);
    pid = worker->process.pid;
    children_hold(pid); /* so that its end comes last */
    children_say_lost(0, worker, QUEUE_LOSS_ENDED, 1);
    while (!worker->lost) {
        children_turn_for(1);
    }
    assert_int_equal(log_lines.count, 0); /* its status is not known yet */
    children_answer(0);
    children_kill_queue(0);
    assert_int_equal(log_lines.count, 1); /* of the queue process */
    children_let_go();
    children_wait_lines(2);
    snprintf(
        line, sizeof(line),
        "queue 7: plugin second 2.0 was killed (SIGKILL) in handle_batch(); its packets go through handle() one by "
        "one; worker %d replaced",
        pid);
    assert_string_equal(log_lines.text[1], line);
}

/* Its last words are read before its workers are dismissed. */
static void test_loss_that_a_dying_queue_process_has_said_is_heard(void **state)
{
    struct children_worker *worker;
    struct pollfd said = {.events = POLLIN};
    char line[160];
    pid_t pid;

    (void)state;
    children_fixture.scripts[0].way = WAY_STAY;
    serve();
    worker = children_worker(0, 0);
    pid = worker->process.pid;
    said.fd = children->queues[0].channel.fd;
    assert_int_equal(poll(&said, 1, 0), 0);
    children_say_lost(0, worker, QUEUE_LOSS_HUNG, 1);
    assert_int_equal(poll(&said, 1, LONG_MS), 1); /* it is dead before the supervisor looks again */
    kill(children_queue_pid(0), SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)children_queue_pid(0), &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    children_reap(children);
    children_wait_lines(2);
    snprintf(line, sizeof(line), "worker %d replaced", pid);
    assert_non_null(strstr(log_lines.text[0], line));
    assert_non_null(strstr(log_lines.text[1], "queue process"));
}

/* What another message says of it finds no worker. */
static void test_loss_of_a_worker_that_is_gone_is_skipped(void **state)
{
    struct queue_message message = queue_message_make(QUEUE_WORKER_LOST, 4711);

    (void)state;
    serve();
    message.loss = QUEUE_LOSS_HUNG;
    children_say(0, &message);
    message = queue_message_make(QUEUE_WORKER_OPENED, 4711);
    children_say(0, &message);
    message = queue_message_make(QUEUE_WORKER_LOST, children_worker(1, 0)->number); /* of the other queue */
    message.loss = QUEUE_LOSS_HUNG;
    children_say(0, &message);
    children_turn_for(50);
    assert_non_null(children_worker(0, 0));
    assert_non_null(children_worker(1, 0));
    assert_int_equal(log_lines.count, 0);
    assert_int_equal(children->births, CHILDREN_QUEUES);
}

static void test_worker_that_had_not_opened_is_replaced_after_a_wait(void **state)
{
    (void)state;
    serve();
    children_fixture.scripts[0].way = WAY_HANG_IN_OPEN;
    children_answer(0);
    children_kill_worker(0, 0);
    while (children_pid(0, 0) == 0) {
        children_turn_for(1);
    }
    log_lines_clear();
    children_fixture.scripts[0].way = WAY_SERVE;
    children_answer(0); /* whatever others have answered meanwhile */
    children_kill_worker(0, 0);
    assert_int_equal(children->queues[0].births_backoff.wait_ms, 10);
    log_lines_assert("queue 7: the new worker was killed (SIGKILL) before it served");
    children_wait_opened(0, 0, 0);
}

/* ---- lingering --------------------------------------------------------------------------------------------------- */

#define TOO_MANY                                                                                                       \
    "queue 7: 8 workers were killed and have not ended, perhaps in system calls that cannot be interrupted; no more "  \
    "are started until one has"

static bool has_logged_too_many(void)
{
    for (unsigned i = 0; i < log_lines.count; i++) {
        if (strcmp(log_lines.text[i], TOO_MANY) == 0) {
            return true;
        }
    }
    return false;
}

static bool slot_is_empty(void)
{
    return children_worker(0, 0) == NULL;
}

static void test_workers_that_do_not_end_are_replaced_up_to_a_number(void **state)
{
    unsigned births;

    (void)state;
    serve();
    for (unsigned i = 0; i < CHILDREN_LINGERING_MAX; i++) {
        pid_t pid = children_pid(0, 0);

        children_hold(pid);
        children_answer(0);
        children_say_lost(0, children_worker(0, 0), QUEUE_LOSS_HUNG, 0);
        children_wait_opened(0, 0, pid); /* each at once */
        assert_int_equal(count_places(), i + 2);
    }
    assert_false(has_logged_too_many());
    assert_true(children_pid(1, 0) > 0);
    children_hold(children_pid(0, 0));
    children_answer(0);
    log_lines_clear();
    children_say_lost(0, children_worker(0, 0), QUEUE_LOSS_HUNG, 0);
    children_turn_until(has_logged_too_many);
    children_turn_until(slot_is_empty);
    births = children->births;
    children_turn_for(200);
    assert_int_equal(children->births, births);
    children_let_go(); /* a place is free again */
    children_wait_opened(0, 0, 0);
    assert_int_equal(count_places(), CHILDREN_LINGERING_MAX + 1);
}

static void test_worker_that_stays_has_a_line_after_a_while(void **state)
{
    pid_t pid;
    char line[200];

    (void)state;
    serve();
    pid = children_pid(0, 0);
    children_hold(pid);
    children_answer(0);
    children_say_lost(0, children_worker(0, 0), QUEUE_LOSS_HUNG, 0);
    children_wait_lines(2);
    snprintf(line, sizeof(line),
             "queue 7: worker %d was killed but is still there, perhaps in a system call that cannot be interrupted; "
             "another one has taken its place",
             pid);
    assert_string_equal(log_lines.text[1], line);
    children_turn_for(CHILD_OVERDUE_MS + 100);
    assert_int_equal(log_lines.count, 2);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_report_has_the_packet_and_the_status),
        WITH_CHILDREN(test_worker_that_has_ended_keeps_its_slot_until_its_queue_process_says_that_it_is_lost),
        WITH_CHILDREN(test_worker_that_is_given_up_is_killed_and_reported_at_once),
        WITH_CHILDREN(test_loss_that_is_said_twice_counts_once),
        WITH_CHILDREN(test_worker_that_was_lost_is_reported_although_its_queue_process_has_ended),
        WITH_CHILDREN(test_loss_that_a_dying_queue_process_has_said_is_heard),
        WITH_CHILDREN(test_loss_of_a_worker_that_is_gone_is_skipped),
        WITH_CHILDREN(test_worker_that_had_not_opened_is_replaced_after_a_wait),
        WITH_CHILDREN(test_workers_that_do_not_end_are_replaced_up_to_a_number),
        WITH_CHILDREN(test_worker_that_stays_has_a_line_after_a_while),
    };

    return cmocka_run_group_tests_name("losses", tests, NULL, NULL);
}
