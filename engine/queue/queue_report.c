/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lines of the log about a queue.
 *
 * What the kernel decides is read back from /proc, not repeated from what was asked for. Where /proc cannot be read, the
 * settings are those that the kernel took with the bind, and its figures are unknown, which is said. Process: [supervisor].
 */
#include "queue/queue_report.h"

#include "queue/nfqueue_proc.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MIB (1024 * 1024)
#define COPY_MODE_PACKET 2 /* as /proc says it */
#define FIGURE_MAX 16
#define REASON_MAX (REASON_NAME_SIZE + 24) /* " name=" and 20 digits */

const char *queue_report_unknown(int code, char *text)
{
    const char *remedy = code == -ENOENT ? "mount /proc without subset=pid (systemd: ProcSubset=all)"
                                         : "start nfq-engine as root, or with CAP_DAC_READ_SEARCH, too";

    if (code == 0) {
        return NULL;
    }
    snprintf(text, LOG_LINE_MAX,
             "warning: /proc/net/netfilter/nfnetlink_queue cannot be read (%s), so it is unknown what the kernel drops "
             "and how many packets wait; %s",
             strerror(-code), remedy);
    return text;
}

const char *queue_report_settings(const struct queue *queue, char *text)
{
    struct nfqueue_status status = {0};
    bool known = queue_read_status(queue, &status) == 0;
    char copy[64] = "metadata only";
    char names[QUEUE_FLAG_NAMES_MAX];

    if (known ? status.copy_mode == COPY_MODE_PACKET : queue->settings.copy_packet) {
        snprintf(copy, sizeof(copy), "packet %" PRIu32 " bytes",
                 known ? status.copy_range : queue->settings.copy_range);
    }
    snprintf(text, LOG_LINE_MAX, "queue %u: max-len %" PRIu32 ", copy %s, receive buffer %" PRIu64 " bytes, flags %s",
             queue->number, queue->settings.max_len, copy, queue->receive_buffer,
             queue_flag_names(queue->settings.flags, names));
    return text;
}

const char *queue_report_flow_table(const struct queue *queue, const struct plan *plan, uint64_t size, char *text)
{
    if (plan->flows == 0) {
        return NULL;
    }
    snprintf(text, LOG_LINE_MAX,
             "queue %u: flow table for %" PRIu32 " flows, %" PRIu64 " MiB, idle time-out %" PRIu64 " ms", queue->number,
             plan->flows, (size + MIB - 1) / MIB, plan->flow_timeout_ms);
    return text;
}

const char *queue_report_receive_buffer(const struct queue *queue, char *text)
{
    /* The kernel counts in pairs: it doubles the half that it is asked for. */
    if (queue->receive_buffer >= queue->wanted_receive_buffer / 2 * 2) {
        return NULL;
    }
    snprintf(text, LOG_LINE_MAX, "queue %u: asked for a receive buffer of %" PRIu64 " bytes; raise net.core.rmem_max",
             queue->number, queue->wanted_receive_buffer);
    return text;
}

const char *queue_report_room(const struct queue *queue, char *text)
{
    uint64_t packets = queue->receive_buffer / queue_message_cost(&queue->settings);

    if (!queue->limited_receive_buffer || packets >= queue->settings.max_len) {
        return NULL;
    }
    snprintf(text, LOG_LINE_MAX,
             "queue %u: the receive buffer is limited to %" PRIu64 " bytes, enough for %" PRIu64 " packets of %" PRIu32
             " bytes, less than --max-len %" PRIu32 "; see --receive-buffer",
             queue->number, queue->receive_buffer, packets, queue->settings.copy_range, queue->settings.max_len);
    return text;
}

static bool decides_for_flows(const struct plan_plugin *plugin)
{
    return ((plugin->needs | plugin->uses) & NFQE_NEED_FLOW) != 0;
}

const char *queue_report_passed_over(const struct plan *plan, unsigned index, char *text)
{
    const struct plan_plugin *plugin = &plan->plugins[index];

    if (index == 0 || !decides_for_flows(plugin) || decides_for_flows(plugin - 1)) {
        return NULL;
    }
    snprintf(text, LOG_LINE_MAX,
             "plugin %s decides for flows: plugins in front of it, such as %s, do not see the rest of a decided flow",
             plugin->id, plugin[-1].id);
    return text;
}

const char *queue_report_unanswered(const struct queue *queue, const struct queue_totals *totals, char *text)
{
    const struct queue_stats *stats = totals->stats;
    /* Those in the socket come to that. */
    uint64_t waiting = stats->packets - stats->accepted - stats->dropped - stats->repeated - stats->requeued;
    struct nfqueue_status status;
    bool known = queue_read_status(queue, &status) == 0;

    if (known) {
        waiting = status.waiting;
    }
    if (waiting == 0) {
        return NULL;
    }
    snprintf(text, LOG_LINE_MAX,
             "queue %u: %s%" PRIu64 " packets were not answered in time and are dropped; --drain-timeout gives more",
             queue->number, known ? "" : "at least ", waiting);
    return text;
}

/* A figure of the kernel, into text[FIGURE_MAX]. */
static const char *figure(bool known, uint32_t value, char *text)
{
    if (!known) {
        return "unknown";
    }
    snprintf(text, FIGURE_MAX, "%" PRIu32, value);
    return text;
}

const char *queue_report_counters(const struct queue *queue, const struct queue_totals *totals, char *text)
{
    const struct queue_stats *stats = totals->stats;
    struct nfqueue_status status = {0};
    bool known = queue_read_status(queue, &status) == 0;
    char queue_dropped[FIGURE_MAX];
    char user_dropped[FIGURE_MAX];

    snprintf(text, LOG_LINE_MAX,
             "queue %u: final: packets=%" PRIu64 " accepted=%" PRIu64 " dropped=%" PRIu64 " repeated=%" PRIu64
             " requeued=%" PRIu64 " changed=%" PRIu64 " changes_refused=%" PRIu64 " crash_verdicts=%" PRIu64
             " invalid=%" PRIu64 " verdicts_resent=%" PRIu64 " stale_verdicts=%" PRIu64 " verdict_errors=%" PRIu64
             " receive_errors=%" PRIu64 " truncated=%" PRIu64 " malformed=%" PRIu64 " recovered_ids=%" PRIu64
             " flow_packets=%" PRIu64 " flows_added=%" PRIu64 " flows_replaced=%" PRIu64 " flows_expired=%" PRIu64
             " flow_not_stored=%" PRIu64 " rejects_sent=%" PRIu64 " rejects_limited=%" PRIu64 " rejects_unfit=%" PRIu64
             " reject_errors=%" PRIu64 " bursts=%" PRIu64 " restarts=%" PRIu64 " outages=%" PRIu64
             " kernel_queue_dropped=%s kernel_user_dropped=%s",
             queue->number, stats->packets, stats->accepted, stats->dropped, stats->repeated, stats->requeued,
             stats->changed, stats->changes_refused, stats->crash_verdicts, stats->invalid, stats->verdicts_resent,
             stats->stale_verdicts, stats->verdict_errors, stats->receive_errors, stats->truncated, stats->malformed,
             stats->recovered_ids, stats->flow_packets, totals->flows.added, totals->flows.replaced,
             totals->flows.expired, stats->flow_not_stored, stats->rejects_sent, stats->rejects_limited,
             stats->rejects_unfit, stats->reject_errors, stats->bursts, totals->restarts, totals->outages,
             figure(known, status.queue_dropped, queue_dropped), figure(known, status.user_dropped, user_dropped));
    return text;
}

static const char *report_cells(const struct queue *queue, const char *plugin, const char *what,
                                const struct reason_names *names, unsigned position, const uint64_t *counts,
                                uint32_t *next, char *text)
{
    uint32_t end = names->first[position + 1];
    int len;

    if (*next >= end) {
        return NULL;
    }
    len = snprintf(text, LOG_LINE_MAX, "queue %u: plugin %s: %s:", queue->number, plugin, what);
    while (*next < end && len + REASON_MAX < LOG_LINE_MAX) {
        len += snprintf(text + len, REASON_MAX, " %s=%" PRIu64, names->names[*next], counts[*next]);
        (*next)++;
    }
    return text;
}

const char *queue_report_reasons(const struct queue *queue, const char *plugin, const struct reason_names *names,
                                 unsigned position, const uint64_t *counts, uint32_t *next, char *text)
{
    return report_cells(queue, plugin, "reasons", names, position, counts, next, text);
}

const char *queue_report_plugin_counters(const struct queue *queue, const char *plugin,
                                         const struct reason_names *names, unsigned position, const uint64_t *counts,
                                         uint32_t *next, char *text)
{
    return report_cells(queue, plugin, "counters", names, position, counts, next, text);
}
