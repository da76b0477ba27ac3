/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's side of the fork server: what it starts, believes, and gives up, without ever waiting for it.
 *
 * The processes are real; the program that they run is act(), which does what the test has chosen. What it finds in its
 * process it leaves in shared memory.
 */
/* Longer than 500 lines: each test starts the same fork server of a dozen acts */
#include "engine_fixture.h"

#include "base/channel.h"
#include "base/clock.h"
#include "base/shm.h"
#include "process/forkserver_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUES 2
#define LONG_MS 3600000
#define SHORT_MS 300
#define STEPS 4
#define LOOK_MS 10
#define PAUSE_COUNTS_MS 50 /* for so much, however long it is */
#define FLOOD 200 /* messages: more than a turn takes */
#define LEAVE_STATUS 5

static const struct process_message birth = {.version = MESSAGE_VERSION, .kind = FORKSERVER_FORK, .value = 1};

/* What the fork server does. */
enum act {
    SAY_READY_AND_OBEY, /* answers FORK on the worker's channel and LEAVE with LEAVE_STATUS */
    SAY_READY_AND_IGNORE,
    SAY_NOTHING,
    SAY_NONSENSE,       /* messages that are none, then READY */
    REPEAT_STEPS,       /* says again and again that it links and loads the first two plugins */
    FLOOD_CHANNEL,
};

struct seen {
    unsigned descriptors; /* that are open, the channel and the standard ones not counted */
    bool plugin_open;
    bool queue_mapped;    /* the shared memory of some queue */
    bool queues_forgotten;
    bool seed_forgotten;  /* of the flow tables */
    _Atomic bool flooded; /* everything that it says is in the channel */
};

static struct {
    struct engine_fixture base;
    struct forkserver_client client;
    enum act act;
    struct seen *seen;  /* shared memory */
    unsigned calls;     /* of the channel's callback */
} fixture;

/* ---- in the fork server ---------------------------------------------------------------------------------------- */

static void say(int channel, enum message_kind kind, uint32_t value)
{
    const struct process_message message = process_message_make(kind, value);

    channel_send(channel, &message, sizeof(message), NULL, 0);
}

static void obey(int channel)
{
    struct process_message message;
    int theirs;

    while (channel_wait(channel, &message, sizeof(message), &theirs, 1) == (ssize_t)sizeof(message)) {
        if (message.kind == FORKSERVER_FORK) {
            say(theirs, WORKER_NOT_FORKED, 1 + message.value); /* the queue comes back as an error number */
            close(theirs);
        } else if (message.kind == FORKSERVER_LEAVE) {
            _exit(LEAVE_STATUS);
        }
    }
}

/* Among messages that would be READY, if they were believed. */
static void say_nonsense(int channel)
{
    const struct process_message valid = process_message_make(FORKSERVER_READY, 0);
    char longer[sizeof(valid) + 1] = {0};

    memcpy(longer, &valid, sizeof(valid));
    channel_send(channel, longer, sizeof(longer), NULL, 0);
    channel_send(channel, longer, sizeof(valid) - 1, NULL, 0);
    say(channel, FORKSERVER_READY, 1);
    say(channel, FORKSERVER_FORK, 0);
    say(channel, WORKER_HELLO, 0);
}

static void repeat_steps(const struct engine *engine) __attribute__((noreturn));

static void repeat_steps(const struct engine *engine)
{
    for (unsigned i = 0;; i = (i + 1) % 4) {
        engine->status->stage = i % 2 == 0 ? FORKSERVER_LINKING : FORKSERVER_LOADING;
        engine->status->plugin = generation_plugin_ref(engine->generation, i / 2);
        poll(NULL, 0, 1);
    }
}

/* Open descriptors above the standard ones; the one that this takes is not counted. */
static unsigned count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    const struct dirent *entry;
    unsigned count = 0;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        count += strtol(entry->d_name, NULL, 10) > STDERR_FILENO;
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return count - 1;
}

static bool is_queue_mapped(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    bool found = false;

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        found = found || strstr(line, QUEUE_SHM_NAME) != NULL;
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return found;
}

static void look_around(const struct engine *engine)
{
    static const struct flow_seed none;
    const struct engine_queue *queue = &engine->queues[QUEUES - 1];

    fixture.seen->descriptors = count_descriptors() - 1;
    fixture.seen->plugin_open = fcntl(engine->generation->plugins[0].memfd, F_GETFD) >= 0;
    fixture.seen->queue_mapped = is_queue_mapped();
    fixture.seen->queues_forgotten = queue->kernel.socket < 0 && queue->control == NULL && queue->shm.fd < 0 &&
                                     queue->shm.header == NULL && queue->shm.journal == NULL;
    fixture.seen->seed_forgotten = memcmp(&engine->flow_seed, &none, sizeof(none)) == 0;
}

static void act(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void act(struct engine *engine, const struct engine_programs *programs)
{
    (void)programs;
    look_around(engine);
    if (fixture.act == SAY_NONSENSE) {
        say_nonsense(engine->channel);
    } else if (fixture.act == REPEAT_STEPS) {
        repeat_steps(engine);
    } else if (fixture.act == FLOOD_CHANNEL) {
        for (unsigned i = 0; i < FLOOD; i++) {
            say(engine->channel, FORKSERVER_LEAVE, 0);
        }
    }
    if (fixture.act != SAY_NOTHING) {
        say(engine->channel, FORKSERVER_READY, 0);
        fixture.seen->flooded = true;
    }
    if (fixture.act == SAY_READY_AND_OBEY || fixture.act == FLOOD_CHANNEL) {
        obey(engine->channel);
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

/* The end of the process is the test's to see. */
static void note_end(void *context, uint32_t events)
{
    (void)context;
    (void)events;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, QUEUES, LONG_MS);
    fixture.base.generation.plugin_count = 1;
    fixture.base.generation.plugins[0].memfd = eventfd(0, EFD_CLOEXEC);
    fixture.seen = mmap(NULL, sizeof(*fixture.seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture.seen != MAP_FAILED);
    forkserver_client_init(&fixture.client, &fixture.base.engine, &programs, &fixture.base.loop);
    fixture.client.channel.ready = note_call;
    fixture.client.channel.context = &fixture;
    fixture.client.process.end.ready = note_end;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (fixture.client.process.pid > 0) { /* -1 would be every process */
        kill(fixture.client.process.pid, SIGKILL);
        waitpid(fixture.client.process.pid, NULL, 0);
    }
    forkserver_client_done(&fixture.client);
    close(fixture.base.generation.plugins[0].memfd);
    munmap(fixture.seen, sizeof(*fixture.seen));
    engine_fixture_done(&fixture.base);
    return 0;
}

static void start(enum act what)
{
    struct error error;

    fixture.act = what;
    assert_int_equal(forkserver_client_start(&fixture.client, &error), 0);
    assert_true(fixture.client.process.pid > 0);
    assert_false(fixture.client.ready);
    assert_false(fixture.client.hung);
    assert_false(fixture.client.leaving);
}

static void wait_ready(void)
{
    do {
        assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
    } while (!forkserver_client_receive(&fixture.client));
    assert_true(fixture.client.ready);
}

static void start_ready(enum act what)
{
    start(what);
    wait_ready();
}

/* Waits for its end, and reaps it. */
static int wait_for_end(void)
{
    siginfo_t info;
    int status = 0;

    assert_int_equal(waitid(P_PID, (id_t)fixture.client.process.pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(child_reap(&fixture.client.process, &fixture.base.loop, &status));
    return status;
}

static void test_fork_server_has_its_channel_and_the_plugins_and_nothing_of_a_queue(void **state)
{
    (void)state;
    memset(&fixture.base.engine.flow_seed, 1, sizeof(fixture.base.engine.flow_seed));
    fixture.base.engine.status->plugin = generation_plugin_ref(&fixture.base.generation, 3);
    fixture.base.engine.status->error[0] = 'x';
    start_ready(SAY_READY_AND_OBEY);
    assert_int_equal(fixture.seen->descriptors, 1);
    assert_true(fixture.seen->plugin_open);
    assert_false(fixture.seen->queue_mapped);
    assert_true(fixture.seen->queues_forgotten);
    assert_true(fixture.seen->seed_forgotten);
    assert_true(is_queue_mapped()); /* the supervisor has it */
    assert_int_equal(fixture.base.engine.status->error[0], 0); /* what the one before left is gone */
    assert_true(plugin_ref_equal(fixture.base.engine.status->plugin, PLUGIN_REF_NONE));
}

static void test_ready_ends_the_wait_and_the_backoff(void **state)
{
    (void)state;
    forkserver_client_retry(&fixture.client);
    start(SAY_READY_AND_OBEY);
    assert_int_equal(fixture.client.timeout_ns, LONG_MS * NS_PER_MS);
    assert_int_equal(fixture.client.retry_ns, 0);
    assert_int_equal(fixture.client.backoff.wait_ms, 10);
    wait_ready();
    assert_int_equal(fixture.client.timeout_ns, 0);
    assert_int_equal(fixture.client.backoff.wait_ms, 0);
    assert_true(fixture.calls > 0);
}

/* Asks for a worker of the queue, and waits for what is said on its channel. */
static uint32_t ask_for(unsigned queue)
{
    struct process_message message = process_message_make(FORKSERVER_FORK, queue);
    int ours;
    int theirs;

    assert_int_equal(channel_new(&ours, &theirs), 0);
    assert_true(forkserver_client_request(&fixture.client, &message, theirs));
    close(theirs);
    assert_int_equal(channel_wait(ours, &message, sizeof(message), NULL, 0), sizeof(message));
    assert_int_equal(message.kind, WORKER_NOT_FORKED);
    close(ours);
    return message.value - 1;
}

static void test_worker_is_asked_for_with_its_channel(void **state)
{
    (void)state;
    assert_false(forkserver_client_request(&fixture.client, &birth, STDERR_FILENO));
    start(SAY_READY_AND_OBEY);
    assert_false(forkserver_client_request(&fixture.client, &birth, STDERR_FILENO)); /* not ready yet */
    wait_ready();
    assert_int_equal(ask_for(1), 1);
    assert_int_equal(ask_for(0), 0);
}

static void test_request_to_one_that_has_ended_fails(void **state)
{
    (void)state;
    start_ready(SAY_READY_AND_OBEY);
    kill(fixture.client.process.pid, SIGKILL);
    wait_for_end();
    assert_false(forkserver_client_request(&fixture.client, &birth, STDERR_FILENO));
}

static void test_nonsense_is_left_out(void **state)
{
    (void)state;
    start_ready(SAY_NONSENSE);
    assert_true(fixture.client.ready);
}

/* A plugin may write faster than the supervisor reads: the others have their turn in between. */
static void test_flood_is_read_a_few_messages_at_a_time(void **state)
{
    unsigned turns = 0;

    (void)state;
    start(FLOOD_CHANNEL);
    while (!fixture.seen->flooded) {
        poll(NULL, 0, 1);
    }
    while (!forkserver_client_receive(&fixture.client)) {
        turns++;
    }
    assert_int_equal(turns, FLOOD / 16);
}

static void test_end_resets_everything(void **state)
{
    int channel;

    (void)state;
    start_ready(SAY_READY_AND_OBEY);
    fixture.client.timeout_ns = 1;
    kill(fixture.client.process.pid, SIGKILL);
    assert_int_equal(wait_for_end(), SIGKILL);
    channel = fixture.client.channel.fd;
    forkserver_client_ended(&fixture.client);
    assert_int_equal(fixture.client.process.pid, 0);
    assert_false(fixture.client.ready);
    assert_int_equal(fixture.client.timeout_ns, 0);
    assert_int_equal(fixture.client.channel.fd, -1);
    assert_false(fixture.client.channel.watched);
    assert_int_equal(fcntl(channel, F_GETFD), -1);
    assert_false(forkserver_client_receive(&fixture.client));
    start_ready(SAY_READY_AND_OBEY);
}

/* Time passes as the supervisor sees it, from look to look. Returns whether the fork server was given up. */
static bool let_pass(unsigned ms)
{
    bool given_up = false;

    for (unsigned passed_ms = 0; passed_ms < ms; passed_ms += LOOK_MS) {
        given_up = given_up || forkserver_client_look(&fixture.client, fixture.client.looked_ns + LOOK_MS * NS_PER_MS);
    }
    return given_up;
}

static void test_one_that_makes_no_step_in_time_is_killed(void **state)
{
    (void)state;
    fixture.base.group.load_timeout_ms = SHORT_MS;
    start(SAY_NOTHING);
    assert_false(let_pass(SHORT_MS - LOOK_MS));
    assert_false(fixture.client.hung);
    assert_true(let_pass(LOOK_MS));
    assert_true(fixture.client.hung);
    assert_int_equal(fixture.client.timeout_ns, 0);
    assert_int_equal(wait_for_end(), SIGKILL);
    forkserver_client_ended(&fixture.client);
    assert_false(forkserver_client_look(&fixture.client, UINT64_MAX)); /* there is none to kill */
    fixture.base.group.load_timeout_ms = LONG_MS;
    start_ready(SAY_READY_AND_OBEY); /* and the next one has not hung */
}

/* The machine, or the supervisor alone, was paused: the fork server may not have run, either. */
static void test_pause_is_not_held_against_it(void **state)
{
    (void)state;
    fixture.base.group.load_timeout_ms = SHORT_MS;
    start(SAY_NOTHING);
    for (unsigned i = 0; i < SHORT_MS / PAUSE_COUNTS_MS - 1; i++) {
        assert_false(forkserver_client_look(&fixture.client, fixture.client.looked_ns + LONG_MS * NS_PER_MS));
    }
    assert_false(let_pass(PAUSE_COUNTS_MS - LOOK_MS));
    assert_true(let_pass(LOOK_MS));
}

/* Linking and loading of each plugin has the whole time. */
static void test_each_step_of_the_start_has_its_time(void **state)
{
    (void)state;
    fixture.base.group.load_timeout_ms = SHORT_MS;
    start(SAY_NOTHING);
    for (uint32_t i = 0; i < STEPS; i++) { /* as the fork server does */
        fixture.base.engine.status->plugin = generation_plugin_ref(&fixture.base.generation, i / 2);
        fixture.base.engine.status->stage = i % 2 == 0 ? FORKSERVER_LINKING : FORKSERVER_LOADING;
        assert_false(let_pass(SHORT_MS)); /* the first look sees the step */
    }
    assert_true(let_pass(LOOK_MS));
}

static void test_steps_that_are_repeated_give_no_time(void **state)
{
    uint64_t start_ns = monotonic_ns();

    (void)state;
    fixture.base.group.load_timeout_ms = SHORT_MS;
    start(REPEAT_STEPS);
    while (!fixture.client.hung) {
        forkserver_client_look(&fixture.client, monotonic_ns());
        assert_true(monotonic_ns() - start_ns < UINT64_C(100) * SHORT_MS * NS_PER_MS);
        poll(NULL, 0, 1);
    }
    assert_int_equal(wait_for_end(), SIGKILL);
}

/* ---- leaving --------------------------------------------------------------------------------------------------- */

static void test_one_that_leaves_has_a_second_for_it(void **state)
{
    (void)state;
    start_ready(SAY_READY_AND_OBEY);
    forkserver_client_leave(&fixture.client);
    assert_true(fixture.client.leaving);
    assert_int_equal(fixture.client.timeout_ns, FORKSERVER_LEAVE_WAIT_MS * NS_PER_MS);
    assert_int_equal(wait_for_end(), LEAVE_STATUS << 8);
    assert_false(fixture.client.hung);
}

static void test_one_that_does_not_leave_is_killed_after_a_while(void **state)
{
    (void)state;
    start_ready(SAY_READY_AND_IGNORE);
    forkserver_client_leave(&fixture.client);
    fixture.base.engine.status->stage = FORKSERVER_UNLOADING; /* another plugin does not have the time again */
    assert_false(let_pass(FORKSERVER_LEAVE_WAIT_MS - LOOK_MS));
    assert_true(let_pass(LOOK_MS));
    assert_int_equal(wait_for_end(), SIGKILL);
    assert_true(fixture.client.hung);
}

static void test_one_that_still_loads_is_killed_at_once(void **state)
{
    (void)state;
    start(SAY_NOTHING);
    forkserver_client_leave(&fixture.client);
    assert_false(fixture.client.leaving);
    assert_int_equal(wait_for_end(), SIGKILL);
}

static void test_one_that_reads_no_requests_is_killed_at_once(void **state)
{
    (void)state;
    start_ready(SAY_READY_AND_IGNORE);
    while (forkserver_client_request(&fixture.client, &birth, STDERR_FILENO)) {
    }
    forkserver_client_leave(&fixture.client);
    assert_false(fixture.client.leaving);
    assert_int_equal(wait_for_end(), SIGKILL);
}

static void test_without_one_there_is_nothing_to_leave(void **state)
{
    (void)state;
    forkserver_client_leave(&fixture.client);
    assert_false(fixture.client.leaving);
    forkserver_client_give_up(&fixture.client);
    assert_false(fixture.client.hung);
}

static void test_one_that_has_ended_is_not_started_again_where_it_should_leave(void **state)
{
    (void)state;
    forkserver_client_retry(&fixture.client);
    assert_int_not_equal(fixture.client.retry_ns, 0);
    forkserver_client_leave(&fixture.client);
    assert_int_equal(fixture.client.retry_ns, 0);
}

int main(void)
{
#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CLIENT(test_fork_server_has_its_channel_and_the_plugins_and_nothing_of_a_queue),
        WITH_CLIENT(test_ready_ends_the_wait_and_the_backoff),
        WITH_CLIENT(test_worker_is_asked_for_with_its_channel),
        WITH_CLIENT(test_request_to_one_that_has_ended_fails),
        WITH_CLIENT(test_nonsense_is_left_out),
        WITH_CLIENT(test_flood_is_read_a_few_messages_at_a_time),
        WITH_CLIENT(test_end_resets_everything),
        WITH_CLIENT(test_one_that_makes_no_step_in_time_is_killed),
        WITH_CLIENT(test_pause_is_not_held_against_it),
        WITH_CLIENT(test_each_step_of_the_start_has_its_time),
        WITH_CLIENT(test_steps_that_are_repeated_give_no_time),
        WITH_CLIENT(test_one_that_leaves_has_a_second_for_it),
        WITH_CLIENT(test_one_that_does_not_leave_is_killed_after_a_while),
        WITH_CLIENT(test_one_that_still_loads_is_killed_at_once),
        WITH_CLIENT(test_one_that_reads_no_requests_is_killed_at_once),
        WITH_CLIENT(test_without_one_there_is_nothing_to_leave),
        WITH_CLIENT(test_one_that_has_ended_is_not_started_again_where_it_should_leave),
    };

    return cmocka_run_group_tests_name("forkserver_client", tests, NULL, NULL);
}
