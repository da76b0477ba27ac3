/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sentences of exit reports.
 *
 * Which sentence it is follows from what the dead process left: the stage of the fork server, what a queue process says
 * of a worker, its own control words. Plugins can write to the fork server's status, and make a worker say anything. So
 * nothing is written there, texts end where their memory does, whatever is in it, and a plugin is named only if the
 * generation has it. Process: [supervisor].
 */
#include "process/exit_report.h"

#include "base/clock.h"
#include "base/log.h"
#include "process/hangs.h"

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
    } else if (left->error[0] != '\0') {
        exit_report_report(exit_report, EXIT_CODE_RUN_TIME, NULL, "the fork server: %.*s", ERROR_TEXT_MAX - 1,
                           left->error);
    } else if (left->stage >= FORKSERVER_LOADED || plugin == NULL) {
        exit_report_report(exit_report, EXIT_CODE_RUN_TIME, NULL, "the fork server %s",
                           timed_out ? "did not answer in time and was killed" : reason);
    } else {
        exit_report_report(exit_report, EXIT_CODE_PLUGIN, plugin->path, "%s %s",
                           left->stage == FORKSERVER_LINKING ? "a constructor" : "load()", reason);
    }
}

/* ---- workers ------------------------------------------------------------------------------------------------------- */

static const struct plugin *plugin_of(const struct exit_report *exit_report, const struct worker_exit *exit)
{
    const struct generation *generation = exit_report->engine->generation;

    if (exit->loss->loss == QUEUE_LOSS_BROKEN && generation->plugin_count == 1) {
        return &generation->plugins[0]; /* what it said of itself is overwritten, too */
    }
    return exit->loss->plugin < generation->plugin_count ? &generation->plugins[exit->loss->plugin] : NULL;
}

static unsigned number_of(const struct exit_report *exit_report, unsigned queue)
{
    return exit_report->engine->queues[queue].kernel.number;
}

/* How it ended. */
static const char *how(const struct worker_exit *exit, const char *verb, char *reason)
{
    if (exit->loss->loss == QUEUE_LOSS_BROKEN) {
        return "wrote over the memory in which a worker answers";
    }
    return reason_or_time(exit->status, exit->loss->loss == QUEUE_LOSS_HUNG, verb, exit->loss->timeout_ms, reason);
}

/* It had not opened all plugins. */
static void report_start(struct exit_report *exit_report, const struct worker_exit *exit)
{
    const struct plugin *plugin = plugin_of(exit_report, exit);
    char reason[EXIT_REPORT_REASON_MAX];

    if (exit->loss->text[0] != '\0') {
        exit_report_report(exit_report, plugin != NULL ? EXIT_CODE_PLUGIN : EXIT_CODE_RUN_TIME,
                           plugin != NULL ? plugin->path : NULL, "%s", exit->loss->text);
    } else if (plugin != NULL) {
        exit_report_report(exit_report, EXIT_CODE_PLUGIN, plugin->path, "open() %s",
                           how(exit, "did not return within", reason));
    } else {
        exit_report_report(exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: the new worker %s before it served",
                           number_of(exit_report, exit->queue), how(exit, "did not open within", reason));
    }
}

/* Every packet had been answered. */
static void report_leaving(const struct exit_report *exit_report, const struct worker_exit *exit)
{
    const struct plugin *plugin = plugin_of(exit_report, exit);
    char reason[EXIT_REPORT_REASON_MAX];

    if (exit->loss->loss == QUEUE_LOSS_ENDED && exit->status == 0) {
        return;
    }
    log_line("queue %u: %s%s %s; every packet had been answered", number_of(exit_report, exit->queue),
             plugin != NULL ? plugin->path : "the worker", plugin != NULL ? ": close()" : "",
             how(exit, "did not return within", reason));
}

static void report_serving(struct exit_report *exit_report, const struct worker_exit *exit)
{
    const struct queue_group *group = exit_report->engine->generation->group;
    const struct queue_message *loss = exit->loss;
    const struct plugin *plugin = plugin_of(exit_report, exit);
    const char *id = plugin != NULL ? plugin->id : "(unknown)";
    const char *space = plugin != NULL ? " " : "";
    const char *version = plugin != NULL ? plugin->version : "";
    unsigned number = number_of(exit_report, exit->queue);
    char reason[EXIT_REPORT_REASON_MAX];
    const char *what = how(exit, "made no progress for", reason);
    unsigned missed;

    if (!rate_limit_pass(&exit_report->crash_log, monotonic_ns(), &missed)) {
        return;
    }
    log_missed(missed);
    if (loss->loss == QUEUE_LOSS_BROKEN && loss->packet_known == 0) {
        log_line("queue %u: plugin %s%s%s %s; worker %d replaced", number, id, space, version, what, exit->pid);
    } else if (loss->loss != QUEUE_LOSS_BROKEN && loss->text[0] != '\0') {
        log_line("queue %u: worker %d: %s; it is replaced", number, exit->pid, loss->text);
    } else if (loss->in_plugin == 0) {
        log_line("queue %u: worker %d %s between two packets; it is replaced", number, exit->pid, what);
    } else if (loss->packet_known != 0) {
        log_line("queue %u: plugin %s%s%s %s on packet %u; verdict %s; worker %d replaced", number, id, space, version,
                 what, loss->packet_id, queue_group_verdict_name(group->on_crash), exit->pid);
    } else {
        log_line("queue %u: plugin %s%s%s %s in handle_batch(); its packets go through handle() one by one; worker %d "
                 "replaced",
                 number, id, space, version, what, exit->pid);
    }
}

/* That it leaves is believed only of a worker that was asked to and has no packets: a plugin could write the stage. */
void exit_report_worker(struct exit_report *exit_report, const struct worker_exit *exit)
{
    bool closing = exit->leaving && exit->loss->in_plugin == 0 && (exit->opened || exit->loss->stage == RING_CLOSING);

    if (closing) {
        report_leaving(exit_report, exit);
    } else if (exit->opened) {
        report_serving(exit_report, exit);
    } else if (!exit->leaving) {
        report_start(exit_report, exit);
    }
}

/* ---- queue processes ------------------------------------------------------------------------------------------------ */

void exit_report_queue(struct exit_report *exit_report, unsigned queue, pid_t pid, int status, bool timed_out,
                       bool replaced)
{
    const struct queue_control *control = exit_report->engine->queues[queue].control;
    const char *next = exit_report->running && replaced ? "; another one goes on with its packets" : "";
    char reason[EXIT_REPORT_REASON_MAX];

    reason_or_time(status, timed_out, "made no progress for", HANGS_TIMEOUT_MS, reason);
    if (control->state == QUEUE_FAILED) {
        exit_report_report(exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: queue process %d: %s%s",
                           number_of(exit_report, queue), pid, control->text, next);
    } else {
        exit_report_report(exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: queue process %d %s%s",
                           number_of(exit_report, queue), pid, reason, next);
    }
}

/* ---- the fork server's end ------------------------------------------------------------------------------------------ */

void exit_report_unload(const struct exit_report *exit_report, const char *reason)
{
    const struct plugin *plugin = plugin_at(exit_report, exit_report->engine->status->plugin);

    if (exit_report->engine->status->stage == FORKSERVER_UNLOADING && plugin != NULL) {
        log_line("%s: unload() %s", plugin->path, reason);
    }
}
