/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's life: check, open, load, bind, run, drain, close; see supervisor.h.
 *
 * Everything that can be refused is refused before a queue is bound: until then the firewall's `bypass` still
 * applies, and a mistake in the command line disturbs nobody's traffic.
 */
#include "process/supervisor.h"

#include "base/log.h"
#include "base/util.h"
#include "plugin/plugin_file.h"
#include "process/children.h"
#include "process/preflight.h"
#include "process/queues.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DRAIN_POLL_MS 5
#define EVENTS_MAX 8

enum stage { STARTING, SERVING, STOPPING, ENDED };

struct supervisor {
    struct engine engine;
    struct children children;
    enum stage stage;
    enum exit_code exit_code;
    int epoll;
    int signals;
    int own[3]; /* descriptors that the children have no use for, ending with -1 */
    unsigned watched_forkserver; /* number of the fork server whose channel epoll has */
    uint64_t stop_deadline_ns;
};

/* Static: too large for the stack. */
static struct supervisor supervisor_state;

static void end(struct supervisor *supervisor, const struct error *error)
{
    char text[ERROR_LINE_MAX];

    if (error != NULL) {
        log_line("%s", error_format(error, text));
        supervisor->exit_code = error->exit_code;
    }
    supervisor->stage = ENDED;
}

/* ---- before anything runs -------------------------------------------------------------------------- */

static int open_events(struct supervisor *supervisor, struct error *error)
{
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    struct engine *engine = &supervisor->engine;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(handled); i++) {
        sigaddset(&set, handled[i]);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored by whoever started us, it would have the kernel reap our children */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    engine->supervisor = getpid();
    supervisor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    engine->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    supervisor->epoll = epoll_create1(EPOLL_CLOEXEC);
    engine->status = mmap(NULL, sizeof(*engine->status), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (supervisor->signals < 0 || engine->doorbell < 0 || supervisor->epoll < 0 || engine->status == MAP_FAILED) {
        return error_set(error, EXIT_CODE_RUN_TIME, -errno, "the supervisor cannot open its descriptors: %s",
                         strerror(errno));
    }
    return 0;
}

static void watch_descriptor(const struct supervisor *supervisor, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (fd >= 0 && epoll_ctl(supervisor->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        log_line("descriptor %d cannot be watched: %s", fd, strerror(errno));
    }
}

static int prepare(struct supervisor *supervisor, const struct queue_group *group,
                   const struct engine_programs *programs, struct error *error)
{
    struct engine *engine = &supervisor->engine;
    int code;

    engine->group = group;
    code = preflight_check(group, engine->plugins, &engine->plugin_count, &engine->plan, error);
    if (code == 0) {
        code = open_events(supervisor, error);
    }
    if (code == 0) {
        code = queues_open(engine, error);
    }
    if (code == 0) {
        watch_descriptor(supervisor, supervisor->signals);
        watch_descriptor(supervisor, engine->doorbell);
        supervisor->own[0] = supervisor->epoll;
        supervisor->own[1] = supervisor->signals;
        supervisor->own[2] = -1;
        children_init(&supervisor->children, engine, programs, supervisor->own);
    }
    return code;
}

/* ---- stages ---------------------------------------------------------------------------------------- */

/* Every plugin is loaded and opened everywhere: now the queues may be taken. */
static void begin_serving(struct supervisor *supervisor)
{
    struct engine *engine = &supervisor->engine;
    struct error error;

    if (queues_bind(engine, &error) != 0) {
        end(supervisor, &error);
        return;
    }
    children_run(&supervisor->children);
    supervisor->stage = SERVING;
    for (unsigned i = 0; i < engine->plugin_count; i++) {
        const struct plugin *plugin = &engine->plugins[i];

        log_line("plugin %s %s (%s), ABI %u.%u", plugin->id, plugin->version, plugin->path, NFQE_ABI_MAJOR(plugin->abi),
                 NFQE_ABI_MINOR(plugin->abi));
    }
    queues_log_settings(engine);
    log_line("ready");
}

/* Nothing new is queued from here on; what is queued is answered. A second signal ends the wait. */
static void begin_stop(struct supervisor *supervisor, const char *signal_name)
{
    struct engine *engine = &supervisor->engine;

    if (supervisor->stage == STARTING) {
        log_line("SIG%s before the start was complete; no queue was bound", signal_name);
        end(supervisor, NULL);
        return;
    }
    if (supervisor->stage == STOPPING) {
        supervisor->stop_deadline_ns = monotonic_ns();
        return;
    }
    log_line("SIG%s: new packets get verdict %s, queued ones are answered for at most %llu ms", signal_name,
             engine_verdict_name(engine->group->on_stop), (unsigned long long)engine->group->drain_timeout_ms);
    supervisor->stage = STOPPING;
    supervisor->stop_deadline_ns = monotonic_ns() + engine->group->drain_timeout_ms * NS_PER_MS;
    for (unsigned i = 0; i < engine->queue_count; i++) {
        children_request(&supervisor->children, i, WORKER_STOP);
    }
}

static void note_waiting(void *context, const struct nfqueue_status *status)
{
    struct engine *engine = context;

    for (unsigned i = 0; i < engine->queue_count; i++) {
        if (engine->queues[i].kernel.number == status->queue) {
            engine->queues[i].waiting = status->waiting;
        }
    }
}

/* In this order: a figure from before the worker stopped the queueing would miss what was queued in between. */
static void look_at_queues(struct engine *engine)
{
    for (unsigned i = 0; i < engine->queue_count; i++) {
        engine->queues[i].draining = engine->queues[i].control->state == WORKER_DRAINING;
        engine->queues[i].waiting = -1;
    }
    nfqueue_each_status(note_waiting, engine);
}

static void check_drained(struct supervisor *supervisor)
{
    struct engine *engine = &supervisor->engine;
    bool late = monotonic_ns() >= supervisor->stop_deadline_ns;

    look_at_queues(engine);
    for (unsigned i = 0; i < engine->queue_count; i++) {
        struct engine_queue *queue = &engine->queues[i];

        if (supervisor->children.workers[i].exited) {
            continue;
        }
        if (supervisor->children.workers[i].pid == 0) {
            /* Nobody reads the socket, so the setting is ours to make, and again: the last worker may not have. */
            nfqueue_stop_queueing(queue->kernel.socket, queue->kernel.number, engine->group->on_stop == NFQE_ACCEPT);
            supervisor->children.workers[i].exited = !late && queue->waiting == 0 && queue->stopped;
            queue->stopped = true;
            continue;
        }
        queue->stopped = false;
        if (late && queue->waiting == 0) {
            log_line(
                "queue %u: every packet is answered, but close() of a plugin does not return; the worker is killed",
                queue->kernel.number);
        } else if (!late && queue->draining && queue->waiting == 0) {
            children_request(&supervisor->children, i, WORKER_EXIT);
        }
    }
    if (late || children_all_exited(&supervisor->children)) {
        end(supervisor, NULL);
    }
}

static void take_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;

    while (read(supervisor->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            children_reap(&supervisor->children);
        } else if (info.ssi_signo == SIGHUP) {
            log_line("SIGHUP: nothing to do, this engine cannot reload yet; SIGTERM stops it");
        } else if (supervisor->stage != ENDED) {
            begin_stop(supervisor, sigabbrev_np((int)info.ssi_signo));
        }
    }
}

static void take_event(struct supervisor *supervisor, int fd)
{
    if (fd == supervisor->signals) {
        take_signals(supervisor);
    } else if (fd == supervisor->engine.doorbell) {
        eventfd_consume(fd);
    } else if (fd == supervisor->children.forkserver.channel) {
        children_read_channel(&supervisor->children);
    }
}

/* A new fork server has a new channel; often with the number of the old one, so that is no way to tell. */
static void follow_channel(struct supervisor *supervisor)
{
    if (supervisor->watched_forkserver != supervisor->children.forkserver.number) {
        supervisor->watched_forkserver = supervisor->children.forkserver.number;
        watch_descriptor(supervisor, supervisor->children.forkserver.channel);
    }
}

static void advance(struct supervisor *supervisor)
{
    if (supervisor->stage == STARTING && supervisor->children.exit_report.failure.exit_code != EXIT_CODE_OK) {
        end(supervisor, &supervisor->children.exit_report.failure);
    } else if (supervisor->stage == STARTING && children_all_opened(&supervisor->children)) {
        begin_serving(supervisor);
    } else if (supervisor->stage == STOPPING) {
        check_drained(supervisor);
    }
}

static uint64_t interval_ns(const struct supervisor *supervisor)
{
    return NS_PER_MS * (supervisor->stage == STOPPING ? DRAIN_POLL_MS : children_interval_ms(&supervisor->children));
}

static void loop(struct supervisor *supervisor)
{
    uint64_t last_tick_ns = 0;

    children_start_forkserver(&supervisor->children);
    while (supervisor->stage != ENDED) {
        struct epoll_event events[EVENTS_MAX];
        uint64_t now = monotonic_ns();
        uint64_t due;
        int count;

        if (now - last_tick_ns >= interval_ns(supervisor)) {
            children_tick(&supervisor->children);
            last_tick_ns = now;
        }
        follow_channel(supervisor);
        due = last_tick_ns + interval_ns(supervisor); /* an event may have brought it nearer */
        count = epoll_wait(supervisor->epoll, events, EVENTS_MAX, due > now ? (int)((due - now) / NS_PER_MS) + 1 : 0);
        for (int i = 0; i < count; i++) {
            take_event(supervisor, events[i].data.fd);
        }
        advance(supervisor);
    }
}

enum exit_code supervisor_run(const struct queue_group *group, const struct engine_programs *programs)
{
    struct supervisor *supervisor = &supervisor_state;
    struct error error;

    if (prepare(supervisor, group, programs, &error) != 0) {
        end(supervisor, &error);
    } else {
        loop(supervisor);
        children_end(&supervisor->children);
    }
    if (supervisor->children.exit_report.running) {
        queues_log_counters(&supervisor->engine);
    }
    queues_close(&supervisor->engine);
    for (unsigned i = 0; i < supervisor->engine.plugin_count; i++) {
        plugin_file_close(&supervisor->engine.plugins[i]);
    }
    return supervisor->exit_code;
}
