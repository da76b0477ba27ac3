/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker with its plugins: what it says of them, which packets it answers, and how it ends. How it begins is in
 * test_worker_start.c.
 */
#include "worker_fixture.h"

#include "base/arith.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct nfqueue_conntrack no_conntrack;

#define DESCRIPTORS_MAX 256 /* more than a test opens */
#define CLOSED "closed descriptors of the engine; a plugin must not close what it did not open"

/* ---- what a plugin does ---------------------------------------------------------------------------------------- */

static int fail_open(const struct nfqe_host *host)
{
    return (host->fail)(host, -ENOENT, "the list cannot be read");
}

static int close_all(const struct nfqe_host *host)
{
    (void)host;
    return (int)syscall(SYS_close_range, STDERR_FILENO + 1, UINT_MAX, 0U);
}

/* Those of a kind, as /proc names it. */
static int close_kind(const struct nfqe_host *host)
{
    (void)host;
    for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS_MAX; fd++) {
        char path[32];
        char name[32] = "";

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof(name) - 1) > 0 && strncmp(name, lone.kind, strlen(lone.kind)) == 0) {
            close(fd);
        }
    }
    return 0;
}

static void close_all_in_handle(void)
{
    close_all(NULL);
}

/* As a plugin does that makes a daemon of its process. */
static void replace_all_in_handle(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            dup2(nothing, fd);
        }
    }
}

static int untie(const struct nfqe_host *host)
{
    (void)host;
    return prctl(PR_SET_PDEATHSIG, 0);
}

static void note_death_signal(void)
{
    prctl(PR_GET_PDEATHSIG, &lone.seen->death_signal);
}

static void die(void)
{
    signal(SIGABRT, SIG_DFL);
    abort();
}

/* ---- open() --------------------------------------------------------------------------------------------------------- */

static void test_open_that_fails_is_told_with_the_plugins_words(void **state)
{
    (void)state;
    lone.plugins[1].in_open = fail_open;
    lone_start_with_ring();
    lone_assert_failed("open() failed: the list cannot be read");
    assert_int_equal(ring_plugin(&lone.ring), 1);
}

static void test_open_that_closes_what_is_not_its_own_is_refused(void **state)
{
    (void)state;
    lone.plugins[0].in_open = close_all;
    lone_start_with_ring();
    lone_assert_failed("open() " CLOSED);
    assert_int_equal(lone.seen->opened[1], 0);
    assert_int_equal(ring_plugin(&lone.ring), 0);
}

/* What it signals. */
static void test_open_that_closes_one_descriptor_is_refused(void **state)
{
    (void)state;
    lone.plugins[1].in_open = close_kind;
    lone.kind = "anon_inode:[eventfd]";
    lone_start_with_ring();
    lone_assert_failed("open() " CLOSED);
    assert_int_equal(ring_plugin(&lone.ring), 1);
}

static void test_worker_ends_with_its_supervisor_whatever_open_has_done(void **state)
{
    (void)state;
    lone.plugins[0].in_open = untie;
    lone.plugins[0].in_handle = note_death_signal;
    lone.plugins[0].answer = NFQE_DROP;
    lone_start_and_open();
    ring_submit_test_frame(&lone.ring, 0, 1);
    lone_assert_answers(1, NFQE_DROP, 0);
    assert_int_equal(lone.seen->death_signal, SIGKILL);
}

static void test_worker_with_a_batch_says_so(void **state)
{
    (void)state;
    lone.base.generation.plugins[1].table.handle_batch = lone_handle_batch;
    lone_start_with_ring();
    assert_int_equal(lone_wait_state(), RING_OPENED_BATCH);
}

/* ---- packets ---------------------------------------------------------------------------------------------------- */

static void test_packets_get_the_answer_of_the_plugin_that_decides(void **state)
{
    (void)state;
    lone.plugins[1].answer = NFQE_DROP;
    lone_start_and_open();
    assert_int_equal(ring_plugin(&lone.ring), PLUGINS_MAX);
    for (unsigned round = 0; round < 3; round++) {
        ring_submit_test_frame(&lone.ring, 0, 5);
        lone_assert_answers(5, NFQE_DROP, 1);
    }
    assert_int_equal(lone.seen->handled[0], 15);
}

/* The bursts in flight have its later packets already. */
static void test_plugin_that_decides_for_a_flow_is_not_asked_again(void **state)
{
    const struct ring_flow flow = {.number = 0, .epoch = 1};

    (void)state;
    lone.base.generation.plugins[0].uses = NFQE_NEED_FLOW;
    lone.plugins[0].answer = NFQE_ACCEPT | NFQE_FLOW;
    lone_start_and_open();
    ring_begin(&lone.ring, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(
            ring_add(&lone.ring, ring_test_packet(i), &no_conntrack, (struct ring_origin){0, (uint16_t)i}, &flow), 0);
    }
    ring_submit(&lone.ring);
    lone_assert_answers(3, NFQE_ACCEPT | NFQE_FLOW, 0);
    assert_int_equal(lone.seen->handled[0], 1);
}

/* It is not opened; the one after it keeps its position. */
static void test_plugin_that_is_skipped_is_left_out(void **state)
{
    (void)state;
    lone.plugins[0].answer = NFQE_DROP;
    lone.plugins[0].in_open = fail_open;
    lone.plugins[1].answer = NFQE_ACCEPT;
    lone_start_birth((struct worker_birth){.uid = PRIVILEGES_SAME_UID, .skipped = 1});
    lone_wait_hello();
    lone_pass_ring();
    assert_int_equal(lone_wait_state(), RING_OPENED);
    ring_submit_test_frame(&lone.ring, 0, 3);
    lone_assert_answers(3, NFQE_ACCEPT, 1);
    ring_request_leave(&lone.ring);
    assert_int_equal(lone_wait_status(), EXITED(0));
    assert_int_equal(lone.seen->opened[0] + lone.seen->handled[0] + lone.seen->closed[0], 0);
    assert_int_equal(lone.seen->opened[1], 1);
    assert_int_equal(lone.seen->closed[1], 1);
}

/* Also in a chain with lone_handle_batch(). */
static void test_chain_whose_plugins_are_all_skipped_decides_nothing(void **state)
{
    (void)state;
    lone.plugins[0].answer = NFQE_DROP;
    lone.base.generation.plugins[0].table.handle_batch = lone_handle_batch;
    lone_start_birth((struct worker_birth){.uid = PRIVILEGES_SAME_UID, .skipped = 3});
    lone_wait_hello();
    lone_pass_ring();
    assert_int_equal(lone_wait_state(), RING_OPENED);
    ring_submit_test_frame(&lone.ring, 0, 3);
    lone_assert_answers(3, NFQE_CONTINUE, LONE_PLUGINS);
}

static void test_worker_that_cannot_signal_any_more_says_so(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        lone.plugins[0].in_handle = i == 0 ? close_all_in_handle : replace_all_in_handle;
        lone_start_and_open();
        ring_submit_test_frame(&lone.ring, 0, 1);
        lone_assert_failed(
            "it cannot signal its answers any more; a plugin must not close or replace what it did not open");
        lone_tear_down(state);
        lone_set_up(state);
    }
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

static void test_worker_that_is_to_leave_answers_and_closes_its_plugins(void **state)
{
    (void)state;
    lone.plugins[0].answer = NFQE_ACCEPT;
    lone_start_and_open();
    for (unsigned i = 0; i < RING_FRAMES; i++) {
        ring_submit_test_frame(&lone.ring, i * 10, 10);
    }
    ring_request_leave(&lone.ring);
    lone_assert_answers(RING_FRAMES * 10, NFQE_ACCEPT, 0);
    assert_int_equal(lone_wait_status(), EXITED(0));
    assert_int_equal(ring_state(&lone.ring), RING_CLOSING);
    assert_int_equal(ring_plugin(&lone.ring), LONE_PLUGINS - 1);
    assert_int_equal(lone.seen->closed[0], 1);
    assert_int_equal(lone.seen->closed[1], 1);
}

static void test_close_that_crashes_leaves_its_place(void **state)
{
    (void)state;
    lone.plugins[0].in_close = die;
    lone_start_and_open();
    ring_request_leave(&lone.ring);
    assert_int_equal(lone_wait_status(), SIGABRT);
    assert_int_equal(ring_state(&lone.ring), RING_CLOSING);
    assert_int_equal(ring_plugin(&lone.ring), 0);
    assert_false(ring_packet_with_plugin(&lone.ring));
}

int main(void)
{
#define WITH_WORKER(test) cmocka_unit_test_setup_teardown(test, lone_set_up, lone_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORKER(test_open_that_fails_is_told_with_the_plugins_words),
        WITH_WORKER(test_open_that_closes_what_is_not_its_own_is_refused),
        WITH_WORKER(test_open_that_closes_one_descriptor_is_refused),
        WITH_WORKER(test_worker_ends_with_its_supervisor_whatever_open_has_done),
        WITH_WORKER(test_worker_with_a_batch_says_so),
        WITH_WORKER(test_packets_get_the_answer_of_the_plugin_that_decides),
        WITH_WORKER(test_plugin_that_decides_for_a_flow_is_not_asked_again),
        WITH_WORKER(test_plugin_that_is_skipped_is_left_out),
        WITH_WORKER(test_chain_whose_plugins_are_all_skipped_decides_nothing),
        WITH_WORKER(test_worker_that_cannot_signal_any_more_says_so),
        WITH_WORKER(test_worker_that_is_to_leave_answers_and_closes_its_plugins),
        WITH_WORKER(test_close_that_crashes_leaves_its_place),
    };

    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
