/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The queue process's side of a ring (ring.h): packets are submitted in frames, answers are taken one after the other.
 *
 * It keeps the books of what is in flight in private memory, and checks every answer against them: each packet of a
 * frame is answered at most once, nothing else is answered. So a worker can at worst give wrong verdicts to the packets
 * that it was given, or none.
 *
 * Order of calls: begin, add for each packet, submit. Functions return 0 (or a result) or a negative errno. Only
 * ring_submit_new() allocates. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_RING_SUBMIT_H
#define ENGINE_PROCESS_RING_SUBMIT_H

#include "process/ring.h"

#include <stdbool.h>

#define RING_BELLS_MAX 64 /* that a worker may ring without an answer, before it counts as broken */

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
    int packets;           /* memory files, to be passed to the worker; -1: closed */
    int answers;
    int bell;              /* our end; readable when the worker has published */
    int worker_bell;       /* the worker's end, to be passed to it */
    uint32_t frame_size;
    struct ring_queue_words *ours;
    const struct ring_worker_words *theirs;
    uint32_t submitted;    /* frames */
    uint32_t retired;      /* frames that are answered, in order */
    uint32_t taken;        /* bytes of answers */
    uint32_t bells;        /* heard since the last answer */
    uint32_t used;         /* bytes of the frame that is being filled */
    struct ring_flight flights[RING_FRAMES];
};

/* An answer that was checked. */
struct ring_answered {
    struct ring_origin origin;
    uint32_t answer; /* may be any value */
    uint32_t plugin; /* below PLUGINS_MAX, or PLUGINS_MAX: none answered */
    bool last;       /* of its frame */
};

/* Sets up a ring without memory. */
void ring_submit_init(struct ring_submit *ring);

/* Makes the memory files and the bell. slot_size: the most that a packet's message takes. */
int ring_submit_new(struct ring_submit *ring, uint32_t slot_size);

/* Closes the descriptors that were made for the worker, once it has them. */
void ring_submit_passed(struct ring_submit *ring);

/* Unmaps and closes everything. Also for a ring without memory. */
void ring_submit_done(struct ring_submit *ring);

/* Whether a frame can be submitted. */
static inline bool ring_has_room(const struct ring_submit *ring)
{
    return ring->submitted - ring->retired < RING_FRAMES;
}

/* Whether a packet that was submitted has no answer yet. */
static inline bool ring_in_flight(const struct ring_submit *ring)
{
    return ring->submitted != ring->retired;
}

/* Begins a frame; there is room. flags: RING_ONE_BY_ONE or 0. */
void ring_begin(struct ring_submit *ring, uint32_t flags);

/*
 * Adds a packet, at most BURST_MAX. Its bytes are copied. flow, flow_epoch, begins: as in struct ring_packet. Returns
 * 0; -EMSGSIZE: its bytes are more than slot_size.
 */
int ring_add(struct ring_submit *ring, const struct nfqe_packet *packet, struct ring_origin origin, uint32_t flow,
             uint32_t flow_epoch, bool begins);

/* Gives the frame to the worker, and rings its bell if it sleeps. An empty frame is given up. */
void ring_submit(struct ring_submit *ring);

/*
 * Takes the next answer. Returns 1; 0: there is none; -EBADMSG: the worker has broken the protocol, and nothing that it
 * says may be believed any more.
 */
int ring_take(struct ring_submit *ring, struct ring_answered *answered);

/*
 * Before waiting. Returns false if there are answers: do not wait then. After the wait, in any case: ring_awake(). It
 * returns 0; -EBADMSG: the worker keeps ringing without an answer; -EPIPE: it has closed its end, or is dead.
 */
bool ring_sleep(struct ring_submit *ring);
int ring_awake(struct ring_submit *ring);

/* Asks the worker to leave, when it has answered what is in flight. */
void ring_request_leave(struct ring_submit *ring);

/* The oldest frame in flight. NULL: there is none. */
const struct ring_flight *ring_oldest(const struct ring_submit *ring);

/* Forgets the oldest frame in flight: its worker is dead, and its packets go another way. */
void ring_retire_oldest(struct ring_submit *ring);

/* The position of the plugin that runs, as the worker says; PLUGINS_MAX: none, or nonsense. For the log alone. */
uint32_t ring_plugin(const struct ring_submit *ring);

#endif
