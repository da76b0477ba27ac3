/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the supervisor and the next worker make of an arena that a dead worker left, whatever stands in it: blame,
 * recover, decode what was received, answer it, sweep, commit.
 *
 * Input: struct damage, then for each message of the burst a byte of flags, its length, its verdict and its bytes; see
 * read_burst(). The steps are those of children.c and worker.c, in their order. Each is held against what arena.h
 * promises, from a copy of the arena as it was before.
 */
#include "burst/arena.h"
#include "input.h"
#include "queue/nfqueue.h"
#include "verdict_messages.h"

#include <nfqe/plugin.h>

#include <linux/netfilter.h>
#include <sanitizer/asan_interface.h>
#include <stdbool.h>

#define QUEUE 4711 /* MESSAGES_QUEUE of the seeds */
#define SLOT_SIZE 256
#define SHAPE ((struct arena_shape){.slot_size = SLOT_SIZE})
#define MESSAGE_CUT 1      /* the kernel said MSG_TRUNC */
#define MESSAGE_WILD 2     /* its length is a number of 32 bits, not the number of its bytes */
#define MESSAGE_VERDICT 4  /* its verdict is given; otherwise it has none */
#define MESSAGE_DECIDED 8  /* and it is decided: accept */
#define MESSAGE_HEADER 16  /* its receive header was overwritten */

/* The numbers at the start of the input. */
struct damage {
    uint32_t phase;
    uint32_t cursor;
    uint32_t plugin;
    uint32_t packets;
    uint32_t last_id;
    uint32_t sweep;
    uint32_t sweep_to;
    uint32_t next_id;
    uint32_t sequence;
    uint8_t attempts;
    uint8_t one_by_one;
    uint8_t plugins;
    uint8_t choices; /* 1: the verdict is accept; 2: there is a next message; 4: blame twice; 8: wild layout */
};

static struct arena *arena;
static const struct arena *view; /* read-only, as plugins see it */
static struct arena before;      /* the arena ahead of the step under test */
static struct nfqueue_encoder verdicts;

static void make_arena(void)
{
    static int fd = -1;

    if (arena == NULL) {
        PROMISE(arena_new(QUEUE, SHAPE, &arena, &fd) == 0);
        PROMISE(arena_map_view(fd, SHAPE, &view) == 0);
    }
}

static void read_burst(struct input *input)
{
    for (unsigned i = 0; i < BURST_MAX && input->len > 0; i++) {
        struct mmsghdr *message = &arena->messages[i];
        struct arena_verdict *verdict = &arena->verdicts[i];
        uint8_t flags = input_u8(input);
        uint8_t len = input_u8(input);

        message->msg_len = (flags & MESSAGE_WILD) != 0 ? input_u32(input) : len;
        message->msg_hdr.msg_flags = (flags & MESSAGE_CUT) != 0 ? MSG_TRUNC : 0;
        if ((flags & MESSAGE_HEADER) != 0) {
            input_bytes(input, &message->msg_hdr, sizeof(message->msg_hdr));
            input_bytes(input, &arena->iovecs[i], sizeof(arena->iovecs[i]));
        }
        if ((flags & MESSAGE_VERDICT) != 0) {
            verdict->id = input_u32(input);
            verdict->verdict = input_u32(input);
            verdict->mark = input_u32(input);
            verdict->flags = input_u32(input);
        } else if ((flags & MESSAGE_DECIDED) != 0) {
            verdict->verdict = NFQE_ACCEPT;
            verdict->flags = ARENA_DECIDED;
        }
        input_bytes(input, arena_slot(arena, i), len);
    }
}

static void read_arena(struct input *input, struct damage *damage)
{
    input_bytes(input, damage, sizeof(*damage));
    memset(arena, 0, sizeof(*arena));
    arena_prepare(arena, QUEUE, SHAPE);
    arena->phase = damage->phase;
    arena->cursor = damage->cursor;
    arena->plugin = damage->plugin;
    arena->packets = damage->packets;
    arena->last_id = damage->last_id;
    arena->sweep = damage->sweep;
    arena->sweep_to = damage->sweep_to;
    arena->sequence = damage->sequence;
    arena->attempts = damage->attempts;
    arena->one_by_one = damage->one_by_one;
    arena->counters[0].packets = damage->sequence;
    arena->counters[1].packets = damage->next_id;
    read_burst(input);
    if ((damage->choices & 8) != 0) {
        arena->magic = arena->layout = arena->queue = arena->slot_size = damage->phase;
        arena->size = (uint64_t)damage->phase << 32;
    }
}

/* The messages that count: up to the first length of 0. */
static unsigned count_received(const struct arena *of)
{
    unsigned count = 0;

    while (count < BURST_MAX && of->messages[count].msg_len != 0) {
        count++;
    }
    return count;
}

static bool is_verdict(uint32_t verdict)
{
    return verdict == NFQE_ACCEPT || verdict == NFQE_DROP;
}

/* ---- the supervisor ----------------------------------------------------------------------------------- */

/* Gives back how many verdicts were added. Every other verdict is as it was. */
static unsigned check_added(uint32_t packets, uint32_t verdict)
{
    unsigned added = 0;

    for (unsigned i = 0; i < BURST_MAX; i++) {
        PROMISE(arena->verdicts[i].id == before.verdicts[i].id && arena->verdicts[i].mark == before.verdicts[i].mark);
        if (arena_decided(arena, i) && !arena_decided(&before, i)) {
            PROMISE(i < packets && arena->verdicts[i].verdict == verdict);
            added++;
        } else {
            PROMISE(arena->verdicts[i].verdict == before.verdicts[i].verdict);
            PROMISE(arena->verdicts[i].flags == before.verdicts[i].flags);
        }
    }
    return added;
}

static void blame(uint32_t plugins, uint32_t verdict)
{
    uint32_t received = count_received(arena);
    uint32_t packets = arena->packets < received ? arena->packets : received;
    bool guilty = arena->cursor < packets;
    struct arena_death blame;
    unsigned added;

    before = *arena;
    memset(&blame, 1, sizeof(blame)); /* a bool is 0 or 1 */
    arena_assign_crash(arena, plugins, verdict, &blame);
    added = check_added(packets, verdict);
    PROMISE(blame.plugin < plugins || blame.plugin == ARENA_NOBODY);
    PROMISE(arena_phase(arena) == arena_phase(&before) && count_received(arena) == received);
    PROMISE(arena->packets == before.packets && arena->last_id == before.last_id && arena->sweep == before.sweep);
    PROMISE(arena->crash_verdicts == before.crash_verdicts + added);
    if (arena_phase(&before) != ARENA_HANDLING) {
        PROMISE(added == 0 && !blame.handling && !blame.packet_known && blame.plugin == ARENA_NOBODY);
        PROMISE(arena->cursor == before.cursor && arena->one_by_one == before.one_by_one);
        return;
    }
    PROMISE(arena->one_by_one != 0 && arena->cursor == ARENA_NOBODY && arena->plugin == ARENA_NOBODY);
    guilty = guilty && !arena_decided(&before, before.cursor);
    PROMISE(blame.packet_known == guilty);
    if (guilty) {
        PROMISE(blame.handling && added == 1 && blame.abandoned == 0);
        PROMISE(arena_decided(arena, before.cursor) && blame.packet_id == before.verdicts[before.cursor].id);
    } else {
        PROMISE(added == blame.abandoned && (added == 0 || blame.handling));
        PROMISE(blame.abandoned == 0 || before.attempts + 1 >= ARENA_ATTEMPTS);
    }
}

/* ---- the next worker ------------------------------------------------------------------------------------ */

static void prepare(void)
{
    before = *arena;
    arena_prepare(arena, QUEUE, SHAPE);
    PROMISE(arena->magic == ARENA_MAGIC && arena->layout == ARENA_LAYOUT && arena->queue == QUEUE);
    PROMISE(arena->slot_size == SLOT_SIZE && arena->size >= sizeof(*arena) + (size_t)BURST_MAX * SLOT_SIZE);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        const struct msghdr *header = &arena->messages[i].msg_hdr;
        const struct iovec *room = &arena->iovecs[i];

        PROMISE(header->msg_iov == room && header->msg_iovlen == 1);
        PROMISE(header->msg_name == NULL && header->msg_control == NULL && header->msg_controllen == 0);
        PROMISE(room->iov_base == arena_slot(arena, i) && room->iov_len == SLOT_SIZE);
        PROMISE((char *)room->iov_base >= (char *)(arena + 1));
        PROMISE((char *)room->iov_base + SLOT_SIZE <= (char *)arena + arena->size);
        PROMISE(arena->messages[i].msg_len == before.messages[i].msg_len);
        PROMISE(header->msg_flags == before.messages[i].msg_hdr.msg_flags);
    }
}

static enum arena_phase recover(void)
{
    enum arena_phase was = arena_phase(arena);
    bool stand = was == ARENA_IDLE || was == ARENA_HANDLING || was == ARENA_SENDING;
    unsigned received = count_received(arena);
    enum arena_phase phase;

    before = *arena;
    phase = arena_recover(arena);
    PROMISE(phase <= ARENA_SENDING && phase == arena_phase(arena));
    PROMISE(phase == (received == 0 ? ARENA_IDLE : stand ? was : ARENA_RECEIVING));
    PROMISE(arena->cursor == ARENA_NOBODY && arena->plugin == ARENA_NOBODY);
    PROMISE(arena_received(arena) == received);
    PROMISE(arena->sequence <= ARENA_SEQUENCE_MASK && arena->packets <= received);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        PROMISE(arena->messages[i].msg_len == (i < received ? before.messages[i].msg_len : 0));
        PROMISE(i >= received || (arena_message_len(arena, i) >= 1 && arena_message_len(arena, i) <= SLOT_SIZE));
        PROMISE(!arena_decided(arena, i) || is_verdict(arena->verdicts[i].verdict));
        if (stand && is_verdict(before.verdicts[i].verdict)) {
            PROMISE(arena->verdicts[i].verdict == before.verdicts[i].verdict);
            PROMISE(arena_decided(arena, i) == arena_decided(&before, i));
        } else {
            PROMISE(!arena_decided(arena, i));
        }
    }
    PROMISE(memcmp(arena_counters(arena), arena_counters(&before), sizeof(struct arena_counters)) == 0);
    return phase;
}

/* One received message; what is behind it in its slot may not be read. */
static bool decode(unsigned index, struct nfqe_packet *packet)
{
    const uint8_t *slot = arena_slot(view, index);
    size_t len = arena_message_len(arena, index);
    bool cut = (arena->messages[index].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    struct nfqueue_answer answer;
    enum nfqueue_kind kind;

    ASAN_POISON_MEMORY_REGION(slot, SLOT_SIZE);
    ASAN_UNPOISON_MEMORY_REGION(slot, len);
    kind = nfqueue_decode(slot, len, cut, QUEUE, packet, &answer);
    ASAN_UNPOISON_MEMORY_REGION(slot, SLOT_SIZE);
    if (kind == NFQUEUE_PACKET && packet->len > 0) {
        PROMISE(packet->data >= slot && packet->data + packet->len <= slot + len);
    }
    return kind == NFQUEUE_PACKET || kind == NFQUEUE_TRUNCATED;
}

/* Every received packet gets a verdict: the one that stands if it is its own, or `rest`. Returns how many. */
static unsigned decide(bool keep, uint32_t rest)
{
    struct nfqe_packet packet;
    unsigned packets = 0;

    for (unsigned i = 0; i < arena_received(arena); i++) {
        if (decode(i, &packet)) {
            struct arena_verdict *verdict = &arena->verdicts[packets];

            if (!keep || !arena_decided(arena, packets) || verdict->id != packet.id) {
                arena_decide(arena, packets, rest);
            }
            verdict->id = packet.id;
            packets++;
        }
    }
    return packets;
}

static bool is_marked(const struct arena_verdict *verdict)
{
    return (verdict->flags & ARENA_SETS_MARK) != 0;
}

static void check_answer(const struct verdict_message *message, const struct arena_verdict *verdict)
{
    PROMISE(message->verdict == (verdict->verdict == NFQE_ACCEPT ? NF_ACCEPT : NF_DROP));
    PROMISE(message->has_mark == is_marked(verdict));
    PROMISE(!message->has_mark || message->mark == verdict->mark);
    PROMISE(message->payload == NULL);
}

/* As a successor sends them: one message each, in order, with what stands. */
static void answer_each(unsigned packets)
{
    struct verdict_message message;
    size_t offset = 0;

    verdicts.queue = QUEUE;
    verdicts.sequence = arena->sequence;
    verdicts.no_batches = true;
    PROMISE(nfqueue_encode(&verdicts, arena->verdicts, NULL, packets, 0) == packets);
    for (unsigned i = 0; i < packets; i++) {
        PROMISE(verdict_message_next(&verdicts, &offset, &message));
        PROMISE(!message.batch && message.id == arena->verdicts[i].id);
        check_answer(&message, &arena->verdicts[i]);
    }
    PROMISE(!verdict_message_next(&verdicts, &offset, &message));
}

static bool same_answer(const struct arena_verdict *one, const struct arena_verdict *other)
{
    return one->verdict == other->verdict && is_marked(one) == is_marked(other) &&
           (!is_marked(one) || one->mark == other->mark);
}

/* In as few messages as possible: each is of all neighbours with the same answer. */
static void answer_in_batches(unsigned packets)
{
    const struct arena_verdict *entries = arena->verdicts;
    struct verdict_message message;
    size_t offset = 0;
    unsigned next = 0;

    verdicts.no_batches = false;
    PROMISE(nfqueue_encode(&verdicts, entries, NULL, packets, 0) == packets);
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

static void sweep(bool has_next, uint32_t next_id)
{
    uint32_t first = 0;
    uint32_t last = 0;
    bool any;

    any = arena_sweep_range(arena, has_next, next_id, &first, &last);
    PROMISE(!any || arena->sweep != 0);
    if (any) {
        struct verdict_message message;
        uint32_t id = first;
        uint32_t next = first;
        size_t offset = 0;

        PROMISE(first == arena->last_id + 1 && last == (has_next ? next_id - 1 : arena->sweep_to));
        PROMISE((int32_t)(last - first) >= 0);
        nfqueue_encode_ids(&verdicts, &next, last, NFQE_DROP);
        while (verdict_message_next(&verdicts, &offset, &message)) {
            PROMISE(!message.batch && message.id == id && message.verdict == NF_DROP && !message.has_mark);
            id++;
        }
        PROMISE(id == next && id != first && next - first <= last - first + 1);
    }
    arena_end_sweep(arena);
    PROMISE(!arena_sweep_range(arena, has_next, next_id, &first, &last));
}

static void commit(void)
{
    struct arena_counters delta = {.packets = 3, .bursts = 1, .dropped = 2};
    struct arena_counters counters = *arena_counters(arena);

    arena_commit(arena, &delta);
    PROMISE(arena_phase(arena) == ARENA_IDLE);
    PROMISE(arena_counters(arena)->packets == counters.packets + 3);
    PROMISE(arena_counters(arena)->bursts == counters.bursts + 1);
    arena_begin_receive(arena);
    PROMISE(arena_phase(arena) == ARENA_RECEIVING && arena->attempts == 0 && arena->one_by_one == 0);
    PROMISE(arena_counters(arena)->packets == counters.packets + 3);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        PROMISE(arena->messages[i].msg_len == 0); /* or it would count as received */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};
    struct damage damage;
    uint32_t verdict;
    enum arena_phase phase;
    unsigned packets;

    make_arena();
    read_arena(&input, &damage);
    verdict = (damage.choices & 1) != 0 ? NFQE_ACCEPT : NFQE_DROP;
    for (unsigned deaths = 0; deaths < ((damage.choices & 4) != 0 ? ARENA_ATTEMPTS : 1U); deaths++) {
        arena->plugin = damage.plugin;
        arena->cursor = damage.cursor;
        blame(damage.plugins, verdict);
    }
    prepare();
    phase = recover();
    if (phase != ARENA_IDLE) {
        packets = decide(phase != ARENA_RECEIVING, verdict);
        answer_each(packets);
        answer_in_batches(packets);
    }
    sweep((damage.choices & 2) != 0, damage.next_id);
    commit();
    return 0;
}
