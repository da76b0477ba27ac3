/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's side of a ring (ring.h): frames are taken in order, each of their packets is answered once.
 *
 * Packets lie in memory that this process can only read; the answers, and an eventfd that the queue process never reads,
 * are all that it can write. The mappings are not inherited by processes that a plugin forks, and are not in core dumps.
 *
 * Functions return 0 (or a result) or a negative errno. Only ring_answer_attach() allocates. Process: [worker].
 */
#ifndef ENGINE_PROCESS_RING_ANSWER_H
#define ENGINE_PROCESS_RING_ANSWER_H

#include "process/ring.h"

#include <nfqe/plugin.h>

#include <stdbool.h>

struct ring_answer {
    int answered; /* to be signalled */
    uint32_t frame_size;
    size_t packets_size;
    size_t answers_size;
    const struct ring_queue_words *theirs;
    struct ring_worker_words *ours;
    uint8_t
        *changes; /* RING_CHANGES places, each RING_CHANGE_STRIDE bytes after the one before; NULL: there are none */
    uint32_t handled; /* frames */
    uint32_t written; /* bytes of answers, published or not */
    uint32_t begun; /* of these: before the frame that is handled next */
    uint32_t rings; /* of the queue process, when this side last fell asleep */
    uint32_t rung_for; /* value of the queue process's `asleep` that it was woken for */
    uint32_t complete; /* `written` when that frame is answered */
};

/* Sets up a ring without memory. */
void ring_answer_init(struct ring_answer *ring);

/*
 * Maps the two memory files, writes the guards, and seals the answers: from here on the queue process may look at them.
 * The files' descriptors are closed then, and the others are the ring's. On failure all are still the caller's. -EPROTO:
 * they are not those of a ring.
 */
int ring_answer_attach(struct ring_answer *ring, const int fds[RING_FDS]);

/* Unmaps, and closes the descriptors. Also for a ring without memory. */
void ring_answer_done(struct ring_answer *ring);

/* Tells the queue process how far this worker is. Wakes it in any case. */
void ring_say_state(struct ring_answer *ring, enum ring_state state);

/* Why it fails; then ring_say_state(). A text that is too long is cut. */
void ring_say_text(struct ring_answer *ring, const char *text);

/* The oldest frame that is not handled; NULL: there is none. Valid until ring_frame_handled(). */
const struct ring_frame *ring_next_frame(struct ring_answer *ring);

/* Packet `index` of the frame, with its pointers, valid as long as the frame, and its flow. */
void ring_frame_packet(const struct ring_frame *frame, uint32_t index, struct nfqe_packet *packet,
                       struct ring_flow *flow);

/* Says what plugins changed of packet `index`, before it is answered. */
void ring_put_changes(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index,
                      const struct packet_changes *changes);

/*
 * Gives packet `index` new bytes, before it is answered: bytes is in ring->changes, and stays as it is until another
 * frame has this one's place; len 0: it has none. refused: as in struct ring_bytes.
 */
void ring_put_bytes(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index, const uint8_t *bytes,
                    uint32_t len, uint16_t refused);

/* Answers packet `index` of the frame. plugin: which one gave the answer; PLUGINS_MAX: none did. */
void ring_put(struct ring_answer *ring, const struct ring_frame *frame, uint32_t index, nfqe_verdict answer,
              uint32_t plugin);

/*
 * Lets the queue process see the answers, if it looks. Between two packets: it costs no system call. The last answer of
 * a frame stays for ring_frame_handled(), since the frame's place can be filled again as soon as all are seen.
 */
static inline void ring_publish(struct ring_answer *ring)
{
    if (ring->written != ring->complete) {
        atomic_store_explicit(&ring->ours->published, ring->written, memory_order_release);
    }
}

/* Publishes the answers of the frame, takes it as handled, and wakes the queue process if it sleeps. */
void ring_frame_handled(struct ring_answer *ring);

/* Before waiting. Returns false if there is a frame or a request: do not wait then. */
bool ring_answer_sleep(struct ring_answer *ring);

/* Waits for a frame or a request, and may return without one. Returns 0 or a negative errno. */
int ring_answer_wait(const struct ring_answer *ring);

/* After waiting. */
void ring_answer_awake(struct ring_answer *ring);

/* What the queue process asks for: enum ring_request. */
static inline uint32_t ring_requested(const struct ring_answer *ring)
{
    return atomic_load_explicit(&ring->theirs->request, memory_order_acquire);
}

/* The CPU that the worker may follow the queue process to, or RING_CPU_ANY. */
static inline uint32_t ring_cpu(const struct ring_answer *ring)
{
    return atomic_load_explicit(&ring->theirs->cpu, memory_order_relaxed);
}

/* Says which plugin runs (PLUGINS_MAX: none), and over which packet of the frame. */
static inline void ring_say_position(struct ring_answer *ring, uint32_t plugin, uint32_t packet)
{
    atomic_store_explicit(&ring->ours->packet, packet, memory_order_relaxed);
    atomic_store_explicit(&ring->ours->plugin, plugin, memory_order_relaxed);
}

#endif
