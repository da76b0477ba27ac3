/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue process's side of a ring (ring.h): packets are submitted in frames, answers are taken one after the other.
 *
 * It keeps the books of what is in flight in private memory, and checks every answer against them: packets are answered
 * in the order in which they were submitted, each at most once, nothing else is answered. So a worker can at worst give
 * wrong verdicts to the packets that it was given, or none.
 *
 * Order of calls: begin, add for each packet, submit. Functions return 0 (or a result) or a negative errno. Only
 * ring_submit_new() allocates. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_RING_SUBMIT_H
#define ENGINE_PROCESS_RING_SUBMIT_H

#include "process/ring.h"
#include "queue/nfqueue_decode.h"

#include <stdbool.h>

#define RING_BELLS_MAX 64 /* that wake us and complete no frame; a worker that rings more often has gone wrong */

/* What a packet was submitted as, for its owner. */
struct ring_origin {
    uint16_t burst; /* place in the journal */
    uint16_t entry; /* of that burst */
};

/* A frame in flight. */
struct ring_flight {
    uint32_t number;
    uint32_t count;
    uint64_t unanswered; /* bit i: packet i */
    bool one_by_one;
    struct ring_origin origins[BURST_MAX];
};

struct ring_submit {
    int packets;     /* memory files; -1: closed */
    int answers;
    int answered;    /* to be waited for with EPOLLIN | EPOLLET, and not to be read */
    uint32_t slot_size;
    uint32_t frame_size;
    size_t answers_size; /* of the file; its records are mapped here, changed packets are copied from it */
    struct ring_queue_words *ours;
    const struct ring_worker_words *theirs;
    bool sealed;        /* the worker has mapped the answers and sealed them */
    bool broken;        /* it has broken the protocol */
    bool filling;       /* a frame was begun */
    uint32_t submitted; /* frames */
    uint32_t retired;   /* frames that are answered, in order */
    uint32_t published; /* bytes of answers, as the worker said when we last looked */
    uint32_t taken;     /* bytes of answers */
    uint32_t bells;     /* heard since a frame was answered completely */
    bool unrung;        /* a frame was submitted that the worker was not woken for if it sleeps */
    uint32_t wakes;     /* signals of the worker that were taken */
    uint32_t rings;     /* of the word */
    uint32_t used;      /* bytes of the frame that is being filled */
    struct ring_flight flights[RING_FRAMES];
};

/* Bytes that a worker says it has made of a packet. They are inside its file; what they are it can change all the time. */
struct ring_made {
    uint32_t offset;
    uint16_t len; /* up to COPY_RANGE_MAX; 0: none */
    uint16_t refused; /* as in struct ring_bytes; may be any value */
};

/* An answer that was checked. */
struct ring_answered {
    struct ring_origin origin;
    uint32_t answer; /* may be any value */
    uint32_t plugin; /* below PLUGINS_MAX, or PLUGINS_MAX: none answered */
    bool last; /* of its frame */
    struct packet_changes changes; /* may be anything; all 0: none */
    struct ring_made made;
};

/* Sets up a ring without memory. */
void ring_submit_init(struct ring_submit *ring);

/* Makes the memory files and `answered`. slot_size: the most that a packet's message takes, up to RING_SLOT_MAX. */
int ring_submit_new(struct ring_submit *ring, uint32_t slot_size);

/* The same for a worker whose plugins may change packets. What they make takes memory when it is made. */
int ring_submit_new_changing(struct ring_submit *ring, uint32_t slot_size);

/* What the worker is to be passed. The descriptors stay ours. */
void ring_worker_fds(const struct ring_submit *ring, int fds[RING_FDS]);

/* Closes the descriptors that were made for the worker alone, once it has them. */
void ring_submit_passed(struct ring_submit *ring);

/* Unmaps and closes everything. Also for a ring without memory. */
void ring_submit_done(struct ring_submit *ring);

/*
 * Whether the worker has mapped the ring and sealed the answers. Before, nothing that it writes is looked at, and no
 * frame can be submitted. A system call until it has.
 */
bool ring_is_sealed(struct ring_submit *ring);

/* What the worker says of itself: enum ring_state; RING_OPENING until it has sealed the answers. */
uint32_t ring_state(struct ring_submit *ring);

/* Why the worker failed, as it says: printable ASCII characters, and a NUL. size: at least 1. */
void ring_copy_text(const struct ring_submit *ring, char *to, size_t size);

/* Whether a frame can be submitted. */
static inline bool ring_has_room(const struct ring_submit *ring)
{
    return ring->sealed && ring->submitted - ring->retired < RING_FRAMES;
}

/* Whether a frame was begun and not submitted. */
static inline bool ring_is_filling(const struct ring_submit *ring)
{
    return ring->filling;
}

/* Whether a frame that was submitted has a packet without an answer. */
static inline bool ring_in_flight(const struct ring_submit *ring)
{
    return ring->submitted != ring->retired;
}

/* Whether this frame is the only one. */
static inline bool ring_one_in_flight(const struct ring_submit *ring)
{
    return ring->submitted - ring->retired == 1;
}

/* Begins a frame; there is room. flags: RING_ONE_BY_ONE or 0. */
void ring_begin(struct ring_submit *ring, uint32_t flags);

/*
 * Adds a packet to the frame that was begun. Its bytes are copied. Returns 0; -EMSGSIZE: its bytes are more than
 * slot_size; -ENOSPC: the frame has BURST_MAX packets. As many packets of slot_size bytes have room.
 */
int ring_add(struct ring_submit *ring, const struct nfqe_packet *packet, const struct nfqueue_conntrack *conntrack,
             struct ring_origin origin, const struct ring_flow *flow);

/* Gives the frame to the worker, which sees it if it is awake. An empty frame is given up. */
void ring_submit_quietly(struct ring_submit *ring);

/* Wakes the worker if it sleeps: after ring_submit_quietly(), and at the latest before waiting. */
void ring_wake(struct ring_submit *ring);

/* Both. */
void ring_submit(struct ring_submit *ring);

/*
 * Takes the next answer. Returns 1; 0: there is none; -EBADMSG, from then on: the worker has broken the protocol, and
 * nothing that it says may be believed any more.
 */
int ring_take(struct ring_submit *ring, struct ring_answered *answered);

/*
 * Copies the answered->made.len bytes that the packet is to have, once: to be checked and used there. Before the next
 * frame is begun. Returns 0; -EFAULT: there is no memory at `to`; or another negative errno.
 */
int ring_copy_made(const struct ring_submit *ring, const struct ring_answered *answered, void *to);

/*
 * Before waiting. Returns false: do not wait, since ring_take() has something to say. Each false is followed by a
 * result of ring_take() that is not 0, so a worker cannot keep us from waiting without answering packets.
 */
bool ring_sleep(struct ring_submit *ring);

/*
 * After waiting. rung: `answered` was ready. Returns 0; -EBADMSG: the worker has broken the protocol, or rings without
 * completing frames.
 */
int ring_awake(struct ring_submit *ring, bool rung);

/* Names the CPU that the worker may follow this process to, or RING_CPU_ANY. At first it is RING_CPU_ANY. */
static inline void ring_name_cpu(struct ring_submit *ring, uint32_t cpu)
{
    atomic_store_explicit(&ring->ours->cpu, cpu, memory_order_relaxed);
}

/* Asks the worker to leave, when it has answered what is in flight. */
void ring_request_leave(struct ring_submit *ring);

/* The oldest frame in flight; it has at least one packet without an answer. NULL: there is none. */
const struct ring_flight *ring_oldest(const struct ring_submit *ring);

/* Forgets the oldest frame in flight: its worker is dead, its answers are taken, and its packets go another way. */
void ring_retire_oldest(struct ring_submit *ring);

/* The position of the plugin that runs, as the worker says; PLUGINS_MAX: none, or nonsense. For the log alone. */
uint32_t ring_plugin(const struct ring_submit *ring);

/*
 * Whether, as the worker says, the first packet without an answer is with a plugin. False also if a plugin has several
 * packets, or if it says nonsense.
 */
bool ring_packet_with_plugin(const struct ring_submit *ring);

#endif
