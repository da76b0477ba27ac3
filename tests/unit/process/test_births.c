/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Births: what the supervisor believes of a worker that it has asked for. How long it waits for one is in
 * test_birth_watch.c.
 *
 * The fork server is a process that plays a part: it and its children say on the workers' channels what the test has
 * chosen, as plugins in it could.
 */
#include "children_fixture.h"
#include "log_lines.h"
#include "rights.h"

#include "base/channel.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define BIRTH_MS 1000 /* for a birth, in the test of a pause */
#define PAUSE_MS 1500
#define LATE_MS 100

static struct children *const children = &children_fixture.children;

/* Its worker could not be made, and it is not asked for yet. */
static bool waits_before_a_retry(void)
{
    return children_has_failed() && children->queues[0].births_ns > 0 && !children->workers[0].requested;
}

/* ---- a fork server that plays a part --------------------------------------------------------------------------- */

enum part {
    REFUSE, /* says that there is no process for a worker */
    SAY_HELLO, /* says hello itself, in place of a worker */
    NO_CHILD, /* makes a worker that stays its own child, and no second one */
    ONE_FOR_ALL, /* makes one worker that says hello on the channel of each queue */
    DROP, /* closes the channel */
    NONSENSE, /* says what is no message */
    PROPER, /* makes a worker as it should, but with whatever rights it has */
    LATE, /* refuses after LATE_MS */
};

static enum part part;

static void say(int channel, enum message_kind kind, uint32_t value)
{
    const struct process_message message = process_message_make(kind, value);

    channel_send(channel, &message, sizeof(message), NULL, 0);
}

/* One that is not wanted ends. */
static void wait_for_ring(int channel)
{
    struct process_message message;

    if (channel_wait(channel, &message, sizeof(message), NULL, 0) <= 0) {
        _exit(0);
    }
}

/* A process that says hello on all of these channels; adopted: as a child of the supervisor. */
static void make_worker(const int *channels, unsigned count, bool adopted)
{
    pid_t player = getpid();
    pid_t pid = fork();

    if (pid == 0) {
        pid_t parent = getpid();

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* for one that is not adopted: nothing else ends it */
        if (getppid() != player) {
            _exit(0);
        }
        if (!adopted || fork() == 0) {
            while (adopted && getppid() == parent) {
                poll(NULL, 0, 1);
            }
            for (unsigned i = 0; i < count; i++) {
                say(channels[i], WORKER_HELLO, 0);
            }
            wait_for_ring(channels[0]);
            for (;;) {
                pause();
            }
        }
        _exit(0);
    }
    if (adopted) {
        waitpid(pid, NULL, 0);
    }
}

static void act(int channel)
{
    static int channels[CHILDREN_QUEUES];
    static unsigned count;

    channels[count++ % CHILDREN_QUEUES] = channel;
    if (part == LATE) {
        poll(NULL, 0, LATE_MS);
    }
    if (part == REFUSE || part == LATE) {
        say(channel, WORKER_NOT_FORKED, EAGAIN);
    } else if (part == SAY_HELLO) {
        say(channel, WORKER_HELLO, 0);
    } else if (part == NO_CHILD && count == 1) {
        make_worker(&channel, 1, false);
    } else if (part == ONE_FOR_ALL && count == CHILDREN_QUEUES) {
        make_worker(channels, count, true);
    } else if (part == PROPER) {
        make_worker(&channel, 1, true);
    } else if (part == DROP) {
        close(channel);
    } else if (part == NONSENSE) {
        say(channel, FORKSERVER_READY, 0);
    }
}

static void play(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void play(struct engine *engine, const struct engine_programs *programs)
{
    struct process_message message;
    int channel;

    (void)programs;
    say(engine->channel, FORKSERVER_READY, 0);
    while (channel_wait(engine->channel, &message, sizeof(message), &channel, 1) > 0 &&
           message.kind == FORKSERVER_FORK) {
        act(channel);
    }
    _exit(0);
}

/* With the supervisor's uid. */
static void play_without_rights(struct engine *engine, const struct engine_programs *programs)
    __attribute__((noreturn));

static void play_without_rights(struct engine *engine, const struct engine_programs *programs)
{
    struct error error;

    if (privileges_drop_worker(PRIVILEGES_SAME_UID, 0, &error) != 0) {
        _exit(1);
    }
    play(engine, programs);
}

static void start_player(enum part played)
{
    part = played;
    children_fixture.programs.forkserver_run = play_without_rights;
    children_fixture_begin(LONG_MS);
    children_start(children);
}

static void test_fork_that_fails_is_reported_and_tried_again(void **state)
{
    (void)state;
    start_player(REFUSE);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: no process for a worker: Resource temporarily unavailable");
    assert_int_equal(children_pid(0, 0), 0);
    children_turn_until(waits_before_a_retry); /* for the second one, if it was held up */
    assert_false(children->workers[0].requested);
    assert_true(children->queues[0].births_backoff.wait_ms >= 10);
}

#define NOT_BELIEVED(queue)                                                                                            \
    "queue " #queue ": a process that is no new worker, or cannot be watched, said that it is one: No child processes"

static void assert_not_believed(void)
{
    children_assert_failure(EXIT_CODE_RUN_TIME, NOT_BELIEVED(7));
    assert_int_equal(children_pid(0, 0), 0);
    assert_int_equal(children_pid(1, 0), 0);
    assert_true(children->forkserver.process.pid > 0);
}

/* Its end would be taken for that of the fork server alone. */
static void test_fork_server_is_not_believed_to_be_a_worker(void **state)
{
    (void)state;
    start_player(SAY_HELLO);
    assert_not_believed();
}

/* The supervisor would never hear of its end. */
static void test_worker_that_is_no_child_is_not_believed(void **state)
{
    (void)state;
    start_player(NO_CHILD);
    assert_not_believed();
}

static bool one_is_there(void)
{
    return (children_pid(0, 0) > 0 || children_pid(1, 0) > 0) && children_has_failed();
}

static void test_worker_of_one_queue_is_not_believed_to_be_that_of_another(void **state)
{
    (void)state;
    start_player(ONE_FOR_ALL);
    children_turn_until(one_is_there);
    assert_true(children_pid(0, 0) == 0 || children_pid(1, 0) == 0);
    children_assert_failure(EXIT_CODE_RUN_TIME, children_pid(0, 0) > 0 ? NOT_BELIEVED(8) : NOT_BELIEVED(7));
}

static void test_channel_that_the_fork_server_closes_brings_no_worker(void **state)
{
    (void)state;
    start_player(DROP);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker ended before it said hello");
}

static void test_nonsense_brings_no_worker(void **state)
{
    (void)state;
    start_player(NONSENSE);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: the new worker ended before it said hello");
}

/* The channel is full: nothing is heard of the request, so it is made again, whatever becomes of the fork server. */
static void test_request_that_cannot_be_made_is_made_again(void **state)
{
    const struct process_message message = process_message_make(FORKSERVER_FORK, 1);
    int channel = STDERR_FILENO; /* any descriptor will do */

    (void)state;
    start_player(REFUSE);
    children_turn_until(waits_before_a_retry);
    kill(children->forkserver.process.pid, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)children->forkserver.process.pid, &(siginfo_t){0}, WSTOPPED | WNOWAIT), 0);
    while (forkserver_client_request(&children->forkserver, &message, channel)) {
    }
    children_turn_for(100);
    assert_true(children->queues[0].births_ns > 0);
    assert_false(children->workers[0].requested);
    kill(children->forkserver.process.pid, SIGKILL);
}

/* The machine, or the supervisor alone, is paused for longer than a birth may take. */
static void test_pause_of_the_supervisor_is_not_held_against_the_fork_server(void **state)
{
    pid_t forkserver;

    (void)state;
    start_player(LATE);
    children_turn_until(children_forkserver_is_ready);
    forkserver = children->forkserver.process.pid;
    children->forkserver.birth_timeout_ms = BIRTH_MS;
    kill(forkserver, SIGSTOP);
    poll(NULL, 0, PAUSE_MS);
    kill(forkserver, SIGCONT);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: no process for a worker: Resource temporarily unavailable");
    assert_int_equal(children->forkserver.process.pid, forkserver);
}

/* ---- what is believed of a worker ------------------------------------------------------------------------------ */

/* Nothing is received from it after hello, however much it says. */
static void test_worker_that_says_more_than_hello_is_not_heard(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.scripts[0].way = WAY_TALK;
    children_start(children);
    children_turn_until(children_have_opened);
    assert_false(children_has_failed());
    assert_int_equal(children->births, CHILDREN_QUEUES);
}

/* It reads how long the worker waits for a CPU. */
static void test_queue_process_is_told_the_pid_of_its_worker(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_start(children);
    children_turn_until(children_have_opened);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_int_equal(children_fixture.scripts[i].pid, children_pid(i, 0));
    }
}

static void test_no_worker_has_the_number_0(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children->births = UINT32_MAX - 1;
    children_start(children);
    children_turn_until(children_have_opened);
    assert_int_equal(children_worker(0, 0)->number, UINT32_MAX);
    assert_int_equal(children_worker(1, 0)->number, 1);
}

static void test_worker_has_its_channel_only_until_it_has_its_ring(void **state)
{
    struct children_worker *worker;

    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.scripts[0].queue_way = QUEUE_WAY_SILENT; /* makes no ring */
    children_start(children);
    children_wait_opened(1, 0, 0);
    while (children_pid(0, 0) == 0) {
        children_turn_for(1);
    }
    worker = children_worker(0, 0);
    assert_true(worker->channel.fd >= 0);
    assert_false(worker->channel.watched);
    assert_false(worker->requested);
    assert_int_equal(children->requests, 0);
    kill(worker->process.pid, SIGKILL);
    while (worker->process.pid != 0) {
        children_turn_for(1);
    }
    assert_int_equal(worker->channel.fd, -1);
}

static bool has_failed_and_none_is_there(void)
{
    return children_has_failed() && children->queues[0].workers[0].number == 0;
}

static void assert_refused(const char *text)
{
    children_start(children);
    children_turn_until(has_failed_and_none_is_there);
    assert_int_equal(children->exit_report.failure.exit_code, EXIT_CODE_RUN_TIME);
    assert_non_null(strstr(children->exit_report.failure.text, text));
    assert_int_equal(children_fixture.scripts[0].descriptors, 0); /* it was given nothing */
    assert_int_equal(log_lines.count, 0);
}

/* What the worker runs need not be ours: a constructor of a plugin could have replaced it. */
static void test_worker_that_has_kept_a_right_is_killed(void **state)
{
    (void)state;
    children_fixture_begin(LONG_MS);
    children_fixture.programs.forkserver_run = play; /* which gives up nothing */
    part = PROPER;
    assert_refused(geteuid() == 0 ? "CapPrm is" : "NoNewPrivs is");
}

static void test_worker_with_another_uid_is_killed(void **state)
{
    (void)state;
    rights_need_root();
    children_fixture_begin(LONG_MS);
    children_fixture.base.engine.privileges = (struct privileges_plan){
        .form = PRIVILEGES_ONE_UID, .range = {RIGHTS_UID, RIGHTS_UID + 63}, .queues = CHILDREN_QUEUES, .slots = 1};
    children_fixture.programs.forkserver_run = play_without_rights;
    part = PROPER;
    assert_refused("Uid is");
}

/* The real fork server, as root has it. */
static void test_worker_with_a_uid_of_its_own_is_believed(void **state)
{
    const struct privileges_range range = {RIGHTS_UID, RIGHTS_UID + 63};
    uid_t uids[CHILDREN_QUEUES];
    struct error error;

    (void)state;
    rights_need_root();
    children_fixture_begin(LONG_MS);
    assert_int_equal(privileges_plan_make(&range, CHILDREN_QUEUES, 1, &children_fixture.base.engine.privileges, &error),
                     0);
    children_start(children);
    children_turn_until(children_have_opened);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        const struct children_worker *worker = children_worker(i, 0);

        assert_int_not_equal(worker->uid, PRIVILEGES_SAME_UID);
        assert_int_equal(privileges_check(worker->pid, worker->uid, 0, &error), 0);
        uids[i] = worker->uid;
    }
    assert_false(children_has_failed());
    children_run(children);
    for (unsigned i = 1; i <= 2; i++) { /* what the first has left running does not reach the second */
        pid_t before = children_pid(0, 0);

        children_kill_worker(0, 0);
        children_wait_opened(0, 0, before);
        assert_int_equal(children_worker(0, 0)->uid != uids[0], i % 2 != 0);
        assert_int_not_equal(children_worker(0, 0)->uid, uids[1]);
    }
}

/* ---- what a worker prints -------------------------------------------------------------------------------------- */

static struct child_logs logs;
static struct child_log forkserver_log;

static bool only_the_worker_had_the_other_end(void)
{
    const struct children_worker *worker = children_worker(0, 0);

    return worker != NULL && worker->log.logs != NULL;
}

static void test_each_life_of_a_worker_has_a_pipe(void **state)
{
    unsigned descriptors;

    (void)state;
    children_fixture_begin(LONG_MS);
    child_logs_init(&logs, &children_fixture.base.loop);
    children->logs = &logs;
    children->forkserver_log = &forkserver_log;
    children_start_serving();
    children_turn_until(only_the_worker_had_the_other_end);
    descriptors = children_count_descriptors();
    for (unsigned i = 0; i < 3; i++) {
        pid_t before = children_pid(0, 0);

        children_kill_worker(0, 0);
        children_wait_opened(0, 0, before);
        children_turn_until(only_the_worker_had_the_other_end);
        assert_int_equal(children_count_descriptors(), descriptors);
    }
    children_end_all();
    assert_null(logs.first);
    child_logs_done(&logs);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, children_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_fork_that_fails_is_reported_and_tried_again),
        WITH_CHILDREN(test_fork_server_is_not_believed_to_be_a_worker),
        WITH_CHILDREN(test_worker_that_is_no_child_is_not_believed),
        WITH_CHILDREN(test_worker_of_one_queue_is_not_believed_to_be_that_of_another),
        WITH_CHILDREN(test_channel_that_the_fork_server_closes_brings_no_worker),
        WITH_CHILDREN(test_nonsense_brings_no_worker),
        WITH_CHILDREN(test_request_that_cannot_be_made_is_made_again),
        WITH_CHILDREN(test_pause_of_the_supervisor_is_not_held_against_the_fork_server),
        WITH_CHILDREN(test_worker_that_says_more_than_hello_is_not_heard),
        WITH_CHILDREN(test_queue_process_is_told_the_pid_of_its_worker),
        WITH_CHILDREN(test_no_worker_has_the_number_0),
        WITH_CHILDREN(test_worker_has_its_channel_only_until_it_has_its_ring),
        WITH_CHILDREN(test_worker_that_has_kept_a_right_is_killed),
        WITH_CHILDREN(test_worker_with_another_uid_is_killed),
        WITH_CHILDREN(test_worker_with_a_uid_of_its_own_is_believed),
        WITH_CHILDREN(test_each_life_of_a_worker_has_a_pipe),
    };

    return cmocka_run_group_tests_name("births", tests, NULL, NULL);
}
