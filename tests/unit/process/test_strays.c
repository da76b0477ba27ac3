/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What workers' plugins have left running is killed, and nothing else that is a child of the supervisor.
 *
 * The test is the supervisor. Its children are real processes with the uids that the plan gives; which of them is a worker,
 * the test says in the table.
 */
#include "engine_fixture.h"
#include "rights.h"

#include "base/clock.h"
#include "process/children.h"
#include "process/ends.h"
#include "process/strays.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define FAR_NS (60 * NS_PER_S)
#define QUEUES 2
#define CHILDREN_MAX 8
#define MANY 150 /* more than are reaped in a turn */
#define SECONDS_MAX 20 /* what is not killed by then is left alone */

static struct {
    struct engine_fixture base;
    struct children children;
    pid_t made[CHILDREN_MAX];
    unsigned count;
} fixture;

static int set_up(void **state)
{
    (void)state;
    alarm(SECONDS_MAX);
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, QUEUES, LONG_MS);
    fixture.base.group.workers = 1;
    fixture.base.group.spares = 1;
    fixture.base.engine.privileges = (struct privileges_plan){
        .form = PRIVILEGES_NAMESPACE, .range = {RIGHTS_UID, RIGHTS_UID + 63}, .queues = QUEUES, .slots = 2};
    return children_init(&fixture.children, &fixture.base.engine, NULL, &fixture.base.loop);
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < fixture.count; i++) {
        kill(fixture.made[i], SIGKILL);
        waitpid(fixture.made[i], NULL, 0);
    }
    for (unsigned i = 0; i < fixture.children.places * QUEUES; i++) {
        fixture.children.workers[i].process.pid = 0;
    }
    children_done(&fixture.children);
    engine_fixture_done(&fixture.base);
    alarm(0);
    return 0;
}

static uid_t worker_uid(unsigned queue, unsigned slot, unsigned turn)
{
    const struct engine *engine = &fixture.base.engine;

    return privileges_worker_uid(&engine->privileges, engine->generation->number, queue, slot, turn);
}

/* A child with these uids, that ends by SIGKILL alone. */
static pid_t child_with(uid_t real, uid_t effective)
{
    pid_t pid;
    int said[2];
    char byte;

    assert_true(fixture.count < CHILDREN_MAX);
    assert_int_equal(pipe(said), 0);
    pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_IGN);
        if (setresuid(real, effective, effective) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
            write(said[1], "", 1) == 1) {
            for (;;) {
                pause();
            }
        }
        _exit(1);
    }
    close(said[1]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    close(said[0]);
    fixture.made[fixture.count++] = pid;
    return pid;
}

static pid_t child_of(uid_t uid)
{
    return child_with(uid, uid);
}

static bool has_ended(pid_t pid, int options)
{
    siginfo_t info = {.si_pid = 0};

    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | options), 0);
    return info.si_pid == pid;
}

/* SIGKILL takes effect before kill() returns, or at the next instruction of the process: so those that live are asked last. */
static void assert_killed(pid_t pid)
{
    assert_true(has_ended(pid, 0));
}

static void assert_lives(pid_t pid)
{
    assert_false(has_ended(pid, WNOHANG));
}

static void test_processes_with_a_uid_of_workers_are_killed(void **state)
{
    pid_t left[4];

    (void)state;
    rights_need_root();
    left[0] = child_of(worker_uid(0, 0, 0));
    left[1] = child_of(worker_uid(QUEUES - 1, 1, 1)); /* the last of the range of this generation */
    left[2] = child_with(RIGHTS_UID, worker_uid(0, 1, 0));
    strays_kill(&fixture.children);
    for (unsigned i = 0; i < 3; i++) {
        assert_killed(left[i]);
    }
}

static void test_processes_with_other_uids_are_left_alone(void **state)
{
    const struct engine *engine = &fixture.base.engine;
    pid_t others[4];
    pid_t left;

    (void)state;
    rights_need_root();
    others[0] = child_of(0);
    others[1] = child_of(privileges_queue_uid(&engine->privileges, 1));
    others[2] = child_of(worker_uid(0, 0, 0) - 1); /* the fork server's */
    others[3] = child_of(privileges_worker_uid(&engine->privileges, engine->generation->number + 1, 0, 0, 0));
    left = child_of(worker_uid(0, 0, 0));
    strays_kill(&fixture.children);
    assert_killed(left);
    for (unsigned i = 0; i < 4; i++) {
        assert_lives(others[i]);
    }
}

/* A worker that lives may have started what became the supervisor's child; it goes when the worker has gone. */
static void test_uid_of_a_worker_that_lives_is_left_alone_until_it_has_ended(void **state)
{
    struct children_worker *worker = &fixture.children.queues[1].workers[0];
    pid_t its_own;
    pid_t left;

    (void)state;
    rights_need_root();
    worker->number = 1;
    worker->uid = worker_uid(1, 0, 0);
    its_own = child_of(worker->uid);
    left = child_of(worker_uid(1, 0, 1)); /* of its predecessor */
    strays_kill(&fixture.children);
    assert_killed(left);
    assert_lives(its_own);
    worker->ended = true;
    strays_kill(&fixture.children);
    assert_killed(its_own);
}

static void test_worker_itself_is_left_alone(void **state)
{
    struct children_worker *worker = &fixture.children.queues[0].workers[0];
    pid_t left;

    (void)state;
    rights_need_root();
    worker->number = 1;
    worker->ended = true; /* in the table, but by this not in use */
    worker->uid = worker_uid(0, 0, 0);
    worker->process.pid = child_of(worker->uid);
    left = child_of(worker->uid);
    strays_kill(&fixture.children);
    assert_killed(left);
    assert_lives(worker->process.pid);
}

/* Without uids of their own, the supervisor's children cannot be told apart. */
static void test_nothing_is_killed_where_workers_have_no_uids_of_their_own(void **state)
{
    pid_t left;

    (void)state;
    rights_need_root();
    left = child_of(worker_uid(0, 0, 0));
    fixture.base.engine.privileges.form = PRIVILEGES_ONE_UID;
    strays_kill(&fixture.children);
    assert_lives(left);
    strays_look_soon(&fixture.children);
    assert_null(fixture.children.left_over.link);
}

static void test_look_comes_soon_and_once_for_all_that_end_until_then(void **state)
{
    uint64_t now_ns = event_loop_now(&fixture.base.loop);
    uint64_t due_ns;
    pid_t left;

    (void)state;
    rights_need_root();
    strays_look_soon(&fixture.children);
    assert_non_null(fixture.children.left_over.link);
    due_ns = fixture.children.left_over.due_ns;
    assert_in_range(due_ns - now_ns, 1, 100 * NS_PER_MS);
    due_ns += FAR_NS; /* so that it is not over when the test looks again */
    event_loop_start_timer(&fixture.base.loop, &fixture.children.left_over, due_ns);
    usleep(2000);
    assert_int_equal(event_loop_turn_now(&fixture.base.loop), 0);
    strays_look_soon(&fixture.children);
    assert_int_equal(fixture.children.left_over.due_ns, due_ns);
    event_loop_start_timer(&fixture.base.loop, &fixture.children.left_over, now_ns);
    left = child_of(worker_uid(0, 0, 0));
    while (fixture.children.left_over.link != NULL) {
        assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
    }
    assert_killed(left);
}

/* Whatever it has started becomes the supervisor's child by its end. */
static void test_end_of_a_worker_brings_the_look(void **state)
{
    struct children_worker *worker = &fixture.children.queues[0].workers[0];
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(0);
    }
    worker->number = 1;
    assert_int_equal(child_open(&worker->process, pid, &fixture.base.loop), 0);
    assert_true(has_ended(pid, 0));
    assert_true(ends_reap_worker(worker));
    assert_non_null(fixture.children.left_over.link);
}

static bool any_child(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Plugins can leave more of them than are reaped in a turn, and no signal comes for those that were left. */
static void test_all_that_have_ended_are_reaped_some_in_each_turn(void **state)
{
    pid_t last = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        last = fork();
        if (last == 0) {
            _exit(0);
        }
        assert_true(last > 0);
        assert_true(has_ended(last, 0));
    }
    children_reap(&fixture.children);
    assert_true(any_child());
    for (unsigned i = 0; i < MANY && any_child(); i++) {
        assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
    }
    assert_false(any_child());
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_processes_with_a_uid_of_workers_are_killed),
        TEST(test_processes_with_other_uids_are_left_alone),
        TEST(test_uid_of_a_worker_that_lives_is_left_alone_until_it_has_ended),
        TEST(test_worker_itself_is_left_alone),
        TEST(test_nothing_is_killed_where_workers_have_no_uids_of_their_own),
        TEST(test_end_of_a_worker_brings_the_look),
        TEST(test_all_that_have_ended_are_reaped_some_in_each_turn),
        TEST(test_look_comes_soon_and_once_for_all_that_end_until_then),
    };

    return cmocka_run_group_tests_name("strays", tests, NULL, NULL);
}
