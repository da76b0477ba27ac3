/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Births: what the supervisor believes of a worker that it has asked for, and how long it waits for one.
 *
 * The fork server is a process that plays a part: it and its children say on the workers' channels what the test has
 * chosen, as plugins in it could.
 */
#include "children_fixture.h"
#include "log_lines.h"

#include "base/channel.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 256
#define LONG_MS 60000
#define LATE_MS 250 /* half of the time for a birth */

static struct children *const children = &children_fixture.children;

/* Its worker could not be made, and it is not asked for yet. */
static bool waits_before_a_retry(void)
{
    return children_has_failed() && children->workers[0].retry_ns > 0 && !children->workers[0].requested;
}

/* ---- a fork server that plays a part --------------------------------------------------------------------------- */

enum part {
    REFUSE, /* says that there is no process for a worker */
    SAY_HELLO, /* says hello itself, in place of a worker */
    NO_CHILD, /* makes a worker that stays its own child, and no second one */
    ONE_FOR_ALL, /* makes one worker that says hello on the channel of each queue */
    DROP, /* closes the channel */
    NONSENSE, /* says what is no message */
    KEEP, /* says nothing */
    LATE, /* refuses after LATE_MS */
};

static enum part part;

static void say(int channel, enum message_kind kind, uint32_t value)
{
    const struct process_message message = process_message_make(kind, value);

    channel_send(channel, &message, sizeof(message), NULL, 0);
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
    } else if (part == DROP) {
        close(channel);
    } else if (part == NONSENSE) {
        say(channel, WORKER_WAKE, 0);
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

static void start_player(enum part played)
{
    part = played;
    children_fixture.programs.forkserver_run = play;
    children_fixture_begin(LONG_MS);
    children_start_forkserver(children);
}

static void test_fork_that_fails_is_reported_and_tried_again(void **state)
{
    (void)state;
    start_player(REFUSE);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: no process for a worker: Resource temporarily unavailable");
    assert_int_equal(children_pid(0), 0);
    assert_false(children->workers[0].requested);
    assert_true(children->workers[0].retry_ns > 0);
    assert_int_equal(children->workers[0].backoff.wait_ms, 10);
}

#define NOT_BELIEVED                                                                                                   \
    "queue 7: a process that is no new worker, or cannot be watched, said that it is one: No child processes"

static void assert_not_believed(void)
{
    children_assert_failure(EXIT_CODE_RUN_TIME, NOT_BELIEVED);
    assert_int_equal(children_pid(0), 0);
    assert_int_equal(children_pid(1), 0);
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
    return children_pid(0) > 0 && children_has_failed();
}

static void test_worker_of_one_queue_is_not_believed_to_be_that_of_another(void **state)
{
    (void)state;
    start_player(ONE_FOR_ALL);
    children_turn_until(one_is_there);
    assert_int_equal(children_pid(1), 0);
    children_assert_failure(
        EXIT_CODE_RUN_TIME,
        "queue 8: a process that is no new worker, or cannot be watched, said that it is one: No child "
        "processes");
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
    int channel = STDERR_FILENO; /* any descriptor will do */

    (void)state;
    start_player(REFUSE);
    children_turn_until(waits_before_a_retry);
    kill(children->forkserver.process.pid, SIGSTOP);
    assert_int_equal(waitid(P_PID, (id_t)children->forkserver.process.pid, &(siginfo_t){0}, WSTOPPED | WNOWAIT), 0);
    while (forkserver_client_request(&children->forkserver, 1, channel)) {
    }
    children_turn_for(100);
    assert_true(children->workers[0].retry_ns > 0);
    assert_false(children->workers[0].requested);
    kill(children->forkserver.process.pid, SIGKILL);
}

static void test_fork_server_that_makes_no_worker_is_killed_soon(void **state)
{
    uint64_t start_ns;

    (void)state;
    start_player(KEEP);
    children_turn_until(children_forkserver_is_ready);
    start_ns = monotonic_ns();
    children_assert_failure(EXIT_CODE_RUN_TIME, "the fork server did not answer in time and was killed");
    assert_true(monotonic_ns() - start_ns >= children->forkserver.birth_timeout_ms * NS_PER_MS);
    assert_true(monotonic_ns() - start_ns < 2000 * NS_PER_MS);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        assert_false(children->workers[i].requested);
        assert_int_equal(children->workers[i].channel.fd, -1);
    }
}

/* The machine, or the supervisor alone, is paused for longer than a birth may take. */
static void test_pause_of_the_supervisor_is_not_held_against_the_fork_server(void **state)
{
    pid_t forkserver;

    (void)state;
    start_player(LATE);
    children_turn_until(children_forkserver_is_ready);
    forkserver = children->forkserver.process.pid;
    kill(forkserver, SIGSTOP);
    poll(NULL, 0, 3 * (int)children->forkserver.birth_timeout_ms);
    kill(forkserver, SIGCONT);
    children_assert_failure(EXIT_CODE_RUN_TIME, "queue 7: no process for a worker: Resource temporarily unavailable");
    assert_int_equal(children->forkserver.process.pid, forkserver);
}

/* ---- what a worker prints -------------------------------------------------------------------------------------- */

static struct child_logs logs;

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static bool only_the_worker_had_the_other_end(void)
{
    return !logs.of[0].pipe.watched; /* this worker has closed it, and the supervisor has read end-of-file */
}

static void test_each_life_of_a_worker_has_a_pipe(void **state)
{
    unsigned descriptors;

    (void)state;
    memset(&logs, 0, sizeof(logs));
    children_fixture_begin(LONG_MS);
    assert_int_equal(child_logs_open(&logs, &children_fixture.base.engine, &children_fixture.base.loop), 0);
    children->logs = &logs;
    children_start_serving();
    children_turn_until(only_the_worker_had_the_other_end);
    descriptors = count_descriptors();
    for (unsigned i = 0; i < 3; i++) {
        children_kill_worker(0);
        children_wait_serving(0, 0);
        children_turn_until(only_the_worker_had_the_other_end);
        assert_int_equal(count_descriptors(), descriptors);
    }
    children_end_all();
    assert_int_equal(logs.of[0].pipe.fd, -1);
    child_logs_done(&logs);
    close(children_fixture.base.engine.log);
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
        WITH_CHILDREN(test_fork_server_that_makes_no_worker_is_killed_soon),
        WITH_CHILDREN(test_pause_of_the_supervisor_is_not_held_against_the_fork_server),
        WITH_CHILDREN(test_each_life_of_a_worker_has_a_pipe),
    };

    return cmocka_run_group_tests_name("births", tests, NULL, NULL);
}
