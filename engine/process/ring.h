/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring: how packets get from a queue process to one plugin worker, and answers back. This file is the layout of its
 * memory; ring_submit.h is the queue process's side, ring_answer.h the worker's.
 *
 *   packets   written by the queue process alone: its words, then RING_FRAMES frames. A frame has the packets of a
 *             burst that are for this worker: their fields, then their bytes. Frame n is at place n % RING_FRAMES.
 *   answers   written by the worker alone: its words, then a stream of records, at byte n % RING_ANSWERS_SIZE; then, if
 *             plugins may change packets, what they make of them, which records refer to.
 *   answered  an eventfd: the worker says "look again". The queue process says it by a futex, the word `rings`.
 *
 * A side is woken only while it says that it sleeps, in its word `asleep`, and once for each sleep: the value of the word
 * counts what woke it before.
 *
 * Both memory files have seals (base/shm.h). The worker cannot make its view of the packets writable, by whatever way,
 * and neither side can shorten a file that the other one has mapped. The worker seals the answers when it has mapped
 * them; the queue process does not read them before, since their pages could be taken away while it reads.
 *
 * Plugins run in the worker, so every word and record that it writes is a claim. The queue process copies a claim out
 * once, checks the copy against its own books, and uses the copy. What the worker reads can be trusted.
 *
 * The queue process never waits for a worker: not for room, not for a lock, not in a system call. So nothing is received
 * from the worker: a message on a socket can carry a descriptor whose close() takes as long as the sender likes (a TCP
 * connection that lingers), and a pipe is locked while its other end is read into memory whose page faults the other
 * side handles. The worker waits for a word that it can only read, and `answered` is waited for with EPOLLET, never read.
 *
 * Counts (frames, bytes) only grow and wrap at 32 bits; what lies between two of them is their difference.
 *
 * Falling asleep, on either side: store `asleep`, then look once more for what the other side has published, then wait.
 * Publishing: store the count, then look at the other side's `asleep`. All four are sequentially consistent, so one of
 * the two sees the other's store: no wake-up is lost (Dekker's algorithm).
 */
#ifndef ENGINE_PROCESS_RING_H
#define ENGINE_PROCESS_RING_H

#include "base/limits.h"
#include "base/shm.h"
#include "packet/packet_changes.h"

#include <nfqe/packet.h>

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RING_FRAMES 4                         /* bursts in flight to one worker */
#define RING_ANSWERS_SIZE UINT32_C(0x8000)    /* bytes of records, all of which are written in turn */
#define RING_RECORD_STEP 16                   /* records are multiples of it, so the head of one is never divided */
#define RING_DATA_ALIGN 16                    /* of a packet's bytes in a frame */
#define RING_SLOT_MAX (1024 * 1024)           /* bytes of a message; far more than the kernel sends */
#define RING_TEXT_SIZE 256                    /* of what a worker says when it cannot go on, with a NUL */
#define RING_MAGIC UINT32_C(0x676e7266)
#define RING_CACHE_LINE 64
#define RING_PACKETS_NAME "nfqe-packets"      /* as /proc/PID/maps shows it */
#define RING_ANSWERS_NAME "nfqe-answers"

/*
 * What plugins make of packets, in the file of the answers after its records; only if a plugin may change packets. Each
 * packet in flight has a place of its own, and one more is where the next packet is made (packet/change.h). A stride is
 * a line of the cache more than a power of two, so that packets do not all have the same lines of it.
 */
#define RING_CHANGE_STRIDE UINT32_C(65600)
#define RING_CHANGES (RING_FRAMES * BURST_MAX + 1)

/* The descriptors that a worker is passed. */
enum ring_fd {
    RING_FD_PACKETS,
    RING_FD_ANSWERS,
    RING_FD_ANSWERED,
    RING_FDS,
};

/* What the queue process asks of the worker. */
enum ring_request {
    RING_RUN,
    RING_LEAVE, /* call close() of the plugins and exit, when all frames are answered */
};

/* What the worker says of itself. */
enum ring_state {
    RING_OPENING,
    RING_OPENED,       /* its plugins are open */
    RING_OPENED_BATCH, /* the same, and one of them has handle_batch() */
    RING_CLOSING,      /* it leaves, as requested; `plugin` is the one in close() */
    RING_FAILED,       /* it cannot go on; the text says why */
};

/* The first page of `packets`. */
struct ring_queue_words {
    uint32_t magic; /* RING_MAGIC */
    uint32_t frame_size;
    _Alignas(RING_CACHE_LINE) _Atomic uint32_t submitted; /* frames */
    _Atomic uint32_t rings; /* changes when the worker is to look again; it waits for that */
    _Atomic uint32_t cpu; /* that the worker may follow this process to, or RING_CPU_ANY */
    _Alignas(RING_CACHE_LINE) _Atomic uint32_t asleep; /* not 0: signal `answered` after publishing answers, once */
    _Atomic uint32_t request; /* enum ring_request */
};

/* The first page of `answers`, with a guard at each end: an overrun into the words changes one of them. */
struct ring_worker_words {
    uint64_t guard_before;
    _Alignas(RING_CACHE_LINE) _Atomic uint32_t published; /* bytes of records */
    _Alignas(RING_CACHE_LINE) _Atomic uint32_t asleep; /* not 0: change `rings` after submitting a frame, once */
    _Alignas(RING_CACHE_LINE) _Atomic uint32_t state; /* enum ring_state */
    /* For the log, and for whether the first packet without an answer is guilty if the worker ends. */
    _Atomic uint32_t plugin; /* position of the plugin that runs, or PLUGINS_MAX */
    _Atomic uint32_t packet; /* place in its frame of the packet that it has */
    char text[RING_TEXT_SIZE]; /* why the worker fails */
    _Alignas(RING_CACHE_LINE) unsigned char unused[SHM_PAGE_SIZE - 8 * RING_CACHE_LINE - sizeof(uint64_t)];
    uint64_t guard_after; /* the last bytes of the page */
};

#define RING_GUARD UINT64_C(0x9e3779b97f4a7c15) /* a value that no plugin writes by accident */

/* How the frame is to be handled. */
#define RING_ONE_BY_ONE UINT32_C(1) /* by handle() alone: a worker died in handle_batch() over these packets */

/* The flow of a packet, for plugins that give verdicts for flows. */
struct ring_flow {
    uint32_t number; /* among those in flight, or RING_NO_FLOW */
    uint32_t epoch; /* changes when the number becomes that of another flow */
    uint16_t begins; /* not 0: the packet begins a connection, so an answer for its flow from before does not count */
    uint16_t alone; /* not 0: it may not decide its flow, and is not accepted with it */
    uint32_t accepted; /* not 0: the flow has the verdict "accept" from before */
};

/* What the kernel says of the packet's connection, for conntrack_entry_decode(). */
struct ring_conntrack {
    uint32_t bytes; /* where its `len` bytes are, from the frame on */
    uint32_t len; /* 0: it says nothing */
    uint32_t info;
};

/* A packet of a frame. */
struct ring_packet {
    struct nfqe_packet packet; /* its pointers are NULL here; the worker sets them in its copy */
    uint32_t data; /* where its packet.len bytes are, from the frame on */
    uint32_t secctx; /* the same of its packet.secctx_len bytes */
    uint32_t link_header; /* the same of its packet.link_header_len bytes */
    struct ring_conntrack conntrack;
    struct ring_flow flow;
};

#define RING_NO_FLOW UINT32_MAX
#define RING_CPU_ANY UINT32_MAX

struct ring_frame {
    uint32_t number; /* frames submitted before it */
    uint32_t count; /* of packets, 1 to BURST_MAX */
    uint32_t flags; /* RING_ONE_BY_ONE */
    uint32_t reserved;
    struct ring_packet packets[BURST_MAX];
    /* then the bytes */
};

/* Records of the answers. Those without a struct are reserved: a worker that writes one has broken the protocol. */
enum ring_record_kind {
    RING_VERDICT = 1, /* the plugins' answer to a packet: struct ring_verdict */
    RING_CHANGE, /* what plugins changed of the packet whose verdict comes next: struct ring_change */
    RING_HOLD, /* the packet's verdict comes later, by its token */
    RING_RELEASE, /* the verdict of a held packet */
    RING_REJECT, /* a packet is answered by a refusal to its sender */
    RING_INJECT, /* a packet of the plugin's own */
    RING_FORGET_FLOW, /* the verdict of a flow no longer holds */
    RING_COUNTERS, /* counters of a plugin, registered by name */
    RING_BYTES, /* new bytes of the packet whose verdict comes next: struct ring_bytes */
};

/* What every record begins with. */
struct ring_record {
    uint16_t kind; /* enum ring_record_kind */
    uint16_t size; /* bytes with this head, a multiple of RING_RECORD_STEP */
    uint16_t frame; /* the packet that it is bound to: the low bits of its frame's number, */
    uint16_t packet; /* and its position there */
};

struct ring_verdict {
    struct ring_record head;
    uint32_t answer; /* as the plugin gave it: nfqe_verdict, or anything */
    uint32_t plugin; /* which one: position in the plugin chain; PLUGINS_MAX: none answered */
};

/* Published together with the verdict after it, and bound to the same packet. */
struct ring_change {
    struct ring_record head;
    struct packet_changes changes;
};

/* The same, after a record of changes if there is one. */
struct ring_bytes {
    struct ring_record head;
    uint32_t offset; /* of the bytes, from the beginning of the file */
    uint16_t len; /* up to COPY_RANGE_MAX; 0: the packet is as it was received */
    uint16_t refused; /* not 0: a change was, the last one by the enum change_rule that is 1 less */
};

_Static_assert(sizeof(struct ring_queue_words) <= SHM_PAGE_SIZE, "one page");
_Static_assert(sizeof(struct ring_worker_words) == SHM_PAGE_SIZE, "one page");
_Static_assert((RING_FRAMES & (RING_FRAMES - 1)) == 0, "a power of two, so that places go on when numbers wrap");
_Static_assert((RING_ANSWERS_SIZE & (RING_ANSWERS_SIZE - 1)) == 0,
               "a power of two, so that places go on when numbers wrap");
_Static_assert(sizeof(struct ring_verdict) == RING_RECORD_STEP, "the shortest record");
_Static_assert(sizeof(struct ring_change) == RING_RECORD_STEP, "so that it lies in the stream in one piece");
_Static_assert(sizeof(struct ring_bytes) == RING_RECORD_STEP, "the same");
_Static_assert(COPY_RANGE_MAX <= UINT16_MAX && RING_CHANGE_STRIDE >= COPY_RANGE_MAX, "a packet fits");
_Static_assert(RING_ANSWERS_SIZE % RING_RECORD_STEP == 0 && RING_ANSWERS_SIZE % SHM_PAGE_SIZE == 0, "whole records");
_Static_assert(RING_ANSWERS_SIZE / RING_RECORD_STEP >= 3 * RING_FRAMES * BURST_MAX,
               "room for every packet's answer, and two records before it");
_Static_assert(offsetof(struct ring_frame, packets) % _Alignof(struct ring_packet) == 0, "aligned");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "atomics are plain memory, so they work between processes");

/* The value of `asleep`, which is never 0, after so many signals of the other side. */
static inline uint32_t ring_asleep(uint32_t signals)
{
    return signals * 2 + 1;
}

/* Bytes of a frame whose packets take up to slot_size bytes each, of their messages. slot_size: up to RING_SLOT_MAX. */
static inline uint32_t ring_frame_size(uint32_t slot_size)
{
    size_t packet = (size_t)slot_size + 4 * RING_DATA_ALIGN; /* each of the four parts begins aligned */

    return (uint32_t)((sizeof(struct ring_frame) + BURST_MAX * packet + SHM_PAGE_SIZE - 1) &
                      ~(size_t)(SHM_PAGE_SIZE - 1));
}

/* Bytes of each memory file. */
static inline size_t ring_packets_size(uint32_t frame_size)
{
    return SHM_PAGE_SIZE + (size_t)RING_FRAMES * frame_size;
}

#define RING_ANSWERS_FILE_SIZE ((size_t)SHM_PAGE_SIZE + RING_ANSWERS_SIZE)

/* The same with the places of changed packets, and a page before them that no one can access. */
#define RING_CHANGES_OFFSET (RING_ANSWERS_FILE_SIZE + SHM_PAGE_SIZE)
#define RING_CHANGING_FILE_SIZE                                                                                        \
    ((RING_CHANGES_OFFSET + (size_t)RING_CHANGES * RING_CHANGE_STRIDE + SHM_PAGE_SIZE - 1) &                           \
     ~(size_t)(SHM_PAGE_SIZE - 1))

#endif
