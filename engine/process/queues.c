/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See queues.h.
 */
#include "process/queues.h"

#include "base/log.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

/*
 * What a queued message costs in the socket buffer beside the copied bytes: the kernel accounts its buffers,
 * not their contents. About 1,300 bytes with 128 copied ones on Linux 6.18; the rest is reserve.
 */
#define MESSAGE_COST 2048
/* The buffer is a limit, not an allocation; above this it would only hide that nobody keeps up. */
#define RECEIVE_BUFFER_AUTO_MAX (256 * 1024 * 1024)
#define MIB (1024 * 1024)

/* Bytes of each packet that the plugin asks for; 0: none. To know flows, the engine itself must see headers. */
static uint32_t needed_bytes(const struct plugin *plugin)
{
    uint32_t headers = (plugin->needs & NFQE_NEED_HEADERS) != 0 ? plugin->header_bytes : 0;

    if ((plugin->needs & NFQE_NEED_PAYLOAD) != 0) {
        return COPY_RANGE_MAX;
    }
    if ((plugin->needs & NFQE_NEED_FLOW) != 0 && headers < NFQE_HEADER_BYTES_DEFAULT) {
        return NFQE_HEADER_BYTES_DEFAULT;
    }
    return headers;
}

/* The flags of a queue: who asks for them, and what a kernel that lacks them lacks. */
static const struct flag {
    uint32_t bit;
    uint64_t need;
    const char *name;
    const char *kernel;
} flags[] = {
    {NFQUEUE_FAIL_OPEN, 0, "fail-open", "Linux 3.6"},
    {NFQUEUE_CONNTRACK, NFQE_NEED_CONNTRACK, "conntrack", "CONFIG_NETFILTER_NETLINK_GLUE_CT and nf_conntrack_netlink"},
    {NFQUEUE_GSO, 0, "gso", "Linux 3.10"},
    {NFQUEUE_UID_GID, NFQE_NEED_OWNER, "uid-gid", "Linux 3.14"},
    {NFQUEUE_SECCTX, NFQE_NEED_SECCTX, "secctx", "CONFIG_NETWORK_SECMARK"},
};

/* The first plugin that needs it; NULL: none. */
static const struct plugin *who_needs(const struct engine *engine, uint64_t need)
{
    for (unsigned i = 0; i < engine->plugin_count; i++) {
        if ((engine->plugins[i].needs & need) != 0) {
            return &engine->plugins[i];
        }
    }
    return NULL;
}

static uint32_t wanted_flags(const struct engine *engine)
{
    const struct options *options = engine->options;
    bool gso = options->gso != GSO_OFF && who_needs(engine, NFQE_NEED_SEGMENTS) == NULL;
    uint32_t wanted = (options->fail_open ? NFQUEUE_FAIL_OPEN : 0) | (options->conntrack ? NFQUEUE_CONNTRACK : 0) |
                      (gso ? NFQUEUE_GSO : 0) | (options->uid_gid ? NFQUEUE_UID_GID : 0) |
                      (options->secctx ? NFQUEUE_SECCTX : 0);

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (who_needs(engine, flags[i].need) != NULL) {
            wanted |= flags[i].bit;
        }
    }
    return wanted;
}

/* Options that contradict what the plugins need, or that no plugin makes use of. */
static int check_needs(const struct engine *engine, struct error *error)
{
    const struct options *options = engine->options;
    const struct plugin *segments = who_needs(engine, NFQE_NEED_SEGMENTS);
    const char *flow_option;

    if (options->gso == GSO_ON && segments != NULL) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--gso on: plugin %s needs packets one by one, as they are on the wire; leave the option out",
                         segments->id);
    }
    flow_option = options->flow_table != 0         ? "flow-table"
                  : options->flow_timeout_ms != 0  ? "flow-timeout"
                  : options->bypass_mark.mask != 0 ? "bypass-mark"
                                                   : NULL;
    if (flow_option != NULL && who_needs(engine, NFQE_NEED_FLOW) == NULL) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--%s: no plugin of the chain decides for flows (NFQE_NEED_FLOW); leave the option out",
                         flow_option);
    }
    return 0;
}

/* How much of each packet the kernel copies: the largest need, or what the user says if that is enough. */
static int plan_copy_range(const struct engine *engine, struct nfqueue_settings *settings, struct error *error)
{
    uint64_t given = engine->options->copy_range;

    for (unsigned i = 0; i < engine->plugin_count; i++) {
        uint32_t needed = needed_bytes(&engine->plugins[i]);

        if (given != 0 && given < needed) {
            return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                             "--copy-range %" PRIu64 ": plugin %s needs %" PRIu32
                             " bytes; leave the option out or raise it",
                             given, engine->plugins[i].id, needed);
        }
        settings->copy_range = needed > settings->copy_range ? needed : settings->copy_range;
    }
    if (given != 0) {
        settings->copy_range = (uint32_t)given;
    }
    settings->copy_packet = settings->copy_range > 0;
    return 0;
}

/* Memory that can be had without swapping, in bytes; UINT64_MAX: unknown. */
static uint64_t available_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    uint64_t kib = UINT64_MAX / 1024;
    char line[128];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL &&
           sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1) {
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib * 1024;
}

/*
 * The flow tables: how many flows, 0 if no plugin decides for flows, in how many bytes. They are taken at start, and
 * the kernel would rather kill somebody than refuse.
 */
static int plan_flows(struct engine *engine, uint32_t *flows, uint64_t *size, struct error *error)
{
    const struct options *options = engine->options;
    uint64_t available;
    int code;

    *flows = 0;
    *size = 0;
    if (who_needs(engine, NFQE_NEED_FLOW) == NULL) {
        return 0;
    }
    *flows = options->flow_table != 0 ? (uint32_t)options->flow_table : OPTIONS_FLOWS_DEFAULT;
    *size = flow_memory_size(*flows);
    available = available_memory();
    if (*size * options->queue_count > available) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--flow-table %" PRIu32 ": the tables of %u queues take %" PRIu64
                         " MiB, this machine has %" PRIu64 " MiB available; lower it",
                         *flows, options->queue_count, *size * options->queue_count / MIB, available / MIB);
    }
    code = flow_seed_make(&engine->flow_seed);
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, -EINVAL, "no random numbers for the flow tables: %s",
                         strerror(-code));
    }
    return 0;
}

int queues_plan(struct engine *engine, struct error *error)
{
    const struct options *options = engine->options;
    struct nfqueue_settings settings = {.max_len = (uint32_t)options->max_len, .flags = wanted_flags(engine)};
    int code = plan_copy_range(engine, &settings, error);
    struct arena_shape shape = {0};
    uint32_t flows = 0;

    if (code == 0) {
        code = check_needs(engine, error);
    }
    if (code == 0) {
        code = plan_flows(engine, &flows, &shape.flows_size, error);
    }
    if (code != 0) {
        return code;
    }
    shape.slot_size = nfqueue_slot_size(&settings);
    engine->queue_count = options->queue_count;
    for (unsigned i = 0; i < engine->queue_count; i++) {
        engine->queues[i] = (struct engine_queue){
            .number = options->queues[i],
            .socket = -1,
            .wake = -1,
            .arena_fd = -1,
            .shape = shape,
            .flows = flows,
            .flow_timeout_ms =
                options->flow_timeout_ms != 0 ? options->flow_timeout_ms : OPTIONS_FLOW_TIMEOUT_DEFAULT_MS,
            .cpu = options->cpu_count > 0 ? options->cpus[i % options->cpu_count] : ENGINE_NO_CPU,
            .settings = settings,
        };
    }
    return 0;
}

static uint64_t wanted_receive_buffer(const struct engine *engine, const struct engine_queue *queue)
{
    if (engine->options->receive_buffer != 0) {
        return engine->options->receive_buffer;
    }
    return min_u64((uint64_t)queue->settings.max_len * (MESSAGE_COST + queue->settings.copy_range),
                   RECEIVE_BUFFER_AUTO_MAX);
}

static int refuse_bind(const struct engine_queue *queue, int code, struct error *error)
{
    struct nfqueue_status owner;

    if (code == -EPERM && !has_cap_net_admin()) {
        return error_set(error, EXIT_CODE_QUEUE, -EINVAL,
                         "queue %u: cannot be bound without CAP_NET_ADMIN; start nfq-engine as root", queue->number);
    }
    if (code == -EPERM && nfqueue_read_status(queue->number, &owner) == 0) {
        return error_set(
            error, EXIT_CODE_QUEUE, -EINVAL,
            "queue %u: is owned by netlink port id %u, usually a process id (ps -p %u); stop that program or "
            "choose another queue",
            queue->number, owner.port_id, owner.port_id);
    }
    return error_set(error, EXIT_CODE_QUEUE, -EINVAL, "queue %u: cannot be bound: %s", queue->number, strerror(-code));
}

/* Asks the kernel for each flag by itself: its answer to a bind would not say which one it lacks. */
static int probe_flags(const struct engine *engine, struct engine_queue *queue, struct error *error)
{
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        const struct plugin *plugin = who_needs(engine, flags[i].need);

        if ((queue->settings.flags & flags[i].bit) == 0 ||
            nfqueue_probe_flag(queue->socket, queue->number, flags[i].bit) == 0) {
            continue;
        }
        if (flags[i].bit == NFQUEUE_GSO && engine->options->gso == GSO_AUTO) {
            queue->settings.flags &= ~NFQUEUE_GSO;
            continue;
        }
        if (plugin != NULL) {
            return error_set(error, EXIT_CODE_PLUGIN, -EINVAL,
                             "%s: needs the queue flag %s, which this kernel lacks; it takes %s", plugin->path,
                             flags[i].name, flags[i].kernel);
        }
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--%s: this kernel lacks that queue flag; it takes %s", flags[i].name, flags[i].kernel);
    }
    return 0;
}

/* Each queue takes three descriptors, in a limit that is often 1,024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int open_queue(const struct engine *engine, struct engine_queue *queue, struct error *error)
{
    struct nfqueue_status owner;
    int code = nfqueue_open(engine->options->no_enobufs, &queue->socket, &queue->port_id);

    if (code < 0) {
        return error_set(error, EXIT_CODE_QUEUE, -EINVAL,
                         "queue %u: no netlink socket: %s; is the kernel built with CONFIG_NETFILTER_NETLINK_QUEUE?",
                         queue->number, strerror(-code));
    }
    if (!has_cap_net_admin() || nfqueue_read_status(queue->number, &owner) == 0) {
        return refuse_bind(queue, -EPERM, error);
    }
    code = probe_flags(engine, queue, error);
    if (code != 0) {
        return code;
    }
    code = nfqueue_set_receive_buffer(queue->socket, wanted_receive_buffer(engine, queue), &queue->receive_buffer);
    if (code < 0) {
        return error_set(error, EXIT_CODE_QUEUE, -EINVAL, "queue %u: its receive buffer cannot be set: %s",
                         queue->number, strerror(-code));
    }
    code = arena_new(queue->number, queue->shape, &queue->arena, &queue->arena_fd);
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, -EINVAL, "queue %u: no shared memory: %s%s", queue->number,
                         strerror(-code), queue->flows > 0 ? "; its flow table takes the most, see --flow-table" : "");
    }
    queue->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->wake < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, -EINVAL, "queue %u: no eventfd: %s", queue->number,
                         strerror(errno));
    }
    return 0;
}

int queues_open(struct engine *engine, struct error *error)
{
    int code = 0;

    raise_descriptor_limit();
    for (unsigned i = 0; i < engine->queue_count && code == 0; i++) {
        code = open_queue(engine, &engine->queues[i], error);
    }
    return code;
}

int queues_bind(struct engine *engine, struct error *error)
{
    for (unsigned i = 0; i < engine->queue_count; i++) {
        struct engine_queue *queue = &engine->queues[i];
        int code = nfqueue_bind(queue->socket, queue->number, &queue->settings);

        if (code < 0) {
            return refuse_bind(queue, code, error);
        }
        queue->bound = true;
    }
    return 0;
}

/* "gso,uid-gid", or "none", into text[size]. */
static const char *flag_names(const struct nfqueue_settings *settings, char *text, size_t size)
{
    size_t used = 0;

    snprintf(text, size, "none");
    for (size_t i = 0; i < ARRAY_SIZE(flags) && used < size; i++) {
        if ((settings->flags & flags[i].bit) != 0) {
            int len = snprintf(text + used, size - used, "%s%s", used > 0 ? "," : "", flags[i].name);

            used += len > 0 ? (size_t)len : 0;
        }
    }
    return text;
}

/* A flow verdict holds for the whole chain: whoever stands in front of the plugin that gave it should know. */
static void log_passed_over(const struct engine *engine)
{
    for (unsigned i = 1; i < engine->plugin_count; i++) {
        if ((engine->plugins[i].needs & NFQE_NEED_FLOW) != 0 && (engine->plugins[i - 1].needs & NFQE_NEED_FLOW) == 0) {
            log_line(
                "plugin %s decides for flows: plugins in front of it, such as %s, do not see the rest of a decided "
                "flow",
                engine->plugins[i].id, engine->plugins[i - 1].id);
        }
    }
}

void queues_log_settings(const struct engine *engine)
{
    log_passed_over(engine);
    for (unsigned i = 0; i < engine->queue_count; i++) {
        const struct engine_queue *queue = &engine->queues[i];
        uint64_t wanted = wanted_receive_buffer(engine, queue);
        struct nfqueue_status status = {0};
        char copy[64] = "metadata only";
        char names[64];

        nfqueue_read_status(queue->number, &status);
        if (status.copy_mode > 1) {
            snprintf(copy, sizeof(copy), "packet %" PRIu32 " bytes", status.copy_range);
        }
        log_line("queue %u: max-len %" PRIu32 ", copy %s, receive buffer %" PRIu64 " bytes, flags %s", queue->number,
                 queue->settings.max_len, copy, queue->receive_buffer,
                 flag_names(&queue->settings, names, sizeof(names)));
        if (queue->flows > 0) {
            log_line("queue %u: flow table for %" PRIu32 " flows, %" PRIu64 " MiB, idle time-out %" PRIu64 " ms",
                     queue->number, queue->flows, (queue->shape.flows_size + MIB - 1) / MIB, queue->flow_timeout_ms);
        }
        if (queue->receive_buffer < wanted / 2 * 2) {
            log_line("queue %u: asked for a receive buffer of %" PRIu64 " bytes; raise net.core.rmem_max",
                     queue->number, wanted);
        }
    }
}

void queues_log_counters(const struct engine *engine)
{
    for (unsigned i = 0; i < engine->queue_count; i++) {
        const struct engine_queue *queue = &engine->queues[i];
        const struct arena_counters *counters = arena_counters(queue->arena);
        struct flow_totals flows = {0};
        struct nfqueue_status status = {0};

        if (queue->flows > 0) {
            flows = ((const struct flow_table *)arena_flows(queue->arena, queue->shape))->totals;
        }

        nfqueue_read_status(queue->number, &status);
        if (status.waiting > 0) {
            log_line("queue %u: %" PRIu32 " packets were not answered in time and are dropped; --drain-timeout gives "
                     "more",
                     queue->number, status.waiting);
        }
        log_line("queue %u: final: packets=%" PRIu64 " accepted=%" PRIu64 " dropped=%" PRIu64 " crash_verdicts=%" PRIu64
                 " invalid=%" PRIu64 " verdicts_resent=%" PRIu64 " stale_verdicts=%" PRIu64 " verdict_errors=%" PRIu64
                 " receive_errors=%" PRIu64 " truncated=%" PRIu64 " malformed=%" PRIu64 " recovered_ids=%" PRIu64
                 " flow_packets=%" PRIu64 " flows_added=%" PRIu64 " flows_replaced=%" PRIu64 " flows_expired=%" PRIu64
                 " flow_not_stored=%" PRIu64 " bursts=%" PRIu64 " restarts=%" PRIu64 " kernel_queue_dropped=%" PRIu32
                 " kernel_user_dropped=%" PRIu32,
                 queue->number, counters->packets, counters->accepted, counters->dropped, queue->arena->crash_verdicts,
                 counters->invalid, counters->verdicts_resent, counters->stale_verdicts, counters->verdict_errors,
                 counters->receive_errors, counters->truncated, counters->malformed, counters->recovered_ids,
                 counters->flow_packets, flows.added, flows.replaced, flows.expired, counters->flow_not_stored,
                 counters->bursts, queue->arena->restarts, status.queue_dropped, status.user_dropped);
    }
}

void queues_close(struct engine *engine)
{
    for (unsigned i = 0; i < engine->queue_count; i++) {
        struct engine_queue *queue = &engine->queues[i];

        if (queue->bound) {
            nfqueue_unbind(queue->socket, queue->number);
            queue->bound = false;
        }
        close_fd(&queue->socket);
        close_fd(&queue->wake);
        arena_free(queue->arena, queue->shape, &queue->arena_fd);
        queue->arena = NULL;
    }
}
