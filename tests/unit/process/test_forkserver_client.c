/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's side of the fork server: what it starts, believes, waits for and gives up.
 *
 * The processes are real; the program that they run is act(), which does what the test has chosen. What it finds in its
 * process it leaves in shared memory.
 */
#include "engine_fixture.h"

#include "base/clock.h"
#include "process/forkserver_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUES 2
#define LONG_MS 3600000
#define SHORT_MS 300
#define STEPS 4
#define WORKER_PID 4711
#define LEAVE_STATUS 5

/* What the fork server does. */
enum act {
    SAY_READY_AND_OBEY, /* answers FORK with WORKER_PID and LEAVE with LEAVE_STATUS */
    SAY_READY_AND_IGNORE,
    SAY_NOTHING,
    SAY_NONSENSE,       /* messages that are none, then READY */
    TAKE_STEPS,         /* loads STEPS plugins, each in two thirds of SHORT_MS, and then hangs */
};

struct seen {
    bool private_closed; /* what the supervisor keeps to itself */
    bool stdin_closed;
    bool their_end_closed;
    bool inherited_open;
};

static struct {
    struct engine_fixture base;
    struct forkserver_client client;
    enum act act;
    struct seen *seen;  /* shared memory */
    int private_fd[2];  /* ends with -1 */
    int inherited_fd;
    int channel_fd;     /* of the supervisor, to be looked for in the fork server */
    unsigned calls;     /* of the channel's callback */
} fixture;

/* ---- in the fork server ---------------------------------------------------------------------------------------- */

static void say(int channel, enum forkserver_message_kind kind, uint32_t queue, int32_t pid)
{
    const struct forkserver_message message = forkserver_message_make(kind, queue, pid);

    send(channel, &message, sizeof(message), MSG_NOSIGNAL);
}

static void obey(int channel)
{
    struct forkserver_message message;

    while (recv(channel, &message, sizeof(message), 0) == (ssize_t)sizeof(message)) {
        if (message.kind == FORKSERVER_FORK) {
            say(channel, FORKSERVER_FORKED, message.queue, WORKER_PID);
        } else if (message.kind == FORKSERVER_LEAVE) {
            _exit(LEAVE_STATUS);
        }
    }
}

/* Among messages that would count as a birth, if they were believed. */
static void say_nonsense(int channel)
{
    const struct forkserver_message valid = forkserver_message_make(FORKSERVER_FORKED, 0, WORKER_PID);
    char longer[sizeof(valid) + 1] = {0};

    memcpy(longer, &valid, sizeof(valid));
    send(channel, longer, sizeof(longer), MSG_NOSIGNAL);
    send(channel, longer, sizeof(valid) - 1, MSG_NOSIGNAL);
    say(channel, FORKSERVER_FORKED, QUEUES, WORKER_PID);
    say(channel, FORKSERVER_FORK, 0, 0);
    say(channel, FORKSERVER_READY, 0, 0);
}

static void take_steps(struct engine *engine)
{
    for (uint32_t i = 0; i < STEPS; i++) {
        engine->status->plugin = generation_plugin_ref(engine->generation, i / 2);
        engine->status->stage = i % 2 == 0 ? FORKSERVER_LINKING : FORKSERVER_LOADING;
        poll(NULL, 0, SHORT_MS * 2 / 3);
    }
}

static void act(struct engine *engine, int channel, const struct engine_programs *programs) __attribute__((noreturn));

static void act(struct engine *engine, int channel, const struct engine_programs *programs)
{
    (void)programs;
    fixture.seen->private_closed = fcntl(fixture.private_fd[0], F_GETFD) < 0;
    fixture.seen->stdin_closed = fcntl(STDIN_FILENO, F_GETFD) < 0;
    fixture.seen->their_end_closed = fcntl(fixture.client.channel.fd, F_GETFD) < 0;
    fixture.seen->inherited_open = fcntl(fixture.inherited_fd, F_GETFD) >= 0;
    if (fixture.act == SAY_NONSENSE) {
        say_nonsense(channel);
    } else if (fixture.act == TAKE_STEPS) {
        take_steps(engine);
    }
    if (fixture.act == SAY_READY_AND_OBEY || fixture.act == SAY_READY_AND_IGNORE) {
        say(channel, FORKSERVER_READY, 0, 0);
    }
    if (fixture.act == SAY_READY_AND_OBEY) {
        obey(channel);
    }
    for (;;) {
        pause(); /* until it is killed */
    }
}

/* ---- in the test ----------------------------------------------------------------------------------------------- */

static const struct engine_programs programs = {.forkserver_run = act};

static void note_call(void *context, uint32_t events)
{
    assert_ptr_equal(context, &fixture);
    assert_true((events & EPOLLIN) != 0);
    fixture.calls++;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, QUEUES, LONG_MS);
    fixture.seen = mmap(NULL, sizeof(*fixture.seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture.seen != MAP_FAILED);
    fixture.private_fd[0] = eventfd(0, EFD_CLOEXEC);
    fixture.private_fd[1] = -1;
    fixture.inherited_fd = eventfd(0, EFD_CLOEXEC);
    forkserver_client_init(&fixture.client, &fixture.base.engine, &programs, &fixture.base.loop, fixture.private_fd);
    fixture.client.channel.ready = note_call;
    fixture.client.channel.context = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (fixture.client.pid > 0) { /* -1 would be every process */
        kill(fixture.client.pid, SIGKILL);
        waitpid(fixture.client.pid, NULL, 0);
    }
    forkserver_client_done(&fixture.client);
    close(fixture.private_fd[0]);
    close(fixture.inherited_fd);
    munmap(fixture.seen, sizeof(*fixture.seen));
    engine_fixture_done(&fixture.base);
    return 0;
}

static void start(enum act what)
{
    struct error error;

    fixture.act = what;
    assert_int_equal(forkserver_client_start(&fixture.client, &error), 0);
    assert_true(fixture.client.pid > 0);
    assert_false(fixture.client.ready);
    assert_false(fixture.client.hung);
}

/* Waits for the next message. */
static struct forkserver_message receive(void)
{
    struct forkserver_message message;

    do {
        assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
    } while (!forkserver_client_receive(&fixture.client, &message));
    return message;
}

static void start_ready(enum act what)
{
    start(what);
    assert_int_equal(receive().kind, FORKSERVER_READY);
}

/* Waits for its end; the client does not know of it yet. */
static int wait_for_end(void)
{
    int status;

    assert_int_equal(waitpid(fixture.client.pid, &status, 0), fixture.client.pid);
    return status;
}

static void test_fork_server_has_its_channel_and_not_what_is_the_supervisors_alone(void **state)
{
    (void)state;
    fixture.base.engine.status->plugin = generation_plugin_ref(&fixture.base.generation, 3);
    fixture.base.engine.status->error[0] = 'x';
    start_ready(SAY_READY_AND_OBEY);
    assert_true(fixture.seen->private_closed);
    assert_true(fixture.seen->their_end_closed);
    assert_true(fixture.seen->inherited_open);
    assert_true(
        plugin_ref_equal(fixture.base.engine.status->plugin, PLUGIN_REF_NONE)); /* what the one before left is gone */
    assert_int_equal(fixture.base.engine.status->error[0], 0);
}

/* The supervisor was started without a standard input, so one of its own descriptors has the number. */
static void test_fork_server_has_not_the_descriptor_0_if_it_is_the_supervisors_alone(void **state)
{
    const int private[] = {STDIN_FILENO, fixture.private_fd[0], -1};

    (void)state;
    assert_int_equal(dup2(fixture.private_fd[0], STDIN_FILENO), STDIN_FILENO);
    fixture.client.close_in_child = private;
    start_ready(SAY_READY_AND_OBEY);
    assert_true(fixture.seen->stdin_closed);
    assert_true(fixture.seen->private_closed);
    assert_true(fixture.seen->inherited_open);
}

static void test_ready_ends_the_deadline_and_the_backoff(void **state)
{
    uint64_t before_ns = monotonic_ns();

    (void)state;
    forkserver_client_retry(&fixture.client);
    start(SAY_READY_AND_OBEY);
    assert_true(fixture.client.deadline_ns >= before_ns + LONG_MS * NS_PER_MS);
    assert_int_equal(fixture.client.retry_ns, 0);
    assert_int_equal(fixture.client.backoff.wait_ms, 10);
    assert_int_equal(receive().kind, FORKSERVER_READY);
    assert_true(fixture.client.ready);
    assert_int_equal(fixture.client.deadline_ns, 0);
    assert_int_equal(fixture.client.backoff.wait_ms, 0);
    assert_true(fixture.calls > 0);
}

static void test_worker_is_asked_for_and_heard_of(void **state)
{
    struct forkserver_message message;

    (void)state;
    assert_false(forkserver_client_request(&fixture.client, 1));
    start(SAY_READY_AND_OBEY);
    assert_false(forkserver_client_request(&fixture.client, 1)); /* not ready yet */
    assert_int_equal(fixture.client.outstanding, 0);
    assert_int_equal(receive().kind, FORKSERVER_READY);
    assert_true(forkserver_client_request(&fixture.client, 1));
    assert_true(forkserver_client_request(&fixture.client, 0));
    assert_int_equal(fixture.client.outstanding, 2);
    message = receive();
    assert_int_equal(message.kind, FORKSERVER_FORKED);
    assert_int_equal(message.queue, 1);
    assert_int_equal(message.pid, WORKER_PID);
    assert_int_equal(fixture.client.outstanding, 1);
    assert_int_equal(receive().queue, 0);
    assert_int_equal(fixture.client.outstanding, 0);
    assert_false(forkserver_client_receive(&fixture.client, &message));
}

static void test_request_to_one_that_has_ended_fails(void **state)
{
    (void)state;
    start_ready(SAY_READY_AND_OBEY);
    kill(fixture.client.pid, SIGKILL);
    wait_for_end();
    assert_false(forkserver_client_request(&fixture.client, 0));
    assert_int_equal(fixture.client.outstanding, 0);
    fixture.client.pid = 0;
}

static void test_nonsense_is_left_out(void **state)
{
    (void)state;
    start(SAY_NONSENSE);
    fixture.client.outstanding = 1;
    assert_int_equal(receive().kind, FORKSERVER_READY);
    assert_int_equal(fixture.client.outstanding, 1);
}

static void test_end_resets_everything(void **state)
{
    struct forkserver_message message;
    int channel;

    (void)state;
    start_ready(SAY_READY_AND_OBEY);
    assert_true(forkserver_client_request(&fixture.client, 0));
    forkserver_client_note_exit(&fixture.client, WORKER_PID, 0);
    fixture.client.deadline_ns = 1;
    kill(fixture.client.pid, SIGKILL);
    wait_for_end();
    channel = fixture.client.channel.fd;
    forkserver_client_ended(&fixture.client);
    assert_int_equal(fixture.client.pid, 0);
    assert_false(fixture.client.ready);
    assert_int_equal(fixture.client.outstanding, 0);
    assert_int_equal(fixture.client.deadline_ns, 0);
    assert_int_equal(fixture.client.early_exit_count, 0);
    assert_int_equal(fixture.client.channel.fd, -1);
    assert_false(fixture.client.channel.watched);
    assert_int_equal(fcntl(channel, F_GETFD), -1);
    assert_false(forkserver_client_receive(&fixture.client, &message));
    start_ready(SAY_READY_AND_OBEY);
}

static void test_one_that_makes_no_step_in_time_is_killed(void **state)
{
    uint64_t deadline_ns;

    (void)state;
    fixture.base.group.load_timeout_ms = SHORT_MS;
    start(SAY_NOTHING);
    deadline_ns = fixture.client.deadline_ns;
    forkserver_client_check_deadline(&fixture.client, deadline_ns - 1);
    assert_false(fixture.client.hung);
    assert_int_equal(fixture.client.deadline_ns, deadline_ns);
    forkserver_client_check_deadline(&fixture.client, deadline_ns);
    assert_true(fixture.client.hung);
    assert_int_equal(fixture.client.deadline_ns, 0);
    assert_int_equal(wait_for_end(), SIGKILL);
    forkserver_client_ended(&fixture.client);
    forkserver_client_check_deadline(&fixture.client, UINT64_MAX); /* there is none to kill */
    fixture.base.group.load_timeout_ms = LONG_MS;
    start_ready(SAY_READY_AND_OBEY); /* and the next one has not hung */
}

/* Linking and loading of each plugin has the whole time. */
static void test_each_step_of_the_start_has_its_time(void **state)
{
    uint64_t start_ns = monotonic_ns();

    (void)state;
    fixture.base.group.load_timeout_ms = SHORT_MS;
    start(TAKE_STEPS);
    while (!fixture.client.hung) {
        forkserver_client_check_deadline(&fixture.client, monotonic_ns());
        poll(NULL, 0, 1);
    }
    assert_true(monotonic_ns() - start_ns >= STEPS * (SHORT_MS * 2 / 3) * NS_PER_MS);
    assert_true(plugin_ref_equal(fixture.base.engine.status->plugin,
                                 generation_plugin_ref(&fixture.base.generation, (STEPS - 1) / 2)));
    assert_int_equal(wait_for_end(), SIGKILL);
    fixture.client.pid = 0;
}

/* ---- leaving --------------------------------------------------------------------------------------------------- */

static void assert_reaped(pid_t pid)
{
    assert_int_equal(fixture.client.pid, 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
}

static void test_one_that_leaves_is_waited_for(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    start_ready(SAY_READY_AND_OBEY);
    pid = fixture.client.pid;
    assert_int_equal(forkserver_client_leave(&fixture.client, &status), 0);
    assert_int_equal(status, LEAVE_STATUS << 8);
    assert_reaped(pid);
}

static void test_one_that_does_not_leave_is_killed_after_a_while(void **state)
{
    uint64_t start_ns = monotonic_ns();
    int status;
    pid_t pid;

    (void)state;
    start_ready(SAY_READY_AND_IGNORE);
    pid = fixture.client.pid;
    assert_int_equal(forkserver_client_leave(&fixture.client, &status), -ETIMEDOUT);
    assert_true(monotonic_ns() - start_ns >= FORKSERVER_LEAVE_WAIT_MS * NS_PER_MS);
    assert_reaped(pid);
}

static void test_one_that_still_loads_is_killed_at_once(void **state)
{
    uint64_t start_ns = monotonic_ns();
    int status;
    pid_t pid;

    (void)state;
    start(SAY_NOTHING);
    pid = fixture.client.pid;
    assert_int_equal(forkserver_client_leave(&fixture.client, &status), 0);
    assert_int_equal(status, 0);
    assert_true(monotonic_ns() - start_ns < FORKSERVER_LEAVE_WAIT_MS * NS_PER_MS);
    assert_reaped(pid);
}

static void test_without_one_there_is_nothing_to_leave(void **state)
{
    int status;

    (void)state;
    assert_int_equal(forkserver_client_leave(&fixture.client, &status), 0);
    assert_int_equal(status, 0);
    forkserver_client_give_up(&fixture.client); /* kill() of process 0 would end this program */
    assert_false(fixture.client.hung);
}

int main(void)
{
#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CLIENT(test_fork_server_has_its_channel_and_not_what_is_the_supervisors_alone),
        WITH_CLIENT(test_fork_server_has_not_the_descriptor_0_if_it_is_the_supervisors_alone),
        WITH_CLIENT(test_ready_ends_the_deadline_and_the_backoff),
        WITH_CLIENT(test_worker_is_asked_for_and_heard_of),
        WITH_CLIENT(test_request_to_one_that_has_ended_fails),
        WITH_CLIENT(test_nonsense_is_left_out),
        WITH_CLIENT(test_end_resets_everything),
        WITH_CLIENT(test_one_that_makes_no_step_in_time_is_killed),
        WITH_CLIENT(test_each_step_of_the_start_has_its_time),
        WITH_CLIENT(test_one_that_leaves_is_waited_for),
        WITH_CLIENT(test_one_that_does_not_leave_is_killed_after_a_while),
        WITH_CLIENT(test_one_that_still_loads_is_killed_at_once),
        WITH_CLIENT(test_without_one_there_is_nothing_to_leave),
    };

    return cmocka_run_group_tests_name("forkserver_client", tests, NULL, NULL);
}
