/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the supervisor and the next queue process do with a journal that a dead queue process left, with any content: recover,
 * commit what was received, answer what is in flight, answer lost ids, commit.
 *
 * Input: struct damage, then for each message of one of the bursts a byte of flags, its length, its verdict and its
 * bytes; see read_burst(). The steps are those of ends.c and queue_recovery.c, in their order. After each, the
 * journal is compared with what journal.h and recovery.h promise, from a copy that was made before.
 */
#include "burst/recovery.h"
#include "input.h"
#include "queue/nfqueue_decode.h"
#include "queue/queue_shm.h"
#include "verdict_messages.h"

#include <nfqe/plugin.h>

#include <linux/netfilter.h>
#include <sanitizer/asan_interface.h>
#include <stdbool.h>

#define QUEUE 4711 /* MESSAGES_QUEUE of the seeds */
#define SLOT_SIZE 256
#define MESSAGE_CUT 1      /* the kernel said MSG_TRUNC */
#define MESSAGE_WILD 2     /* its length is a number of 32 bits, not the number of its bytes */
#define MESSAGE_VERDICT 4  /* its verdict is given; otherwise it has none */
#define MESSAGE_DECIDED 8  /* and it is decided: accept */
#define MESSAGE_HEADER 16  /* its receive header was overwritten */

/* The numbers at the start of the input. */
struct damage {
    uint32_t phase;
    uint32_t packets;
    uint32_t last_id;
    uint32_t recover_ids;
    uint32_t recover_to;
    uint32_t next_id;
    uint32_t sequence;
    uint32_t
        choices; /* 1: the verdict is accept; 2: there is a next message; 8: wild layout; 16, 32: which burst it is */
};

static struct queue_shm shm;
static struct journal *journal;
static unsigned number;       /* of the burst that the input is about */
static struct burst *burst;   /* this one */
static struct journal before; /* the journal ahead of the step under test */
static struct outstanding outstanding;
static struct nfqueue_encoder verdicts;

static void make_memory(void)
{
    const struct queue_shm_layout layout = {.control_version = 1, .control_size = 64, .slot_size = SLOT_SIZE};

    if (journal == NULL) {
        PROMISE(queue_shm_new(QUEUE, &layout, &shm) == 0);
        journal = shm.journal;
    }
}

static void *slot(unsigned of, unsigned index)
{
    return queue_shm_slot(queue_shm_burst_slots(shm.slots, of, SLOT_SIZE), index, SLOT_SIZE);
}

static void read_burst(struct input *input)
{
    for (unsigned i = 0; i < BURST_MAX && input->len > 0; i++) {
        struct mmsghdr *message = &burst->messages[i];
        struct burst_entry *verdict = &burst->entries[i];
        uint8_t flags = input_u8(input);
        uint8_t len = input_u8(input);

        message->msg_len = (flags & MESSAGE_WILD) != 0 ? input_u32(input) : len;
        message->msg_hdr.msg_flags = (flags & MESSAGE_CUT) != 0 ? MSG_TRUNC : 0;
        if ((flags & MESSAGE_HEADER) != 0) {
            input_bytes(input, &message->msg_hdr, sizeof(message->msg_hdr));
            input_bytes(input, &burst->iovecs[i], sizeof(burst->iovecs[i]));
        }
        if ((flags & MESSAGE_VERDICT) != 0) {
            verdict->id = input_u32(input);
            verdict->verdict = input_u32(input);
            verdict->mark = input_u32(input);
            verdict->flags = input_u32(input);
        } else if ((flags & MESSAGE_DECIDED) != 0) {
            verdict->verdict = NFQE_ACCEPT;
            verdict->flags = BURST_DECIDED;
        }
        input_bytes(input, slot(number, i), len);
    }
}

static void read_journal(struct input *input, struct damage *damage)
{
    input_bytes(input, damage, sizeof(*damage));
    number = damage->choices >> 4 & (BURSTS_IN_FLIGHT - 1);
    burst = &journal->bursts[number];
    memset(journal, 0, sizeof(*journal));
    queue_shm_prepare(&shm, QUEUE, BURSTS_IN_FLIGHT);
    journal->phase = damage->phase;
    burst->packets = damage->packets;
    journal->totals[0].outstanding.last_id = damage->last_id;
    journal->totals[0].outstanding.count = damage->next_id % 3;
    journal->totals[0].outstanding.ranges[0] = (struct outstanding_range){damage->next_id, damage->last_id};
    journal->totals[1] = journal->totals[0];
    journal->recover_ids = damage->recover_ids;
    journal->recover_to = damage->recover_to;
    journal->sequence = burst->sequence = damage->sequence;
    journal->totals[0].stats.packets = damage->sequence;
    journal->totals[1].stats.packets = damage->next_id;
    read_burst(input);
    if ((damage->choices & 8) != 0) {
        memset(shm.header, (int)damage->phase, sizeof(*shm.header));
    }
}

/* The messages that count: up to the first length of 0. */
static unsigned count_received(const struct burst *of)
{
    unsigned count = 0;

    while (count < BURST_MAX && of->messages[count].msg_len != 0) {
        count++;
    }
    return count;
}

static bool is_verdict(uint32_t verdict)
{
    return verdict == NFQE_ACCEPT || verdict == NFQE_DROP || verdict == NFQE_REPEAT ||
           (verdict & 0xfbff) == NFQE_TO_QUEUE_ACTION;
}

/* ---- the next queue process ------------------------------------------------------------------------------------ */

static void prepare(void)
{
    before = *journal;
    queue_shm_prepare(&shm, QUEUE, BURSTS_IN_FLIGHT);
    PROMISE(queue_shm_check(shm.header, shm.size) == 0 && shm.header->queue == QUEUE);
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT * BURST_MAX; i++) {
        const struct mmsghdr *message = &journal->bursts[i / BURST_MAX].messages[i % BURST_MAX];
        const struct mmsghdr *was = &before.bursts[i / BURST_MAX].messages[i % BURST_MAX];
        const struct iovec *room = &journal->bursts[i / BURST_MAX].iovecs[i % BURST_MAX];
        const struct msghdr *header = &message->msg_hdr;

        PROMISE(header->msg_iov == room && header->msg_iovlen == 1);
        PROMISE(header->msg_name == NULL && header->msg_control == NULL && header->msg_controllen == 0);
        PROMISE(room->iov_base == slot(i / BURST_MAX, i % BURST_MAX) && room->iov_len == SLOT_SIZE);
        PROMISE((char *)room->iov_base + SLOT_SIZE <= (char *)shm.header + shm.size);
        PROMISE(message->msg_len == was->msg_len && header->msg_flags == was->msg_hdr.msg_flags);
    }
}

static bool is_wild(uint32_t phase)
{
    return (phase & 0xff) > BURSTS_IN_FLIGHT || phase > 0x7ff;
}

/* The verdicts of a burst that is being received are none; the others are kept, if they can be one. */
static void check_verdicts(const struct burst *was, bool kept)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        PROMISE(!burst_is_decided(burst, i) || is_verdict(burst->entries[i].verdict));
        PROMISE(burst->entries[i].reason <= REASONS_MAX);
        if (kept && is_verdict(was->entries[i].verdict)) {
            PROMISE(burst->entries[i].verdict == was->entries[i].verdict);
            PROMISE(burst_is_decided(burst, i) == burst_is_decided(was, i));
        } else {
            PROMISE(!burst_is_decided(burst, i));
        }
    }
}

/* Returns which burst is to be committed as received. */
static unsigned recover(void)
{
    const struct burst *was = &before.bursts[number];
    unsigned received = count_received(burst);
    unsigned receiving;

    before = *journal;
    receiving = journal_recover(journal, &outstanding);
    PROMISE(!is_wild(journal->phase) && receiving == journal_receiving(journal));
    PROMISE(receiving == number || receiving == JOURNAL_NO_BURST);
    PROMISE(outstanding_is_sound(&outstanding));
    PROMISE(burst_received(burst) == received);
    PROMISE(burst->sequence <= BURST_SEQUENCE_MASK && burst->packets <= received);
    PROMISE(burst->packets == 0 || journal_is_in_use(burst, &outstanding));
    for (unsigned i = 0; i < BURST_MAX; i++) {
        PROMISE(burst->messages[i].msg_len == (i < received ? was->messages[i].msg_len : 0));
        PROMISE(i >= received ||
                (burst_message_len(burst, i, SLOT_SIZE) >= 1 && burst_message_len(burst, i, SLOT_SIZE) <= SLOT_SIZE));
    }
    check_verdicts(was, is_wild(before.phase) ? number != 0 : journal_receiving(&before) != number);
    PROMISE(memcmp(journal_totals(journal), journal_totals(&before), sizeof(struct journal_totals)) == 0);
    return receiving;
}

/* One received message; the bytes after it in its slot may not be read. */
static bool decode(unsigned index, struct nfqe_packet *packet)
{
    const uint8_t *bytes = queue_shm_slot(queue_shm_burst_slots(shm.slots, number, SLOT_SIZE), index, SLOT_SIZE);
    size_t len = burst_message_len(burst, index, SLOT_SIZE);
    bool cut = (burst->messages[index].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    struct nfqueue_conntrack conntrack;
    struct nfqueue_answer answer;
    enum nfqueue_kind kind;

    ASAN_POISON_MEMORY_REGION(bytes, SLOT_SIZE);
    ASAN_UNPOISON_MEMORY_REGION(bytes, len);
    kind = nfqueue_decode(bytes, len, cut, QUEUE, packet, &conntrack, &answer);
    ASAN_UNPOISON_MEMORY_REGION(bytes, SLOT_SIZE);
    if (kind == NFQUEUE_PACKET && packet->len > 0) {
        PROMISE(packet->data >= bytes && packet->data + packet->len <= bytes + len);
    }
    return kind == NFQUEUE_PACKET || kind == NFQUEUE_TRUNCATED;
}

/* Every packet gets a verdict: its own if it has one, else `rest`. Returns how many there are. */
static unsigned decide(bool received, uint32_t rest)
{
    struct nfqe_packet packet;
    unsigned packets = 0;

    for (unsigned i = 0; i < burst_received(burst); i++) {
        if (decode(i, &packet) && (!received || journal_can_be_received(journal, &outstanding, packet.id))) {
            struct burst_entry *verdict = &burst->entries[packets];

            if (!burst_is_decided(burst, packets) || verdict->id != packet.id) {
                burst_force_verdict(burst, packets, rest);
            }
            verdict->id = packet.id;
            packets++;
        }
    }
    burst->packets = packets;
    return packets;
}

/* What may be received comes after the set, whatever the ids in the messages are. */
static void commit_receive(unsigned packets)
{
    struct queue_stats delta = {.packets = packets, .bursts = 1};
    struct queue_stats stats = journal_totals(journal)->stats;

    for (unsigned i = 0; i < packets; i++) {
        uint32_t id = burst->entries[i].id;

        if (!outstanding_has(&outstanding, id) && outstanding_is_after(id, outstanding.last_id)) {
            PROMISE(outstanding_add(&outstanding, (struct outstanding_range){id, id}) == 0);
        }
    }
    journal_commit_receive(journal, &delta, &outstanding);
    PROMISE(journal_receiving(journal) == JOURNAL_NO_BURST);
    PROMISE(journal_totals(journal)->stats.packets == stats.packets + packets);
    PROMISE(outstanding_is_sound(&journal_totals(journal)->outstanding));
    PROMISE(packets == 0 || journal_totals(journal)->outstanding.count > 0);
}

static bool is_marked(const struct burst_entry *verdict)
{
    return (verdict->flags & BURST_SETS_MARK) != 0;
}

static void check_answer(const struct verdict_message *message, const struct burst_entry *verdict)
{
    PROMISE(message->verdict == verdict_for_kernel(verdict->verdict));
    PROMISE(message->has_mark == is_marked(verdict));
    PROMISE(!message->has_mark || message->mark == verdict->mark);
    PROMISE(message->payload == NULL);
}

/* As the next queue process sends them: one message each, in order, with the verdicts in the journal. */
static void answer_each(unsigned packets)
{
    struct verdict_message message;
    size_t offset = 0;

    verdicts.queue = QUEUE;
    verdicts.sequence = burst->sequence;
    PROMISE(nfqueue_encode(&verdicts, burst->entries, NULL, packets, 0, NULL) == packets);
    for (unsigned i = 0; i < packets; i++) {
        PROMISE(verdict_message_next(&verdicts, &offset, &message));
        PROMISE(!message.batch && message.id == burst->entries[i].id);
        check_answer(&message, &burst->entries[i]);
    }
    PROMISE(!verdict_message_next(&verdicts, &offset, &message));
}

static bool same_answer(const struct burst_entry *one, const struct burst_entry *other)
{
    return one->verdict == other->verdict && is_marked(one) == is_marked(other) &&
           (!is_marked(one) || one->mark == other->mark);
}

/* In as few messages as possible: each is of all neighbours with the same answer. */
static void answer_in_batches(unsigned packets)
{
    static const struct outstanding none;
    const struct burst_entry *entries = burst->entries;
    struct verdict_message message;
    size_t offset = 0;
    unsigned next = 0;

    PROMISE(nfqueue_encode(&verdicts, entries, NULL, packets, 0, &none) == packets);
    while (verdict_message_next(&verdicts, &offset, &message)) {
        unsigned first = next;

        PROMISE(next < packets);
        do {
            check_answer(&message, &entries[next++]);
        } while (next < packets && same_answer(&entries[first], &entries[next]));
        PROMISE(entries[next - 1].id == message.id && message.batch == (next - first > 1));
    }
    PROMISE(next == packets);
}

static void recover_ids(bool has_next, uint32_t next_id)
{
    struct outstanding_range lost;
    bool any = journal_lost_ids(journal, &outstanding, has_next, next_id, &lost);

    PROMISE(!any || journal->recover_ids != 0);
    if (any) {
        struct verdict_message message;
        uint32_t id = lost.first;
        uint32_t next = lost.first;
        size_t offset = 0;

        PROMISE(lost.first == outstanding.last_id + 1 && lost.last - lost.first < RECOVERED_IDS_MAX);
        PROMISE(lost.last == (has_next ? next_id - 1 : journal->recover_to) ||
                lost.last - lost.first == RECOVERED_IDS_MAX - 1);
        PROMISE(outstanding_add(&outstanding, lost) == 0 || outstanding.count == OUTSTANDING_RANGES_MAX);
        nfqueue_encode_ids(&verdicts, &next, lost.last, NFQE_DROP);
        while (verdict_message_next(&verdicts, &offset, &message)) {
            PROMISE(!message.batch && message.id == id && message.verdict == NF_DROP && !message.has_mark);
            id++;
        }
        PROMISE(id == next && id != lost.first && next - lost.first <= lost.last - lost.first + 1);
        outstanding_advance(&outstanding, lost.last);
    }
    journal_end_id_recovery(journal);
    PROMISE(!journal_lost_ids(journal, &outstanding, has_next, next_id, &lost));
}

static void commit(void)
{
    struct queue_stats delta = {.accepted = 3, .dropped = 2};
    struct queue_stats stats = journal_totals(journal)->stats;

    outstanding.count = 0;
    journal_commit_send(journal, &delta, NULL, &outstanding);
    PROMISE(journal_is_idle(journal) && !journal_is_in_use(burst, &journal_totals(journal)->outstanding));
    PROMISE(journal_totals(journal)->stats.accepted == stats.accepted + 3);
    PROMISE(journal_totals(journal)->stats.packets == stats.packets);
    journal_begin_receive(journal, number);
    PROMISE(journal_receiving(journal) == number);
    PROMISE(journal_totals(journal)->stats.accepted == stats.accepted + 3);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        PROMISE(burst->messages[i].msg_len == 0); /* or it would count as received */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};
    struct damage damage;
    uint32_t verdict;
    unsigned receiving;
    unsigned packets;

    make_memory();
    read_journal(&input, &damage);
    verdict = (damage.choices & 1) != 0 ? NFQE_ACCEPT : NFQE_DROP;
    prepare();
    receiving = recover();
    if (receiving == number || burst->packets != 0) {
        packets = decide(receiving == number, verdict);
        if (receiving == number) {
            commit_receive(packets);
        }
        journal_begin_send(journal);
        answer_each(packets);
        answer_in_batches(packets);
    }
    recover_ids((damage.choices & 2) != 0, damage.next_id);
    commit();
    return 0;
}
