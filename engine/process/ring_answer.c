/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading frames and writing answers.
 *
 * A frame's place is used again only when all of its packets have an answer, so a frame does not change while it is
 * handled. There is always room for an answer: the stream holds three records for each packet that can be in flight.
 * Answers become visible packet by packet, without a system call, so that the queue process can send what is decided
 * while a slow plugin has the next packet; it is woken at the end of a frame. Process: [worker].
 */
#include "process/ring_answer.h"

#include "base/eventfd.h"
#include "base/fd.h"
#include "base/futex.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

void ring_answer_init(struct ring_answer *ring)
{
    *ring = (struct ring_answer){.answered = -1};
}

static int map_packets(struct ring_answer *ring, int fd)
{
    struct stat file;
    void *memory;
    int code;

    if (fstat(fd, &file) < 0) {
        return -errno;
    }
    code = file.st_size > SHM_PAGE_SIZE ? shm_map(fd, (size_t)file.st_size, false, &memory) : -EPROTO;
    if (code < 0) {
        return code;
    }
    ring->theirs = memory;
    ring->packets_size = (size_t)file.st_size;
    ring->frame_size = ring->theirs->frame_size;
    return ring->theirs->magic == RING_MAGIC && ring_packets_size(ring->frame_size) == ring->packets_size ? 0 : -EPROTO;
}

static int map_answers(struct ring_answer *ring, int fd)
{
    struct stat file;
    void *memory;
    int code;

    if (fstat(fd, &file) < 0) {
        return -errno;
    }
    if (file.st_size != (off_t)RING_ANSWERS_FILE_SIZE && file.st_size != (off_t)RING_CHANGING_FILE_SIZE) {
        return -EPROTO;
    }
    code = shm_map(fd, (size_t)file.st_size, true, &memory);
    if (code < 0) {
        return code;
    }
    ring->ours = memory;
    ring->answers_size = (size_t)file.st_size;
    if (ring->answers_size == RING_CHANGING_FILE_SIZE) {
        ring->changes = (uint8_t *)memory + RING_CHANGES_OFFSET;
        code = mprotect(ring->changes - SHM_PAGE_SIZE, SHM_PAGE_SIZE, PROT_NONE) < 0 ? -errno : 0;
    }
    return code;
}

/* A process that a plugin forks has no part in the ring; and a core dump does not hold packets. */
static int keep_private(const struct ring_answer *ring)
{
    int code = shm_keep_private((void *)(uintptr_t)ring->theirs, ring->packets_size);

    return code < 0 ? code : shm_keep_private(ring->ours, ring->answers_size);
}

static void prepare_words(struct ring_worker_words *words)
{
    words->guard_before = RING_GUARD;
    words->guard_after = RING_GUARD;
    atomic_store_explicit(&words->plugin, PLUGINS_MAX, memory_order_relaxed);
}

int ring_answer_attach(struct ring_answer *ring, const int fds[RING_FDS])
{
    int code;

    ring_answer_init(ring);
    code = map_packets(ring, fds[RING_FD_PACKETS]);
    if (code == 0) {
        code = map_answers(ring, fds[RING_FD_ANSWERS]);
    }
    if (code == 0) {
        code = keep_private(ring);
    }
    if (code == 0) {
        prepare_words(ring->ours);
        code = shm_seal_writers(fds[RING_FD_ANSWERS]);
    }
    if (code < 0) {
        ring_answer_done(ring);
        return code;
    }
    close(fds[RING_FD_PACKETS]);
    close(fds[RING_FD_ANSWERS]);
    ring->answered = fds[RING_FD_ANSWERED];
    return 0;
}

void ring_answer_done(struct ring_answer *ring)
{
    shm_unmap((void *)(uintptr_t)ring->theirs, ring->packets_size);
    shm_unmap(ring->ours, ring->answers_size);
    close_fd(&ring->answered);
    ring_answer_init(ring);
}

void ring_say_text(struct ring_answer *ring, const char *text)
{
    size_t len = strnlen(text, RING_TEXT_SIZE - 1);

    memcpy(ring->ours->text, text, len);
    ring->ours->text[len] = '\0';
}

void ring_say_state(struct ring_answer *ring, enum ring_state state)
{
    atomic_store_explicit(&ring->ours->state, state, memory_order_seq_cst);
    eventfd_signal(ring->answered);
}

/* ---- frames ---------------------------------------------------------------------------------------------- */

const struct ring_frame *ring_next_frame(struct ring_answer *ring)
{
    const struct ring_frame *frame;

    if (atomic_load_explicit(&ring->theirs->submitted, memory_order_acquire) == ring->handled) {
        return NULL;
    }
    frame = (const struct ring_frame *)(const void *)((const char *)ring->theirs + SHM_PAGE_SIZE +
                                                      (size_t)(ring->handled % RING_FRAMES) * ring->frame_size);
    ring->complete = ring->begun + frame->count * (uint32_t)sizeof(struct ring_verdict);
    return frame;
}

void ring_frame_packet(const struct ring_frame *frame, uint32_t index, struct nfqe_packet *packet,
                       struct ring_flow *flow)
{
    const struct ring_packet *from = &frame->packets[index];
    const char *bytes = (const char *)frame;

    *packet = from->packet;
    packet->data = packet->len > 0 ? (const uint8_t *)bytes + from->data : NULL;
    packet->secctx = packet->secctx_len > 0 ? bytes + from->secctx : NULL;
    packet->link_header = packet->link_header_len > 0 ? (const uint8_t *)bytes + from->link_header : NULL;
    *flow = from->flow;
}

void ring_put_changes(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index,
                      const struct packet_changes *changes)
{
    char *stream = (char *)ring->ours + SHM_PAGE_SIZE;
    struct ring_change *record = (struct ring_change *)(void *)(stream + ring->written % RING_ANSWERS_SIZE);

    *record = (struct ring_change){
        .head = {RING_CHANGE, sizeof(*record), (uint16_t)frame->number, (uint16_t)index},
        .changes = *changes,
    };
    ring->written += sizeof(*record);
    ring->complete += sizeof(*record);
}

void ring_put_bytes(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index, const uint8_t *bytes,
                    uint32_t len, uint16_t refused)
{
    char *stream = (char *)ring->ours + SHM_PAGE_SIZE;
    struct ring_bytes *record = (struct ring_bytes *)(void *)(stream + ring->written % RING_ANSWERS_SIZE);

    *record = (struct ring_bytes){
        .head = {RING_BYTES, sizeof(*record), (uint16_t)frame->number, (uint16_t)index},
        .offset = len > 0 ? (uint32_t)(bytes - (const uint8_t *)ring->ours) : 0,
        .len = (uint16_t)len,
        .refused = refused,
    };
    ring->written += sizeof(*record);
    ring->complete += sizeof(*record);
}

void ring_put(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index, nfqe_verdict answer,
              uint32_t plugin)
{
    char *stream = (char *)ring->ours + SHM_PAGE_SIZE;
    struct ring_verdict *record = (struct ring_verdict *)(void *)(stream + ring->written % RING_ANSWERS_SIZE);

    *record = (struct ring_verdict){
        .head = {RING_VERDICT, sizeof(*record), (uint16_t)frame->number, (uint16_t)index},
        .answer = answer,
        .plugin = plugin,
    };
    ring->written += sizeof(*record);
}

void ring_frame_handled(struct ring_answer *ring)
{
    uint32_t asleep;

    ring->handled++;
    ring->begun = ring->written;
    atomic_store_explicit(&ring->ours->published, ring->written, memory_order_seq_cst);
    asleep = atomic_load_explicit(&ring->theirs->asleep, memory_order_seq_cst);
    if (asleep != 0 && asleep != ring->rung_for) {
        ring->rung_for = asleep;
        eventfd_signal(ring->answered);
    }
}

/* ---- sleeping ---------------------------------------------------------------------------------------------- */

bool ring_answer_sleep(struct ring_answer *ring)
{
    bool quiet;

    ring->rings = atomic_load_explicit(&ring->theirs->rings, memory_order_seq_cst);
    atomic_store_explicit(&ring->ours->asleep, ring_asleep(ring->rings), memory_order_seq_cst);
    quiet = atomic_load_explicit(&ring->theirs->submitted, memory_order_seq_cst) == ring->handled &&
            atomic_load_explicit(&ring->theirs->request, memory_order_seq_cst) == RING_RUN;
    if (!quiet) {
        atomic_store_explicit(&ring->ours->asleep, 0, memory_order_relaxed);
    }
    return quiet;
}

int ring_answer_wait(const struct ring_answer *ring)
{
    return futex_wait(&ring->theirs->rings, ring->rings);
}

void ring_answer_awake(struct ring_answer *ring)
{
    atomic_store_explicit(&ring->ours->asleep, 0, memory_order_relaxed);
}
