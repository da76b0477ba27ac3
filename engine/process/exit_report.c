/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sentences of exit reports.
 *
 * Which sentence it is follows from what the dead process left: the stage of the fork server, the worker's state and
 * message, the plugin that was in load(), open() or close(), and what the journal says of a guilty packet. Plugins can
 * write to all of it, and a process that a plugin has started still can. So nothing is written there, texts end where
 * their memory does, whatever is in it, and a plugin is named only if the generation has it. Process: [supervisor].
 */
#include "process/exit_report.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define LINES 5
#define PERIOD_NS (10 * NS_PER_S)

void exit_report_init(struct exit_report *exit_report, const struct engine *engine)
{
    *exit_report = (struct exit_report){
        .engine = engine,
        .crash_log = {.burst = LINES, .period_ns = PERIOD_NS},
        .start_log = {.burst = LINES, .period_ns = PERIOD_NS},
    };
}

static void log_missed(unsigned missed)
{
    if (missed > 0) {
        log_line("... %u more crashes not shown", missed);
    }
}

void exit_report_flush(struct exit_report *exit_report, bool now)
{
    log_missed(rate_limit_flush(&exit_report->crash_log, monotonic_ns(), now));
}

const char *exit_report_reason(int status, char *reason)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));

        snprintf(reason, EXIT_REPORT_REASON_MAX, "%s (SIG%s)", WTERMSIG(status) == SIGKILL ? "was killed" : "crashed",
                 name != NULL ? name : "?");
    } else {
        snprintf(reason, EXIT_REPORT_REASON_MAX, "exited with status %d", WEXITSTATUS(status));
    }
    return reason;
}

/* The same, or that it took too long. */
static const char *reason_or_time(int status, bool timed_out, const char *verb, uint64_t timeout_ms, char *reason)
{
    if (!timed_out) {
        return exit_report_reason(status, reason);
    }
    snprintf(reason, EXIT_REPORT_REASON_MAX, "%s %" PRIu64 " ms", verb, timeout_ms);
    return reason;
}

static const struct plugin *plugin_at(const struct exit_report *exit_report, struct plugin_ref ref)
{
    return generation_plugin(exit_report->engine->generation, ref);
}

void exit_report_error(struct exit_report *exit_report, const struct error *error)
{
    char text[ERROR_LINE_MAX];
    unsigned missed;

    if (exit_report->running) {
        if (rate_limit_pass(&exit_report->start_log, monotonic_ns(), &missed)) {
            log_line("%s", error_format(error, text));
        }
    } else if (exit_report->failure.exit_code == EXIT_CODE_OK) {
        exit_report->failure = *error;
    }
}

void exit_report_report(struct exit_report *exit_report, enum exit_code code, const char *source, const char *format,
                        ...)
{
    struct error error;
    va_list arguments;

    va_start(arguments, format);
    error_set_list(&error, code, -ECHILD, format, arguments);
    va_end(arguments);
    if (source != NULL) {
        error_set_source(&error, source, 0);
    }
    exit_report_error(exit_report, &error);
}

void exit_report_forkserver(struct exit_report *exit_report, int status, bool timed_out)
{
    const struct forkserver_status *left = exit_report->engine->status;
    const struct plugin *plugin = plugin_at(exit_report, left->plugin);
    char reason[EXIT_REPORT_REASON_MAX];

    reason_or_time(status, timed_out, "did not return within", exit_report->engine->generation->group->load_timeout_ms,
                   reason);
    if (left->error[0] != '\0' && plugin != NULL) {
        exit_report_report(exit_report, EXIT_CODE_PLUGIN, plugin->path, "%.*s", ERROR_TEXT_MAX - 1, left->error);
    } else if (left->stage >= FORKSERVER_LOADED || plugin == NULL) {
        exit_report_report(exit_report, EXIT_CODE_RUN_TIME, NULL, "the fork server %s",
                           timed_out ? "did not answer in time and was killed" : reason);
    } else {
        exit_report_report(exit_report, EXIT_CODE_PLUGIN, plugin->path, "%s %s",
                           left->stage == FORKSERVER_LINKING ? "a constructor" : "load()", reason);
    }
}

void exit_report_start(struct exit_report *exit_report, const struct worker_exit *exit)
{
    const struct worker_control *control = exit_report->engine->queues[exit->queue].control;
    const struct plugin *plugin = plugin_at(exit_report, control->plugin);
    char reason[EXIT_REPORT_REASON_MAX];

    reason_or_time(exit->status, exit->timed_out, "did not return within",
                   exit_report->engine->generation->group->load_timeout_ms, reason);
    if (control->message[0] != '\0') {
        exit_report_report(exit_report, plugin != NULL ? EXIT_CODE_PLUGIN : EXIT_CODE_RUN_TIME,
                           plugin != NULL ? plugin->path : NULL, "%.*s", WORKER_MESSAGE_MAX - 1, control->message);
    } else if (plugin != NULL) {
        exit_report_report(exit_report, EXIT_CODE_PLUGIN, plugin->path, "open() %s", reason);
    } else {
        exit_report_report(exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: the new worker %s before it served",
                           exit_report->engine->queues[exit->queue].kernel.number, reason);
    }
}

void exit_report_worker(struct exit_report *exit_report, const struct worker_exit *exit,
                        const struct burst_guilt *guilt)
{
    const struct engine *engine = exit_report->engine;
    const struct plugin *plugin = plugin_at(exit_report, (struct plugin_ref){exit->generation, guilt->plugin});
    const char *id = plugin != NULL ? plugin->id : "(unknown)";
    const char *version = plugin != NULL ? plugin->version : "";
    const char *verdict = queue_group_verdict_name(engine->generation->group->on_crash);
    unsigned number = engine->queues[exit->queue].kernel.number;
    const struct worker_control *control = engine->queues[exit->queue].control;
    char reason[EXIT_REPORT_REASON_MAX];
    unsigned missed;

    if (!rate_limit_pass(&exit_report->crash_log, monotonic_ns(), &missed)) {
        return;
    }
    log_missed(missed);
    reason_or_time(exit->status, exit->timed_out, "made no progress for", engine->generation->group->handle_timeout_ms,
                   reason);
    if (control->state == WORKER_FAILED) {
        log_line("queue %u: worker %d: %.*s; it is replaced", number, exit->pid, WORKER_MESSAGE_MAX - 1,
                 control->message);
    } else if (!guilt->in_plugin) {
        log_line("queue %u: worker %d %s between two packets; it is replaced", number, exit->pid, reason);
    } else if (guilt->packet_known) {
        log_line("queue %u: plugin %s %s %s on packet %u; verdict %s; worker %d replaced", number, id, version, reason,
                 guilt->packet_id, verdict, exit->pid);
    } else {
        log_line("queue %u: plugin %s %s %s in handle_batch(); its packets go through handle() one by one; worker %d "
                 "replaced",
                 number, id, version, reason, exit->pid);
    }
    if (guilt->forced_count > 0) {
        log_line("queue %u: %d workers ended over the same burst; verdict %s for %u of its packets", number,
                 BURST_ATTEMPTS_MAX, verdict, guilt->forced_count);
    }
}

void exit_report_leaving(const struct exit_report *exit_report, const struct worker_exit *exit)
{
    const struct engine_queue *engine_queue = &exit_report->engine->queues[exit->queue];
    const struct plugin *plugin = plugin_at(exit_report, engine_queue->control->plugin);
    char reason[EXIT_REPORT_REASON_MAX];

    log_line("queue %u: %s%s %s; every packet had been answered", engine_queue->kernel.number,
             plugin != NULL ? plugin->path : "the worker", plugin != NULL ? ": close()" : "",
             exit_report_reason(exit->status, reason));
}

void exit_report_unload(const struct exit_report *exit_report, const char *reason)
{
    const struct plugin *plugin = plugin_at(exit_report, exit_report->engine->status->plugin);

    if (exit_report->engine->status->stage == FORKSERVER_UNLOADING && plugin != NULL) {
        log_line("%s: unload() %s", plugin->path, reason);
    }
}
