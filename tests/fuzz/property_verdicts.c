/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verdict encoder with a model of a kernel queue, in random histories: property_verdicts [SEED [CASES [FIRST]]].
 *
 * A case is one history of a queue. Packets arrive, a few bursts of them are received and decided: verdicts that come
 * in runs, other queues, rules that are run again, marks, changed payloads, packets that are held and answered later. Ids have gaps and wrap. Workers die:
 * some while they receive, which loses messages, so their ids are recovered; some while they send, so the burst is
 * sent again.
 *
 * What always holds: the kernel answers no packet that was not decided, none twice, none with another verdict, mark or
 * payload than its own, and within one send only in the order of arrival. At the end none is left.
 *
 * How the encoder is to be used while packets are held: their entries are left out, and their ids are in the set of
 * outstanding ids, which says where a batch must stop. A case depends on SEED and its number alone: FIRST repeats one.
 */
#include "promise.h"
#include "unit.h"
#include "verdict_messages.h"

#include "burst/recovery.h"

#include <nfqe/plugin.h>

#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED UINT64_C(0x6e66716576657264)
#define CASES 1000000
#define CASES_QUICK 100000
#define PACKETS_MAX 512 /* of one history */
#define ROUNDS_MAX 4
#define PAYLOAD_MAX 65531

enum packet_state {
    QUEUED, /* not received yet */
    LOST,   /* received by a worker that died of it */
    HELD,
    DECIDED,
    ANSWERED,
};

struct packet {
    enum packet_state state;
    struct burst_entry answer; /* once decided */
    struct verdict_payload payload;
};

/* What the kernel must think of a message whose packet is not there. */
enum send_kind {
    SEND_FIRST, /* an error */
    SEND_AGAIN, /* expected: it was answered already */
    SEND_LOST,  /* expected: there was no such packet, or it was answered already */
};

/* What the cases had, so that a test without effect is noticed. */
static struct {
    uint64_t packets, messages, batches, held, released, full_buffers, resent, recovered_ids, wrapped, payloads;
} seen;

static struct {
    uint64_t seed;
    uint64_t number;
} current; /* case */

/* One history. Packets in the order of arrival; all before `queued` were received, all before `first` answered. */
static struct packet packets[PACKETS_MAX];
static unsigned count;
static unsigned queued;
static unsigned first;
static uint32_t last_kernel_id;
static uint64_t random_state;
static struct journal journal; /* of its fields only those of the id recovery */
static struct outstanding outstanding;
static struct nfqueue_encoder verdicts;
static uint8_t payload_bytes[2 * PAYLOAD_MAX];

void promise_broken(const char *file, int line, const char *promise)
{
    printf("%s:%d: broken promise: %s\nto repeat it: property_verdicts 0x%llx 1 %llu\n", file, line, promise,
           (unsigned long long)current.seed, (unsigned long long)current.number);
    exit(1);
}

static uint32_t below(uint32_t limit)
{
    return unit_random_below(&random_state, limit);
}

static bool one_in(uint32_t chances)
{
    return below(chances) == 0;
}

/* ---- the kernel's queue ------------------------------------------------------------------------------- */

static bool is_queued(const struct packet *packet)
{
    return packet->state != ANSWERED;
}

/* The kernel takes this packet off its queue. `last`: the one before it in this send, or -1. */
static void answer(unsigned index, const struct verdict_message *message, enum send_kind kind, int *last)
{
    struct packet *packet = &packets[index];
    const struct burst_entry *wanted = &packet->answer;
    bool marked = (wanted->flags & BURST_SETS_MARK) != 0;

    PROMISE(packet->state == DECIDED || (packet->state == LOST && kind == SEND_LOST));
    if (packet->state == DECIDED) {
        PROMISE(message->verdict == verdict_for_kernel(wanted->verdict));
        PROMISE(message->has_mark == marked && (!marked || message->mark == wanted->mark));
        PROMISE((message->payload != NULL) == (packet->payload.data != NULL));
        if (message->payload != NULL) {
            PROMISE(message->payload_len == packet->payload.len);
            PROMISE(memcmp(message->payload, packet->payload.data, packet->payload.len) == 0);
        }
    } else {
        PROMISE(message->verdict == NF_DROP && !message->has_mark && message->payload == NULL);
    }
    PROMISE((int)index > *last);
    *last = (int)index;
    packet->state = ANSWERED;
    while (first < count && !is_queued(&packets[first])) {
        first++;
    }
}

/* As nfqnl_recv_verdict() and nfqnl_recv_verdict_batch() do it. Ids are ordered by their signed difference. */
static void take_message(const struct verdict_message *message, enum send_kind kind, int *last)
{
    bool found = false;

    seen.messages++;
    seen.batches += message->batch;
    for (unsigned i = first; i < count; i++) {
        int32_t after = (int32_t)(packets[i].answer.id - message->id);

        if (after > 0) {
            break;
        }
        if (is_queued(&packets[i]) && (message->batch || after == 0)) {
            answer(i, message, kind, last);
            found = true;
        }
    }
    PROMISE(found || kind != SEND_FIRST);
}

static void take_all(enum send_kind kind, int *last)
{
    struct verdict_message message;
    size_t offset = 0;

    while (verdict_message_next(&verdicts, &offset, &message)) {
        take_message(&message, kind, last);
    }
}

static void arrive(unsigned number)
{
    for (unsigned i = 0; i < number && count < PACKETS_MAX; i++) {
        uint32_t gap = one_in(64) ? below(one_in(64) ? 5000 : 20) : 0;
        uint32_t id = last_kernel_id + 1 + gap;

        seen.wrapped += id < last_kernel_id;
        packets[count++] = (struct packet){.state = QUEUED, .answer.id = id};
        last_kernel_id = id;
        seen.packets++;
    }
}

/* ---- the engine -------------------------------------------------------------------------------------- */

/* How one history differs from another. */
struct habits {
    unsigned run_len;   /* one packet in so many is answered otherwise than the one before */
    bool holds;
    bool changes;       /* payloads */
    bool large;         /* up to whole 64 KiB packets */
    bool dies;
};

/* Entries to be encoded, and the packets that they belong to. */
struct list {
    struct burst_entry entries[BURST_MAX];
    struct verdict_payload payloads[BURST_MAX];
    unsigned packets[BURST_MAX];
    unsigned count;
};

static void draw_answer(const struct habits *habits, const struct packet *before, struct packet *packet)
{
    uint32_t id = packet->answer.id;

    if (before != NULL && !one_in(habits->run_len)) {
        packet->answer = before->answer;
    } else {
        packet->answer.verdict = one_in(2) ? NFQE_ACCEPT : NFQE_DROP;
        if (one_in(8)) {
            packet->answer.verdict = NFQE_REPEAT;
        } else if (one_in(4)) {
            packet->answer.verdict = NFQE_TO_QUEUE(one_in(2) ? 1 : UINT16_MAX) | (one_in(2) ? NFQE_QUEUE_BYPASS : 0);
        }
        packet->answer.mark = below(3);
        packet->answer.flags = BURST_DECIDED | (one_in(3) ? BURST_SETS_MARK : 0);
    }
    packet->answer.id = id;
    if (habits->changes && one_in(6)) {
        packet->payload.data = payload_bytes + below(PAYLOAD_MAX);
        packet->payload.len = 20 + below(habits->large && one_in(4) ? PAYLOAD_MAX - 19 : 200);
        seen.payloads++;
    }
    packet->state = DECIDED;
}

static void list_add(struct list *list, unsigned index)
{
    list->entries[list->count] = packets[index].answer;
    list->payloads[list->count] = packets[index].payload;
    list->packets[list->count] = index;
    list->count++;
}

static bool is_held_before(unsigned index)
{
    for (unsigned i = first; i < index; i++) {
        if (packets[i].state == HELD) {
            return true;
        }
    }
    return false;
}

/* Unanswered until it is released. False: the set has no room for another range. */
static bool hold(struct packet *packet)
{
    uint32_t id = packet->answer.id;

    if (outstanding_add(&outstanding, (struct outstanding_range){id, id}) != 0) {
        return false;
    }
    packet->state = HELD;
    seen.held++;
    return true;
}

/* The next packets are received and decided. */
static void receive(const struct habits *habits, struct list *list)
{
    unsigned most = one_in(8) ? BURST_MAX : 1 + below(12);
    const struct packet *before = NULL;

    list->count = 0;
    for (unsigned received = 0; received < most && queued < count; received++, queued++) {
        if (habits->holds && one_in(8) && hold(&packets[queued])) {
            continue;
        }
        draw_answer(habits, before, &packets[queued]);
        before = &packets[queued];
        list_add(list, queued);
    }
}

/*
 * Encodes the entries and gives them to the kernel. sends: so many are made before the worker dies, counted down.
 * Returns whether it lived.
 */
static bool send_all(const struct list *list, const struct outstanding *unanswered, enum send_kind kind,
                     unsigned *sends)
{
    bool any_payload = false;
    unsigned from = 0;
    int last = -1;

    for (unsigned i = 0; i < list->count; i++) {
        any_payload = any_payload || list->payloads[i].data != NULL;
    }
    while (from < list->count) {
        unsigned next = nfqueue_encode(&verdicts, list->entries, any_payload ? list->payloads : NULL, list->count, from,
                                       unanswered);

        PROMISE(next > from && next <= list->count);
        seen.full_buffers += next < list->count;
        from = next;
        if (*sends == 0) {
            return false;
        }
        --*sends;
        take_all(kind, &last);
    }
    return true;
}

/* A worker dies after it sent a part of the burst: its successor cannot know which, and sends everything again. */
static void send_list(const struct habits *habits, const struct list *list)
{
    unsigned sends = habits->dies && one_in(3) ? below(3) : UINT32_MAX;

    verdicts.sequence = (verdicts.sequence + 1) & BURST_SEQUENCE_MASK;
    if (!send_all(list, &outstanding, SEND_FIRST, &sends)) {
        sends = UINT32_MAX;
        send_all(list, NULL, SEND_AGAIN, &sends);
        seen.resent++;
    }
    for (unsigned i = 0; i < list->count; i++) {
        PROMISE(packets[list->packets[i]].state == ANSWERED);
    }
}

/* Some of the held packets, or all, are answered now. */
static void release(const struct habits *habits, bool all)
{
    struct outstanding_range released[BURST_MAX];
    struct list list = {.count = 0};
    const struct packet *before = NULL;

    for (unsigned i = first; i < queued && list.count < BURST_MAX; i++) {
        if (packets[i].state == HELD && (all || one_in(2))) {
            uint32_t id = packets[i].answer.id;

            draw_answer(habits, before, &packets[i]);
            before = &packets[i];
            list_add(&list, i);
            released[list.count - 1] = (struct outstanding_range){id, id};
            seen.released++;
        }
    }
    send_list(habits, &list);
    for (unsigned i = 0; i < list.count; i++) {
        PROMISE(outstanding_remove(&outstanding, released[i]) == 0);
    }
}

/* A worker dies while it receives: messages are gone, their packets wait in the kernel. */
static void lose(void)
{
    for (unsigned lost = below(6); lost > 0 && queued < count; lost--) {
        packets[queued++].state = LOST;
    }
    journal_request_id_recovery(&journal, last_kernel_id);
}

/* has_next: entries[0] is of the burst just received. */
static void answer_lost(bool has_next, uint32_t next_id)
{
    struct outstanding_range lost;

    if (journal_lost_ids(&journal, &outstanding, has_next, next_id, &lost)) {
        uint32_t from = lost.first;
        uint32_t to = lost.last;
        int last = -1;

        while (from != to + 1) {
            uint32_t before = from;

            nfqueue_encode_ids(&verdicts, &from, to, NFQE_DROP);
            PROMISE(from - before >= 1 && from - before <= to - before + 1);
            seen.full_buffers += from != to + 1;
            take_all(SEND_LOST, &last);
        }
        seen.recovered_ids++;
    }
    journal_end_id_recovery(&journal);
}

/* A receive, and what follows from it. */
static void answer_burst(const struct habits *habits)
{
    unsigned begin;
    struct list list;

    if (habits->dies && one_in(4)) {
        lose();
    }
    begin = queued;
    answer_lost(begin < count, begin < count ? packets[begin].answer.id : 0);
    receive(habits, &list);
    arrive(below(8));
    send_list(habits, &list);
    if (queued > begin) {
        outstanding_advance(&outstanding, packets[queued - 1].answer.id);
    }
}

static void run_case(void)
{
    struct habits habits = {
        .run_len = 1 + below(8), .holds = one_in(2), .changes = one_in(4), .large = one_in(16), .dies = one_in(3)};
    unsigned rounds = 1 + below(ROUNDS_MAX);

    count = queued = first = 0;
    last_kernel_id = one_in(4) ? UINT32_MAX - below(60) : (uint32_t)unit_random(&random_state);
    outstanding = (struct outstanding){.last_id = last_kernel_id};
    journal_end_id_recovery(&journal);
    for (unsigned round = 0; round < rounds; round++) {
        arrive(one_in(8) ? below(2 * BURST_MAX) : below(12));
        answer_burst(&habits);
        if (one_in(3)) {
            release(&habits, false);
        }
    }
    habits.holds = false;
    habits.dies = false;
    while (queued < count) {
        answer_burst(&habits);
        release(&habits, one_in(2));
    }
    while (is_held_before(queued)) {
        release(&habits, true);
    }
    answer_lost(false, 0); /* what was lost last */
    PROMISE(outstanding.count == 0);
    PROMISE(first == count);
}

static void seed_case(void)
{
    uint64_t mixed = current.seed + (current.number + 1) * UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    random_state = (mixed ^ (mixed >> 31)) | 1; /* never 0 */
}

int main(int argc, char **argv)
{
    const char *quick = getenv("NFQE_QUICK");
    uint64_t cases = quick != NULL && strcmp(quick, "1") == 0 ? CASES_QUICK : CASES;
    uint64_t begin = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;

    current.seed = argc > 1 ? strtoull(argv[1], NULL, 0) : SEED;
    cases = argc > 2 ? strtoull(argv[2], NULL, 0) : cases;
    printf("seed 0x%llx, %llu cases\n", (unsigned long long)current.seed, (unsigned long long)cases);
    verdicts.queue = 7;
    for (size_t i = 0; i < sizeof(payload_bytes); i++) {
        payload_bytes[i] = (uint8_t)(i % 251);
    }
    for (current.number = begin; current.number < begin + cases; current.number++) {
        seed_case();
        run_case();
    }
    printf("packets %llu, messages %llu (batches %llu), held %llu, released %llu, payloads %llu, full buffers %llu, "
           "bursts resent %llu, recoveries of ids %llu, wraps %llu\n",
           (unsigned long long)seen.packets, (unsigned long long)seen.messages, (unsigned long long)seen.batches,
           (unsigned long long)seen.held, (unsigned long long)seen.released, (unsigned long long)seen.payloads,
           (unsigned long long)seen.full_buffers, (unsigned long long)seen.resent,
           (unsigned long long)seen.recovered_ids, (unsigned long long)seen.wrapped);
    if (cases >= CASES_QUICK) {
        PROMISE(seen.batches > 0 && seen.payloads > 0 && seen.full_buffers > 0 && seen.resent > 0 &&
                seen.recovered_ids > 0);
        PROMISE(seen.wrapped > 0 && seen.held > 0 && seen.held == seen.released);
    }
    return 0;
}
