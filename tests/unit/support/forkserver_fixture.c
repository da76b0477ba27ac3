/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a fork server, and what its workers find.
 */
#include "forkserver_fixture.h"

#include "base/channel.h"
#include "base/shm.h"
#include "plugin/plugin_file.h"
#include "process/forkserver.h"
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534 /* a user */
#define TIMEOUT_MS 60000
#define DESCRIPTORS_MAX 256 /* more than a test opens */

struct served served;

const char *__wrap_process_check_intact(const struct engine *engine, const int *more, unsigned count);

const char *__wrap_process_check_intact(const struct engine *engine, const int *more, unsigned count)
{
    (void)engine;
    (void)more;
    (void)count;
    return served.checks_until_loss > 0 && --served.checks_until_loss == 0 ? "took something" : NULL;
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);

static void stay(void) __attribute__((noreturn));

static void stay(void)
{
    for (;;) {
        pause();
    }
}

/* In the process between. */
static pid_t fork_worker(void)
{
    pid_t pid;

    if (served.forking == SECOND_FORK_HANGS) {
        served.seen->hangs = true;
        stay();
    }
    pid = __real_fork();
    if (served.forking == FORKSERVER_DIES_AFTER_FORKS) {
        if (pid != 0) {
            stay(); /* until it dies with the fork server */
        }
        kill(served.forkserver, SIGKILL);
    }
    return pid;
}

/* A machine that makes no more processes: the second of the two forks of a worker fails, or the first. */
pid_t __wrap_fork(void)
{
    if (getpid() == served.base.engine.supervisor) {
        return __real_fork();
    }
    if (served.forks_until_failure > 0 && --served.forks_until_failure == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (served.forks++ == 0) {
        served.forkserver = getpid();
    }
    return getpid() == served.forkserver ? __real_fork() : fork_worker();
}

unsigned served_count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void run_worker(struct engine *engine, const struct worker_birth *birth) __attribute__((noreturn));

static void run_worker(struct engine *engine, const struct worker_birth *birth)
{
    struct error error;

    served.seen->runs++;
    served.seen->birth = *birth;
    if (birth->uid != 0) {
        served.seen->dropped = privileges_drop_worker(birth->uid, 0, &error) == 0;
    }
    served.seen->channel_closed = fcntl(served.their_channel, F_GETFD) < 0;
    served.seen->descriptors = served_count_descriptors();
    served.seen->has_status = engine->status != NULL || msync(served.status, SHM_PAGE_SIZE, MS_ASYNC) == 0;
    served.seen->loaded = engine->generation->plugin_count > 0;
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        served.seen->loaded = served.seen->loaded && engine->generation->plugins[i].table.handle != NULL;
    }
    served.seen->parent = getppid();
    _exit(WORKER_STATUS + (int)birth->queue);
}

int served_set_up(void **state)
{
    (void)state;
    memset(&served, 0, sizeof(served));
    engine_fixture_init(&served.base, SERVED_QUEUES, TIMEOUT_MS);
    served.programs = (struct engine_programs){.forkserver_run = forkserver_run, .worker_run = run_worker};
    served.seen = mmap(NULL, sizeof(*served.seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return served.seen == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0;
}

int served_tear_down(void **state)
{
    (void)state;
    if (served.pid > 0) {
        kill(served.pid, SIGKILL);
    }
    while (waitpid(-1, NULL, 0) > 0) {
    }
    close(served.channel);
    generation_done(&served.base.generation);
    munmap(served.seen, sizeof(*served.seen));
    engine_fixture_done(&served.base);
    return 0;
}

void served_add_plugin(const char *path, const char *values)
{
    struct generation *generation = &served.base.generation;
    struct plugin *plugin = &generation->plugins[generation->plugin_count++];
    struct error error;

    *plugin = (struct plugin){.path = path, .values_text = values, .memfd = -1};
    if (plugin_file_check(plugin, &error) != 0) {
        fail_msg("%s: %s", path, error.text);
    }
}

void served_start(void)
{
    int ends[2];

    assert_int_equal(channel_new(&ends[0], &ends[1]), 0);
    served.channel = ends[0];
    served.their_channel = ends[1];
    served.status = served.base.engine.status;
    served.base.engine.channel = ends[1];
    served.pid = fork();
    assert_true(served.pid >= 0);
    if (served.pid == 0) {
        close(ends[0]);
        signal(SIGSEGV, SIG_DFL); /* cmocka has a handler */
        if (served.as_user && geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0) {
            _exit(0);
        }
        forkserver_run(&served.base.engine, &served.programs);
    }
    close(ends[1]);
}

void served_start_with(const char *values)
{
    served_add_plugin(MISBEHAVE, HARMLESS);
    served_add_plugin(MISBEHAVE_SECOND, values);
    served_start();
}

void served_wait_ready(void)
{
    struct process_message message;

    assert_int_equal(channel_wait(served.channel, &message, sizeof(message), NULL, 0), sizeof(message));
    assert_int_equal(process_message_check(&message, sizeof(message), FROM_FORKSERVER, SERVED_QUEUES), 0);
    assert_int_equal(message.kind, FORKSERVER_READY);
}

static void tell(const struct process_message *message, const int *channel)
{
    assert_int_equal(channel_send(served.channel, message, sizeof(*message), channel, channel != NULL), 0);
}

void served_tell_to_leave(void)
{
    const struct process_message message = process_message_make(FORKSERVER_LEAVE, 0);

    tell(&message, NULL);
}

int served_request_birth(const struct worker_birth *birth)
{
    struct process_message message = process_message_make(FORKSERVER_FORK, birth->queue);
    int ours;
    int theirs;

    message.slot = birth->slot;
    message.uid = birth->uid;
    message.skipped = birth->skipped;
    assert_int_equal(channel_new(&ours, &theirs), 0);
    tell(&message, &theirs);
    close(theirs);
    return ours;
}

int served_request(uint32_t queue)
{
    return served_request_birth(&(struct worker_birth){.queue = queue});
}

int served_refusal(int channel)
{
    struct process_message message = {.value = 0};
    ssize_t len = channel_wait(channel, &message, sizeof(message), NULL, 0);

    if (len > 0) {
        assert_int_equal(process_message_check(&message, (size_t)len, FROM_BIRTH, SERVED_QUEUES), 0);
        assert_int_equal(message.kind, WORKER_NOT_FORKED);
        assert_int_equal(channel_wait(channel, &message, sizeof(message), NULL, 0), 0);
    }
    close(channel);
    return (int)message.value;
}

int served_wait_status(void)
{
    int status;

    assert_int_equal(waitpid(served.pid, &status, 0), served.pid);
    served.pid = 0;
    return status;
}

void served_assert_ended(int status, enum forkserver_stage stage, unsigned plugin, const char *error)
{
    const struct forkserver_status *left = served.base.engine.status;
    char byte;

    assert_int_equal(recv(served.channel, &byte, 1, 0), 0);
    assert_int_equal(served_wait_status(), status);
    assert_int_equal(left->stage, stage);
    assert_true(plugin_ref_equal(left->plugin, generation_plugin_ref(&served.base.generation, plugin)));
    assert_string_equal(left->error, error != NULL ? error : "");
}

void served_assert_proc(const char *file, const char *name, const char *expected)
{
    char path[64];
    char line[256] = "";
    FILE *opened;

    snprintf(path, sizeof(path), "/proc/%d/%s", served.pid, file);
    opened = fopen(path, "re");
    assert_non_null(opened);
    while (fgets(line, sizeof(line), opened) != NULL && strncmp(line, name, strlen(name)) != 0) {
    }
    fclose(opened);
    assert_memory_equal(line, expected, strlen(expected));
}

int served_wait_worker(void)
{
    siginfo_t info = {.si_pid = 0};
    int status;

    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
    assert_int_not_equal(info.si_pid, served.pid);
    assert_int_equal(waitpid(info.si_pid, &status, 0), info.si_pid);
    return status;
}
