/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of a burst between the queue's socket and the pipeline, and the recovery of a burst that a predecessor
 * left.
 *
 * Errors are of two kinds. What the kernel says of single messages or verdicts is counted, and the worker goes on. If
 * it cannot or must not go on (the socket is gone, the receive headers or the flow table are damaged), the error is
 * returned: the worker ends, and its successor finds the burst in the journal. Process: [worker].
 */
#include "process/worker_loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/probe.h"
#include "burst/recovery.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <string.h>

/* Ids answered one by one after a crash. Only the message being received can be lost with a worker. */
#define RECOVERED_IDS_MAX 65536
#define RECEIVE_ERRORS_MAX 16 /* in a row, until a new worker has to try */
#define LOG_BURST 5
#define LOG_PERIOD_NS (10 * NS_PER_S)

_Static_assert(NFQUEUE_ENCODER_SIZE <= NFQUEUE_SEND_MAX, "a full buffer can be sent");

/* ---- decoding ------------------------------------------------------------------------------------ */

/* What the limit of a log line suppressed before it. */
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
    if (rate_limit_pass(&loop->error_log, monotonic_ns(), &missed)) {
        log_missed(loop, missed);
        log_line("queue %u: the kernel refused a %s: %s", loop->queue->kernel.number,
                 answer->verdict ? "verdict" : "configuration request", strerror(-answer->error));
    }
}

/*
 * Enters the burst's next packet into the journal. keep_verdicts: a verdict that is there already is kept, with its
 * mark, if it is this packet's.
 */
static void add_packet(struct worker_loop *loop, bool keep_verdicts, bool truncated)
{
    unsigned index = loop->packet_count++;
    const struct nfqe_packet *packet = &loop->packets[index];
    struct burst_entry *entry = &loop->burst->entries[index];
    bool decided = keep_verdicts && burst_is_decided(loop->burst, index) && entry->id == packet->id;

    loop->delta.packets++;
    entry->id = packet->id;
    if (!decided) {
        entry->mark = packet->mark; /* 0 if the packet has none */
        atomic_store_explicit(&entry->flags, 0, memory_order_relaxed);
    }
    if (truncated && !decided) {
        burst_force_verdict(loop->burst, index, loop->pipeline.policy.on_crash);
    }
}

/* Plugins can write to the packets' fields, so whatever matters later is entered into the journal here. */
static void decode_burst(struct worker_loop *loop, bool keep_verdicts)
{
    const struct burst *burst = loop->burst;
    size_t slot_size = loop->queue->shm.layout.slot_size;
    unsigned count = burst_received(burst);

    loop->packet_count = 0;
    loop->delta = (struct queue_stats){.bursts = 1};
    for (unsigned i = 0; i < count; i++) {
        bool cut = (burst->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        struct nfqueue_answer answer;

        switch (nfqueue_decode(queue_shm_slot(loop->slots, i, slot_size), burst_message_len(burst, i, slot_size), cut,
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
    loop->burst->packets = loop->packet_count;
}

/* ---- sending ------------------------------------------------------------------------------------- */

static int send_verdicts(struct worker_loop *loop, struct error *error)
{
    int code = nfqueue_send(loop->queue->kernel.socket, loop->encoder.buffer, loop->encoder.len);

    return code < 0 ? error_set(error, EXIT_CODE_RUN_TIME, code, "its verdicts cannot be sent: %s", strerror(-code))
                    : 0;
}

/* outstanding: NULL: every packet gets a message of its own. */
static int send_burst(struct worker_loop *loop, const struct outstanding *outstanding, struct error *error)
{
    const struct burst *burst = loop->burst;
    int code = 0;

    loop->encoder.sequence = burst->sequence | (burst->resend != 0 ? NFQUEUE_SEQUENCE_RESENT : 0);
    for (unsigned next = 0; next < loop->packet_count && code == 0;) {
        next = nfqueue_encode(&loop->encoder, burst->entries, NULL, loop->packet_count, next, outstanding);
        code = send_verdicts(loop, error);
    }
    return code;
}

/*
 * Gives lost ids the --on-crash verdict. They are outstanding until that is sent; the kernel may have answered some of
 * them already.
 */
static int answer_lost_ids(struct worker_loop *loop, struct outstanding_range lost, struct error *error)
{
    uint32_t next = lost.first;
    int code;

    if (lost.last - lost.first >= RECOVERED_IDS_MAX) {
        lost.last = lost.first + RECOVERED_IDS_MAX - 1;
    }
    code = outstanding_add(&loop->outstanding, lost);
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "ids %u to %u cannot be recovered: %s", lost.first, lost.last,
                         strerror(-code));
    }
    loop->delta.recovered_ids += lost.last - lost.first + 1;
    loop->encoder.sequence = loop->burst->sequence | NFQUEUE_SEQUENCE_RESENT;
    while (next != lost.last + 1 && code == 0) {
        nfqueue_encode_ids(&loop->encoder, &next, lost.last, loop->pipeline.policy.on_crash);
        code = send_verdicts(loop, error);
    }
    if (code == 0) {
        outstanding_remove(&loop->outstanding, lost); /* it was added above, so it is there */
    }
    return code;
}

/* Before a fresh burst is answered, or when there is none: see burst_request_id_recovery(). */
static int recover_ids(struct worker_loop *loop, bool has_next, uint32_t next_id, struct error *error)
{
    struct outstanding_range lost;
    int code = 0;

    if (burst_lost_ids(loop->burst, &loop->outstanding, has_next, next_id, &lost)) {
        code = answer_lost_ids(loop, lost, error);
    }
    if (code == 0) {
        burst_end_id_recovery(loop->burst);
    }
    return code;
}

/*
 * Answers the ids that are missing in a recovered burst, before and between its packets. An id that the kernel had not
 * given out is damaged; one that is not after the newest was answered before.
 */
static int recover_gaps(struct worker_loop *loop, struct error *error)
{
    const struct burst *burst = loop->burst;
    int code = 0;

    for (unsigned i = 0; i < loop->packet_count && code == 0; i++) {
        uint32_t id = burst->entries[i].id;
        struct outstanding_range lost;

        if (!outstanding_is_after(id, loop->outstanding.last_id) ||
            (burst->recover_ids != 0 && outstanding_is_after(id, burst->recover_to))) {
            continue;
        }
        if (outstanding_missing(&loop->outstanding, id, &lost)) {
            code = answer_lost_ids(loop, lost, error);
        }
        outstanding_advance(&loop->outstanding, id);
    }
    return code;
}

/* ---- a burst ------------------------------------------------------------------------------------- */

static void log_invalid(struct worker_loop *loop, const struct decide_invalid *invalid)
{
    const struct plugin *plugin = &loop->engine->generation->plugins[invalid->plugin];
    unsigned missed;

    if (rate_limit_pass(&loop->invalid_log, monotonic_ns(), &missed)) {
        log_missed(loop, missed);
        log_line("queue %u: plugin %s %s answered 0x%x on packet %u, which is no verdict that it may give; verdict %s",
                 loop->queue->kernel.number, plugin->id, plugin->version, invalid->answer, invalid->packet_id,
                 queue_group_verdict_name(loop->pipeline.policy.on_crash));
    }
}

/* From decoded packets to verdicts. Returns what pipeline_run() does: the burst is to be finished in any case. */
static int decide_burst(struct worker_loop *loop)
{
    struct decide_invalid invalid;
    uint64_t now_ns = loop->pipeline.flows != NULL ? monotonic_coarse_ns() : 0;
    int code;

    burst_enter(loop->burst, BURST_HANDLING);
    code =
        pipeline_run(&loop->pipeline, loop->burst, loop->packets, loop->packet_count, now_ns, &loop->delta, &invalid);
    if (invalid.count > 0) {
        log_invalid(loop, &invalid);
    }
    burst_enter(loop->burst, BURST_SENDING);
    return code;
}

/* Commits the burst, which is answered. pipeline_code: of decide_burst(). */
static int commit(struct worker_loop *loop, int pipeline_code, struct error *error)
{
    burst_commit(loop->burst, &loop->delta, &loop->outstanding);
    if (pipeline_code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, pipeline_code,
                         "its flow table is damaged; a plugin wrote where it must not");
    }
    return 0;
}

static int finish_burst(struct worker_loop *loop, struct error *error)
{
    const struct burst_entry *entries = loop->burst->entries;
    int pipeline_code = 0;
    int code;

    if (loop->packet_count > 0) {
        pipeline_code = decide_burst(loop);
        code = recover_ids(loop, true, entries[0].id, error);
        if (code == 0) {
            code = send_burst(loop, &loop->outstanding, error);
        }
        if (code < 0) {
            return code;
        }
        outstanding_advance(&loop->outstanding, entries[loop->packet_count - 1].id);
    }
    return commit(loop, pipeline_code, error);
}

/* A receive that failed, or found nothing. */
static int take_receive_error(struct worker_loop *loop, int receive_error, struct error *error)
{
    int code = 0;

    loop->delta = (struct queue_stats){0};
    if (receive_error == -EAGAIN) {
        code = recover_ids(loop, false, 0, error);
        loop->receive_errors = 0;
    } else if (receive_error == -EBADF || receive_error == -ENOTSOCK) {
        code =
            error_set(error, EXIT_CODE_RUN_TIME, receive_error,
                      "its socket is gone: %s; a plugin must not close what it did not open", strerror(-receive_error));
    } else if (receive_error == -EFAULT ||
               (receive_error != -ENOBUFS && ++loop->receive_errors >= RECEIVE_ERRORS_MAX)) {
        /* EFAULT: a message may be lost; a successor makes new headers and recovers its id. ENOBUFS can always come. */
        code = error_set(error, EXIT_CODE_RUN_TIME, receive_error, "it cannot receive: %s", strerror(-receive_error));
    } else {
        loop->delta.receive_errors = 1;
    }
    if (code == 0) {
        burst_commit(loop->burst, &loop->delta, &loop->outstanding);
    }
    return code;
}

int worker_loop_burst(struct worker_loop *loop, struct error *error)
{
    struct burst *burst = loop->burst;
    int count = nfqueue_receive(loop->queue->kernel.socket, burst);
    int code;

    if (count >= 0 || count == -EAGAIN) {
        burst_make_progress(burst);
    }
    if (count < 0) {
        return take_receive_error(loop, count, error);
    }
    if ((unsigned)count != burst_received(burst)) {
        return error_set(error, EXIT_CODE_RUN_TIME, -EUCLEAN,
                         "its receive headers are damaged: %d messages, %u lengths; a plugin wrote where it must not",
                         count, burst_received(burst));
    }
    loop->receive_errors = 0;
    burst->sequence = (burst->sequence + 1) & BURST_SEQUENCE_MASK;
    probe_burst_begin(loop->queue->kernel.number, (uint32_t)count);
    decode_burst(loop, false);
    code = finish_burst(loop, error);
    probe_burst_end(loop->queue->kernel.number, loop->packet_count);
    return code < 0 ? code : count == BURST_MAX;
}

/* ---- start --------------------------------------------------------------------------------------- */

/* The flows that earlier workers of this queue decided. */
static void attach_flows(struct worker_loop *loop)
{
    const struct engine_queue *queue = loop->queue;
    const struct plan *plan = &loop->engine->generation->plan;
    uint32_t kept;

    if (plan->flows == 0) {
        return;
    }
    flow_table_attach(&loop->flows, queue->shm.flows, plan->flows, plan->flow_timeout_ms, &loop->engine->flow_seed);
    loop->pipeline.flows = &loop->flows;
    if (!flow_table_need_repair(&loop->flows)) {
        return;
    }
    kept = flow_table_repair(&loop->flows, monotonic_coarse_ns(), &loop->burst->progress);
    log_line("queue %u: the flow table was left half changed or damaged; %u flows in it are whole and kept",
             queue->kernel.number, kept);
}

/*
 * Some of the predecessor's messages may be damaged or lost, so nothing is sent that answers more than one id, and
 * ids that did not turn up are answered. Those that may be missing after the burst are answered before the next one.
 */
int worker_loop_recover(struct worker_loop *loop, struct error *error)
{
    enum burst_phase phase = burst_recover(loop->burst);
    int pipeline_code = 0;
    int code;

    burst_recover_outstanding(loop->burst, &loop->outstanding);
    attach_flows(loop);
    if (phase == BURST_IDLE) {
        return 0;
    }
    probe_burst_begin(loop->queue->kernel.number, burst_received(loop->burst));
    decode_burst(loop, phase != BURST_RECEIVING);
    if (loop->packet_count > 0) {
        pipeline_code = decide_burst(loop);
        code = send_burst(loop, NULL, error);
        if (code == 0) {
            code = recover_gaps(loop, error);
        }
        if (code < 0) {
            return code;
        }
    }
    code = commit(loop, pipeline_code, error);
    probe_burst_end(loop->queue->kernel.number, loop->packet_count);
    return code;
}

int worker_loop_init(struct worker_loop *loop, const struct engine *engine, const struct engine_queue *queue,
                     struct error *error)
{
    const struct queue_group *group = engine->generation->group;
    int code;

    loop->engine = engine;
    loop->queue = queue;
    loop->burst = queue->shm.burst;
    loop->encoder.queue = queue->kernel.number;
    loop->invalid_log = (struct rate_limit){.burst = LOG_BURST, .period_ns = LOG_PERIOD_NS};
    loop->error_log = loop->invalid_log;
    loop->pipeline.policy = (struct decide_policy){.default_verdict = group->default_verdict,
                                                   .on_crash = group->on_crash,
                                                   .bypass_mark = group->bypass_mark.bits,
                                                   .bypass_mask = group->bypass_mark.mask};
    queue_shm_prepare(&queue->shm, queue->kernel.number);
    code = queue_shm_map_view(&queue->shm, &loop->slots);
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "its packets cannot be mapped for plugins: %s",
                         strerror(-code));
    }
    return 0;
}
