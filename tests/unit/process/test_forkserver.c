/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server, with real plugins in a real process: it loads them or says why not, makes workers, and leaves.
 *
 * The test is the supervisor at the other end of the channel, and the subreaper that gets the workers. The plugins are
 * misbehave and misbehave_second of tests/plugins. A process without CAP_NET_ADMIN would be refused, so what a plugin
 * may have taken from it is the test's to say (LINKER:--wrap=process_check_intact).
 */
#include "engine_fixture.h"

#include "base/channel.h"
#include "base/shm.h"
#include "plugin/plugin_file.h"
#include "process/forkserver.h"
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUES 3
#define TIMEOUT_MS 60000
#define DESCRIPTORS_MAX 256 /* more than a test opens */
#define HARMLESS "do=crash,in=handle" /* there are no packets here */
#define EXITED(code) ((code) << 8)
#define WORKER_STATUS 20 /* and the queue */

/* What a worker finds in its process. */
struct seen {
    unsigned runs;
    bool channel_closed;  /* that of the fork server */
    unsigned descriptors; /* that are open */
    bool has_status;      /* the memory that the fork server and the supervisor share */
    bool loaded;
    pid_t parent;
};

static struct {
    struct engine_fixture base;
    struct engine_programs programs;
    struct seen *seen; /* shared memory */
    int channel;
    int their_channel;
    struct forkserver_status *status; /* where it is mapped */
    unsigned forks_until_failure; /* calls of fork() in the fork server; 0: none fails */
    pid_t pid;
    unsigned checks_until_loss; /* calls of process_check_intact() until something is missing; 0: never */
} fixture;

const char *__wrap_process_check_intact(const struct engine *engine);

const char *__wrap_process_check_intact(const struct engine *engine)
{
    (void)engine;
    return fixture.checks_until_loss > 0 && --fixture.checks_until_loss == 0 ? "took something" : NULL;
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);

/* A machine that makes no more processes: the second of the two forks of a worker fails, or the first. */
pid_t __wrap_fork(void)
{
    if (fixture.forks_until_failure > 0 && getpid() != fixture.base.engine.supervisor) {
        if (--fixture.forks_until_failure == 0) {
            errno = EAGAIN;
            return -1;
        }
    }
    return __real_fork();
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void run_worker(struct engine *engine, unsigned queue) __attribute__((noreturn));

static void run_worker(struct engine *engine, unsigned queue)
{
    fixture.seen->runs++;
    fixture.seen->channel_closed = fcntl(fixture.their_channel, F_GETFD) < 0;
    fixture.seen->descriptors = count_descriptors();
    fixture.seen->has_status = engine->status != NULL || msync(fixture.status, SHM_PAGE_SIZE, MS_ASYNC) == 0;
    fixture.seen->loaded = engine->generation->plugin_count > 0;
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        fixture.seen->loaded = fixture.seen->loaded && engine->generation->plugins[i].table.handle != NULL;
    }
    fixture.seen->parent = getppid();
    _exit(WORKER_STATUS + (int)queue);
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    engine_fixture_init(&fixture.base, QUEUES, TIMEOUT_MS);
    fixture.programs = (struct engine_programs){.forkserver_run = forkserver_run, .worker_run = run_worker};
    fixture.seen = mmap(NULL, sizeof(*fixture.seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return fixture.seen == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (fixture.pid > 0) {
        kill(fixture.pid, SIGKILL);
    }
    while (waitpid(-1, NULL, 0) > 0) {
    }
    close(fixture.channel);
    generation_done(&fixture.base.generation);
    munmap(fixture.seen, sizeof(*fixture.seen));
    engine_fixture_done(&fixture.base);
    return 0;
}

/* Appends a plugin to the chain. */
static void add_plugin(const char *path, const char *values)
{
    struct generation *generation = &fixture.base.generation;
    struct plugin *plugin = &generation->plugins[generation->plugin_count++];
    struct error error;

    *plugin = (struct plugin){.path = path, .values_text = values, .memfd = -1};
    if (plugin_file_check(plugin, &error) != 0) {
        fail_msg("%s: %s", path, error.text);
    }
}

static void start(void)
{
    int ends[2];

    assert_int_equal(channel_new(&ends[0], &ends[1]), 0);
    fixture.channel = ends[0];
    fixture.their_channel = ends[1];
    fixture.status = fixture.base.engine.status;
    fixture.base.engine.channel = ends[1];
    fixture.pid = fork();
    assert_true(fixture.pid >= 0);
    if (fixture.pid == 0) {
        close(ends[0]);
        signal(SIGSEGV, SIG_DFL); /* cmocka has a handler */
        forkserver_run(&fixture.base.engine, &fixture.programs);
    }
    close(ends[1]);
}

static void start_with(const char *values)
{
    add_plugin(MISBEHAVE, HARMLESS);
    add_plugin(MISBEHAVE_SECOND, values);
    start();
}

static void wait_ready(void)
{
    struct process_message message;

    assert_int_equal(channel_wait(fixture.channel, &message, sizeof(message), NULL, 0), sizeof(message));
    assert_int_equal(process_message_check(&message, sizeof(message), FROM_FORKSERVER, QUEUES), 0);
    assert_int_equal(message.kind, FORKSERVER_READY);
}

static void tell(enum message_kind kind, uint32_t value, const int *channel)
{
    const struct process_message message = process_message_make(kind, value);

    assert_int_equal(channel_send(fixture.channel, &message, sizeof(message), channel, channel != NULL), 0);
}

/* Asks for a worker. Returns our end of its channel. */
static int request(uint32_t queue)
{
    int ours;
    int theirs;

    assert_int_equal(channel_new(&ours, &theirs), 0);
    tell(FORKSERVER_FORK, queue, &theirs);
    close(theirs);
    return ours;
}

/* What is said on a worker's channel, after which it is closed; 0: nothing but end-of-file. */
static int refusal(int channel)
{
    struct process_message message = {.value = 0};
    ssize_t len = channel_wait(channel, &message, sizeof(message), NULL, 0);

    if (len > 0) {
        assert_int_equal(process_message_check(&message, (size_t)len, FROM_BIRTH, QUEUES), 0);
        assert_int_equal(message.kind, WORKER_NOT_FORKED);
        assert_int_equal(channel_wait(channel, &message, sizeof(message), NULL, 0), 0);
    }
    close(channel);
    return (int)message.value;
}

/* Waits for the fork server's end. */
static int wait_status(void)
{
    int status;

    assert_int_equal(waitpid(fixture.pid, &status, 0), fixture.pid);
    fixture.pid = 0;
    return status;
}

/* It says nothing on the channel, and why in its status; NULL: it could not. */
static void assert_ended(int status, enum forkserver_stage stage, unsigned plugin, const char *error)
{
    const struct forkserver_status *left = fixture.base.engine.status;
    char byte;

    assert_int_equal(recv(fixture.channel, &byte, 1, 0), 0);
    assert_int_equal(wait_status(), status);
    assert_int_equal(left->stage, stage);
    assert_true(plugin_ref_equal(left->plugin, generation_plugin_ref(&fixture.base.generation, plugin)));
    assert_string_equal(left->error, error != NULL ? error : "");
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

static void test_ready_when_every_plugin_is_loaded(void **state)
{
    (void)state;
    start_with(HARMLESS);
    wait_ready();
    assert_int_equal(fixture.base.engine.status->stage, FORKSERVER_LOADED);
    assert_string_equal(fixture.base.engine.status->error, "");
}

static void test_ready_without_plugins(void **state)
{
    (void)state;
    start();
    wait_ready();
}

static void test_load_that_fails_is_refused_with_the_plugins_words(void **state)
{
    (void)state;
    start_with("do=fail,in=load");
    assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LOADING, 1,
                 "load() failed: the list /etc/list cannot be read");
}

static void test_option_that_the_plugin_does_not_have_is_refused_before_load(void **state)
{
    (void)state;
    add_plugin(MISBEHAVE, "no-such-option=1");
    start();
    assert_int_equal(wait_status(), EXITED(PROCESS_EXIT_FAILED));
    assert_int_equal(fixture.base.engine.status->stage, FORKSERVER_LINKING);
    assert_non_null(strstr(fixture.base.engine.status->error, "no-such-option"));
}

static void test_crash_in_load_leaves_its_place(void **state)
{
    (void)state;
    start_with("do=crash,in=load");
    assert_ended(SIGSEGV, FORKSERVER_LOADING, 1, NULL);
}

static void test_exit_in_load_leaves_its_place(void **state)
{
    (void)state;
    start_with("do=_exit:0,in=load");
    assert_ended(EXITED(0), FORKSERVER_LOADING, 1, NULL);
}

static void test_thread_of_load_is_refused(void **state)
{
    (void)state;
    start_with("do=start-thread,in=load");
    assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LOADING, 1,
                 "load() started a thread, which would be missing in every worker; start it in open()");
}

/* Two checks a plugin: after its constructors, and after load(). */
static void test_plugin_that_takes_something_from_the_process_is_refused(void **state)
{
    (void)state;
    fixture.checks_until_loss = 3;
    start_with(HARMLESS);
    assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LINKING, 1, "a constructor took something");
    fixture.base.generation.plugin_count = 0;
    fixture.base.engine.status->error[0] = '\0';
    close(fixture.channel);
    fixture.checks_until_loss = 4;
    start_with(HARMLESS);
    assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LOADING, 1, "load() took something");
}

/* ---- workers --------------------------------------------------------------------------------------------------- */

/* The worker is our child: waits for its end, and returns its status. */
static int wait_worker(void)
{
    siginfo_t info = {.si_pid = 0};
    int status;

    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
    assert_int_not_equal(info.si_pid, fixture.pid);
    assert_int_equal(waitpid(info.si_pid, &status, 0), info.si_pid);
    return status;
}

static void test_worker_is_the_supervisors_child_and_has_the_plugins(void **state)
{
    unsigned before = count_descriptors();

    (void)state;
    start_with(HARMLESS);
    wait_ready();
    for (uint32_t queue = QUEUES; queue-- > 0;) {
        int channel = request(queue);

        assert_int_equal(wait_worker(), EXITED(WORKER_STATUS + (int)queue));
        assert_int_equal(fixture.seen->parent, getpid());
        assert_true(fixture.seen->channel_closed);
        assert_int_equal(fixture.seen->descriptors, before + 3); /* two copies of plugins and its channel */
        assert_false(fixture.seen->has_status);
        assert_true(fixture.seen->loaded);
        assert_int_equal(refusal(channel), 0); /* the fork server has closed its copy */
    }
    assert_int_equal(fixture.seen->runs, QUEUES);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* the fork server, and no process between */
}

/* The first or the second of its two forks fails; then it goes on. */
static void test_worker_that_cannot_be_made_is_told_with_the_reason(void **state)
{
    (void)state;
    for (unsigned failing = 1; failing <= 2; failing++) {
        fixture.forks_until_failure = failing;
        start();
        wait_ready();
        assert_int_equal(refusal(request(1)), EAGAIN);
        assert_int_equal(fixture.seen->runs, 0);
        kill(fixture.pid, SIGKILL);
        wait_status();
        close(fixture.channel);
    }
    fixture.forks_until_failure = 1;
    start();
    wait_ready();
    assert_int_equal(refusal(request(1)), EAGAIN);
    close(request(2));
    assert_int_equal(wait_worker(), EXITED(WORKER_STATUS + 2));
}

/* Then its channel cannot arrive, either. It goes on when there are descriptors again. */
static void test_fork_server_without_descriptors_closes_the_workers_channel(void **state)
{
    struct rlimit before;
    struct rlimit none;

    (void)state;
    start_with(HARMLESS);
    wait_ready();
    assert_int_equal(prlimit(fixture.pid, RLIMIT_NOFILE, NULL, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(prlimit(fixture.pid, RLIMIT_NOFILE, &none, NULL), 0);
    assert_int_equal(refusal(request(1)), 0);
    assert_int_equal(prlimit(fixture.pid, RLIMIT_NOFILE, &before, NULL), 0);
    close(request(1));
    assert_int_equal(wait_worker(), EXITED(WORKER_STATUS + 1));
}

/* ---- the process, and its end ---------------------------------------------------------------------------------- */

/* The line of a file in /proc/PID that begins with `name`. */
static void assert_proc(const char *file, const char *name, const char *expected)
{
    char path[64];
    char line[256] = "";
    FILE *opened;

    snprintf(path, sizeof(path), "/proc/%d/%s", fixture.pid, file);
    opened = fopen(path, "re");
    assert_non_null(opened);
    while (fgets(line, sizeof(line), opened) != NULL && strncmp(line, name, strlen(name)) != 0) {
    }
    fclose(opened);
    assert_memory_equal(line, expected, strlen(expected));
}

static void test_process_has_a_name_and_leaves_signals_to_the_supervisor(void **state)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

    (void)state;
    start_with(HARMLESS);
    wait_ready();
    assert_proc("comm", "", "nfqe-forkserver\n");
    assert_proc("limits", "Max core file size", "Max core file size        0                    0 ");
    for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        kill(fixture.pid, ignored[i]);
    }
    close(request(0));
    assert_int_equal(wait_worker(), EXITED(WORKER_STATUS));
}

static void test_leave_unloads_every_plugin(void **state)
{
    (void)state;
    start_with(HARMLESS);
    wait_ready();
    tell(FORKSERVER_LEAVE, 0, NULL);
    assert_ended(EXITED(0), FORKSERVER_UNLOADING, 1, NULL);
}

static void test_unload_that_exits_leaves_its_place(void **state)
{
    (void)state;
    add_plugin(MISBEHAVE, "do=_exit:5,in=unload");
    add_plugin(MISBEHAVE_SECOND, "do=_exit:6,in=unload");
    start();
    wait_ready();
    tell(FORKSERVER_LEAVE, 0, NULL);
    assert_ended(EXITED(5), FORKSERVER_UNLOADING, 0, NULL);
}

static void test_fork_server_ends_with_its_channel(void **state)
{
    (void)state;
    start_with(HARMLESS);
    wait_ready();
    close(fixture.channel);
    assert_int_equal(wait_status(), EXITED(PROCESS_EXIT_FAILED));
    fixture.channel = -1;
}

static void test_message_that_is_not_the_supervisors_ends_the_fork_server(void **state)
{
    (void)state;
    start_with(HARMLESS);
    wait_ready();
    close(request(QUEUES));
    assert_int_equal(wait_status(), EXITED(PROCESS_EXIT_FAILED));
    assert_int_equal(fixture.seen->runs, 0);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_ready_when_every_plugin_is_loaded),
        WITH_ENGINE(test_ready_without_plugins),
        WITH_ENGINE(test_load_that_fails_is_refused_with_the_plugins_words),
        WITH_ENGINE(test_option_that_the_plugin_does_not_have_is_refused_before_load),
        WITH_ENGINE(test_crash_in_load_leaves_its_place),
        WITH_ENGINE(test_exit_in_load_leaves_its_place),
        WITH_ENGINE(test_thread_of_load_is_refused),
        WITH_ENGINE(test_plugin_that_takes_something_from_the_process_is_refused),
        WITH_ENGINE(test_worker_is_the_supervisors_child_and_has_the_plugins),
        WITH_ENGINE(test_worker_that_cannot_be_made_is_told_with_the_reason),
        WITH_ENGINE(test_fork_server_without_descriptors_closes_the_workers_channel),
        WITH_ENGINE(test_process_has_a_name_and_leaves_signals_to_the_supervisor),
        WITH_ENGINE(test_leave_unloads_every_plugin),
        WITH_ENGINE(test_unload_that_exits_leaves_its_place),
        WITH_ENGINE(test_fork_server_ends_with_its_channel),
        WITH_ENGINE(test_message_that_is_not_the_supervisors_ends_the_fork_server),
    };

    return cmocka_run_group_tests_name("forkserver", tests, NULL, NULL);
}
