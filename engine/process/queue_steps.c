/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receiving, decoding, sending, and the two commits.
 *
 * Every step changes loop->outstanding and loop->delta by what it did; the next commit makes both count, and delta is 0
 * again. Ids leave the set before their verdicts are encoded: what is left in it says where a batch verdict must stop.
 *
 * Errors are of two kinds. What the kernel says of single messages or verdicts is counted, and the process goes on. If
 * it cannot go on, the error is returned: its successor finds everything in the journal. That is so, too, if the kernel says
 * that the queue is not bound (ENODEV), or not by this socket (EPERM): the end of this process has the supervisor look at
 * the kernel's table at once, and end the engine if the queue is lost (queue_watch.c). Process: [queue process].
 */
#include "process/queue_steps.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/probe.h"
#include "burst/recovery.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <string.h>

_Static_assert(NFQUEUE_ENCODER_SIZE <= NFQUEUE_SEND_MAX, "a full buffer can be sent");

#define RECEIVE_ERRORS_MAX 16 /* in a row, until a new process has to try */

/* ---- decoding ------------------------------------------------------------------------------------ */

/* What the limit of a log line suppressed before it. */
static void log_missed(const struct queue_loop *loop, unsigned missed)
{
    if (missed > 0) {
        log_line("queue %u: ... %u more lines like the next not shown", loop->queue->kernel.number, missed);
    }
}

static void count_answer(struct queue_loop *loop, const struct nfqueue_answer *answer)
{
    unsigned missed;

    if (answer->error == 0) {
        return;
    }
    if (answer->verdict && answer->error == -ENOENT) {
        if (answer->resent) {
            loop->delta.verdicts_resent += answer->packets;
        } else {
            loop->delta.stale_verdicts += answer->packets;
        }
        return;
    }
    if (answer->verdict && (answer->error == -EPERM || answer->error == -ENODEV)) {
        loop->refused = answer->error;
    }
    loop->delta.verdict_errors++;
    if (rate_limit_pass(&loop->error_log, monotonic_ns(), &missed)) {
        log_missed(loop, missed);
        log_line("queue %u: the kernel refused a %s: %s", loop->queue->kernel.number,
                 answer->verdict ? "verdict" : "configuration request", strerror(-answer->error));
    }
}

/* Whether all bytes of the packet were asked for and not all have come: it is longer than the kernel copies. */
static bool came_short(const struct queue_loop *loop, const struct nfqe_packet *packet)
{
    return (packet->flags & NFQE_PACKET_TRUNCATED) != 0 && loop->queue->kernel.settings.copy_range >= COPY_RANGE_MAX;
}

static void count_message(struct queue_loop *loop, enum nfqueue_kind kind, const struct nfqe_packet *packet,
                          const struct nfqueue_answer *answer)
{
    switch (kind) {
    case NFQUEUE_PACKET:
        loop->delta.truncated += came_short(loop, packet);
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
 * Enters a packet of the burst into the journal. keep_verdicts: a verdict that is there already is kept, with its mark,
 * if it is this packet's.
 */
static void enter_packet(struct queue_loop *loop, unsigned index, unsigned place, bool keep_verdicts, bool truncated)
{
    const struct nfqe_packet *packet = &loop->flights[index].packets[place];
    struct burst *burst = &loop->journal->bursts[index];
    struct burst_entry *entry = &burst->entries[place];

    if (keep_verdicts && burst_is_decided(burst, place) && entry->id == packet->id) {
        return;
    }
    atomic_store_explicit(&entry->flags, packet->hook == NF_INET_LOCAL_OUT ? BURST_LOCAL_OUTPUT : 0,
                          memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* first the flags: the verdict that is there is not this id's */
    entry->id = packet->id;
    entry->mark = packet->mark; /* 0 if the packet has none */
    entry->reason = 0;
    if (truncated) {
        burst_force_verdict(burst, place, loop->policy.on_crash);
    } else if (loop->rejects.by_rule->mask != 0 && queue_rejects_came_back(&loop->rejects, packet, &loop->delta)) {
        burst_force_verdict(burst, place, NFQE_DROP);
    }
}

void queue_steps_decode(struct queue_loop *loop, unsigned index, enum queue_decoding decoding)
{
    struct burst *burst = &loop->journal->bursts[index];
    struct nfqe_packet *packets = loop->flights[index].packets;
    size_t slot_size = loop->queue->shm.layout.slot_size;
    const void *slots = queue_shm_burst_slots(loop->queue->shm.slots, index, slot_size);
    unsigned count = burst_received(burst);
    unsigned place = 0;

    for (unsigned i = 0; i < count; i++) {
        bool cut = (burst->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        struct nfqe_packet *packet = &packets[place];
        struct nfqueue_answer answer;
        enum nfqueue_kind kind =
            nfqueue_decode(queue_shm_slot(slots, i, slot_size), burst_message_len(burst, i, slot_size), cut,
                           loop->queue->kernel.number, packet, &loop->flights[index].conntracks[place], &answer);
        bool is_packet = kind == NFQUEUE_PACKET || kind == NFQUEUE_TRUNCATED;

        if (is_packet && decoding == QUEUE_RECEIVED &&
            !journal_can_be_received(loop->journal, &loop->outstanding, packet->id)) {
            is_packet = false;
            kind = NFQUEUE_MALFORMED;
        }
        if (is_packet) {
            enter_packet(loop, index, place++, decoding != QUEUE_FRESH, kind == NFQUEUE_TRUNCATED);
            packet->mark &= ~loop->policy.repeat_mask; /* the count is not for plugins */
        }
        if (decoding != QUEUE_COMMITTED) {
            count_message(loop, kind, packet, &answer);
        }
    }
    burst->packets = place; /* at the end: a successor looks for outstanding ids among so many entries */
}

/* ---- receiving ----------------------------------------------------------------------------------- */

int queue_steps_add_lost_ids(struct queue_loop *loop, struct outstanding_range lost, struct error *error)
{
    int code = outstanding_add(&loop->outstanding, lost);

    return code < 0 ? error_set(error, EXIT_CODE_RUN_TIME, code, "ids %u to %u cannot be recovered: %s", lost.first,
                                lost.last, strerror(-code))
                    : 0;
}

void queue_steps_commit_receive(struct queue_loop *loop, unsigned index)
{
    loop->delta.packets += loop->journal->bursts[index].packets;
    journal_commit_receive(loop->journal, &loop->delta, &loop->outstanding);
    loop->delta = (struct queue_stats){0};
}

void queue_steps_number(struct queue_loop *loop, unsigned index)
{
    loop->journal->sequence = (loop->journal->sequence + 1) & BURST_SEQUENCE_MASK;
    loop->journal->bursts[index].sequence = loop->journal->sequence;
}

/* The ids of a burst that was just received are outstanding. */
static int add_burst_ids(struct queue_loop *loop, unsigned index, struct error *error)
{
    const struct burst *burst = &loop->journal->bursts[index];
    struct outstanding_range run;
    int code = 0;

    for (unsigned next = 0; next < burst->packets && code == 0;) {
        next = burst_id_run(burst, next, burst->packets, &run);
        code = outstanding_add(&loop->outstanding, run);
    }
    return code < 0 ? error_set(error, EXIT_CODE_RUN_TIME, code,
                                "the kernel's ids %u to %u do not come after those before: %s", run.first, run.last,
                                strerror(-code))
                    : 0;
}

/* Answers ids that were lost with a predecessor, before anything after them is. */
static int answer_lost_ids(struct queue_loop *loop, struct outstanding_range lost, struct error *error)
{
    int code;

    journal_end_id_recovery(loop->journal);
    journal_begin_send(loop->journal);
    code = queue_steps_send_lost_ids(loop, lost, error);
    if (code == 0) {
        queue_steps_commit_send(loop);
    }
    return code;
}

static int take_burst(struct queue_loop *loop, unsigned index, struct error *error)
{
    const struct burst *burst = &loop->journal->bursts[index];
    struct outstanding_range lost;
    bool any_lost = false;
    int code = 0;

    loop->delta.bursts = 1;
    queue_steps_number(loop, index);
    queue_steps_decode(loop, index, QUEUE_FRESH);
    if (burst->packets > 0 && journal_lost_ids(loop->journal, &loop->outstanding, true, burst->entries[0].id, &lost)) {
        any_lost = true;
        code = queue_steps_add_lost_ids(loop, lost, error);
    }
    if (code == 0) {
        code = add_burst_ids(loop, index, error);
    }
    if (code < 0) {
        return code;
    }
    queue_steps_commit_receive(loop, index);
    if (any_lost) {
        return answer_lost_ids(loop, lost, error);
    }
    if (burst->packets > 0) {
        journal_end_id_recovery(loop->journal);
    }
    return 0;
}

/* The socket is empty: ids that the kernel had given out and that no message came of were lost. */
static int take_empty_socket(struct queue_loop *loop, struct error *error)
{
    struct outstanding_range lost;
    int code;

    loop->receive_errors = 0;
    if (!journal_lost_ids(loop->journal, &loop->outstanding, false, 0, &lost)) {
        journal_end_receive(loop->journal);
        journal_end_id_recovery(loop->journal);
        return 0;
    }
    code = queue_steps_add_lost_ids(loop, lost, error);
    if (code < 0) {
        return code;
    }
    journal_commit_receive(loop->journal, &loop->delta, &loop->outstanding);
    loop->delta = (struct queue_stats){0};
    return answer_lost_ids(loop, lost, error);
}

/* A receive that failed, or found nothing. */
static int take_receive_error(struct queue_loop *loop, int receive_error, struct error *error)
{
    if (receive_error == -EAGAIN) {
        return take_empty_socket(loop, error);
    }
    if (receive_error != -ENOBUFS && (receive_error == -EBADF || receive_error == -ENOTSOCK ||
                                      receive_error == -EFAULT || ++loop->receive_errors >= RECEIVE_ERRORS_MAX)) {
        /* EFAULT: a message may be lost; a successor makes new headers and recovers its id. ENOBUFS can always come. */
        return error_set(error, EXIT_CODE_RUN_TIME, receive_error, "it cannot receive: %s", strerror(-receive_error));
    }
    loop->delta.receive_errors++;
    journal_commit_receive(loop->journal, &loop->delta, &loop->outstanding);
    loop->delta = (struct queue_stats){0};
    return 0;
}

int queue_steps_receive(struct queue_loop *loop, unsigned index, unsigned *count, struct error *error)
{
    struct burst *burst = &loop->journal->bursts[index];
    int received;

    *count = 0;
    journal_begin_receive(loop->journal, index);
    received = nfqueue_receive(loop->queue->kernel.socket, burst);
    if (received < 0) {
        return take_receive_error(loop, received, error);
    }
    loop->receive_errors = 0;
    *count = (unsigned)received;
    probe_burst_begin(loop->queue->kernel.number, (uint32_t)received);
    received = take_burst(loop, index, error);
    if (received == 0 && loop->refused != 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, loop->refused, "the kernel takes no verdict of its socket: %s",
                         strerror(-loop->refused));
    }
    return received;
}

void queue_steps_log_invalid(struct queue_loop *loop, const struct decide_invalid *invalid)
{
    const struct generation *generation = loop->engine->generation;
    bool known = invalid->plugin < generation->plugin_count;
    unsigned missed;

    if (!rate_limit_pass(&loop->invalid_log, monotonic_ns(), &missed)) {
        return;
    }
    log_missed(loop, missed);
    if (invalid->change != NULL) {
        log_line("queue %u: %s%s%s%s: the changed packet %u %s, which the kernel would drop; verdict %s",
                 loop->queue->kernel.number, known ? "plugin " : "a worker",
                 known ? generation->plugins[invalid->plugin].id : "", known ? " " : "",
                 known ? generation->plugins[invalid->plugin].version : "", invalid->packet_id, invalid->change,
                 queue_group_verdict_name(loop->policy.on_crash));
    } else if (invalid->plugin < generation->plugin_count) {
        const struct plugin *plugin = &generation->plugins[invalid->plugin];

        log_line("queue %u: plugin %s %s answered 0x%x on packet %u, which is no verdict that it may give; verdict %s",
                 loop->queue->kernel.number, plugin->id, plugin->version, invalid->answer, invalid->packet_id,
                 queue_group_verdict_name(loop->policy.on_crash));
    } else {
        log_line("queue %u: a worker answered 0x%x on packet %u, which is no verdict; verdict %s",
                 loop->queue->kernel.number, invalid->answer, invalid->packet_id,
                 queue_group_verdict_name(loop->policy.on_crash));
    }
}

/* ---- sending ------------------------------------------------------------------------------------- */

static int send_verdicts(struct queue_loop *loop, struct error *error)
{
    int code = nfqueue_send(loop->queue->kernel.socket, loop->encoder.buffer, loop->encoder.len);

    return code < 0 ? error_set(error, EXIT_CODE_RUN_TIME, code, "its verdicts cannot be sent: %s", strerror(-code))
                    : 0;
}

/* The entries from `from` to `to` - 1, whose ids are in the set, are about to be answered. */
static void remove_ids(struct queue_loop *loop, const struct burst *burst, unsigned from, unsigned to)
{
    struct outstanding_range run;

    for (unsigned next = from; next < to;) {
        next = burst_id_run(burst, next, to, &run);
        outstanding_remove(&loop->outstanding, run);
    }
    for (unsigned i = from; i < to; i++) {
        burst_count_verdict(&burst->entries[i], &loop->delta);
        reason_tally_add(&loop->reasons, burst->entries[i].reason);
        probe_verdict(burst->entries[i].id, burst->entries[i].verdict);
    }
}

/* What rules are to reject comes to the rules again. */
static void leave_to_rules(const struct queue_loop *loop, unsigned index, unsigned from, unsigned to)
{
    struct burst *burst = &loop->journal->bursts[index];
    const struct mark_setting *mark = loop->rejects.by_rule;

    for (unsigned i = from; i < to; i++) {
        if ((burst_entry_flags(&burst->entries[i]) & BURST_REJECT) != 0) {
            burst_leave_to_rule(burst, i, (burst->entries[i].mark & ~mark->mask) | mark->bits);
        }
    }
}

/* After the verdicts, which other packets wait for. A verdict that a successor sends again tells the sender again. */
static void tell_senders(struct queue_loop *loop, unsigned index, unsigned from, unsigned to)
{
    const struct burst_entry *entries = loop->journal->bursts[index].entries;
    const struct queue_flight *flight = &loop->flights[index];
    uint64_t now_ns = 0; /* of all of them: read once */

    for (unsigned i = from; i < to; i++) {
        uint32_t flags = burst_entry_flags(&entries[i]);

        if ((flags & BURST_REJECT) == 0) {
            continue;
        }
        if (loop->rejects.by_rule->mask != 0) {
            loop->delta.rejects_sent++;
        } else {
            now_ns = now_ns == 0 ? monotonic_ns() : now_ns;
            queue_rejects_tell(&loop->rejects, &flight->packets[i], &flight->conntracks[i],
                               reject_part_kind(burst_reject_part(flags)), now_ns, &loop->delta);
        }
    }
}

/* The new bytes of changed packets, by their entries; NULL: none of them was changed. */
static const struct verdict_payload *find_payloads(struct queue_loop *loop, unsigned index, unsigned from, unsigned to)
{
    const struct burst *burst = &loop->journal->bursts[index];
    void *changes = loop->queue->shm.changes;
    bool any = false;

    for (unsigned i = from; changes != NULL && i < to; i++) {
        uint32_t len = burst_payload_len(&burst->entries[i]);

        loop->payloads[i] =
            (struct verdict_payload){.data = len > 0 ? queue_shm_change(changes, index, i) : NULL, .len = len};
        any |= len > 0;
    }
    return any ? loop->payloads : NULL;
}

int queue_steps_send_entries(struct queue_loop *loop, unsigned index, unsigned from, unsigned to, struct error *error)
{
    const struct burst *burst = &loop->journal->bursts[index];
    const unsigned first = from;
    const struct verdict_payload *payloads = find_payloads(loop, index, from, to);
    int code = 0;

    if (loop->rejects.by_rule->mask != 0) {
        leave_to_rules(loop, index, from, to);
    }
    remove_ids(loop, burst, from, to);
    loop->encoder.sequence = burst->sequence | (loop->resending ? NFQUEUE_SEQUENCE_RESENT : 0);
    while (from < to && code == 0) {
        from = nfqueue_encode(&loop->encoder, burst->entries, payloads, to, from,
                              loop->recovering != 0 ? NULL : &loop->outstanding);
        code = send_verdicts(loop, error);
    }
    if (code == 0 && loop->engine->generation->plan.rejects) {
        tell_senders(loop, index, first, to);
    }
    return code;
}

int queue_steps_send_lost_ids(struct queue_loop *loop, struct outstanding_range lost, struct error *error)
{
    uint32_t next = lost.first;
    int code = 0;

    loop->delta.recovered_ids += lost.last - lost.first + 1;
    loop->encoder.sequence = loop->journal->sequence | NFQUEUE_SEQUENCE_RESENT;
    while (next != lost.last + 1 && code == 0) {
        nfqueue_encode_ids(&loop->encoder, &next, lost.last, loop->policy.on_crash);
        code = send_verdicts(loop, error);
    }
    outstanding_remove(&loop->outstanding, lost);
    return code;
}

void queue_steps_commit_send(struct queue_loop *loop)
{
    journal_commit_send(loop->journal, &loop->delta, &loop->reasons, &loop->outstanding);
    reason_tally_clear(&loop->reasons);
    loop->delta = (struct queue_stats){0};
}
