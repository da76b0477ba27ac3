/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding, deciding, sending, and the commit.
 *
 * What the kernel says of single messages or verdicts is counted in loop->delta, which the commit adds to the totals.
 * Process: [worker].
 */
#include "process/worker_steps.h"

#include "base/clock.h"
#include "base/log.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <string.h>

/* Ids answered one by one after a crash. Only the message being received can be lost with a worker. */
#define RECOVERED_IDS_MAX 65536

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

void worker_decode_burst(struct worker_loop *loop, bool keep_verdicts)
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

/* ---- deciding ------------------------------------------------------------------------------------- */

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

int worker_decide_burst(struct worker_loop *loop)
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

/* ---- sending ------------------------------------------------------------------------------------- */

static int send_verdicts(struct worker_loop *loop, struct error *error)
{
    int code = nfqueue_send(loop->queue->kernel.socket, loop->encoder.buffer, loop->encoder.len);

    return code < 0 ? error_set(error, EXIT_CODE_RUN_TIME, code, "its verdicts cannot be sent: %s", strerror(-code))
                    : 0;
}

int worker_send_burst(struct worker_loop *loop, const struct outstanding *outstanding, struct error *error)
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

int worker_answer_lost_ids(struct worker_loop *loop, struct outstanding_range lost, struct error *error)
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

int worker_commit(struct worker_loop *loop, int pipeline_code, struct error *error)
{
    burst_commit(loop->burst, &loop->delta, &loop->outstanding);
    if (pipeline_code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, pipeline_code,
                         "its flow table is damaged; a plugin wrote where it must not");
    }
    return 0;
}
