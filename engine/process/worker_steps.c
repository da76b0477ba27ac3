/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding, deciding, sending, and the two commits between them.
 *
 * Every step changes loop->outstanding and loop->delta by what it did; the next commit makes both count, and delta is 0
 * again. Ids leave the set before their verdicts are encoded: what is left in it says where a batch verdict must stop.
 * Process: [worker].
 */
#include "process/worker_steps.h"

#include "base/clock.h"
#include "base/log.h"
#include "burst/recovery.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <string.h>

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

static void count_message(struct worker_loop *loop, enum nfqueue_kind kind, const struct nfqueue_answer *answer)
{
    switch (kind) {
    case NFQUEUE_PACKET:
        break;
    case NFQUEUE_TRUNCATED:
        loop->delta.truncated++;
        break;
    case NFQUEUE_ANSWER:
        count_answer(loop, answer);
        break;
    case NFQUEUE_MALFORMED:
        loop->delta.malformed++;
        break;
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

    if (keep_verdicts && burst_is_decided(loop->burst, index) && entry->id == packet->id) {
        return;
    }
    atomic_store_explicit(&entry->flags, 0, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* first the flags: the verdict that is there is not this id's */
    entry->id = packet->id;
    entry->mark = packet->mark; /* 0 if the packet has none */
    if (truncated) {
        burst_force_verdict(loop->burst, index, loop->pipeline.policy.on_crash);
    }
}

static bool can_be_packet(const struct worker_loop *loop, enum worker_decoding decoding)
{
    return decoding != WORKER_RECEIVED ||
           journal_can_be_received(loop->journal, &loop->outstanding, loop->packets[loop->packet_count].id);
}

void worker_decode_burst(struct worker_loop *loop, enum worker_decoding decoding)
{
    const struct burst *burst = loop->burst;
    size_t slot_size = loop->queue->shm.layout.slot_size;
    const void *slots = queue_shm_burst_slots(loop->slots, (unsigned)(burst - loop->journal->bursts), slot_size);
    unsigned count = burst_received(burst);

    loop->packet_count = 0;
    for (unsigned i = 0; i < count; i++) {
        bool cut = (burst->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        struct nfqueue_answer answer;
        enum nfqueue_kind kind =
            nfqueue_decode(queue_shm_slot(slots, i, slot_size), burst_message_len(burst, i, slot_size), cut,
                           loop->queue->kernel.number, &loop->packets[loop->packet_count], &answer);

        if (kind == NFQUEUE_PACKET || kind == NFQUEUE_TRUNCATED) {
            kind = can_be_packet(loop, decoding) ? kind : NFQUEUE_MALFORMED;
        }
        if (kind == NFQUEUE_PACKET || kind == NFQUEUE_TRUNCATED) {
            add_packet(loop, decoding != WORKER_FRESH, kind == NFQUEUE_TRUNCATED);
        }
        if (decoding != WORKER_COMMITTED) {
            count_message(loop, kind, &answer);
        }
    }
    loop->burst->packets = loop->packet_count;
}

/* ---- receiving ----------------------------------------------------------------------------------- */

int worker_add_lost_ids(struct worker_loop *loop, struct outstanding_range lost, struct error *error)
{
    int code = outstanding_add(&loop->outstanding, lost);

    return code < 0 ? error_set(error, EXIT_CODE_RUN_TIME, code, "ids %u to %u cannot be recovered: %s", lost.first,
                                lost.last, strerror(-code))
                    : 0;
}

void worker_commit_receive(struct worker_loop *loop)
{
    loop->delta.packets += loop->packet_count;
    journal_commit_receive(loop->journal, &loop->delta, &loop->outstanding);
    loop->delta = (struct queue_stats){0};
}

void worker_number_burst(struct worker_loop *loop)
{
    loop->journal->sequence = (loop->journal->sequence + 1) & BURST_SEQUENCE_MASK;
    loop->burst->sequence = loop->journal->sequence;
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

int worker_decide_burst(struct worker_loop *loop, struct queue_stats *decided)
{
    struct decide_invalid invalid;
    uint64_t now_ns = loop->pipeline.flows != NULL ? monotonic_coarse_ns() : 0;
    int code = pipeline_run(&loop->pipeline, loop->burst, loop->packets, loop->packet_count, now_ns, decided, &invalid);

    if (invalid.count > 0) {
        log_invalid(loop, &invalid);
    }
    return code;
}

int worker_check_flow_table(int pipeline_code, struct error *error)
{
    return pipeline_code < 0 ? error_set(error, EXIT_CODE_RUN_TIME, pipeline_code,
                                         "its flow table is damaged; a plugin wrote where it must not")
                             : 0;
}

/* ---- sending ------------------------------------------------------------------------------------- */

static int send_verdicts(struct worker_loop *loop, struct error *error)
{
    int code = nfqueue_send(loop->queue->kernel.socket, loop->encoder.buffer, loop->encoder.len);

    return code < 0 ? error_set(error, EXIT_CODE_RUN_TIME, code, "its verdicts cannot be sent: %s", strerror(-code))
                    : 0;
}

/* The ids of the entries from `from` to `to` - 1 of loop->burst, which are in the set, are about to be answered. */
static void remove_ids(struct worker_loop *loop, unsigned from, unsigned to)
{
    struct outstanding_range run;

    while (from < to) {
        from = burst_id_run(loop->burst, from, to, &run);
        outstanding_remove(&loop->outstanding, run);
    }
}

int worker_send_entries(struct worker_loop *loop, unsigned from, unsigned to, bool recovering, bool resent,
                        struct error *error)
{
    int code = 0;

    remove_ids(loop, from, to);
    loop->encoder.sequence = loop->burst->sequence | (resent ? NFQUEUE_SEQUENCE_RESENT : 0);
    while (from < to && code == 0) {
        from = nfqueue_encode(&loop->encoder, loop->burst->entries, NULL, to, from,
                              recovering ? NULL : &loop->outstanding);
        code = send_verdicts(loop, error);
    }
    return code;
}

int worker_send_lost_ids(struct worker_loop *loop, struct outstanding_range lost, struct error *error)
{
    uint32_t next = lost.first;
    int code = 0;

    loop->delta.recovered_ids += lost.last - lost.first + 1;
    loop->encoder.sequence = loop->journal->sequence | NFQUEUE_SEQUENCE_RESENT;
    while (next != lost.last + 1 && code == 0) {
        nfqueue_encode_ids(&loop->encoder, &next, lost.last, loop->pipeline.policy.on_crash);
        code = send_verdicts(loop, error);
    }
    outstanding_remove(&loop->outstanding, lost);
    return code;
}

void worker_commit_send(struct worker_loop *loop)
{
    journal_commit_send(loop->journal, &loop->delta, &loop->outstanding);
    loop->delta = (struct queue_stats){0};
}
