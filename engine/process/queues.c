/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and binding the queues one after the other; the first failure ends it.
 *
 * All sockets are open and all settings are checked before the first queue is bound, so a start that fails leaves every
 * queue alone. What a queue is to the kernel is in queue/queue.c, what the log says of it in queue/queue_report.c.
 * Process: [supervisor].
 */
#include "process/queues.h"

#include "base/log.h"
#include "flow/flow_memory.h"
#include "process/queue_messages.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_proc.h"
#include "queue/queue_report.h"
#include "queue/raw_sockets.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void init_queue(struct engine_queue *queue, uint16_t number)
{
    *queue = (struct engine_queue){.control = NULL};
    queue_init(&queue->kernel, number);
    queue_shm_init(&queue->shm);
}

/* It is a limit for memory that has a descriptor, too. */
static bool file_size_is_limited(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

struct queue_shm_layout queues_layout(const struct plan *plan)
{
    return (struct queue_shm_layout){.control_version = QUEUE_CONTROL_VERSION,
                                     .control_size = sizeof(struct queue_control),
                                     .slot_size = nfqueue_slot_size(&plan->settings),
                                     .changes = plan->changes,
                                     .flows_size = plan->flows > 0 ? flow_memory_size(plan->flows) : 0};
}

static int open_queue(const struct engine *engine, struct engine_queue *queue, struct error *error)
{
    const struct plan *plan = &engine->generation->plan;
    const struct queue_shm_layout layout = queues_layout(plan);
    unsigned number = queue->kernel.number;
    int code = queue_open(&queue->kernel, plan, error);

    if (code < 0) {
        return code;
    }
    code = queue_shm_new(queue->kernel.number, &layout, &queue->shm);
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "queue %u: no shared memory: %s%s%s", number, strerror(-code),
                         file_size_is_limited() ? "; run: ulimit -f unlimited" : "",
                         plan->flows > 0 ? "; its flow table takes the most, see --flow-table" : "");
    }
    queue->control = queue->shm.control;
    queue->control->cpu = RING_CPU_ANY;
    return 0;
}

static struct raw_sockets raw; /* of all queues */

/* Who only uses the need does without; then no sender is told. */
static int open_raw_sockets(struct engine *engine, struct error *error)
{
    const struct plan_plugin *plugin = plan_who_needs(&engine->generation->plan, NFQE_NEED_INJECT);
    int code = raw_sockets_open(&raw, engine->generation->group->reject_mark.bits);

    if (code == 0) {
        engine->raw = &raw;
    }
    if (code < 0 && plugin != NULL) {
        return error_set(error, EXIT_CODE_CONFIGURATION, code,
                         "plugin %s tells senders that their packets are dropped, "
                         "but there is no raw socket for it: %s%s",
                         plugin->id, strerror(-code),
                         code == -EPERM ? "; start nfq-engine as root, or with CAP_NET_RAW, too" : "");
    }
    return 0;
}

int queues_open(struct engine *engine, struct error *error)
{
    int code = flow_seed_make(&engine->flow_seed); /* for flow tables, and for the choice of a worker */

    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "no random numbers for the hash of flows: %s",
                         strerror(-code));
    }
    engine->queue_count = engine->generation->group->queue_count;
    engine->counted = calloc((size_t)engine->queue_count * COUNTERS_MAX, sizeof(*engine->counted));
    for (unsigned i = 0; i < engine->queue_count; i++) {
        init_queue(&engine->queues[i], engine->generation->group->queues[i]);
    }
    if (engine->counted == NULL) {
        return error_set(error, EXIT_CODE_RUN_TIME, -ENOMEM, "no memory for counters of plugins");
    }
    for (unsigned i = 0; i < engine->queue_count && code == 0; i++) {
        engine->queues[i].counted = engine->counted + (size_t)i * COUNTERS_MAX;
        code = open_queue(engine, &engine->queues[i], error);
    }
    if (code == 0 && engine->generation->plan.rejects && engine->generation->group->reject_by_rule.mask == 0) {
        code = open_raw_sockets(engine, error);
    }
    return code;
}

int queues_bind(struct engine *engine, struct error *error)
{
    int code = 0;

    for (unsigned i = 0; i < engine->queue_count && code == 0; i++) {
        code = queue_bind(&engine->queues[i].kernel, error);
    }
    return code;
}

static void log_if_any(const char *text)
{
    if (text != NULL) {
        log_line("%s", text);
    }
}

struct status_reading {
    const struct engine *engine;
    struct queues_status *read;
};

static void keep_status(void *context, const struct nfqueue_status *status)
{
    const struct status_reading *reading = context;

    for (unsigned i = 0; i < reading->engine->queue_count; i++) {
        const struct queue *kernel = &reading->engine->queues[i].kernel;

        if (nfqueue_is_owned(status, kernel->number, kernel->port_id)) {
            reading->read->found[i] = true;
            reading->read->status[i] = *status;
        }
    }
}

void queues_read_status(const struct engine *engine, struct queues_status *read)
{
    struct status_reading reading = {.engine = engine, .read = read};

    memset(read->found, 0, sizeof(read->found));
    read->code = nfqueue_each_status(keep_status, &reading);
}

static void visit_nothing(void *context, const struct nfqueue_status *status)
{
    (void)context;
    (void)status;
}

void queues_log_settings(const struct engine *engine)
{
    char text[LOG_LINE_MAX];

    log_if_any(queue_report_unknown(nfqueue_each_status(visit_nothing, NULL), text));
    for (unsigned i = 0; i < engine->generation->plan.plugin_count; i++) {
        log_if_any(queue_report_passed_over(&engine->generation->plan, i, text));
    }
    for (unsigned i = 0; i < engine->queue_count; i++) {
        const struct engine_queue *queue = &engine->queues[i];

        log_if_any(queue_report_settings(&queue->kernel, text));
        log_if_any(
            queue_report_flow_table(&queue->kernel, &engine->generation->plan, queue->shm.layout.flows_size, text));
        log_if_any(queue_report_receive_buffer(&queue->kernel, text));
        log_if_any(queue_report_room(&queue->kernel, text));
    }
}

static void log_counters_of_plugin(const struct engine *engine, const struct engine_queue *queue, unsigned position)
{
    const char *id = engine->generation->plugins[position].id;
    uint32_t counter = engine->counters.first[position];
    uint32_t reason = engine->reasons.first[position];
    char text[LOG_LINE_MAX];

    while (queue_report_reasons(&queue->kernel, id, &engine->reasons, position, journal_reasons(queue->shm.journal),
                                &reason, text) != NULL) {
        log_line("%s", text);
    }
    while (queue_report_plugin_counters(&queue->kernel, id, &engine->counters, position, queue->counted, &counter,
                                        text) != NULL) {
        log_line("%s", text);
    }
}

void queues_log_counters(const struct engine *engine)
{
    char text[LOG_LINE_MAX];

    for (unsigned i = 0; i < engine->queue_count; i++) {
        const struct engine_queue *queue = &engine->queues[i];
        struct queue_totals totals = {.stats = &journal_totals(queue->shm.journal)->stats,
                                      .restarts = queue->control->restarts,
                                      .outages = queue->control->outages};

        if (engine->generation->plan.flows > 0) {
            totals.flows = ((const struct flow_memory_header *)queue->shm.flows)->totals;
        }
        log_if_any(queue_report_unanswered(&queue->kernel, &totals, text));
        log_if_any(queue_report_counters(&queue->kernel, &totals, text));
        for (unsigned plugin = 0; plugin < engine->generation->plugin_count; plugin++) {
            log_counters_of_plugin(engine, queue, plugin);
        }
    }
}

void queues_unbind_one(struct engine *engine, unsigned index, const struct queues_status *read)
{
    int missing = read->code < 0 ? read->code : -ENODEV;

    queue_unbind_after(&engine->queues[index].kernel, read->found[index] ? 0 : missing, &read->status[index]);
}

/* One reading for all: there can be 256 queues, whose firewall's rules wait for this. */
void queues_unbind(struct engine *engine)
{
    struct queues_status last;

    queues_read_status(engine, &last);
    for (unsigned i = 0; i < engine->queue_count; i++) {
        queues_unbind_one(engine, i, &last);
    }
}

void queues_close(struct engine *engine)
{
    for (unsigned i = 0; i < engine->queue_count; i++) {
        struct engine_queue *queue = &engine->queues[i];

        queue_close(&queue->kernel);
        queue_shm_done(&queue->shm);
        queue->control = NULL;
        queue->counted = NULL;
    }
    free(engine->counted);
    engine->counted = NULL;
    if (engine->raw != NULL) {
        raw_sockets_close(engine->raw);
        engine->raw = NULL;
    }
}
