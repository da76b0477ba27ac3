/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling frames, and believing nothing.
 *
 * An answer is believed if it names a packet that is in flight and has no answer yet. The worker may run ahead of us by
 * at most RING_ANSWERS_SIZE bytes of records, since it has at most RING_FRAMES * BURST_MAX packets to answer. The two
 * guards around its words are looked at before each answer is taken: an overrun in the worker is found before a verdict
 * of it counts.
 */
#include "process/ring_submit.h"

#include "base/arith.h"
#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BELL_READS_MAX 8 /* bytes taken from the bell in one go; the rest is there the next time */

void ring_submit_init(struct ring_submit *ring)
{
    *ring = (struct ring_submit){.packets = -1, .answers = -1, .bell = -1, .worker_bell = -1};
}

static int make_files(struct ring_submit *ring)
{
    void *memory = NULL;
    int code = shm_new_read_only(RING_PACKETS_NAME, ring_packets_size(ring->frame_size), &ring->packets, &memory);

    if (code < 0) {
        return code;
    }
    ring->ours = memory;
    code = shm_new(RING_ANSWERS_NAME, RING_ANSWERS_FILE_SIZE, &ring->answers);
    if (code == 0) {
        code = shm_map(ring->answers, RING_ANSWERS_FILE_SIZE, true, &memory);
    }
    if (code == 0) {
        struct ring_worker_words *words = memory;

        words->guard_before = RING_GUARD;
        words->guard_after = RING_GUARD;
        words->plugin = PLUGINS_MAX;
        ring->theirs = words;
    }
    return code;
}

int ring_submit_new(struct ring_submit *ring, uint32_t slot_size)
{
    int ends[2];
    int code;

    ring_submit_init(ring);
    ring->frame_size = ring_frame_size(slot_size);
    code = make_files(ring);
    if (code == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        code = -errno;
    }
    if (code < 0) {
        ring_submit_done(ring);
        return code;
    }
    ring->bell = ends[0];
    ring->worker_bell = ends[1];
    ring->ours->magic = RING_MAGIC;
    ring->ours->frame_size = ring->frame_size;
    return 0;
}

void ring_submit_passed(struct ring_submit *ring)
{
    close_fd(&ring->packets);
    close_fd(&ring->answers);
    close_fd(&ring->worker_bell);
}

void ring_submit_done(struct ring_submit *ring)
{
    ring_submit_passed(ring);
    close_fd(&ring->bell);
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
}

/* Copies bytes into the frame. The caller has checked that there is room. */
static uint32_t put(struct ring_submit *ring, struct ring_frame *frame, const void *data, uint32_t len)
{
    uint32_t place = (uint32_t)round_up(ring->used, RING_DATA_ALIGN);

    if (len > 0) {
        memcpy((char *)frame + place, data, len);
    }
    ring->used = place + len;
    return place;
}

int ring_add(struct ring_submit *ring, const struct nfqe_packet *packet, struct ring_origin origin, uint32_t flow,
             uint32_t flow_epoch, bool begins)
{
    struct ring_frame *frame = frame_at(ring, ring->submitted);
    struct ring_flight *flight = &ring->flights[ring->submitted % RING_FRAMES];
    uint64_t need = (uint64_t)packet->len + packet->secctx_len + 2 * RING_DATA_ALIGN;
    struct ring_packet *to;

    if (flight->count >= BURST_MAX || need > ring->frame_size - ring->used) {
        return -EMSGSIZE;
    }
    to = &frame->packets[flight->count];
    to->packet = *packet;
    to->packet.data = NULL;
    to->packet.secctx = NULL;
    to->data = put(ring, frame, packet->data, packet->len);
    to->secctx = put(ring, frame, packet->secctx, packet->secctx_len);
    to->flow = flow;
    to->flow_epoch = flow_epoch;
    to->begins = begins;
    flight->origins[flight->count] = origin;
    flight->unanswered |= UINT64_C(1) << flight->count;
    flight->count++;
    return 0;
}

/* A full socket has bells enough in it; a closed one belongs to a worker that is dead, which its pidfd tells. */
static void ring_bell(const struct ring_submit *ring)
{
    if (send(ring->bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        return;
    }
}

void ring_submit(struct ring_submit *ring)
{
    const struct ring_flight *flight = &ring->flights[ring->submitted % RING_FRAMES];

    if (flight->count == 0) {
        return;
    }
    frame_at(ring, ring->submitted)->count = flight->count;
    ring->submitted++;
    atomic_store_explicit(&ring->ours->submitted, ring->submitted, memory_order_seq_cst);
    if (atomic_load_explicit(&ring->theirs->asleep, memory_order_seq_cst) != 0) {
        ring_bell(ring);
    }
}

void ring_request_leave(struct ring_submit *ring)
{
    atomic_store_explicit(&ring->ours->request, RING_LEAVE, memory_order_seq_cst);
    ring_bell(ring);
}

/* ---- taking answers ---------------------------------------------------------------------------------------- */

static bool guards_hold(const struct ring_submit *ring)
{
    const volatile struct ring_worker_words *words = ring->theirs;

    return words->guard_before == RING_GUARD && words->guard_after == RING_GUARD;
}

/* Copies a record out, once. */
static struct ring_verdict copy_record(const struct ring_submit *ring)
{
    const char *stream = (const char *)ring->theirs + SHM_PAGE_SIZE;
    struct ring_verdict copy;

    memcpy(&copy, stream + ring->taken % RING_ANSWERS_SIZE, sizeof(copy));
    atomic_signal_fence(memory_order_seq_cst); /* from here on, the copy is what was said */
    return copy;
}

/* The frame in flight whose number ends so; NULL: none does. */
static struct ring_flight *find_flight(struct ring_submit *ring, uint16_t low)
{
    for (uint32_t number = ring->retired; number != ring->submitted; number++) {
        if ((uint16_t)number == low) {
            return &ring->flights[number % RING_FRAMES];
        }
    }
    return NULL;
}

static void retire(struct ring_submit *ring)
{
    while (ring->retired != ring->submitted && ring->flights[ring->retired % RING_FRAMES].unanswered == 0) {
        ring->retired++;
    }
}

int ring_take(struct ring_submit *ring, struct ring_answered *answered)
{
    uint32_t published = atomic_load_explicit(&ring->theirs->published, memory_order_acquire);
    struct ring_flight *flight;
    struct ring_verdict copy;
    uint64_t bit;

    if (published == ring->taken) {
        return 0;
    }
    if (published - ring->taken > RING_ANSWERS_SIZE || (published - ring->taken) % RING_RECORD_STEP != 0 ||
        !guards_hold(ring)) {
        return -EBADMSG;
    }
    copy = copy_record(ring);
    if (copy.head.kind != RING_VERDICT || copy.head.size != sizeof(copy) || copy.plugin > PLUGINS_MAX) {
        return -EBADMSG;
    }
    flight = find_flight(ring, copy.head.frame);
    if (flight == NULL || copy.head.packet >= flight->count) {
        return -EBADMSG;
    }
    bit = UINT64_C(1) << copy.head.packet;
    if ((flight->unanswered & bit) == 0) {
        return -EBADMSG;
    }
    flight->unanswered &= ~bit;
    *answered =
        (struct ring_answered){flight->origins[copy.head.packet], copy.answer, copy.plugin, flight->unanswered == 0};
    ring->taken += sizeof(copy);
    ring->bells = 0;
    atomic_store_explicit(&ring->ours->taken, ring->taken, memory_order_release);
    retire(ring);
    return 1;
}

/* ---- sleeping ---------------------------------------------------------------------------------------------- */

bool ring_sleep(struct ring_submit *ring)
{
    atomic_store_explicit(&ring->ours->asleep, 1, memory_order_seq_cst);
    return atomic_load_explicit(&ring->theirs->published, memory_order_seq_cst) == ring->taken;
}

int ring_awake(struct ring_submit *ring)
{
    char byte;

    atomic_store_explicit(&ring->ours->asleep, 0, memory_order_relaxed);
    for (unsigned i = 0; i < BELL_READS_MAX; i++) {
        ssize_t len = recv(ring->bell, &byte, sizeof(byte), MSG_DONTWAIT);

        if (len == 0) {
            return -EPIPE;
        }
        if (len < 0) {
            break;
        }
        ring->bells++;
    }
    return ring->bells > RING_BELLS_MAX ? -EBADMSG : 0;
}

/* ---- a dead worker's frames ---------------------------------------------------------------------------------- */

const struct ring_flight *ring_oldest(const struct ring_submit *ring)
{
    return ring_in_flight(ring) ? &ring->flights[ring->retired % RING_FRAMES] : NULL;
}

void ring_retire_oldest(struct ring_submit *ring)
{
    ring->flights[ring->retired % RING_FRAMES].unanswered = 0;
    retire(ring);
}

uint32_t ring_plugin(const struct ring_submit *ring)
{
    uint32_t plugin = atomic_load_explicit(&ring->theirs->plugin, memory_order_relaxed);

    return plugin < PLUGINS_MAX ? plugin : PLUGINS_MAX;
}
