/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Births that take too long: a fork server that does nothing is given up, one that gets no CPU is not, and at the start
 * the next one is tried.
 *
 * No test waits for a time to pass: the time for a birth is set to a fraction of what it is, and those that get no CPU
 * are processes of the lowest priority beside one that spins on the same CPU.
 */
#include "children_fixture.h"
#include "children_programs.h"
#include "log_lines.h"

#include "base/channel.h"
#include "base/clock.h"
#include "process/watchdog.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONG_MS 60000
#define BIRTH_MS 40
#define LOOKS (BIRTH_MS / 10)
#define AMPLE_MS 60000
#define BURNT_NS (200 * NS_PER_MS) /* CPU time: far more than BIRTH_MS for one that gets little of it */
#define TRIES 3
#define MANY 16         /* workers of a queue, */
#define SLOW_FORK_MS 20 /* for each of which there are two such forks, */
#define MANY_MS 500     /* in so much time */
#define HANGS 1000 /* in place of a number of descriptors */
#define KILLED "the fork server did not answer in time and was killed"

static struct children *const children = &children_fixture.children;

/* What the fork servers do that are started from now on, and the workers. */
static enum { WORKS, STOPS, SLEEPS, SPINS, STARVES } forkserver_way;
static bool worker_starves;
static bool forks_are_slow;
static unsigned hanging_fork; /* of the two forks of a birth: whose handler hangs in the new process; 0: none */
static unsigned forks; /* in the fork server, the process between and the worker: so many were its ancestors' */

static pid_t spinner;
static int cpu; /* on which it spins */

/* ---- processes --------------------------------------------------------------------------------------------------- */

static void pin(void)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
}

static uint64_t cpu_time_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Needs CPU time, and gets what the spinner leaves. */
static void starve(void)
{
    const struct sched_param param = {.sched_priority = 0};
    uint64_t begin_ns = cpu_time_ns();

    pin();
    sched_setscheduler(0, SCHED_IDLE, &param);
    while (cpu_time_ns() - begin_ns < BURNT_NS) {
    }
}

static void start_spinner(void)
{
    volatile int for_ever = 1;

    cpu = sched_getcpu();
    spinner = fork();
    if (spinner == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin();
        while (for_ever) {
        }
    }
}

static void end_spinner(void)
{
    if (spinner > 0) {
        kill(spinner, SIGKILL);
        waitpid(spinner, NULL, 0);
    }
    spinner = 0;
}

static void say_ready(const struct engine *engine)
{
    const struct process_message message = process_message_make(FORKSERVER_READY, 0);

    channel_send(engine->channel, &message, sizeof(message), NULL, 0);
}

/* Makes workers, after it has said so. */
static void starve_and_work(struct engine *engine) __attribute__((noreturn));

static void starve_and_work(struct engine *engine)
{
    starve();
    children_programs.forkserver_run(engine, &children_fixture.programs);
}

/* As that of a library which waits for a thread that the new process does not have. */
static void handle_fork(void)
{
    forks++;
    while (forks == hanging_fork) {
        children_fixture.scripts[0].descriptors = HANGS;
        pause();
    }
}

static void wait_before_fork(void)
{
    poll(NULL, 0, SLOW_FORK_MS);
}

static void run_forkserver(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void run_forkserver(struct engine *engine, const struct engine_programs *programs)
{
    volatile int for_ever = 1;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (forks_are_slow) {
        pthread_atfork(wait_before_fork, NULL, NULL);
    }
    if (hanging_fork != 0) {
        pthread_atfork(NULL, NULL, handle_fork);
    }
    if (forkserver_way == WORKS) {
        children_programs.forkserver_run(engine, programs);
    }
    say_ready(engine);
    if (forkserver_way == STARVES) {
        starve_and_work(engine);
    }
    if (forkserver_way == STOPS) {
        raise(SIGSTOP);
    }
    while (forkserver_way == SPINS && for_ever) {
    }
    for (;;) {
        pause();
    }
}

static void run_worker(struct engine *engine, const struct worker_birth *birth) __attribute__((noreturn));

static void run_worker(struct engine *engine, const struct worker_birth *birth)
{
    if (worker_starves) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        starve();
    }
    children_programs.worker_run(engine, birth);
}

/* ---- the test ---------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    forkserver_way = WORKS;
    worker_starves = false;
    forks_are_slow = false;
    hanging_fork = forks = 0;
    return children_fixture_set_up(state);
}

/* Those that starve, too, get CPU time from now on, whatever else this machine does. */
static void feed(void)
{
    const struct birth_watch *watch = &children->birth_watch;
    const struct sched_param param = {.sched_priority = 0};
    cpu_set_t all;

    end_spinner();
    memset(&all, 0xff, sizeof(all));
    for (unsigned i = 0; i < watch->seen_count; i++) {
        sched_setscheduler(watch->seen[i].pid, SCHED_OTHER, &param);
        sched_setaffinity(watch->seen[i].pid, sizeof(all), &all);
    }
}

static int tear_down(void **state)
{
    feed();
    return children_fixture_tear_down(state);
}

static void begin(void)
{
    children_fixture.programs.forkserver_run = run_forkserver;
    children_fixture.programs.worker_run = run_worker;
    children_fixture_begin(LONG_MS);
}

static bool is_asked_for_a_worker(void)
{
    return children->forkserver.ready && children->requests > 0;
}

/* Waits for the next fork server, and gives it BIRTH_MS. */
static pid_t wait_for_forkserver(void)
{
    children_turn_until(is_asked_for_a_worker);
    children->forkserver.birth_timeout_ms = BIRTH_MS;
    return children->forkserver.process.pid;
}

static bool is_given_up(void)
{
    return children->forkserver.hung;
}

static bool has_no_request(void)
{
    return children->requests == 0;
}

static void test_fork_server_that_is_stopped_at_the_start_is_replaced(void **state)
{
    pid_t first;

    (void)state;
    begin();
    forkserver_way = STOPS;
    children_start(children);
    first = wait_for_forkserver();
    forkserver_way = WORKS;
    children_turn_until(children_have_opened);
    assert_int_not_equal(children->forkserver.process.pid, first);
    assert_false(children_has_failed());
    log_lines_assert(KILLED "; it is started again in 10 ms");
    assert_int_equal(children->birth_watch.given_up, 0);
}

/* Each has twice the time of the one before. */
static void test_start_has_failed_when_no_fork_server_makes_a_worker(void **state)
{
    (void)state;
    begin();
    forkserver_way = SLEEPS;
    children_start(children);
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t start_ns = monotonic_ns();

        assert_false(children_has_failed());
        wait_for_forkserver();
        children_turn_until(is_given_up);
        assert_false(children->forkserver.ready);
        assert_true(monotonic_ns() - start_ns >= (BIRTH_MS << i) * NS_PER_MS);
        children_turn_until(has_no_request);
    }
    children_assert_failure(EXIT_CODE_RUN_TIME, KILLED);
    assert_int_equal(log_lines.count, TRIES - 1);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_int_equal(children->workers[i].number, 0);
        assert_int_equal(children->workers[i].channel.fd, -1);
    }
    assert_int_equal(children->forkserver.retry_ns, 0);
}

/* Whatever it is over: only births are tried again. */
static void test_next_fork_server_that_dies_is_a_failure_of_the_start(void **state)
{
    pid_t first;

    (void)state;
    begin();
    forkserver_way = SLEEPS;
    children_start(children);
    first = wait_for_forkserver();
    children_turn_until(is_given_up);
    children_turn_until(has_no_request);
    wait_for_forkserver();
    assert_int_not_equal(children->forkserver.process.pid, first);
    kill(children->forkserver.process.pid, SIGTERM);
    children_assert_failure(EXIT_CODE_RUN_TIME, "the fork server crashed (SIGTERM)");
}

static void test_fork_server_that_is_stopped_later_is_replaced_and_then_the_worker(void **state)
{
    static const char *const lines[] = {KILLED, "the fork server is started again in 10 ms; the workers go on", NULL};
    pid_t forkserver;
    pid_t worker;

    (void)state;
    begin();
    children_start_serving();
    forkserver = children->forkserver.process.pid;
    worker = children_pid(0, 0);
    kill(forkserver, SIGSTOP);
    children->forkserver.birth_timeout_ms = BIRTH_MS;
    children_answer(0);
    children_kill_worker(0, 0);
    log_lines_clear();
    children_wait_opened(0, 0, worker);
    assert_int_not_equal(children->forkserver.process.pid, forkserver);
    log_lines_assert_all(lines);
}

/* They are made one after the other, and asked for at once. */
static void test_each_birth_has_the_whole_time(void **state)
{
    uint64_t start_ns;

    (void)state;
    children_fixture.programs.forkserver_run = run_forkserver;
    children_fixture_prepare(LONG_MS);
    children_fixture.base.group.workers = children_fixture.base.group.spares = MANY / 2;
    children_fixture_init();
    forks_are_slow = true;
    children_start(children);
    start_ns = monotonic_ns();
    wait_for_forkserver();
    children->forkserver.birth_timeout_ms = MANY_MS;
    assert_int_equal(children->births, CHILDREN_QUEUES * MANY);
    children_turn_until(has_no_request);
    assert_true(monotonic_ns() - start_ns > 2 * MANY_MS * NS_PER_MS); /* that is what this test is about */
    assert_int_equal(log_lines.count, 0);
    assert_false(children_has_failed());
    assert_true(children->forkserver.ready);
}

/* Code of a plugin, such as a fork handler, may run in it. */
static void test_fork_server_that_computes_for_ever_is_given_up(void **state)
{
    (void)state;
    begin();
    forkserver_way = SPINS;
    children_start(children);
    wait_for_forkserver();
    children_turn_until(is_given_up);
}

static pid_t group;

static bool group_is_gone(void)
{
    return kill(-group, 0) < 0;
}

static void assert_fork_handler_is_killed(unsigned fork)
{
    begin();
    hanging_fork = fork;
    children_start(children);
    group = wait_for_forkserver();
    children_turn_until(is_given_up);
    hanging_fork = 0;
    children_turn_until(children_have_opened);
    assert_int_not_equal(children->forkserver.process.pid, group);
    children_turn_until(group_is_gone);
}

static void test_fork_handler_that_hangs_between_is_killed_with_the_fork_server(void **state)
{
    (void)state;
    assert_fork_handler_is_killed(1);
}

/* It is the supervisor's child, but has not begun. */
static void test_fork_handler_that_hangs_in_the_worker_is_killed_with_the_fork_server(void **state)
{
    (void)state;
    assert_fork_handler_is_killed(2);
}

static bool handler_hangs(void)
{
    return children_fixture.scripts[0].descriptors == HANGS;
}

static void test_fork_handler_that_hangs_is_killed_when_the_fork_server_dies(void **state)
{
    (void)state;
    begin();
    hanging_fork = 2;
    children_start(children);
    group = wait_for_forkserver();
    children->forkserver.birth_timeout_ms = AMPLE_MS;
    children_turn_until(handler_hangs);
    kill(group, SIGKILL);
    children_assert_failure(EXIT_CODE_RUN_TIME, "the fork server was killed (SIGKILL)");
    children_turn_until(group_is_gone);
}

/* ---- no CPU ------------------------------------------------------------------------------------------------------ */

static bool has_long_been_excused(void)
{
    assert_false(children->forkserver.hung);
    return children->birth_watch.excused >= 3 * LOOKS;
}

static void assert_starving_is_no_hang(void)
{
    pid_t forkserver;

    start_spinner();
    children_start(children);
    forkserver = wait_for_forkserver();
    children_turn_until(has_long_been_excused);
    children->forkserver.birth_timeout_ms = AMPLE_MS;
    feed();
    children_turn_until(children_have_opened);
    assert_int_equal(children->forkserver.process.pid, forkserver);
    assert_int_equal(log_lines.count, 0);
}

static void test_fork_server_that_gets_no_cpu_is_waited_for(void **state)
{
    (void)state;
    begin();
    forkserver_way = STARVES;
    assert_starving_is_no_hang();
}

static void test_worker_that_gets_no_cpu_is_waited_for(void **state)
{
    (void)state;
    begin();
    worker_starves = true;
    assert_starving_is_no_hang();
}

static void test_wait_for_cpu_has_an_end(void **state)
{
    (void)state;
    begin();
    forkserver_way = STARVES;
    start_spinner();
    children_start(children);
    wait_for_forkserver();
    children_turn_until(is_given_up);
    assert_true(children->birth_watch.excused > LOOKS && children->birth_watch.excused <= 7 * LOOKS);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_fork_server_that_is_stopped_at_the_start_is_replaced),
        WITH_CHILDREN(test_start_has_failed_when_no_fork_server_makes_a_worker),
        WITH_CHILDREN(test_next_fork_server_that_dies_is_a_failure_of_the_start),
        WITH_CHILDREN(test_fork_server_that_is_stopped_later_is_replaced_and_then_the_worker),
        WITH_CHILDREN(test_each_birth_has_the_whole_time),
        WITH_CHILDREN(test_fork_server_that_computes_for_ever_is_given_up),
        WITH_CHILDREN(test_fork_handler_that_hangs_between_is_killed_with_the_fork_server),
        WITH_CHILDREN(test_fork_handler_that_hangs_in_the_worker_is_killed_with_the_fork_server),
        WITH_CHILDREN(test_fork_handler_that_hangs_is_killed_when_the_fork_server_dies),
        WITH_CHILDREN(test_fork_server_that_gets_no_cpu_is_waited_for),
        WITH_CHILDREN(test_worker_that_gets_no_cpu_is_waited_for),
        WITH_CHILDREN(test_wait_for_cpu_has_an_end),
    };

    return cmocka_run_group_tests_name("birth_watch", tests, NULL, NULL);
}
