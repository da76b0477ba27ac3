/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See obituary.h.
 */
#include "process/exit_report.h"

#include "base/util.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define LINES 5
#define PERIOD_NS (10 * NS_PER_S)

void obituary_init(struct obituary *obituary, const struct engine *engine)
{
    *obituary = (struct obituary){
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

void obituary_flush(struct obituary *obituary, bool now)
{
    struct log_limit *limit = &obituary->crash_log;

    if (limit->suppressed > 0 && (now || monotonic_ns() - limit->period_start_ns >= limit->period_ns)) {
        log_missed(limit->suppressed);
        limit->suppressed = 0;
    }
}

const char *obituary_reason(int status, char *reason)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));

        snprintf(reason, OBITUARY_REASON_MAX, "%s (SIG%s)", WTERMSIG(status) == SIGKILL ? "was killed" : "crashed",
                 name != NULL ? name : "?");
    } else {
        snprintf(reason, OBITUARY_REASON_MAX, "exited with status %d", WEXITSTATUS(status));
    }
    return reason;
}

/* The same, or that it took too long. */
static const char *reason_or_time(int status, bool timed_out, const char *verb, uint64_t timeout_ms, char *reason)
{
    if (!timed_out) {
        return obituary_reason(status, reason);
    }
    snprintf(reason, OBITUARY_REASON_MAX, "%s %" PRIu64 " ms", verb, timeout_ms);
    return reason;
}

static const struct plugin *plugin_at(const struct obituary *obituary, uint32_t index)
{
    return index < obituary->engine->plugin_count ? &obituary->engine->plugins[index] : NULL;
}

void obituary_report(struct obituary *obituary, enum exit_code code, const char *format, ...)
{
    char text[OBITUARY_ERROR_MAX];
    va_list arguments;
    unsigned missed;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (obituary->running) {
        if (log_limit_pass(&obituary->start_log, monotonic_ns(), &missed)) {
            log_line("%s", text);
        }
    } else if (obituary->failure == EXIT_CODE_OK) {
        obituary->failure = code;
        memcpy(obituary->error, text, sizeof(obituary->error));
    }
}

void obituary_template(struct obituary *obituary, int status, bool timed_out)
{
    struct template_status *left = obituary->engine->status;
    const struct plugin *plugin = plugin_at(obituary, left->plugin);
    char reason[OBITUARY_REASON_MAX];

    left->error[sizeof(left->error) - 1] = '\0';
    reason_or_time(status, timed_out, "did not return within", obituary->engine->options->load_timeout_ms, reason);
    if (left->error[0] != '\0' && plugin != NULL) {
        obituary_report(obituary, EXIT_CODE_PLUGIN, "%s: %s", plugin->path, left->error);
    } else if (left->stage >= TEMPLATE_LOADED || plugin == NULL) {
        obituary_report(obituary, EXIT_CODE_RUN_TIME, "the template %s",
                        timed_out ? "did not answer in time and was killed" : reason);
    } else {
        obituary_report(obituary, EXIT_CODE_PLUGIN, "%s: %s %s", plugin->path,
                        left->stage == TEMPLATE_LINKING ? "a constructor" : "load()", reason);
    }
}

void obituary_start(struct obituary *obituary, unsigned queue, int status, bool timed_out)
{
    struct arena *arena = obituary->engine->queues[queue].arena;
    const struct plugin *plugin = plugin_at(obituary, arena->plugin);
    char reason[OBITUARY_REASON_MAX];

    arena->message[sizeof(arena->message) - 1] = '\0';
    reason_or_time(status, timed_out, "did not return within", obituary->engine->options->load_timeout_ms, reason);
    if (arena->message[0] != '\0') {
        obituary_report(obituary, plugin != NULL ? EXIT_CODE_PLUGIN : EXIT_CODE_RUN_TIME, "%s%s%s",
                        plugin != NULL ? plugin->path : "", plugin != NULL ? ": " : "", arena->message);
    } else if (plugin != NULL) {
        obituary_report(obituary, EXIT_CODE_PLUGIN, "%s: open() %s", plugin->path, reason);
    } else {
        obituary_report(obituary, EXIT_CODE_RUN_TIME, "queue %u: the new worker %s before it served",
                        obituary->engine->queues[queue].number, reason);
    }
}

void obituary_worker(struct obituary *obituary, unsigned queue, pid_t pid, int status, bool timed_out,
                     const struct arena_blame *blame)
{
    const struct engine *engine = obituary->engine;
    const struct plugin *plugin = plugin_at(obituary, blame->plugin);
    const char *id = plugin != NULL ? plugin->id : "(unknown)";
    const char *version = plugin != NULL ? plugin->version : "";
    const char *verdict = engine_verdict_name(engine->options->on_crash);
    unsigned number = engine->queues[queue].number;
    struct arena *arena = engine->queues[queue].arena;
    char reason[OBITUARY_REASON_MAX];
    unsigned missed;

    if (!log_limit_pass(&obituary->crash_log, monotonic_ns(), &missed)) {
        return;
    }
    log_missed(missed);
    reason_or_time(status, timed_out, "made no progress for", engine->options->handle_timeout_ms, reason);
    arena->message[sizeof(arena->message) - 1] = '\0';
    if (arena->state == ARENA_FAILED) {
        log_line("queue %u: worker %d: %s; it is replaced", number, pid, arena->message);
    } else if (!blame->handling) {
        log_line("queue %u: worker %d %s between two packets; it is replaced", number, pid, reason);
    } else if (blame->packet_known) {
        log_line("queue %u: plugin %s %s %s on packet %u; verdict %s; worker %d replaced", number, id, version, reason,
                 blame->packet_id, verdict, pid);
    } else {
        log_line("queue %u: plugin %s %s %s in handle_batch(); its packets go through handle() one by one; worker %d "
                 "replaced",
                 number, id, version, reason, pid);
    }
    if (blame->abandoned > 0) {
        log_line("queue %u: %d workers ended over the same burst; verdict %s for %u of its packets", number,
                 ARENA_ATTEMPTS, verdict, blame->abandoned);
    }
}

void obituary_leaving(const struct obituary *obituary, unsigned queue, int status)
{
    const struct engine_queue *engine_queue = &obituary->engine->queues[queue];
    const struct plugin *plugin = plugin_at(obituary, engine_queue->arena->plugin);
    char reason[OBITUARY_REASON_MAX];

    log_line("queue %u: %s%s %s; every packet had been answered", engine_queue->number,
             plugin != NULL ? plugin->path : "the worker", plugin != NULL ? ": close()" : "",
             obituary_reason(status, reason));
}

void obituary_unload(const struct obituary *obituary, const char *reason)
{
    const struct plugin *plugin = plugin_at(obituary, obituary->engine->status->plugin);

    if (obituary->engine->status->stage == TEMPLATE_UNLOADING && plugin != NULL) {
        log_line("%s: unload() %s", plugin->path, reason);
    }
}
