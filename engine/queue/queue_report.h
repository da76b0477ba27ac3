/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the log says of a queue: the settings in force when it is bound, and the final counters when the engine stops.
 *
 * Each function makes one line in text[LOG_LINE_MAX] and returns text, or NULL where there is nothing to say; the
 * caller writes it. The lines are an interface (docs/counters.md). Process: [supervisor].
 */
#ifndef ENGINE_QUEUE_QUEUE_REPORT_H
#define ENGINE_QUEUE_QUEUE_REPORT_H

#include "base/log.h"
#include "burst/stats.h"
#include "config/plan.h"
#include "config/reason_names.h"
#include "flow/flow_table.h"
#include "queue/queue.h"

#include <stddef.h>
#include <stdint.h>

/* That the kernel's figures are unknown; code: why /proc cannot be read. NULL: it can, code is 0. */
const char *queue_report_unknown(int code, char *text);

/* The settings in force: what is copied is read back from the kernel, the rest is what it granted. */
const char *queue_report_settings(const struct queue *queue, char *text);

/* The flow table of a plan, `size` bytes; NULL: it has none. */
const char *queue_report_flow_table(const struct queue *queue, const struct plan *plan, uint64_t size, char *text);

/* That the receive buffer is smaller than what was asked for; NULL: it is not. */
const char *queue_report_receive_buffer(const struct queue *queue, char *text);

/* That a receive buffer of the engine's own size has no room for a queue full of the largest packets; NULL: it has. */
const char *queue_report_room(const struct queue *queue, char *text);

/*
 * That the plugins before plugins[index] do not see the rest of a flow once plugins[index] has decided it. NULL:
 * plugins[index] does not decide for flows, or the plugin before it does too, or there is none.
 */
const char *queue_report_passed_over(const struct plan *plan, unsigned index, char *text);

/* What was counted of a queue since the start. */
struct queue_totals {
    const struct queue_stats *stats;
    uint64_t restarts;
    uint64_t outages;
    struct flow_totals flows;
};

/* Packets that are still queued, or were when the queue was unbound; NULL: none. */
const char *queue_report_unanswered(const struct queue *queue, const struct queue_totals *totals, char *text);

/*
 * How many verdicts had each reason of the plugin at a position, by counts, from cell *next on, as many as a line has
 * room for; *next: the first one after them. NULL: there are no more. Begin with names->first[position].
 */
const char *queue_report_reasons(const struct queue *queue, const char *plugin, const struct reason_names *names,
                                 unsigned position, const uint64_t *counts, uint32_t *next, char *text);

/* The same of the counters that the plugin declares, by what it has counted. */
const char *queue_report_plugin_counters(const struct queue *queue, const char *plugin,
                                         const struct reason_names *names, unsigned position, const uint64_t *counts,
                                         uint32_t *next, char *text);

/* The final counters, with the kernel's own. */
const char *queue_report_counters(const struct queue *queue, const struct queue_totals *totals, char *text);

#endif
