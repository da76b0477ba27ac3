/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linking and loading the plugins, and forking workers.
 *
 * Before that it gives up all rights but to give its workers their uids.
 *
 * A worker must be the supervisor's child, since only a parent is told of an end. The fork server forks twice; the
 * process in between exits, and the kernel gives the worker to the nearest subreaper, which is the supervisor. Both
 * forks are the C library's, because libraries that plugins use may depend on their pthread_atfork handlers.
 *
 * With each request comes the worker's end of a channel to the supervisor. The worker keeps it, the fork server closes
 * its copy. Until the process in between is reaped, the worker waits on a pipe; then it is the supervisor's child, and
 * says so on its channel. If it cannot be made, the fork server says that on the channel in its place. If the fork
 * server dies meanwhile, the worker reads end-of-file from the pipe and exits. Process: [fork server].
 */
#include "process/forkserver.h"

#include "base/channel.h"
#include "base/fd.h"
#include "base/process_title.h"
#include "plugin/plugin_load.h"
#include "process/plugin_areas.h"
#include "process/plugin_services.h"
#include "process/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Refuses the plugin that status->plugin names, or to go on if that is none, and exits. */
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

static const char *find_damage(const struct engine *engine)
{
    const uint64_t needed = PRIVILEGES_CAPABILITY(CAP_SETUID) | PRIVILEGES_CAPABILITY(CAP_SETGID);

    if (has_threads()) {
        return "started a thread, which would be missing in every worker; start it in open()";
    }
    if (engine->privileges.form == PRIVILEGES_NAMESPACE && !privileges_has(needed)) {
        return "gave up the capabilities with which workers get users of their own";
    }
    return process_check_intact(engine, NULL, 0);
}

/* What `who` did to this process would be done to every worker. */
static void refuse_damage(struct engine *engine, const char *who)
{
    const char *damage = find_damage(engine);
    char reason[ERROR_TEXT_MAX];

    if (damage != NULL) {
        snprintf(reason, sizeof(reason), "%s %s", who, damage);
        refuse(engine, reason);
    }
}

static void refuse_path(struct engine *engine, const struct plugin_path *path, int error) __attribute__((noreturn));

static void refuse_path(struct engine *engine, const struct plugin_path *path, int error)
{
    static const char *const kinds[] = {
        [PATH_FILE] = "regular file", [PATH_WRITABLE_FILE] = "regular file", [PATH_DIRECTORY] = "directory"};
    char reason[ERROR_TEXT_MAX];

    if (error == EINVAL) {
        snprintf(reason, sizeof(reason), "option %s=%.256s: must be a %s", path->option, path->path,
                 kinds[path->access]);
    } else {
        snprintf(reason, sizeof(reason), "option %s=%.256s: cannot be opened%s: %s", path->option, path->path,
                 path->access == PATH_WRITABLE_FILE ? " for writing" : "", strerror(error));
    }
    refuse(engine, reason);
}

/* An option of plugins[index] names a file or directory: has the supervisor open it, or refuses the plugin. */
static int open_path(struct engine *engine, unsigned index, const struct plugin_path *path)
{
    struct process_message message = process_message_make(FORKSERVER_OPEN, index);
    ssize_t len;
    int fd = -1;

    message.slot = path->item;
    message.access = path->access;
    if (channel_send(engine->channel, &message, sizeof(message), NULL, 0) < 0) {
        _exit(PROCESS_EXIT_FAILED); /* the supervisor is gone */
    }
    len = channel_wait(engine->channel, &message, sizeof(message), &fd, 1);
    if (len <= 0 || process_message_check(&message, (size_t)len, FROM_SUPERVISOR, engine->queue_count) < 0 ||
        message.kind != FORKSERVER_FILE) {
        _exit(PROCESS_EXIT_FAILED);
    }
    if (fd < 0) {
        refuse_path(engine, path, (int)message.value);
    }
    return fd;
}

/* Enters descriptors for what options of plugins[index] name. */
static void open_paths(struct engine *engine, unsigned index)
{
    const struct plugin_config *config = &engine->generation->plugins[index].config;

    for (size_t i = 0; i < config->path_count; i++) {
        int fd = open_path(engine, index, &config->paths[i]);

        memcpy(config->paths[i].member, &fd, sizeof(fd));
    }
}

static void seal_areas(struct engine *engine)
{
    int code = plugin_areas_seal();
    char reason[ERROR_TEXT_MAX];

    if (code < 0) {
        snprintf(reason, sizeof(reason), "its areas cannot be made read-only: %s", strerror(-code));
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
        if (plugin_lists_add_counters(&plugin->table, &plugin->lists, i, &engine->status->counters, &error) != 0) {
            refuse(engine, error.text);
        }
        if (plugin_lists_add_reasons(&plugin->table, &plugin->lists, i, &engine->status->reasons, &error) != 0) {
            refuse(engine, error.text);
        }
        refuse_damage(engine, "a constructor");
        open_paths(engine, i);
        engine->status->stage = FORKSERVER_LOADING;
        if (plugin_load(plugin, &error) != 0) {
            refuse(engine, error.text);
        }
        refuse_damage(engine, "load()");
        seal_areas(engine);
    }
    engine->status->stage = FORKSERVER_LOADED;
}

static void tell(int channel, enum message_kind kind, uint32_t value)
{
    const struct process_message message = process_message_make(kind, value);

    if (channel_send(channel, &message, sizeof(message), NULL, 0) < 0 && kind == FORKSERVER_READY) {
        _exit(PROCESS_EXIT_FAILED); /* the supervisor is gone */
    }
}

/* In the new worker: goes on once it is the supervisor's child. let_go: the pipe that says so. */
static void wait_until_let_go(const int let_go[2])
{
    char byte;

    close(let_go[1]);
    if (read(let_go[0], &byte, 1) != 1) {
        _exit(PROCESS_EXIT_FAILED);
    }
    close(let_go[0]);
}

/* In the process between: forks the worker and exits with 0, or with the errno for which there is none. */
static void fork_and_exit(struct engine *engine, const struct worker_birth *birth, int channel, const int let_go[2],
                          const struct engine_programs *programs) __attribute__((noreturn));

static void fork_and_exit(struct engine *engine, const struct worker_birth *birth, int channel, const int let_go[2],
                          const struct engine_programs *programs)
{
    pid_t pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a fork handler that hangs must not outlive the fork server */
    pid = fork();
    if (pid == 0) {
        close(engine->channel);
        engine->channel = channel;
        engine->status = NULL; /* it was not inherited */
        wait_until_let_go(let_go);
        programs->worker_run(engine, birth);
    }
    _exit(pid < 0 ? errno : 0);
}

/* Makes a worker that waits to be let go. Returns 0 or a negative errno. */
static int fork_worker(struct engine *engine, const struct worker_birth *birth, int channel, const int let_go[2],
                       const struct engine_programs *programs)
{
    int status;
    pid_t between = fork();

    if (between < 0) {
        return -errno;
    }
    if (between == 0) {
        fork_and_exit(engine, birth, channel, let_go, programs);
    }
    while (waitpid(between, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static int make_worker(struct engine *engine, const struct worker_birth *birth, int channel,
                       const struct engine_programs *programs)
{
    int let_go[2];
    int code;

    if (pipe2(let_go, O_CLOEXEC) < 0) {
        return -errno;
    }
    code = fork_worker(engine, birth, channel, let_go, programs);
    if (code == 0 && write(let_go[1], "", 1) != 1) {
        code = -errno;
    }
    close(let_go[0]);
    close(let_go[1]);
    return code;
}

/*
 * Waits for a request. Returns whether it is for a worker, whose channel *channel is then, or -1 if there was no
 * descriptor left for it; otherwise the fork server is to leave.
 */
static bool receive(const struct engine *engine, struct process_message *message, int *channel)
{
    ssize_t len = channel_wait(engine->channel, message, sizeof(*message), channel, 1);

    if (len <= 0 || process_message_check(message, (size_t)len, FROM_SUPERVISOR, engine->queue_count) < 0) {
        _exit(PROCESS_EXIT_FAILED); /* the supervisor is gone, or it is not the supervisor who writes */
    }
    return message->kind == FORKSERVER_FORK;
}

static void make_workers(struct engine *engine, const struct engine_programs *programs)
{
    struct process_message message;
    int channel = -1;

    while (receive(engine, &message, &channel)) {
        const struct worker_birth birth = {
            .queue = message.value, .slot = message.slot, .uid = message.uid, .skipped = message.skipped};
        int code = channel >= 0 ? make_worker(engine, &birth, channel, programs) : 0;

        if (code < 0) {
            tell(channel, WORKER_NOT_FORKED, (uint32_t)-code);
        }
        close_fd(&channel); /* if there is no worker that has it, the supervisor reads end-of-file */
    }
}

/* Before code of a plugin runs. */
static void drop_rights(struct engine *engine)
{
    struct error error;

    if (engine->generation->group->core_dumps) {
        privileges_allow_core_dumps(); /* in its workers, too */
    }
    if (privileges_become_forkserver(&engine->privileges, engine->generation->number, &error) != 0) {
        refuse(engine, error.text);
    }
    process_tie_to_supervisor(engine->supervisor); /* the change of uid has untied it */
}

void forkserver_run(struct engine *engine, const struct engine_programs *programs)
{
    process_reset_signals();
    process_enter_log(&engine->log);
    process_begin("nfqe-forkserver", engine->supervisor);
    plugin_services_begin(engine->generation->group->plugin_log, "");
    process_title_set("fork server");
    madvise(engine->status, sizeof(*engine->status), MADV_DONTFORK); /* workers have no use for it */
    drop_rights(engine);
    plugin_areas_begin(engine);
    load_plugins(engine);
    tell(engine->channel, FORKSERVER_READY, 0);
    make_workers(engine, programs);
    engine->status->stage = FORKSERVER_UNLOADING;
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        engine->status->plugin = generation_plugin_ref(engine->generation, i);
        plugin_unload(&engine->generation->plugins[i]);
    }
    _exit(0);
}
