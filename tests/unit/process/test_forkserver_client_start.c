/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The start of a fork server that fails: it says why, leaves no descriptor and no process, and the next try comes after
 * a wait that doubles.
 *
 * The limits and the closed descriptors are real; only a fork() that fails is made at link time, since the limit on
 * processes does not hold for root. The fork server of these tests only says that it is ready.
 */
#include "engine_fixture.h"

#include "base/arith.h"
#include "base/channel.h"
#include "base/clock.h"
#include "process/forkserver_client.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 3600000

static struct {
    struct engine_fixture base;
    struct forkserver_client client;
    bool fork_fails;
} fixture;

pid_t __real_fork(void);
pid_t __wrap_fork(void);

pid_t __wrap_fork(void)
{
    if (fixture.fork_fails) {
        errno = EAGAIN;
        return -1;
    }
    return __real_fork();
}

static void say_ready(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void say_ready(struct engine *engine, const struct engine_programs *programs)
{
    const struct process_message message = process_message_make(FORKSERVER_READY, 0);

    (void)programs;
    channel_send(engine->channel, &message, sizeof(message), NULL, 0);
    for (;;) {
        pause(); /* until it is killed */
    }
}

static void note_message(void *context, uint32_t events)
{
    (void)context;
    (void)events;
}

static int set_up(void **state)
{
    static const struct engine_programs programs = {.forkserver_run = say_ready};

    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, 1, LONG_MS);
    forkserver_client_init(&fixture.client, &fixture.base.engine, &programs, &fixture.base.loop);
    fixture.client.channel.ready = note_message;
    fixture.client.process.end.ready = note_message;
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
    engine_fixture_done(&fixture.base);
    return 0;
}

/* Descriptors of this process. */
static unsigned count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static void assert_start_fails(int code, const char *text)
{
    struct error error = {.code = 0};

    assert_int_equal(forkserver_client_start(&fixture.client, &error), code);
    assert_int_equal(error.code, code);
    assert_int_equal(error.exit_code, EXIT_CODE_RUN_TIME);
    assert_string_equal(error.text, text);
    assert_int_equal(fixture.client.process.pid, 0);
    assert_int_equal(fixture.client.channel.fd, -1);
    assert_false(fixture.client.channel.watched);
    assert_true(fixture.client.retry_ns > 0);
    assert_int_equal(fixture.client.backoff.wait_ms, 10);
}

static void assert_starts(void)
{
    struct error error;

    assert_int_equal(forkserver_client_start(&fixture.client, &error), 0);
    assert_int_equal(event_loop_turn(&fixture.base.loop), 0);
    assert_true(forkserver_client_receive(&fixture.client));
    assert_int_equal(fixture.client.backoff.wait_ms, 0);
}

static void test_without_descriptors_it_is_tried_again(void **state)
{
    struct rlimit limit;
    struct rlimit none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_start_fails(-EMFILE, "no channel for the fork server: Too many open files");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_starts();
}

static void test_channel_that_cannot_be_watched_is_closed(void **state)
{
    unsigned descriptors = count_descriptors();
    int epoll = fixture.base.loop.epoll;

    (void)state;
    fixture.base.loop.epoll = -1;
    assert_start_fails(-EBADF, "no channel for the fork server: Bad file descriptor");
    fixture.base.loop.epoll = epoll;
    assert_int_equal(count_descriptors(), descriptors);
    assert_starts();
}

static void test_without_a_process_it_is_tried_again(void **state)
{
    unsigned descriptors = count_descriptors();

    (void)state;
    fixture.fork_fails = true;
    assert_start_fails(-EAGAIN, "no process for the fork server: Resource temporarily unavailable");
    fixture.fork_fails = false;
    assert_int_equal(count_descriptors(), descriptors);
    assert_starts();
    assert_int_equal(count_descriptors(), descriptors + 2); /* our end of the channel, and the pidfd */
}

static void test_waits_between_two_tries_double(void **state)
{
    static const unsigned expected_ms[] = {10, 20, 40, 80, 160, 320, 640, 1000, 1000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(expected_ms); i++) {
        uint64_t before_ns = monotonic_ns();

        assert_int_equal(forkserver_client_retry(&fixture.client), expected_ms[i]);
        assert_true(fixture.client.retry_ns >= before_ns + expected_ms[i] * NS_PER_MS);
        assert_true(fixture.client.retry_ns <= monotonic_ns() + expected_ms[i] * NS_PER_MS);
    }
}

/* Starts a fork server. Returns the time for a birth, and ends it again. */
static unsigned start_and_end(void)
{
    siginfo_t info;
    int status;

    assert_starts();
    kill(fixture.client.process.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)fixture.client.process.pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(child_reap(&fixture.client.process, &fixture.base.loop, &status));
    forkserver_client_ended(&fixture.client);
    return fixture.client.birth_timeout_ms;
}

/* A worker's page tables are a copy: what load() built costs time at each birth. */
static void test_time_for_a_birth_grows_with_the_fork_server(void **state)
{
    const size_t mib = 64;
    unsigned small_ms = start_and_end();
    void *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    (void)state;
    assert_true(memory != MAP_FAILED);
    assert_true(small_ms >= 500 && small_ms < 500 + 4 * mib);
    assert_true(start_and_end() >= small_ms + 3 * mib);
    munmap(memory, mib << 20);
}

int main(void)
{
#define WITH_CLIENT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CLIENT(test_without_descriptors_it_is_tried_again),
        WITH_CLIENT(test_channel_that_cannot_be_watched_is_closed),
        WITH_CLIENT(test_without_a_process_it_is_tried_again),
        WITH_CLIENT(test_waits_between_two_tries_double),
        WITH_CLIENT(test_time_for_a_birth_grows_with_the_fork_server),
    };

    return cmocka_run_group_tests_name("forkserver_client_start", tests, NULL, NULL);
}
