/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shared memory of one queue: what outlives the process that reads the queue.
 *
 * One memfd a queue. It begins with a header and a table of sections, each with its kind, version, offset and size:
 *
 *   CONTROL  what supervisor and queue process say to each other: process/queue_messages.h
 *   JOURNAL  the bursts in flight, and what was answered and counted: struct journal
 *   SLOTS    BURST_MAX receive slots for each burst: the messages as the kernel wrote them
 *   CHANGES  a place for the new bytes of each packet in flight, if plugins may change packets; one that is never used
 *            takes no memory
 *   FLOWS    the flow table, if the queue has one; always the last section
 *
 * Always: whoever maps memory that another process made reads the table, and refuses it unless every section that it
 * needs is there in its version. From then on it keeps the places in its private struct queue_shm and does not look at
 * the table again, since another process can write there. No process has the memory because its parent had
 * it: one that is to have it gets the descriptor and maps it.
 */
#ifndef ENGINE_QUEUE_QUEUE_SHM_H
#define ENGINE_QUEUE_QUEUE_SHM_H

#include "burst/journal.h"

#include <stddef.h>
#include <stdint.h>

#define QUEUE_SHM_MAGIC UINT32_C(0x71656d6d)
#define QUEUE_SHM_VERSION 3 /* of header and table */
#define QUEUE_SHM_SECTIONS_MAX 8
#define QUEUE_SHM_NAME "nfqe-queue" /* as /proc/PID/maps shows it */
#define QUEUE_SHM_SLOT_ALIGN 64 /* a cache line: neighbouring slots share none */
#define QUEUE_SHM_SLOT_MAX (128 * 1024)

/* A line of the cache more than a power of two, so that packets do not all have the same lines of it. */
#define QUEUE_SHM_CHANGE_STRIDE ((size_t)65600)
#define QUEUE_SHM_CHANGES_SIZE (BURSTS_IN_FLIGHT * BURST_MAX * QUEUE_SHM_CHANGE_STRIDE)

enum queue_shm_kind {
    QUEUE_SHM_NONE,
    QUEUE_SHM_CONTROL,
    QUEUE_SHM_JOURNAL,
    QUEUE_SHM_SLOTS,
    QUEUE_SHM_FLOWS,
    QUEUE_SHM_CHANGES,
};

struct queue_shm_section {
    uint32_t kind; /* enum queue_shm_kind */
    uint32_t version;
    uint64_t offset; /* from the header, a multiple of SHM_PAGE_SIZE */
    uint64_t size;   /* bytes */
};

struct queue_shm_header {
    uint32_t magic;
    uint32_t version;
    uint32_t queue;
    uint32_t section_count;
    uint64_t size; /* of the whole memory */
    struct queue_shm_section sections[QUEUE_SHM_SECTIONS_MAX];
};

/* What the memory of a queue is made for. */
struct queue_shm_layout {
    uint32_t control_version;
    uint32_t control_size;
    uint32_t slot_size; /* bytes of each receive slot: a multiple of QUEUE_SHM_SLOT_ALIGN, at most QUEUE_SHM_SLOT_MAX */
    bool changes; /* plugins may change packets */
    uint64_t flows_size; /* bytes of the flow table: a multiple of QUEUE_SHM_SLOT_ALIGN; 0: none */
};

/* A process's access to it. Private: a plugin that overwrites the shared memory does not change these. */
struct queue_shm {
    int fd;
    struct queue_shm_layout layout;
    size_t size;
    struct queue_shm_header *header; /* NULL: there is no memory */
    void *control;
    struct journal *journal;
    void *slots;
    void *changes; /* NULL: plugins change no packets */
    void *flows; /* NULL: no flow table */
};

/* Sets up a struct without memory. */
void queue_shm_init(struct queue_shm *shm);

/* Bytes of the memory of a layout; all of it is in use from the time on at which a process of the queue begins to serve. */
uint64_t queue_shm_size(const struct queue_shm_layout *layout);

/*
 * Makes the memory of a queue; that of the flow table is taken at once. Returns 0 or a negative errno; -EINVAL: the
 * layout is outside its limits. [supervisor]
 */
int queue_shm_new(uint16_t queue, const struct queue_shm_layout *layout, struct queue_shm *shm);

/*
 * Maps the memory of a queue that another process has made, by its descriptor, which belongs to the struct from then
 * on. Returns 0 or a negative errno; -EPROTO: it is no such memory or has another version; -EUCLEAN: its size or its
 * sections are not those of the layout. [queue process]
 */
int queue_shm_attach(int fd, uint16_t queue, const struct queue_shm_layout *layout, struct queue_shm *shm);

/* Unmaps and closes. Also for a struct without memory. [supervisor] */
void queue_shm_done(struct queue_shm *shm);

/* Writes the header and the table again, whatever they hold: before another process attaches. [supervisor] */
void queue_shm_restore_table(const struct queue_shm *shm, uint16_t queue);

/*
 * Makes the memory ready for this process to receive into: writes the header and the table again, whatever they hold,
 * points the receive headers at the slots, keeps the packets out of core dumps, and makes the page table entries of
 * everything that a receive into the first `bursts` bursts writes to. A process killed while the kernel copies into a
 * page that is not there yet loses that message: the page fault fails, and the message has left the socket.
 * [queue process]
 */
void queue_shm_prepare(const struct queue_shm *shm, uint16_t queue, unsigned bursts);

/*
 * Whether the header and the table at `memory`, `size` bytes, can be used: the magic number and version are ours, and
 * every section lies within the memory and overlaps no other. Returns 0; -EPROTO: it is no such memory or another
 * version; -EUCLEAN: a section does not fit.
 */
int queue_shm_check(const struct queue_shm_header *header, size_t size);

/* The section of a kind in a table that queue_shm_check() took. NULL: it has none, or one of another version. */
const struct queue_shm_section *queue_shm_find(const struct queue_shm_header *header, enum queue_shm_kind kind,
                                               uint32_t version);

/* The receive slots of burst `index`, below BURSTS_IN_FLIGHT. */
static inline void *queue_shm_burst_slots(const void *slots, unsigned index, size_t slot_size)
{
    return (void *)((uintptr_t)slots + index * BURST_MAX * slot_size);
}

/* Where the new bytes of packet `entry` of burst `index` are. */
static inline uint8_t *queue_shm_change(void *changes, unsigned index, unsigned entry)
{
    return (uint8_t *)changes + (index * (size_t)BURST_MAX + entry) * QUEUE_SHM_CHANGE_STRIDE;
}

_Static_assert(QUEUE_SHM_CHANGE_STRIDE >= COPY_RANGE_MAX, "a packet fits");

/* Receive slot `index`, below BURST_MAX, of those of a burst. */
static inline void *queue_shm_slot(const void *slots, unsigned index, size_t slot_size)
{
    return (void *)((uintptr_t)slots + index * slot_size);
}

#endif
