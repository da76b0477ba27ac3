/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One burst: receive, decode, run the chain, encode, send; see serve.h. Each step announces itself in the arena,
 * and a successor goes on from the step where it finds a burst.
 */
#include "process/worker_loop.h"

#include "base/util.h"

#include <errno.h>
#include <string.h>

/* Ids swept one by one. What is lost was the next message in the socket; behind it are those that it had no room for. */
#define SWEEP_MAX 65536
#define RECEIVE_ERRORS_MAX 16 /* in a row, until a new worker has to try */
#define LOG_BURST 5
#define LOG_PERIOD_NS (10 * NS_PER_S)

_Static_assert(VERDICTS_BUFFER_SIZE <= NFQUEUE_SEND_MAX, "a full buffer can be sent");
_Static_assert(NFQUEUE_RESENT_SERIAL == ARENA_SERIAL_MASK + 1, "the bits of a serial do not overlap");
_Static_assert(FLOW_BURST_MAX >= ARENA_BURST, "the flows of a burst have room");

/* What the limit of a log line held back before it. */
static void log_missed(const struct server *server, unsigned missed)
{
    if (missed > 0) {
        log_line("queue %u: ... %u more lines like the next not shown", server->queue->number, missed);
    }
}

static void count_answer(struct server *server, const struct nfqueue_answer *answer)
{
    unsigned missed;

    if (answer->error == 0) {
        return;
    }
    if (answer->verdict && answer->error == -ENOENT) {
        if (answer->resent) {
            server->delta.resent++;
        } else {
            server->delta.gone++;
        }
        return;
    }
    server->delta.verdict_errors++;
    if (log_limit_pass(&server->error_log, monotonic_ns(), &missed)) {
        log_missed(server, missed);
        log_line("queue %u: the kernel refused a %s: %s", server->queue->number,
                 answer->verdict ? "verdict" : "configuration request", strerror(-answer->error));
    }
}

/* The burst's next packet. A verdict that stands in the arena already is kept, with its mark, if it is this packet's. */
static void add_packet(struct server *server, bool keep_verdicts, bool truncated)
{
    unsigned index = server->packet_count++;
    const struct nfqe_packet *packet = &server->packets[index];
    struct arena_verdict *verdict = &server->arena->verdicts[index];
    bool decided = keep_verdicts && arena_decided(server->arena, index) && verdict->id == packet->id;

    server->delta.packets++;
    verdict->id = packet->id;
    if (!decided) {
        verdict->mark = packet->mark; /* 0 if the packet has none */
        atomic_store_explicit(&verdict->flags, 0, memory_order_relaxed);
    }
    if (truncated && !decided) {
        arena_decide(server->arena, index, server->chain.on_crash);
    }
}

static void decode_burst(struct server *server, bool keep_verdicts)
{
    unsigned count = arena_received(server->arena);

    server->packet_count = 0;
    server->delta = (struct arena_counters){.bursts = 1};
    /* A plugin could write to the packets' fields, so whatever matters later is in the arena. */
    for (unsigned i = 0; i < count; i++) {
        bool cut = (server->arena->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        struct nfqueue_answer answer;

        switch (nfqueue_decode(arena_slot(server->view, i), arena_message_len(server->arena, i), cut,
                               server->queue->number, &server->packets[server->packet_count], &answer)) {
        case NFQUEUE_PACKET:
            add_packet(server, keep_verdicts, false);
            break;
        case NFQUEUE_TRUNCATED:
            server->delta.truncated++;
            add_packet(server, keep_verdicts, true);
            break;
        case NFQUEUE_ANSWER:
            count_answer(server, &answer);
            break;
        case NFQUEUE_MALFORMED:
            server->delta.malformed++;
            break;
        }
    }
    server->arena->packets = server->packet_count;
}

static void send_verdicts(struct server *server)
{
    int error = nfqueue_send(server->queue->socket, server->verdicts.buffer, server->verdicts.len);

    if (error < 0) {
        engine_fail(server->engine, server->queue, "its verdicts cannot be sent: %s", strerror(-error));
    }
}

/* Answers ids that no message was seen of; the kernel may have answered some of them already. */
static void sweep_ids(struct server *server, uint32_t first, uint32_t last)
{
    if (last - first >= SWEEP_MAX) {
        last = first + SWEEP_MAX - 1;
    }
    server->delta.swept += last - first + 1;
    server->verdicts.serial = server->arena->serial | NFQUEUE_RESENT_SERIAL;
    while (first != last + 1) {
        verdicts_encode_ids(&server->verdicts, &first, last, server->chain.on_crash);
        send_verdicts(server);
    }
}

/* Before a freshly received burst is answered, or when there is none: see arena_request_sweep(). */
static void sweep(struct server *server, bool has_next, uint32_t next_id)
{
    uint32_t first;
    uint32_t last;

    if (arena_sweep_range(server->arena, has_next, next_id, &first, &last)) {
        sweep_ids(server, first, last);
    }
    arena_end_sweep(server->arena);
}

static void send_burst(struct server *server)
{
    struct arena *arena = server->arena;

    server->verdicts.serial = arena->serial | (arena->sent != 0 ? NFQUEUE_RESENT_SERIAL : 0);
    for (unsigned next = 0; next < server->packet_count;) {
        next = verdicts_encode(&server->verdicts, arena->verdicts, NULL, server->packet_count, next);
        send_verdicts(server);
    }
}

static void log_invalid(struct server *server, const struct chain_report *report)
{
    const struct plugin *plugin = &server->engine->plugins[report->plugin];
    unsigned missed;

    server->delta.invalid += report->invalid;
    if (log_limit_pass(&server->invalid_log, monotonic_ns(), &missed)) {
        log_missed(server, missed);
        log_line("queue %u: plugin %s %s answered 0x%x on packet %u, which is no verdict that it may give; verdict %s",
                 server->queue->number, plugin->id, plugin->version, report->verdict, report->packet_id,
                 engine_verdict_name(server->chain.on_crash));
    }
}

/* Before the chain: it asks for the flows of these packets. */
static void begin_flows(struct server *server)
{
    if (server->chain.flows != NULL) {
        flows_begin_burst(&server->flows, server->packets, server->packet_count, monotonic_coarse_ns());
    }
}

static void count_verdict(struct arena_counters *delta, const struct arena_verdict *verdict)
{
    uint32_t flags = atomic_load_explicit(&verdict->flags, memory_order_relaxed);

    if (verdict->verdict == NFQE_ACCEPT) {
        delta->accepted++;
    } else {
        delta->dropped++;
    }
    delta->flow_packets += (flags & ARENA_BY_FLOW) != 0;
    delta->flowless += (flags & ARENA_FLOWLESS) != 0;
}

/* From decoded packets to verdicts. */
static void decide_burst(struct server *server)
{
    struct arena *arena = server->arena;
    struct chain_report report;

    arena_enter(arena, ARENA_HANDLING);
    begin_flows(server);
    chain_run(&server->chain, arena, server->packets, server->packet_count, &report);
    if (report.invalid > 0) {
        log_invalid(server, &report);
    }
    for (unsigned i = 0; i < server->packet_count; i++) {
        count_verdict(&server->delta, &arena->verdicts[i]);
    }
    arena_enter(arena, ARENA_SENDING);
}

/* A burst is committed, so nothing is lost: a successor repairs the table. */
static void check_flows(const struct server *server)
{
    if (flows_damaged(&server->flows)) {
        engine_fail(server->engine, server->queue, "its flow table is damaged; a plugin wrote where it must not");
    }
}

static void finish_burst(struct server *server)
{
    struct arena *arena = server->arena;

    if (server->packet_count > 0) {
        decide_burst(server);
        sweep(server, true, arena->verdicts[0].id);
        send_burst(server);
        arena->last_id = arena->verdicts[server->packet_count - 1].id;
    }
    arena_commit(arena, &server->delta);
    check_flows(server);
}

/*
 * Answers the ids that are missing in a recovered burst, before and between its packets. An id that the kernel had not
 * given out is damaged; one that is not after the last was answered by a predecessor that died between here and the
 * commit. Returns the last id that is known to be answered.
 */
static uint32_t sweep_gaps(struct server *server)
{
    struct arena *arena = server->arena;
    uint32_t last = arena->last_id;

    for (unsigned i = 0; i < server->packet_count; i++) {
        uint32_t id = arena->verdicts[i].id;

        if ((int32_t)(id - last) <= 0 || (arena->sweep != 0 && (int32_t)(arena->sweep_to - id) < 0)) {
            continue;
        }
        if (id != last + 1) {
            sweep_ids(server, last + 1, id - 1);
        }
        last = id;
    }
    return last;
}

/* The flows that earlier workers of this queue decided. */
static void take_up_flows(struct server *server)
{
    struct engine_queue *queue = server->queue;
    uint32_t kept;

    if (queue->flows == 0) {
        return;
    }
    flows_attach(&server->flows, arena_flows(queue->arena, queue->shape), queue->flows, queue->flow_timeout_ms,
                 &server->engine->flow_seed);
    server->chain.flows = &server->flows;
    if (!flows_need_repair(&server->flows)) {
        return;
    }
    kept = flows_repair(&server->flows, monotonic_coarse_ns(), &queue->arena->progress);
    log_line("queue %u: the flow table was left half changed or damaged; %u flows in it are whole and kept",
             queue->number, kept);
}

/*
 * Some of the predecessor's messages may be damaged or lost, so nothing is sent that answers more than one id, and
 * ids that did not turn up are swept. What may be missing behind the burst is left to the sweep before the next one.
 */
void serve_recover(struct server *server)
{
    struct arena *arena = server->arena;
    enum arena_phase phase = arena_recover(arena);

    take_up_flows(server);
    if (phase == ARENA_IDLE) {
        return;
    }
    decode_burst(server, phase != ARENA_RECEIVING);
    if (server->packet_count > 0) {
        decide_burst(server);
        server->verdicts.no_batches = true;
        send_burst(server);
        server->verdicts.no_batches = false;
        arena->last_id = sweep_gaps(server);
    }
    arena_commit(arena, &server->delta);
    check_flows(server);
}

/* A receive that failed, or found nothing. */
static void take_receive_error(struct server *server, int error)
{
    server->delta = (struct arena_counters){0};
    if (error == -EAGAIN) {
        sweep(server, false, 0);
        server->receive_errors = 0;
    } else if (error == -EBADF || error == -ENOTSOCK) {
        engine_fail(server->engine, server->queue,
                    "its socket is gone: %s; a plugin must not close what it did not open", strerror(-error));
    } else if (error == -EFAULT || (error != -ENOBUFS && ++server->receive_errors >= RECEIVE_ERRORS_MAX)) {
        /* EFAULT: a message may be lost. A successor makes the headers anew, and sweeps. ENOBUFS may come at any time. */
        engine_fail(server->engine, server->queue, "it cannot receive: %s", strerror(-error));
    } else {
        server->delta.receive_errors = 1;
    }
    arena_commit(server->arena, &server->delta);
}

bool serve_burst(struct server *server)
{
    struct arena *arena = server->arena;
    int count = nfqueue_receive(server->queue->socket, arena);

    if (count >= 0 || count == -EAGAIN) {
        atomic_store_explicit(&arena->progress, arena->progress + 1, memory_order_release);
    }
    if (count < 0) {
        take_receive_error(server, count);
        return false;
    }
    if ((unsigned)count != arena_received(arena)) {
        engine_fail(server->engine, server->queue,
                    "its receive headers are damaged: %d messages, %u lengths; a plugin wrote where it must not", count,
                    arena_received(arena));
    }
    server->receive_errors = 0;
    arena->serial = (arena->serial + 1) & ARENA_SERIAL_MASK;
    decode_burst(server, false);
    finish_burst(server);
    return count == ARENA_BURST;
}

void serve_init(struct server *server, struct engine *engine, struct engine_queue *queue)
{
    const struct options *options = engine->options;

    server->engine = engine;
    server->queue = queue;
    server->arena = queue->arena;
    server->verdicts.queue = queue->number;
    server->invalid_log = (struct log_limit){.burst = LOG_BURST, .period_ns = LOG_PERIOD_NS};
    server->error_log = server->invalid_log;
    server->chain.default_verdict = options->default_verdict;
    server->chain.on_crash = options->on_crash;
    server->chain.bypass_mark = options->bypass_mark.bits;
    server->chain.bypass_mask = options->bypass_mark.mask;
    arena_prepare(queue->arena, queue->number, queue->shape);
    if (arena_map_view(queue->arena_fd, queue->shape, &server->view) < 0) {
        engine_fail(engine, queue, "its arena cannot be mapped: %s", strerror(errno));
    }
}
