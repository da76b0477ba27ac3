/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages of an engine: check and open, load, bind and serve, drain, close.
 *
 * Everything that can be refused is refused before a queue is bound: until then the firewall's `bypass` applies, so a
 * mistake on the command line costs no packet. The stage changes in one place, advance(), after each turn of the event
 * loop; the callbacks only note what has happened. Process: [supervisor].
 */
#include "process/supervisor.h"

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "base/log_output.h"
#include "base/process_title.h"
#include "process/child_log.h"
#include "process/children.h"
#include "process/drain.h"
#include "process/figures.h"
#include "process/preflight.h"
#include "process/queue_watch.h"
#include "process/queues.h"
#include "process/signals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOG_END_WAIT_MS 1000 /* for standard error to be read, after everything else */

enum stage { STARTING, SERVING, STOPPING, ENDING, ENDED };

struct supervisor {
    struct generation generation;
    struct engine engine;
    struct children children;
    enum stage stage;
    enum exit_code exit_code;
    struct event_loop loop;
    struct signals signals;
    struct child_logs child_logs;
    struct child_log forkserver_log; /* of this fork server and all that come after it */
    struct figures figures; /* while SERVING */
    struct queue_watch watch; /* while SERVING */
    struct drain drain; /* while STOPPING */
    bool queues_closed; /* while ENDING: the counters are logged */
};

/* Static: too large for the stack. */
static struct supervisor supervisor_state;

static void report(struct supervisor *supervisor, const struct error *error)
{
    char text[ERROR_LINE_MAX];

    log_line("%s", error_format(error, text));
    supervisor->exit_code = error->exit_code;
}

/* error: NULL: it ends in order. */
static void end(struct supervisor *supervisor, const struct error *error)
{
    if (error != NULL) {
        report(supervisor, error);
    }
    supervisor->stage = ENDING;
    queue_watch_end(&supervisor->watch); /* it looks at memory that is about to go */
    children_end(&supervisor->children);
    queues_unbind(&supervisor->engine); /* now: the children that were killed may take a while to end */
}

static void begin_stop(void *context, const char *signal_name);
static void reap(void *context);

/* ---- before anything runs -------------------------------------------------------------------------- */

static int open_events(struct supervisor *supervisor, struct error *error)
{
    struct engine *engine = &supervisor->engine;
    int code;

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    engine->supervisor = getpid();
    engine->channel = engine->log = -1;
    code = event_loop_init(&supervisor->loop);
    if (code == 0) {
        log_output_attach(&supervisor->loop);
        supervisor->signals = (struct signals){.context = supervisor, .stop = begin_stop, .child_ended = reap};
        code = signals_open(&supervisor->signals, &supervisor->loop);
    }
    if (code == 0) {
        engine->status = mmap(NULL, sizeof(*engine->status), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        code = engine->status == MAP_FAILED ? -errno : 0;
    }
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "the supervisor cannot open its descriptors: %s",
                         strerror(-code));
    }
    return 0;
}

static int open_child_logs(struct supervisor *supervisor, struct error *error)
{
    int code;

    child_logs_init(&supervisor->child_logs, &supervisor->loop);
    code = child_log_open(&supervisor->forkserver_log, &supervisor->child_logs, "the fork server",
                          &supervisor->engine.log);
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "no pipe for what the fork server prints: %s",
                         strerror(-code));
    }
    return 0;
}

/* As whom workers run, and what that cannot promise. */
static int plan_privileges(struct engine *engine, struct error *error)
{
    const struct queue_group *group = engine->generation->group;
    const struct privileges_range range = {group->worker_uids.first, group->worker_uids.last};
    char text[ERROR_LINE_MAX];
    int code =
        privileges_plan_make(&range, engine->queue_count, group->workers + group->spares, &engine->privileges, error);

    if (code == 0 && privileges_plan_warning(&engine->privileges, text) != NULL) {
        log_line("%s", text);
    }
    return code;
}

static int prepare(struct supervisor *supervisor, const struct queue_group *group,
                   const struct engine_programs *programs, struct error *error)
{
    struct engine *engine = &supervisor->engine;
    int code;

    generation_init(&supervisor->generation, 1, group);
    engine->generation = &supervisor->generation;
    code = open_events(supervisor, error);
    if (code == 0) {
        code = preflight_check(&supervisor->generation, error);
    }
    if (code == 0) {
        code = queues_open(engine, error);
    }
    if (code == 0) {
        code = open_child_logs(supervisor, error);
    }
    if (code == 0) {
        code = plan_privileges(engine, error);
    }
    if (code == 0 && children_init(&supervisor->children, engine, programs, &supervisor->loop) < 0) {
        code = error_set(error, EXIT_CODE_RUN_TIME, -ENOMEM, "no memory for the table of processes");
    }
    if (code == 0) {
        supervisor->children.logs = &supervisor->child_logs;
        supervisor->children.forkserver_log = &supervisor->forkserver_log;
    }
    return code;
}

/* ---- stages ---------------------------------------------------------------------------------------- */

/* Every plugin is loaded and opened everywhere: now the queues may be taken. */
static void begin_serving(struct supervisor *supervisor)
{
    struct engine *engine = &supervisor->engine;
    struct error error;

    child_logs_read(&supervisor->child_logs); /* what plugins said in open() comes before `ready` */
    if (queues_bind(engine, &error) != 0) {
        end(supervisor, &error);
        return;
    }
    children_run(&supervisor->children);
    supervisor->stage = SERVING;
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        const struct plugin *plugin = &engine->generation->plugins[i];

        log_line("plugin %s %s (%s), ABI %u.%u", plugin->id, plugin->version, plugin->path, NFQE_ABI_MAJOR(plugin->abi),
                 NFQE_ABI_MINOR(plugin->abi));
    }
    queues_log_settings(engine);
    log_line("ready");
    figures_begin(&supervisor->figures, engine, &supervisor->loop);
    queue_watch_begin(&supervisor->watch, &supervisor->children, &supervisor->figures);
    supervisor->children.watch = &supervisor->watch;
}

static void begin_drain(struct supervisor *supervisor)
{
    supervisor->stage = STOPPING;
    queue_watch_end(&supervisor->watch);
    drain_begin(&supervisor->drain, &supervisor->engine, &supervisor->children, &supervisor->loop);
}

/* Nothing new is queued from here on; what is queued is answered. A second signal ends the wait. */
static void begin_stop(void *context, const char *signal_name)
{
    struct supervisor *supervisor = context;
    struct engine *engine = &supervisor->engine;

    if (supervisor->stage >= ENDING) {
        return;
    }
    if (supervisor->stage == STARTING) {
        log_line("SIG%s before the start was complete; no queue was bound", signal_name);
        end(supervisor, NULL);
        return;
    }
    if (supervisor->stage == STOPPING) {
        drain_hurry(&supervisor->drain);
        return;
    }
    log_line("SIG%s: new packets get verdict %s, queued ones are answered for at most %llu ms", signal_name,
             queue_group_verdict_name(engine->generation->group->on_stop),
             (unsigned long long)engine->generation->group->drain_timeout_ms);
    begin_drain(supervisor);
}

static void reap(void *context)
{
    struct supervisor *supervisor = context;

    children_reap(&supervisor->children);
}

static void close_queues(struct supervisor *supervisor)
{
    if (supervisor->queues_closed) {
        return;
    }
    supervisor->queues_closed = true;
    child_logs_read(&supervisor->child_logs); /* what plugins said in close() comes before the counters */
    if (supervisor->children.exit_report.running) {
        children_collect_counters(&supervisor->children); /* of workers that have been killed and do not end */
        queues_log_counters(&supervisor->engine);
    }
    queues_close(&supervisor->engine);
}

static void advance(struct supervisor *supervisor)
{
    if (supervisor->stage == STARTING && supervisor->children.exit_report.failure.exit_code != EXIT_CODE_OK) {
        end(supervisor, &supervisor->children.exit_report.failure);
    } else if (supervisor->stage == STARTING && children_all_opened(&supervisor->children)) {
        begin_serving(supervisor);
    } else if (supervisor->stage == SERVING && supervisor->children.queue_lost) {
        supervisor->exit_code = EXIT_CODE_QUEUE;
        begin_drain(supervisor);
    } else if (supervisor->stage == SERVING && supervisor->children.stop_wanted) {
        supervisor->exit_code = EXIT_CODE_OUTAGE;
        begin_drain(supervisor);
    } else if (supervisor->stage == STOPPING && drain_check(&supervisor->drain)) {
        end(supervisor, NULL);
    } else if (supervisor->stage == ENDING && children_workers_ended(&supervisor->children)) {
        close_queues(supervisor); /* before unload(), which may take a while */
        supervisor->stage = children_ended(&supervisor->children) ? ENDED : ENDING;
    }
}

static void loop(struct supervisor *supervisor)
{
    children_start(&supervisor->children);
    while (supervisor->stage != ENDED) {
        int code = event_loop_turn(&supervisor->loop);

        if (code < 0) {
            struct error error;

            error_set(&error, EXIT_CODE_RUN_TIME, code, "the supervisor cannot wait for events: %s", strerror(-code));
            end(supervisor, &error);
            return;
        }
        advance(supervisor);
    }
}

/* The engine has ended, so a wait harms no packet; but what signals ask for needs the engine, so none is read any more. */
static void finish_log(struct supervisor *supervisor)
{
    uint64_t end_ns = monotonic_ns() + LOG_END_WAIT_MS * NS_PER_MS;

    signals_close(&supervisor->signals);
    while (log_output_waits() && monotonic_ns() < end_ns && event_loop_turn(&supervisor->loop) == 0) {
    }
    log_output_end();
}

enum exit_code supervisor_run(const struct queue_group *group, const struct engine_programs *programs)
{
    struct supervisor *supervisor = &supervisor_state;
    struct error error;
    int code;

    process_title_set("supervisor");
    signals_block();
    code = log_output_begin(STDERR_FILENO);
    if (code < 0) {
        log_line("standard error cannot be opened again: %s; if another program fills it, the engine may have to wait",
                 strerror(-code));
    }
    if (prepare(supervisor, group, programs, &error) != 0) {
        report(supervisor, &error);
    } else {
        loop(supervisor);
        children_done(&supervisor->children);
    }
    close_queues(supervisor);
    child_logs_done(&supervisor->child_logs);
    generation_done(&supervisor->generation);
    finish_log(supervisor);
    return supervisor->exit_code;
}
