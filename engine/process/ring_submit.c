/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling frames, and believing nothing.
 *
 * An answer is believed if it names the first packet in flight that has no answer yet. So a worker cannot change the
 * order of its packets, and a frame that it leaves out cannot keep the others' places from being free. What the worker
 * says that it has published is read once and used until all of that is taken: so each look at it ends with answers,
 * with "none", or with a broken protocol, and a worker that changes the word all the time cannot make us run in circles.
 * The worker may run ahead of us by at most RING_ANSWERS_SIZE bytes of records, since it has at most RING_FRAMES *
 * BURST_MAX packets to answer. The two guards around its words are looked at before each answer is taken: an overrun in
 * the worker is found before a verdict of it counts.
 *
 * Changed packets are read with pread(2), not through a mapping: their pages are not allocated before, and where there is
 * no memory for one that the worker names but never wrote, an access would be the end of this process. pread() takes no
 * lock that a process with the descriptor can keep, and reads what is not there as zeros.
 */
#include "process/ring_submit.h"

#include "base/arith.h"
#include "base/fd.h"
#include "base/futex.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void ring_submit_init(struct ring_submit *ring)
{
    *ring = (struct ring_submit){.packets = -1, .answers = -1, .answered = -1};
}

static int make_packets(struct ring_submit *ring)
{
    size_t size = ring_packets_size(ring->frame_size);
    void *memory;
    int code = shm_new_read_only(RING_PACKETS_NAME, size, &ring->packets, &memory);

    if (code == 0) {
        ring->ours = memory;
        ring->ours->magic = RING_MAGIC;
        ring->ours->frame_size = ring->frame_size;
        ring_name_cpu(ring, RING_CPU_ANY);
        code = shm_keep_private(memory, size);
    }
    return code;
}

static int make_answers(struct ring_submit *ring)
{
    void *memory;
    int code = shm_new_for_writer(RING_ANSWERS_NAME, ring->answers_size, &ring->answers);

    if (code == 0) {
        code = shm_reserve(ring->answers, 0, RING_ANSWERS_FILE_SIZE);
    }
    if (code == 0) {
        code = shm_map(ring->answers, RING_ANSWERS_FILE_SIZE, false, &memory);
    }
    if (code == 0) {
        ring->theirs = memory;
        code = shm_keep_private(memory, RING_ANSWERS_FILE_SIZE);
    }
    return code;
}

static int make_answered(struct ring_submit *ring)
{
    ring->answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ring->answered < 0 ? -errno : 0;
}

static int make(struct ring_submit *ring, uint32_t slot_size, size_t answers_size)
{
    int code = slot_size <= RING_SLOT_MAX ? 0 : -EINVAL;

    ring_submit_init(ring);
    if (code < 0) {
        return code;
    }
    ring->slot_size = slot_size;
    ring->frame_size = ring_frame_size(slot_size);
    ring->answers_size = answers_size;
    code = make_packets(ring);
    if (code == 0) {
        code = make_answers(ring);
    }
    if (code == 0) {
        code = make_answered(ring);
    }
    if (code < 0) {
        ring_submit_done(ring);
    }
    return code;
}

int ring_submit_new(struct ring_submit *ring, uint32_t slot_size)
{
    return make(ring, slot_size, RING_ANSWERS_FILE_SIZE);
}

int ring_submit_new_changing(struct ring_submit *ring, uint32_t slot_size)
{
    return make(ring, slot_size, RING_CHANGING_FILE_SIZE);
}

void ring_worker_fds(const struct ring_submit *ring, int fds[RING_FDS])
{
    fds[RING_FD_PACKETS] = ring->packets;
    fds[RING_FD_ANSWERS] = ring->answers;
    fds[RING_FD_ANSWERED] = ring->answered;
}

void ring_submit_passed(struct ring_submit *ring)
{
    close_fd(&ring->packets);
}

void ring_submit_done(struct ring_submit *ring)
{
    ring_submit_passed(ring);
    close_fd(&ring->answers);
    close_fd(&ring->answered);
    shm_unmap(ring->ours, ring_packets_size(ring->frame_size));
    shm_unmap((void *)(uintptr_t)ring->theirs, RING_ANSWERS_FILE_SIZE);
    ring_submit_init(ring);
}

/* ---- submitting -------------------------------------------------------------------------------------------- */

static struct ring_frame *frame_at(const struct ring_submit *ring, uint32_t number)
{
    return (struct ring_frame *)(void *)((char *)ring->ours + SHM_PAGE_SIZE +
                                         (size_t)(number % RING_FRAMES) * ring->frame_size);
}

void ring_begin(struct ring_submit *ring, uint32_t flags)
{
    struct ring_frame *frame = frame_at(ring, ring->submitted);
    struct ring_flight *flight = &ring->flights[ring->submitted % RING_FRAMES];

    frame->number = ring->submitted;
    frame->count = 0;
    frame->flags = flags;
    flight->number = ring->submitted;
    flight->count = 0;
    flight->unanswered = 0;
    flight->one_by_one = (flags & RING_ONE_BY_ONE) != 0;
    ring->used = sizeof(*frame);
    ring->filling = true;
}

/*
 * Copies bytes into the frame, if there are any. There is room: ring_frame_size() counts BURST_MAX times slot_size and an
 * alignment for each part.
 */
static uint32_t put(struct ring_submit *ring, struct ring_frame *frame, const void *data, uint32_t len)
{
    uint32_t place;

    if (len == 0) {
        return 0;
    }
    place = (uint32_t)round_up(ring->used, RING_DATA_ALIGN);
    memcpy((char *)frame + place, data, len);
    ring->used = place + len;
    return place;
}

#define MEMBER_END(member) (offsetof(struct nfqe_packet, member) + sizeof(((struct nfqe_packet *)NULL)->member))

/* Copies the bytes of the packet from offset `from` to `to` - 1. */
static inline void copy_part(struct nfqe_packet *copy, const struct nfqe_packet *packet, size_t from, size_t to)
{
    memcpy((char *)copy + from, (const char *)packet + from, to - from);
}

/* Copies all but the pointers: the worker can read the frame at any time, and gets no addresses of this process. */
static void copy_packet(struct nfqe_packet *copy, const struct nfqe_packet *packet)
{
    copy_part(copy, packet, 0, offsetof(struct nfqe_packet, data));
    copy->data = NULL;
    copy_part(copy, packet, MEMBER_END(data), offsetof(struct nfqe_packet, secctx));
    copy->secctx = NULL;
    copy_part(copy, packet, MEMBER_END(secctx), offsetof(struct nfqe_packet, link_header));
    copy->link_header = NULL;
    copy->operations = NULL;
}

_Static_assert(MEMBER_END(link_header) == offsetof(struct nfqe_packet, operations) &&
                   sizeof(struct nfqe_packet) == offsetof(struct nfqe_packet, operations) + sizeof(void *),
               "all members are copied");

int ring_add(struct ring_submit *ring, const struct nfqe_packet *packet, const struct nfqueue_conntrack *conntrack,
             struct ring_origin origin, const struct ring_flow *flow)
{
    struct ring_frame *frame = frame_at(ring, ring->submitted);
    struct ring_flight *flight = &ring->flights[ring->submitted % RING_FRAMES];
    struct ring_packet *to = &frame->packets[flight->count];

    if (flight->count >= BURST_MAX) {
        return -ENOSPC;
    }
    if ((uint64_t)packet->len + packet->secctx_len + packet->link_header_len + conntrack->len > ring->slot_size) {
        return -EMSGSIZE;
    }
    copy_packet(&to->packet, packet);
    to->data = put(ring, frame, packet->data, packet->len);
    to->secctx = put(ring, frame, packet->secctx, packet->secctx_len);
    to->link_header = put(ring, frame, packet->link_header, packet->link_header_len);
    to->conntrack = (struct ring_conntrack){
        .bytes = put(ring, frame, conntrack->bytes, conntrack->len), .len = conntrack->len, .info = conntrack->info};
    to->flow = *flow;
    flight->origins[flight->count] = origin;
    flight->unanswered |= UINT64_C(1) << flight->count;
    flight->count++;
    return 0;
}

static void wake_worker(struct ring_submit *ring)
{
    ring->rings++;
    atomic_store_explicit(&ring->ours->rings, ring->rings, memory_order_seq_cst);
    futex_wake(&ring->ours->rings);
}

void ring_submit_quietly(struct ring_submit *ring)
{
    const struct ring_flight *flight = &ring->flights[ring->submitted % RING_FRAMES];

    ring->filling = false;
    if (flight->count == 0) {
        return;
    }
    frame_at(ring, ring->submitted)->count = flight->count;
    ring->submitted++;
    atomic_store_explicit(&ring->ours->submitted, ring->submitted, memory_order_seq_cst);
    ring->unrung = true;
}

void ring_wake(struct ring_submit *ring)
{
    if (!ring->unrung) {
        return;
    }
    ring->unrung = false;
    if (atomic_load_explicit(&ring->theirs->asleep, memory_order_seq_cst) == ring_asleep(ring->rings)) {
        wake_worker(ring);
    }
}

void ring_submit(struct ring_submit *ring)
{
    ring_submit_quietly(ring);
    ring_wake(ring);
}

void ring_request_leave(struct ring_submit *ring)
{
    atomic_store_explicit(&ring->ours->request, RING_LEAVE, memory_order_seq_cst);
    wake_worker(ring);
}

/* ---- taking answers ---------------------------------------------------------------------------------------- */

static bool guards_hold(const struct ring_submit *ring)
{
    const volatile struct ring_worker_words *words = ring->theirs;

    return words->guard_before == RING_GUARD && words->guard_after == RING_GUARD;
}

/* Copies the record at byte `from` out, once. */
static void copy_record(const struct ring_submit *ring, uint32_t from, void *copy)
{
    const char *stream = (const char *)ring->theirs + SHM_PAGE_SIZE;

    memcpy(copy, stream + from % RING_ANSWERS_SIZE, RING_RECORD_STEP);
    atomic_signal_fence(memory_order_seq_cst); /* from here on, the copy is what was said */
}

/* Whether a record is of this kind, and about the first packet without an answer. */
static bool is_next(const struct ring_submit *ring, const struct ring_record *head, enum ring_record_kind kind)
{
    const struct ring_flight *flight = ring_oldest(ring);

    return head->kind == kind && head->size == RING_RECORD_STEP && flight != NULL &&
           head->frame == (uint16_t)flight->number && head->packet == (unsigned)__builtin_ctzll(flight->unanswered);
}

static void retire(struct ring_submit *ring)
{
    while (ring_in_flight(ring) && ring->flights[ring->retired % RING_FRAMES].unanswered == 0) {
        ring->retired++;
        ring->bells = 0;
    }
}

/* A record that is a part of the answer has another one after it: *copy becomes that one. Returns 0 or -EBADMSG. */
static int take_part(struct ring_submit *ring, struct ring_verdict *copy, enum ring_record_kind kind)
{
    if (!is_next(ring, &copy->head, kind) || ring->published - ring->taken < 2 * RING_RECORD_STEP) {
        return -EBADMSG;
    }
    ring->taken += RING_RECORD_STEP;
    copy_record(ring, ring->taken, copy);
    return 0;
}

static int take_changes(struct ring_submit *ring, struct ring_verdict *copy, struct packet_changes *changes)
{
    struct ring_change change;

    memcpy(&change, copy, sizeof(change));
    *changes = change.changes;
    return take_part(ring, copy, RING_CHANGE);
}

/* Whether what the worker has made lies in its file, where such bytes are. */
static bool is_inside(const struct ring_submit *ring, const struct ring_bytes *bytes)
{
    return bytes->len == 0 || (bytes->len <= COPY_RANGE_MAX && bytes->offset >= RING_CHANGES_OFFSET &&
                               (uint64_t)bytes->offset + bytes->len <= ring->answers_size);
}

static int take_bytes(struct ring_submit *ring, struct ring_verdict *copy, struct ring_made *made)
{
    struct ring_bytes bytes;

    memcpy(&bytes, copy, sizeof(bytes));
    if (!is_inside(ring, &bytes)) {
        return -EBADMSG;
    }
    *made = (struct ring_made){.offset = bytes.offset, .len = bytes.len, .refused = bytes.refused};
    return take_part(ring, copy, RING_BYTES);
}

/* Few answers have more than a verdict, so this is apart from what each of them goes through. */
static __attribute__((noinline)) int take_parts(struct ring_submit *ring, struct ring_verdict *copy,
                                                struct packet_changes *changes, struct ring_made *made)
{
    if (copy->head.kind == RING_CHANGE && take_changes(ring, copy, changes) < 0) {
        return -EBADMSG;
    }
    return copy->head.kind == RING_BYTES ? take_bytes(ring, copy, made) : 0;
}

/* Checks the next answer, of up to three records, and takes it. Returns 1 or -EBADMSG. */
static int take_answer(struct ring_submit *ring, struct ring_answered *answered)
{
    uint32_t bytes = ring->published - ring->taken;
    struct ring_flight *flight = &ring->flights[ring->retired % RING_FRAMES];
    struct packet_changes changes = {0};
    struct ring_made made = {0};
    struct ring_verdict copy;

    copy_record(ring, ring->taken, &copy);
    if (bytes > RING_ANSWERS_SIZE || bytes % RING_RECORD_STEP != 0 || !guards_hold(ring)) {
        return -EBADMSG;
    }
    if (copy.head.kind != RING_VERDICT && take_parts(ring, &copy, &changes, &made) < 0) {
        return -EBADMSG;
    }
    if (!is_next(ring, &copy.head, RING_VERDICT) || copy.plugin > PLUGINS_MAX) {
        return -EBADMSG;
    }
    flight->unanswered &= flight->unanswered - 1;
    *answered = (struct ring_answered){flight->origins[copy.head.packet], copy.answer, copy.plugin,
                                       flight->unanswered == 0,           changes,     made};
    ring->taken += RING_RECORD_STEP;
    retire(ring);
    return 1;
}

int ring_take(struct ring_submit *ring, struct ring_answered *answered)
{
    int code;

    if (ring->broken) {
        return -EBADMSG;
    }
    if (ring->published == ring->taken && ring->sealed) {
        ring->published = atomic_load_explicit(&ring->theirs->published, memory_order_acquire);
    }
    if (ring->published == ring->taken) {
        return 0;
    }
    code = take_answer(ring, answered);
    ring->broken = code < 0;
    return code;
}

int ring_copy_made(const struct ring_submit *ring, const struct ring_answered *answered, void *to)
{
    ssize_t len = pread(ring->answers, to, answered->made.len, (off_t)answered->made.offset);

    if (len < 0) {
        return -errno;
    }
    return len == (ssize_t)answered->made.len ? 0 : -EFAULT;
}

/* ---- sleeping ---------------------------------------------------------------------------------------------- */

/* Whether ring_take() has something to say. A worker that has not sealed its answers has none. */
static bool has_something(const struct ring_submit *ring)
{
    return ring->broken || ring->published != ring->taken;
}

bool ring_sleep(struct ring_submit *ring)
{
    if (!has_something(ring) && ring->sealed) {
        atomic_store_explicit(&ring->ours->asleep, ring_asleep(ring->wakes), memory_order_seq_cst);
        ring->published = atomic_load_explicit(&ring->theirs->published, memory_order_seq_cst);
        if (has_something(ring)) {
            atomic_store_explicit(&ring->ours->asleep, 0, memory_order_relaxed);
        }
    }
    return !has_something(ring);
}

int ring_awake(struct ring_submit *ring, bool rung)
{
    atomic_store_explicit(&ring->ours->asleep, 0, memory_order_relaxed);
    ring->wakes += rung;
    if (rung && ++ring->bells > RING_BELLS_MAX) {
        ring->broken = true;
    }
    return ring->broken ? -EBADMSG : 0;
}

/* ---- what the worker says of itself ---------------------------------------------------------------------- */

bool ring_is_sealed(struct ring_submit *ring)
{
    if (!ring->sealed) {
        ring->sealed = shm_has_sealed_writers(ring->answers);
    }
    return ring->sealed;
}

uint32_t ring_state(struct ring_submit *ring)
{
    return ring_is_sealed(ring) ? atomic_load_explicit(&ring->theirs->state, memory_order_acquire) : RING_OPENING;
}

uint32_t ring_plugin(const struct ring_submit *ring)
{
    uint32_t plugin =
        ring->sealed ? atomic_load_explicit(&ring->theirs->plugin, memory_order_relaxed) : (uint32_t)PLUGINS_MAX;

    return plugin < PLUGINS_MAX ? plugin : PLUGINS_MAX;
}

bool ring_packet_with_plugin(const struct ring_submit *ring)
{
    const struct ring_flight *oldest = ring_oldest(ring);

    return oldest != NULL && !ring->broken && ring_plugin(ring) != PLUGINS_MAX &&
           atomic_load_explicit(&ring->theirs->packet, memory_order_relaxed) ==
               (uint32_t)__builtin_ctzll(oldest->unanswered);
}

void ring_copy_text(const struct ring_submit *ring, char *to, size_t size)
{
    const volatile char *text = ring->sealed ? ring->theirs->text : "";
    size_t len = 0;
    char next;

    while (len < min_u64(size, RING_TEXT_SIZE) - 1 && (next = text[len]) != '\0') {
        to[len++] = (char)(next >= ' ' && next <= '~' ? next : '?');
    }
    to[len] = '\0';
}

/* ---- a dead worker's frames ---------------------------------------------------------------------------------- */

const struct ring_flight *ring_oldest(const struct ring_submit *ring)
{
    return ring_in_flight(ring) ? &ring->flights[ring->retired % RING_FRAMES] : NULL;
}

void ring_retire_oldest(struct ring_submit *ring)
{
    if (ring_in_flight(ring)) {
        ring->flights[ring->retired % RING_FRAMES].unanswered = 0;
        retire(ring);
    }
}
