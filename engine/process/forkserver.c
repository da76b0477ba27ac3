/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linking and loading the plugins, and forking workers.
 *
 * A worker must be the supervisor's child, since only a parent is told of an end. The fork server forks twice; the
 * process in between exits, and the kernel gives the worker to the nearest subreaper, which is the supervisor. Both
 * forks are the C library's, because libraries that plugins use may depend on their pthread_atfork handlers.
 *
 * A new worker waits until the fork server has told the supervisor about it. If the fork server dies before that, the
 * worker reads end-of-file from the pipe that it waits on, and exits: there is no worker that the supervisor does not
 * know. Process: [fork server].
 */
#include "process/forkserver.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/process_title.h"
#include "plugin/plugin_load.h"
#include "process/plugin_services.h"
#include "process/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Refuses the plugin that status->plugin names, and exits. */
static void refuse(struct engine *engine, const char *reason) __attribute__((noreturn));

static void refuse(struct engine *engine, const char *reason)
{
    snprintf(engine->status->error, sizeof(engine->status->error), "%s", reason);
    _exit(PROCESS_EXIT_FAILED);
}

/* Threads do not survive fork: a plugin that starts one here would find it missing in every worker. */
static bool has_threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    unsigned count = 0;

    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return count > 3; /* ".", ".." and ourselves */
}

/* What `who` did to this process would be done to every worker. */
static void refuse_damage(struct engine *engine, const char *who)
{
    const char *damage = has_threads() ? "started a thread, which would be missing in every worker; start it in open()"
                                       : process_check_intact(engine);
    char reason[ERROR_TEXT_MAX];

    if (damage != NULL) {
        snprintf(reason, sizeof(reason), "%s %s", who, damage);
        refuse(engine, reason);
    }
}

static void load_plugins(struct engine *engine)
{
    struct error error;

    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        struct plugin *plugin = &engine->generation->plugins[i];

        engine->status->plugin = generation_plugin_ref(engine->generation, i);
        engine->status->stage = FORKSERVER_LINKING;
        if (plugin_link(plugin, &plugin_services, &error) != 0) {
            refuse(engine, error.text);
        }
        refuse_damage(engine, "a constructor");
        engine->status->stage = FORKSERVER_LOADING;
        if (plugin_load(plugin, &error) != 0) {
            refuse(engine, error.text);
        }
        refuse_damage(engine, "load()");
    }
    engine->status->stage = FORKSERVER_LOADED;
}

static void tell(int channel, enum forkserver_message_kind kind, uint32_t queue, int32_t pid)
{
    const struct forkserver_message message = forkserver_message_make(kind, queue, pid);

    if (send(channel, &message, sizeof(message), MSG_NOSIGNAL) != (ssize_t)sizeof(message)) {
        _exit(PROCESS_EXIT_FAILED); /* the supervisor is gone */
    }
}

/* In the new worker: goes on once the supervisor knows it. registered: the pipe that says so. */
static void wait_until_registered(const int registered[2])
{
    char byte;

    close(registered[1]);
    if (read(registered[0], &byte, 1) != 1) {
        _exit(PROCESS_EXIT_FAILED);
    }
    close(registered[0]);
}

/* In the process between: forks the worker, writes its pid or the error, exits. */
static void fork_and_exit(struct engine *engine, unsigned queue, int channel, const int registered[2], int report,
                          const struct engine_programs *programs) __attribute__((noreturn));

static void fork_and_exit(struct engine *engine, unsigned queue, int channel, const int registered[2], int report,
                          const struct engine_programs *programs)
{
    int32_t pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a fork handler that hangs must not outlive the fork server */
    pid = fork();
    if (pid == 0) {
        close(channel);
        close(report);
        wait_until_registered(registered);
        programs->worker_run(engine, queue);
    }
    if (pid < 0) {
        pid = -errno;
    }
    _exit(write(report, &pid, sizeof(pid)) == (ssize_t)sizeof(pid) ? 0 : PROCESS_EXIT_FAILED);
}

/* Makes a worker. Returns its pid, or a negative errno. */
static int32_t fork_worker(struct engine *engine, unsigned queue, int channel, const int registered[2],
                           const struct engine_programs *programs)
{
    int report[2];
    int32_t pid = -ECHILD;
    pid_t between;

    if (pipe2(report, O_CLOEXEC) < 0) {
        return -errno;
    }
    between = fork();
    if (between < 0) {
        pid = -errno;
        goto close_report;
    }
    if (between == 0) {
        close(report[0]);
        fork_and_exit(engine, queue, channel, registered, report[1], programs);
    }
    close_fd(&report[1]);
    /* Once it is reaped, the worker has the supervisor for its parent. */
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR) {
    }
    if (read(report[0], &pid, sizeof(pid)) != (ssize_t)sizeof(pid)) {
        pid = -ECHILD;
    }

close_report:
    close_fd(&report[0]);
    close_fd(&report[1]);
    return pid;
}

static void make_worker(struct engine *engine, unsigned queue, int channel, const struct engine_programs *programs)
{
    int registered[2];
    int32_t pid;

    if (pipe2(registered, O_CLOEXEC) < 0) {
        tell(channel, FORKSERVER_FORKED, queue, -errno);
        return;
    }
    pid = fork_worker(engine, queue, channel, registered, programs);
    tell(channel, FORKSERVER_FORKED, queue, pid);
    if (pid > 0 && write(registered[1], "", 1) < 0) {
        log_line("queue %u: worker %d ended before it could start", engine->queues[queue].kernel.number, pid);
    }
    close(registered[0]);
    close(registered[1]);
}

/* Waits for a request. Returns whether it is for a worker; otherwise it is to leave. */
static bool receive(const struct engine *engine, int channel, struct forkserver_message *message)
{
    ssize_t len;

    do {
        len = recv(channel, message, sizeof(*message), MSG_TRUNC);
    } while (len < 0 && errno == EINTR);
    if (len <= 0 || forkserver_message_check(message, (size_t)len, FROM_SUPERVISOR, engine->queue_count) < 0) {
        _exit(PROCESS_EXIT_FAILED); /* the supervisor is gone, or it is not the supervisor who writes */
    }
    return message->kind == FORKSERVER_FORK;
}

void forkserver_run(struct engine *engine, int channel, const struct engine_programs *programs)
{
    struct forkserver_message message;

    process_begin("nfqe-forkserver", engine->supervisor);
    plugin_services_begin();
    process_title_set("fork server");
    load_plugins(engine);
    tell(channel, FORKSERVER_READY, 0, 0);
    while (receive(engine, channel, &message)) {
        make_worker(engine, message.queue, channel, programs);
    }
    engine->status->stage = FORKSERVER_UNLOADING;
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        engine->status->plugin = generation_plugin_ref(engine->generation, i);
        plugin_unload(&engine->generation->plugins[i]);
    }
    _exit(0);
}
