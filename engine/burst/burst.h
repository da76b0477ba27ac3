/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One burst: the messages of one receive, and a verdict for each packet among them.
 *
 * It is a part of the journal (burst/journal.h), in memory that outlives the process that reads the queue, so that a
 * successor can finish it:
 *
 *   messages   those whose msg_len is not 0 were received: the kernel stores each msg_len inside the system call, so
 *              there is no moment at which a received message is unknown
 *   entries    the packets among them, in order; one that is marked DECIDED has its verdict
 *
 * Whether a packet was answered is not here: the journal's outstanding ids say so.
 *
 * Whoever reads a field that another process wrote checks its bounds; recovery.h does so for a successor. What other
 * processes must see in order is stored with release; the end of a process is a full barrier. Never allocates.
 */
#ifndef ENGINE_BURST_BURST_H
#define ENGINE_BURST_BURST_H

#include "base/limits.h"
#include "burst/outstanding.h"
#include "burst/stats.h"

#include "plugin/verdict.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BURST_SEQUENCE_MASK UINT32_C(0xffffff) /* a burst's number; the bits above are nfqueue_sequence.h's */

/* Flags of an entry. */
#define BURST_DECIDED UINT32_C(1)
#define BURST_SETS_MARK UINT32_C(2)        /* the packet gets `mark` */
#define BURST_BY_FLOW UINT32_C(4)          /* it is the verdict of the packet's flow; no plugin was called */
#define BURST_FOR_FLOW UINT32_C(8)         /* a plugin gave it for the packet's flow */
#define BURST_FLOW_NOT_STORED UINT32_C(16) /* given for a flow, but the packet has none, or there is no room */
#define BURST_CRASHED UINT32_C(32)         /* the --on-crash verdict, since a worker ended over the packet */
#define BURST_INVALID UINT32_C(64)         /* the --on-crash verdict, since a plugin's answer was no verdict */
#define BURST_LOCAL_OUTPUT                                                                                             \
    UINT32_C(128)   /* it comes from the output hook; stays when it is decided, like the next two */
#define BURST_CHANGED UINT32_C(256)        /* plugins have changed its bytes */
#define BURST_CHANGE_REFUSED UINT32_C(512) /* they would have, if a kernel took that */
#define BURST_COUNTED                                                                                                  \
    (BURST_BY_FLOW | BURST_FLOW_NOT_STORED | BURST_CRASHED | BURST_INVALID | BURST_CHANGED | BURST_CHANGE_REFUSED)
#define BURST_STAYS (BURST_LOCAL_OUTPUT | BURST_CHANGED | BURST_CHANGE_REFUSED)
#define BURST_REJECT (NFQE_REJECT << BURST_REJECT_SHIFT) /* its sender is told; beside it, what: BURST_REJECT_MASK */

#define BURST_REJECT_SHIFT 16
#define BURST_REJECT_MASK (REJECT_PART_MASK << BURST_REJECT_SHIFT)

/* The flags of an entry by which the sender is told what the verdict says. */
static inline uint32_t burst_reject_flags(uint32_t verdict)
{
    return (verdict & REJECT_PART_MASK) << BURST_REJECT_SHIFT;
}

/* And back: the part of the verdict. */
static inline uint32_t burst_reject_part(uint32_t flags)
{
    return (flags & BURST_REJECT_MASK) >> BURST_REJECT_SHIFT;
}

/*
 * The verdict of one packet, by its position among the burst's packets. connection_mark, priority, held_token and
 * reserved are zero, until the plugin ABI can set them.
 */
struct burst_entry {
    uint32_t id;
    uint32_t verdict; /* once decided: one of burst_knows_verdict() */
    uint32_t mark;    /* of the packet; with BURST_SETS_MARK, what it becomes */
    _Atomic uint32_t flags; /* BURST_... */
    uint32_t connection_mark;
    uint32_t priority;
    uint32_t reason;         /* that the plugin gives: its cell plus 1; 0: none */
    uint32_t payload_len;    /* with BURST_CHANGED: bytes that it gets; their place follows from that of the entry */
    uint64_t reserved;
    uint64_t held_token;     /* by which a held packet is released */
};

_Static_assert(sizeof(struct burst_entry) == 48, "part of JOURNAL_VERSION");

struct burst {
    _Atomic uint32_t progress; /* changes whenever something was done, for the watchdog */
    uint32_t packets;          /* entries in use; 0: none of its packets is in flight */
    uint32_t sequence;         /* number of the burst, in nlmsg_seq of its verdict messages */
    uint32_t reserved;

    struct burst_entry entries[BURST_MAX];
    struct mmsghdr messages[BURST_MAX];
    struct iovec iovecs[BURST_MAX];
};

/*
 * Points the receive headers at BURST_MAX slots of slot_size bytes each, whatever they were before; msg_len and
 * msg_flags are kept. In each process that is going to receive.
 */
void burst_attach_slots(struct burst *burst, void *slots, size_t slot_size);

/* Clears what was received before. */
void burst_begin_receive(struct burst *burst);

/* How many messages of the burst were received: all non-zero msg_len from the first on. Any process. */
unsigned burst_received(const struct burst *burst);

/* Length of received message `index`, at most slot_size. */
size_t burst_message_len(const struct burst *burst, unsigned index, size_t slot_size);

/*
 * The ids of the entries from `first` to `count` - 1, as far as each is the one before it plus 1. Returns the first
 * entry after them. first: below count.
 */
unsigned burst_id_run(const struct burst *burst, unsigned first, unsigned count, struct outstanding_range *run);

/*
 * Tells the watchdog that something was done. Only the process that reads the queue writes the word, so no atomic
 * addition is needed.
 */
static inline void burst_make_progress(struct burst *burst)
{
    uint32_t progress = atomic_load_explicit(&burst->progress, memory_order_relaxed);

    atomic_store_explicit(&burst->progress, progress + 1, memory_order_release);
}

static inline uint32_t burst_entry_flags(const struct burst_entry *entry)
{
    return atomic_load_explicit(&entry->flags, memory_order_relaxed);
}

static inline bool burst_is_decided(const struct burst *burst, unsigned index)
{
    return (burst_entry_flags(&burst->entries[index]) & BURST_DECIDED) != 0;
}

/* Marks packet `index` as decided, after its verdict and its mark were stored. */
static inline void burst_mark_decided(struct burst *burst, unsigned index, uint32_t flags)
{
    struct burst_entry *entry = &burst->entries[index];

    flags |= BURST_DECIDED | (burst_entry_flags(entry) & BURST_STAYS);
    atomic_store_explicit(&entry->flags, flags, memory_order_release);
}

/*
 * Stores the verdict and the mark of packet `index`, then marks it as decided. flags: BURST_..., beside BURST_DECIDED;
 * BURST_SETS_MARK stays if burst_set_mark() has set it.
 */
static inline void burst_set_verdict(struct burst *burst, unsigned index, uint32_t verdict, uint32_t mark,
                                     uint32_t flags)
{
    burst->entries[index].verdict = verdict;
    burst->entries[index].mark = mark;
    burst_mark_decided(burst, index, flags | (burst_entry_flags(&burst->entries[index]) & BURST_SETS_MARK));
}

/* Whether an entry can have this verdict: ACCEPT, DROP, REPEAT, or TO_QUEUE with or without bypass. */
static inline bool burst_knows_verdict(uint32_t verdict)
{
    return verdict == NFQE_ACCEPT || verdict == NFQE_DROP || verdict == NFQE_REPEAT ||
           (verdict & (NFQE_ACTION_MASK | NFQE_FLAG_MASK) & ~NFQE_QUEUE_BYPASS) == NFQE_TO_QUEUE_ACTION;
}

/*
 * A dropped packet whose sender a rule is to tell: the rules are run again, with this mark. The verdict last: a successor
 * may find it between two of the stores.
 */
static inline void burst_leave_to_rule(struct burst *burst, unsigned index, uint32_t mark)
{
    struct burst_entry *entry = &burst->entries[index];

    entry->mark = mark;
    atomic_store_explicit(&entry->flags, burst_entry_flags(entry) | BURST_SETS_MARK, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    entry->verdict = NFQE_REPEAT;
}

/* A packet without a verdict has this mark from now on, whatever verdict it gets. */
static inline void burst_set_mark(struct burst *burst, unsigned index, uint32_t mark)
{
    struct burst_entry *entry = &burst->entries[index];

    entry->mark = mark;
    atomic_store_explicit(&entry->flags, burst_entry_flags(entry) | BURST_SETS_MARK, memory_order_relaxed);
}

/*
 * A packet without a verdict has these bytes from now on, `len` at its place in the memory of changes, if it goes on its
 * way by the verdict of the plugins that changed it.
 */
static inline void burst_set_payload(struct burst *burst, unsigned index, uint32_t len)
{
    struct burst_entry *entry = &burst->entries[index];

    entry->payload_len = len;
    atomic_store_explicit(&entry->flags, burst_entry_flags(entry) | BURST_CHANGED, memory_order_relaxed);
}

/* The same if it has none, since a kernel would not take those that a plugin made. */
static inline void burst_refuse_payload(struct burst *burst, unsigned index)
{
    struct burst_entry *entry = &burst->entries[index];

    atomic_store_explicit(&entry->flags, burst_entry_flags(entry) | BURST_CHANGE_REFUSED, memory_order_relaxed);
}

/* Bytes that a packet that has its verdict gets; 0: it goes on as it was received, or not at all. */
static inline uint32_t burst_payload_len(const struct burst_entry *entry)
{
    uint32_t flags = burst_entry_flags(entry) & (BURST_CHANGED | BURST_BY_FLOW | BURST_CRASHED | BURST_INVALID);

    return flags == BURST_CHANGED && entry->verdict != NFQE_DROP ? entry->payload_len : 0;
}

/* Counts the verdict of an entry. */
static inline void burst_count_verdict(const struct burst_entry *entry, struct queue_stats *stats)
{
    uint32_t flags = burst_entry_flags(entry);

    if (entry->verdict == NFQE_ACCEPT) {
        stats->accepted++;
    } else if (entry->verdict == NFQE_DROP || (flags & BURST_REJECT) != 0) { /* by a rule, in the end */
        stats->dropped++;
    } else if (entry->verdict == NFQE_REPEAT) {
        stats->repeated++;
    } else {
        stats->requeued++;
    }
    if ((flags & BURST_COUNTED) == 0) {
        return;
    }
    stats->flow_packets += (flags & BURST_BY_FLOW) != 0;
    stats->flow_not_stored += (flags & BURST_FLOW_NOT_STORED) != 0;
    stats->crash_verdicts += (flags & BURST_CRASHED) != 0;
    stats->invalid += (flags & BURST_INVALID) != 0;
    stats->changed += burst_payload_len(entry) != 0;
    stats->changes_refused += (flags & BURST_CHANGE_REFUSED) != 0;
}

/* Stores a verdict that no plugin gave, for a message that was cut. The packet keeps its mark. */
static inline void burst_force_verdict(struct burst *burst, unsigned index, uint32_t verdict)
{
    burst->entries[index].verdict = verdict;
    burst_mark_decided(burst, index, 0);
}

#endif
