/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One burst: receive, decode, run the chain, encode, send; see worker_loop.h. Each step announces itself in the arena,
 * and a successor goes on from the step where it finds a burst.
 */
#include "process/worker_loop.h"

#include "base/probe.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

/* Ids answered one by one after a crash. Only the message being received can be lost with a worker. */
#define SWEEP_MAX 65536
#define RECEIVE_ERRORS_MAX 16 /* in a row, until a new worker has to try */
#define LOG_BURST 5
#define LOG_PERIOD_NS (10 * NS_PER_S)

_Static_assert(NFQUEUE_ENCODER_SIZE <= NFQUEUE_SEND_MAX, "a full buffer can be sent");
_Static_assert(NFQUEUE_RESENT_SEQUENCE == ARENA_SEQUENCE_MASK + 1, "the bits of a sequence do not overlap");

/* What the limit of a log line held back before it. */
static void log_missed(const struct worker_loop *loop, unsigned missed)
{
    if (missed > 0) {
        log_line("queue %u: ... %u more lines like the next not shown", loop->queue->kernel.number, missed);
    }
}

static void count_answer(struct worker_loop *loop, const struct nfqueue_answer *answer)
{
    unsigned missed;

    if (answer->error == 0) {
        return;
    }
    if (answer->verdict && answer->error == -ENOENT) {
        if (answer->resent) {
            loop->delta.verdicts_resent++;
        } else {
            loop->delta.stale_verdicts++;
        }
        return;
    }
    loop->delta.verdict_errors++;
    if (log_limit_pass(&loop->error_log, monotonic_ns(), &missed)) {
        log_missed(loop, missed);
        log_line("queue %u: the kernel refused a %s: %s", loop->queue->kernel.number,
                 answer->verdict ? "verdict" : "configuration request", strerror(-answer->error));
    }
}

/* The burst's next packet. A verdict that stands in the arena already is kept, with its mark, if it is this packet's. */
static void add_packet(struct worker_loop *loop, bool keep_verdicts, bool truncated)
{
    unsigned index = loop->packet_count++;
    const struct nfqe_packet *packet = &loop->packets[index];
    struct arena_verdict *verdict = &loop->arena->verdicts[index];
    bool decided = keep_verdicts && arena_decided(loop->arena, index) && verdict->id == packet->id;

    loop->delta.packets++;
    verdict->id = packet->id;
    if (!decided) {
        verdict->mark = packet->mark; /* 0 if the packet has none */
        atomic_store_explicit(&verdict->flags, 0, memory_order_relaxed);
    }
    if (truncated && !decided) {
        arena_decide(loop->arena, index, loop->chain.on_crash);
    }
}

static void decode_burst(struct worker_loop *loop, bool keep_verdicts)
{
    unsigned count = arena_received(loop->arena);

    loop->packet_count = 0;
    loop->delta = (struct arena_counters){.bursts = 1};
    /* A plugin could write to the packets' fields, so whatever matters later is in the arena. */
    for (unsigned i = 0; i < count; i++) {
        bool cut = (loop->arena->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        struct nfqueue_answer answer;

        switch (nfqueue_decode(arena_slot(loop->view, i), arena_message_len(loop->arena, i), cut,
                               loop->queue->kernel.number, &loop->packets[loop->packet_count], &answer)) {
        case NFQUEUE_PACKET:
            add_packet(loop, keep_verdicts, false);
            break;
        case NFQUEUE_TRUNCATED:
            loop->delta.truncated++;
            add_packet(loop, keep_verdicts, true);
            break;
        case NFQUEUE_ANSWER:
            count_answer(loop, &answer);
            break;
        case NFQUEUE_MALFORMED:
            loop->delta.malformed++;
            break;
        }
    }
    loop->arena->packets = loop->packet_count;
}

static void send_verdicts(struct worker_loop *loop)
{
    int error = nfqueue_send(loop->queue->kernel.socket, loop->verdicts.buffer, loop->verdicts.len);

    if (error < 0) {
        engine_fail(loop->engine, loop->queue, "its verdicts cannot be sent: %s", strerror(-error));
    }
}

/* Answers ids that no message was seen of; the kernel may have answered some of them already. */
static void sweep_ids(struct worker_loop *loop, uint32_t first, uint32_t last)
{
    if (last - first >= SWEEP_MAX) {
        last = first + SWEEP_MAX - 1;
    }
    loop->delta.recovered_ids += last - first + 1;
    loop->verdicts.sequence = loop->arena->sequence | NFQUEUE_RESENT_SEQUENCE;
    while (first != last + 1) {
        nfqueue_encode_ids(&loop->verdicts, &first, last, loop->chain.on_crash);
        send_verdicts(loop);
    }
}

/* Before a freshly received burst is answered, or when there is none: see arena_request_sweep(). */
static void sweep(struct worker_loop *loop, bool has_next, uint32_t next_id)
{
    uint32_t first;
    uint32_t last;

    if (arena_sweep_range(loop->arena, has_next, next_id, &first, &last)) {
        sweep_ids(loop, first, last);
    }
    arena_end_sweep(loop->arena);
}

static void send_burst(struct worker_loop *loop)
{
    struct arena *arena = loop->arena;

    loop->verdicts.sequence = arena->sequence | (arena->sent != 0 ? NFQUEUE_RESENT_SEQUENCE : 0);
    for (unsigned next = 0; next < loop->packet_count;) {
        next = nfqueue_encode(&loop->verdicts, arena->verdicts, NULL, loop->packet_count, next);
        send_verdicts(loop);
    }
}

static void log_invalid(struct worker_loop *loop, const struct chain_report *report)
{
    const struct plugin *plugin = &loop->engine->plugins[report->plugin];
    unsigned missed;

    loop->delta.invalid += report->invalid;
    if (log_limit_pass(&loop->invalid_log, monotonic_ns(), &missed)) {
        log_missed(loop, missed);
        log_line("queue %u: plugin %s %s answered 0x%x on packet %u, which is no verdict that it may give; verdict %s",
                 loop->queue->kernel.number, plugin->id, plugin->version, report->verdict, report->packet_id,
                 engine_verdict_name(loop->chain.on_crash));
    }
}

/* Before the chain: it asks for the flows of these packets. */
static void begin_flows(struct worker_loop *loop)
{
    if (loop->chain.flows != NULL) {
        flow_table_begin_burst(&loop->flows, loop->packets, loop->packet_count, monotonic_coarse_ns());
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
    delta->flow_not_stored += (flags & ARENA_FLOW_NOT_STORED) != 0;
}

/* From decoded packets to verdicts. */
static void decide_burst(struct worker_loop *loop)
{
    struct arena *arena = loop->arena;
    struct chain_report report;

    arena_enter(arena, ARENA_HANDLING);
    begin_flows(loop);
    chain_run(&loop->chain, arena, loop->packets, loop->packet_count, &report);
    if (report.invalid > 0) {
        log_invalid(loop, &report);
    }
    for (unsigned i = 0; i < loop->packet_count; i++) {
        count_verdict(&loop->delta, &arena->verdicts[i]);
        probe_verdict(arena->verdicts[i].id, arena->verdicts[i].verdict);
    }
    arena_enter(arena, ARENA_SENDING);
}

/* A burst is committed, so nothing is lost: a successor repairs the table. */
static void check_flows(const struct worker_loop *loop)
{
    if (flow_table_damaged(&loop->flows)) {
        engine_fail(loop->engine, loop->queue, "its flow table is damaged; a plugin wrote where it must not");
    }
}

static void finish_burst(struct worker_loop *loop)
{
    struct arena *arena = loop->arena;

    if (loop->packet_count > 0) {
        decide_burst(loop);
        sweep(loop, true, arena->verdicts[0].id);
        send_burst(loop);
        arena->last_id = arena->verdicts[loop->packet_count - 1].id;
    }
    arena_commit(arena, &loop->delta);
    check_flows(loop);
}

/*
 * Answers the ids that are missing in a recovered burst, before and between its packets. An id that the kernel had not
 * given out is damaged; one that is not after the last was answered by a predecessor that died between here and the
 * commit. Returns the last id that is known to be answered.
 */
static uint32_t sweep_gaps(struct worker_loop *loop)
{
    struct arena *arena = loop->arena;
    uint32_t last = arena->last_id;

    for (unsigned i = 0; i < loop->packet_count; i++) {
        uint32_t id = arena->verdicts[i].id;

        if ((int32_t)(id - last) <= 0 || (arena->sweep != 0 && (int32_t)(arena->sweep_to - id) < 0)) {
            continue;
        }
        if (id != last + 1) {
            sweep_ids(loop, last + 1, id - 1);
        }
        last = id;
    }
    return last;
}

/* The flows that earlier workers of this queue decided. */
static void take_up_flows(struct worker_loop *loop)
{
    struct engine_queue *queue = loop->queue;
    uint32_t kept;

    if (queue->flows == 0) {
        return;
    }
    flow_table_attach(&loop->flows, arena_flows(queue->arena, queue->shape), queue->flows, queue->flow_timeout_ms,
                      &loop->engine->flow_seed);
    loop->chain.flows = &loop->flows;
    if (!flow_table_need_repair(&loop->flows)) {
        return;
    }
    kept = flow_table_repair(&loop->flows, monotonic_coarse_ns(), &queue->arena->progress);
    log_line("queue %u: the flow table was left half changed or damaged; %u flows in it are whole and kept",
             queue->kernel.number, kept);
}

/*
 * Some of the predecessor's messages may be damaged or lost, so nothing is sent that answers more than one id, and
 * ids that did not turn up are answered. Those that may be missing after the burst are answered before the next one.
 */
void worker_loop_recover(struct worker_loop *loop)
{
    struct arena *arena = loop->arena;
    enum arena_phase phase = arena_recover(arena);

    take_up_flows(loop);
    if (phase == ARENA_IDLE) {
        return;
    }
    probe_burst_begin(loop->queue->kernel.number, arena_received(arena));
    decode_burst(loop, phase != ARENA_RECEIVING);
    if (loop->packet_count > 0) {
        decide_burst(loop);
        loop->verdicts.no_batches = true;
        send_burst(loop);
        loop->verdicts.no_batches = false;
        arena->last_id = sweep_gaps(loop);
    }
    arena_commit(arena, &loop->delta);
    check_flows(loop);
    probe_burst_end(loop->queue->kernel.number, loop->packet_count);
}

/* A receive that failed, or found nothing. */
static void take_receive_error(struct worker_loop *loop, int error)
{
    loop->delta = (struct arena_counters){0};
    if (error == -EAGAIN) {
        sweep(loop, false, 0);
        loop->receive_errors = 0;
    } else if (error == -EBADF || error == -ENOTSOCK) {
        engine_fail(loop->engine, loop->queue, "its socket is gone: %s; a plugin must not close what it did not open",
                    strerror(-error));
    } else if (error == -EFAULT || (error != -ENOBUFS && ++loop->receive_errors >= RECEIVE_ERRORS_MAX)) {
        /* EFAULT: a message may be lost. A successor makes the headers anew, and sweeps. ENOBUFS may come at any time. */
        engine_fail(loop->engine, loop->queue, "it cannot receive: %s", strerror(-error));
    } else {
        loop->delta.receive_errors = 1;
    }
    arena_commit(loop->arena, &loop->delta);
}

bool worker_loop_burst(struct worker_loop *loop)
{
    struct arena *arena = loop->arena;
    int count = nfqueue_receive(loop->queue->kernel.socket, arena);

    if (count >= 0 || count == -EAGAIN) {
        atomic_store_explicit(&arena->progress, arena->progress + 1, memory_order_release);
    }
    if (count < 0) {
        take_receive_error(loop, count);
        return false;
    }
    if ((unsigned)count != arena_received(arena)) {
        engine_fail(loop->engine, loop->queue,
                    "its receive headers are damaged: %d messages, %u lengths; a plugin wrote where it must not", count,
                    arena_received(arena));
    }
    loop->receive_errors = 0;
    arena->sequence = (arena->sequence + 1) & ARENA_SEQUENCE_MASK;
    probe_burst_begin(loop->queue->kernel.number, (uint32_t)count);
    decode_burst(loop, false);
    finish_burst(loop);
    probe_burst_end(loop->queue->kernel.number, loop->packet_count);
    return count == BURST_MAX;
}

void worker_loop_init(struct worker_loop *loop, struct engine *engine, struct engine_queue *queue)
{
    const struct queue_group *group = engine->group;

    loop->engine = engine;
    loop->queue = queue;
    loop->arena = queue->arena;
    loop->verdicts.queue = queue->kernel.number;
    loop->invalid_log = (struct log_limit){.burst = LOG_BURST, .period_ns = LOG_PERIOD_NS};
    loop->error_log = loop->invalid_log;
    loop->chain.default_verdict = group->default_verdict;
    loop->chain.on_crash = group->on_crash;
    loop->chain.bypass_mark = group->bypass_mark.bits;
    loop->chain.bypass_mask = group->bypass_mark.mask;
    arena_prepare(queue->arena, queue->kernel.number, queue->shape);
    if (arena_map_view(queue->arena_fd, queue->shape, &loop->view) < 0) {
        engine_fail(engine, queue, "its arena cannot be mapped: %s", strerror(errno));
    }
}
