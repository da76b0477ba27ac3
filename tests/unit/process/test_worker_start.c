/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a worker begins: what it has given up before it says hello, what it takes, where it runs. Then plugins run in it,
 * see test_worker.c.
 */
#include "worker_fixture.h"

#include "rights.h"

#include "base/arith.h"
#include "base/channel.h"
#include "process/plugin_services.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOT_ARRIVED "queue 7: a new worker: the descriptors of its ring have not arrived"

/* ---- before plugins run ---------------------------------------------------------------------------------------- */

static void test_worker_has_no_right_when_it_says_hello(void **state)
{
    struct error error;

    (void)state;
    lone_start();
    lone_wait_hello();
    if (privileges_check(lone.pid, PRIVILEGES_SAME_UID, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
}

static void test_worker_has_the_uid_of_its_birth_and_ends_with_its_supervisor(void **state)
{
    struct error error;

    (void)state;
    rights_need_root();
    lone_start_birth((struct worker_birth){.uid = RIGHTS_UID});
    lone_wait_hello();
    if (privileges_check(lone.pid, RIGHTS_UID, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
    lone_pass_ring();
    assert_int_equal(lone_wait_state(), RING_OPENED);
    assert_int_equal(lone.seen->uid, RIGHTS_UID);
    assert_int_equal(lone.seen->death_signal, SIGKILL);
}

/* An ordinary user cannot become another one. */
static void test_worker_that_cannot_change_its_rights_says_no_hello(void **state)
{
    struct process_message message;

    (void)state;
    rights_need_root();
    lone.as_user = true;
    lone_start_birth((struct worker_birth){.uid = RIGHTS_UID + 1});
    assert_int_equal(channel_wait(lone.channel, &message, sizeof(message), NULL, 0), 0);
    assert_int_equal(lone_wait_status(), EXITED(PROCESS_EXIT_FAILED));
    assert_string_equal(lone.seen->line, "queue 7: a new worker: cannot lock the securebits: Operation not permitted");
}

static void test_worker_that_is_not_wanted_exits(void **state)
{
    (void)state;
    lone_start();
    lone_wait_hello();
    close(lone.channel);
    lone.channel = -1;
    assert_int_equal(lone_wait_status(), EXITED(PROCESS_EXIT_FAILED));
    assert_int_equal(lone.seen->opened[0], 0);
}

/* Too few descriptors, descriptors of something else, another message. */
static void test_worker_without_its_ring_exits(void **state)
{
    const int something[RING_FDS] = {STDIN_FILENO, STDIN_FILENO, STDIN_FILENO};
    const struct {
        enum message_kind kind;
        unsigned fds;
        const char *line;
    } cases[] = {
        {WORKER_DESCRIPTORS, 0, NOT_ARRIVED},
        {WORKER_DESCRIPTORS, RING_FDS - 1, NOT_ARRIVED},
        {WORKER_DESCRIPTORS, RING_FDS, "queue 7: a new worker: its ring cannot be mapped: Protocol error"},
        {FORKSERVER_LEAVE, RING_FDS, NOT_ARRIVED},
        {WORKER_HELLO, RING_FDS, NOT_ARRIVED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct process_message message = process_message_make(cases[i].kind, 0);

        lone_start();
        lone_wait_hello();
        assert_int_equal(channel_send(lone.channel, &message, sizeof(message), something, cases[i].fds), 0);
        assert_int_equal(lone_wait_status(), EXITED(PROCESS_EXIT_FAILED));
        assert_int_equal(lone.seen->opened[0], 0);
        assert_string_equal(lone.seen->line, cases[i].line);
        close(lone.channel);
        lone.channel = -1;
    }
}

/* Everything else goes over the ring, so plugins do not have it. */
static void test_channel_is_closed_before_plugins_run(void **state)
{
    struct process_message message;

    (void)state;
    lone_start_and_open();
    assert_int_equal(lone.seen->opened[0] + lone.seen->opened[1], LONE_PLUGINS);
    assert_false(lone.seen->has_channel);
    assert_int_equal(channel_wait(lone.channel, &message, sizeof(message), NULL, 0), 0);
}

static int print(const struct nfqe_host *host)
{
    (void)host;
    return dprintf(STDOUT_FILENO, "one\n") + dprintf(STDERR_FILENO, "two\n") == 8 ? 0 : -EIO;
}

static void test_plugins_print_into_the_pipe_of_their_worker(void **state)
{
    char text[16] = "";
    int ends[2];

    (void)state;
    lone.plugins[0].in_open = print;
    assert_int_equal(pipe(ends), 0);
    lone_start();
    lone_wait_hello();
    lone_pass_ring_and_log(ends[1]);
    close(ends[1]);
    assert_int_equal(lone_wait_state(), RING_OPENED);
    assert_int_equal(read(ends[0], text, sizeof(text) - 1), 8);
    assert_string_equal(text, "one\ntwo\n");
    close(ends[0]);
}

static int log_something(const struct nfqe_host *host)
{
    host->log(host, NFQE_LOG_INFO, "something");
    return 0;
}

/* As many as its parent has logged in load(), perhaps. */
static void test_plugins_may_log_as_many_lines_in_each_new_worker(void **state)
{
    const struct nfqe_host *host = &lone.base.generation.plugins[0].host.table;

    (void)state;
    plugin_services_begin(NFQE_LOG_INFO, "");
    for (unsigned i = 0; i <= PLUGIN_SERVICES_LINES_PER_SECOND; i++) {
        host->log(host, NFQE_LOG_INFO, "of load()");
    }
    lone.plugins[0].in_open = log_something;
    lone_start_and_open();
    assert_string_equal(lone.seen->line, "queue 7: plugin acting: something");
}

static int log_place(const struct nfqe_host *host)
{
    host->log(host, NFQE_LOG_INFO, "queue %u, worker %u of %u", host->queue, host->worker_index, host->worker_count);
    return 0;
}

static void test_plugins_know_their_queue_and_worker(void **state)
{
    (void)state;
    lone.base.group.workers = 2;
    lone.base.group.spares = 3;
    lone.plugins[1].in_open = log_place;
    lone_start_birth((struct worker_birth){.queue = 1, .slot = 4, .uid = PRIVILEGES_SAME_UID});
    lone_wait_hello();
    lone_pass_ring();
    assert_int_equal(lone_wait_state(), RING_OPENED);
    assert_string_equal(lone.seen->line, "queue 8: plugin acting: queue 8, worker 4 of 5");
}

/* Cells of the second plugin, in the test's memory. */
static uint64_t count_of_worker(void)
{
    static const uint32_t first[PLUGINS_MAX + 1] = {0, 0, 2};
    uint64_t sums[COUNTERS_MAX] = {0};
    uint32_t ends[PLUGINS_MAX + 1];

    for (unsigned i = 0; i <= PLUGINS_MAX; i++) {
        ends[i] = i < 2 ? first[i] : 2;
    }
    counter_cells_add(&lone.cells, ends, sums);
    return sums[0] + 100 * sums[1];
}

static int count_something(const struct nfqe_host *host)
{
    nfqe_count(host, 0, 1);
    nfqe_count(host, 1, 3);
    return 0;
}

static void test_plugins_count_in_cells_that_come_with_the_ring(void **state)
{
    (void)state;
    lone.base.generation.plugins[1].lists.counter_count = 2;
    lone.plugins[0].in_open = count_something; /* it has declared none */
    lone.plugins[1].in_open = count_something;
    assert_int_equal(counter_cells_new(SHM_PAGE_SIZE, &lone.cells), 0);
    lone_start_and_open();
    assert_int_equal(count_of_worker(), 301);
}

static void test_worker_without_room_for_its_counters_fails(void **state)
{
    (void)state;
    lone.base.generation.plugins[0].lists.counter_count = 1;
    lone.base.generation.plugins[1].lists.counter_count = 1;
    assert_int_equal(counter_cells_new(SHM_PAGE_SIZE, &lone.cells), 0);
    lone_start_with_ring();
    lone_assert_failed("the counters of its plugins cannot be mapped: Protocol error");
}

static void test_worker_runs_on_the_cpu_of_its_slot(void **state)
{
    cpu_set_t cpus;
    uint16_t last = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    for (uint16_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        last = CPU_ISSET(cpu, &cpus) ? cpu : last;
    }
    lone.base.group.workers = 2;
    lone.base.group.cpus[0] = lone.base.group.cpus[2] = CPUS_MAX - 1; /* there is none */
    lone.base.group.cpus[1] = last;
    lone.base.group.cpu_count = 3;
    lone_start_birth((struct worker_birth){.slot = 3, .uid = PRIVILEGES_SAME_UID}); /* a spare: as the one in place 1 */
    lone_wait_hello();
    lone_pass_ring();
    assert_int_equal(lone_wait_state(), RING_OPENED);
    assert_int_equal(lone.seen->cpus, 1);
}

static void test_worker_that_cannot_run_on_its_cpu_runs_on_any(void **state)
{
    cpu_set_t cpus;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    lone.base.group.cpus[0] = CPUS_MAX - 1;
    lone.base.group.cpu_count = 1;
    lone_start_with_ring();
    assert_int_equal(lone_wait_state(), RING_OPENED);
    assert_int_equal(lone.seen->cpus, CPU_COUNT(&cpus));
    assert_string_equal(lone.seen->line, "queue 7: a worker cannot run on CPU 1023: Invalid argument; it runs on any");
}

int main(void)
{
#define WITH_WORKER(test) cmocka_unit_test_setup_teardown(test, lone_set_up, lone_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORKER(test_worker_has_no_right_when_it_says_hello),
        WITH_WORKER(test_worker_has_the_uid_of_its_birth_and_ends_with_its_supervisor),
        WITH_WORKER(test_worker_that_cannot_change_its_rights_says_no_hello),
        WITH_WORKER(test_worker_that_is_not_wanted_exits),
        WITH_WORKER(test_worker_without_its_ring_exits),
        WITH_WORKER(test_channel_is_closed_before_plugins_run),
        WITH_WORKER(test_plugins_print_into_the_pipe_of_their_worker),
        WITH_WORKER(test_plugins_may_log_as_many_lines_in_each_new_worker),
        WITH_WORKER(test_plugins_know_their_queue_and_worker),
        WITH_WORKER(test_plugins_count_in_cells_that_come_with_the_ring),
        WITH_WORKER(test_worker_without_room_for_its_counters_fails),
        WITH_WORKER(test_worker_runs_on_the_cpu_of_its_slot),
        WITH_WORKER(test_worker_that_cannot_run_on_its_cpu_runs_on_any),
    };

    return cmocka_run_group_tests_name("worker_start", tests, NULL, NULL);
}
