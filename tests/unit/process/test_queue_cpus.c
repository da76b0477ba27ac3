/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue_cpus.c: processes are taken from the CPU that they keep to, and from no other.
 *
 * The processes are real, and so are their CPUs. With one CPU there is nothing to see, and the tests are skipped.
 */
#include "unit.h"

#include "base/arith.h"
#include "base/cpu_set.h"
#include "process/queue_cpus.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2

static struct {
    cpu_set_t all;
    uint32_t first; /* two CPUs that the test may use */
    uint32_t second;
    struct queue_control control;
    struct engine_queue engine_queue;
    struct children children;
    struct children_worker workers[WORKERS];
    struct children_queue queue;
} fixture;

static pid_t start_on(uint32_t cpu)
{
    const cpu_set_t set = cpu_set_of(&fixture.all, cpu);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            pause();
        }
    }
    assert_int_equal(sched_setaffinity(pid, sizeof(set), &set), 0);
    return pid;
}

static void assert_on(pid_t pid, uint32_t cpu)
{
    const cpu_set_t expected = cpu_set_of(&fixture.all, cpu);
    cpu_set_t now;

    assert_int_equal(sched_getaffinity(pid, sizeof(now), &now), 0);
    assert_true(CPU_EQUAL(&now, &expected));
}

static int set_up(void **state)
{
    uint32_t found[2] = {0};
    unsigned count = 0;

    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    if (sched_getaffinity(0, sizeof(fixture.all), &fixture.all) < 0) {
        return -1;
    }
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE && count < ARRAY_SIZE(found); cpu++) {
        if (CPU_ISSET(cpu, &fixture.all)) {
            found[count++] = cpu;
        }
    }
    if (count < ARRAY_SIZE(found)) {
        printf("skipped: needs two CPUs\n");
        skip();
    }
    fixture.first = found[0];
    fixture.second = found[1];
    fixture.engine_queue.control = &fixture.control;
    fixture.children.places = WORKERS;
    fixture.queue.children = &fixture.children;
    fixture.queue.queue = &fixture.engine_queue;
    fixture.queue.workers = fixture.workers;
    fixture.queue.process.pid = start_on(fixture.first);
    fixture.workers[0].process.pid = start_on(fixture.first);
    fixture.workers[1].process.pid = start_on(fixture.second); /* as taskset says */
    return 0;
}

static int tear_down(void **state)
{
    const pid_t pids[] = {fixture.queue.process.pid, fixture.workers[0].process.pid, fixture.workers[1].process.pid};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
        if (pids[i] > 0) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    }
    return 0;
}

static void test_workers_that_starve_are_taken_from_their_cpu(void **state)
{
    (void)state;
    queue_cpus_take_request(&fixture.queue); /* there is none */
    assert_on(fixture.workers[0].process.pid, fixture.first);
    fixture.control.starved = fixture.first + 1;
    queue_cpus_take_request(&fixture.queue);
    assert_int_equal(fixture.control.starved, 0);
    assert_on(fixture.workers[0].process.pid, CPU_SET_ALL);
    assert_on(fixture.workers[1].process.pid, fixture.second);
    assert_on(fixture.queue.process.pid, fixture.first); /* it leaves by itself */
}

static void test_queue_process_that_starves_is_taken_from_its_cpu_with_its_workers(void **state)
{
    (void)state;
    fixture.control.cpu = fixture.first;
    queue_cpus_release(&fixture.queue);
    assert_on(fixture.queue.process.pid, CPU_SET_ALL);
    assert_on(fixture.workers[0].process.pid, CPU_SET_ALL);
    assert_on(fixture.workers[1].process.pid, fixture.second);
}

static void test_processes_that_keep_to_no_cpu_stay_where_they_are(void **state)
{
    (void)state;
    fixture.control.cpu = CPU_SET_ALL;
    queue_cpus_release(&fixture.queue);
    assert_on(fixture.queue.process.pid, fixture.first);
    assert_on(fixture.workers[0].process.pid, fixture.first);
}

static void test_process_that_has_ended_is_no_failure(void **state)
{
    (void)state;
    tear_down(NULL);
    fixture.control.cpu = fixture.first;
    queue_cpus_release(&fixture.queue);
    fixture.queue.process.pid = fixture.workers[0].process.pid = fixture.workers[1].process.pid = 0;
    queue_cpus_release(&fixture.queue); /* nor is pid 0 this process */
    assert_on(getpid(), CPU_SET_ALL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_workers_that_starve_are_taken_from_their_cpu),
        TEST(test_queue_process_that_starves_is_taken_from_its_cpu_with_its_workers),
        TEST(test_processes_that_keep_to_no_cpu_stay_where_they_are),
        TEST(test_process_that_has_ended_is_no_failure),
    };

    return cmocka_run_group_tests_name("queue_cpus", tests, NULL, NULL);
}
