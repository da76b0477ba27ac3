/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arena: everything about one queue's burst in flight, in shared memory that outlives the worker.
 *
 * One memfd a queue, mapped by the supervisor before it forks, so that fork server and workers have it at
 * the same address. The worker that reads the queue's socket writes the burst; when it dies, the
 * supervisor and the next worker find here what had been received, what was decided, and whose fault
 * it was:
 *
 *   IDLE        nothing is in flight
 *   RECEIVING   the messages whose msg_len is not 0 are the burst: the kernel stores each msg_len inside
 *               the system call, so no moment exists at which a received message is unknown
 *   HANDLING    verdicts marked DECIDED stand; the packet at `cursor` was with plugin `plugin`
 *   SENDING     every verdict stands; whether the kernel got them is unknown, so they are sent again
 *
 * A worker runs plugin code and is not trusted: whoever reads a field that a worker wrote checks its
 * bounds. What must be seen in order is stored with release; a death is a full barrier.
 *
 * Plugins read packets through a second, read-only mapping: a plugin that writes into a packet faults there and
 * then, and cannot damage what its successor needs.
 */
#ifndef ENGINE_BURST_ARENA_H
#define ENGINE_BURST_ARENA_H

#include "base/limits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define ARENA_MAGIC UINT32_C(0x6e667161)
#define ARENA_LAYOUT 2
#define ARENA_MESSAGE_SIZE 512 /* text from a worker that cannot start */
#define ARENA_NOBODY UINT32_MAX /* cursor or plugin: none */
#define ARENA_SLOT_ALIGN 64    /* a cache line: neighbouring slots share none */
#define ARENA_SLOT_MAX (128 * 1024)
#define ARENA_SEQUENCE_MASK UINT32_C(0x3fffffff) /* numbers of bursts; above are bits that say more */
#define ARENA_ATTEMPTS 3       /* workers that may die over one burst without a packet to blame */

enum arena_phase { ARENA_IDLE, ARENA_RECEIVING, ARENA_HANDLING, ARENA_SENDING };

/* What the supervisor asks of the worker. */
enum arena_request {
    ARENA_RUN,  /* serve the queue */
    ARENA_STOP, /* let the kernel queue nothing more, answer what is queued */
    ARENA_EXIT, /* leave between two bursts */
};

/* How far the worker has come. */
enum arena_state {
    ARENA_STARTING, /* opening the plugins; `plugin` is the one in open() */
    ARENA_OPENED,   /* waits for `admitted` */
    ARENA_SERVING,
    ARENA_DRAINING, /* the kernel was told to queue nothing more */
    ARENA_FAILED,   /* served, and exits; `message` says why, as it does for one that fails while ARENA_STARTING */
};

#define ARENA_DECIDED UINT32_C(1)
#define ARENA_SETS_MARK UINT32_C(2) /* the packet gets `mark` */
#define ARENA_BY_FLOW UINT32_C(4)   /* it is the verdict of the packet's flow; no plugin was called */
#define ARENA_FOR_FLOW UINT32_C(8)  /* a plugin gave it for the packet's flow */
#define ARENA_FLOW_NOT_STORED                                                                                          \
    UINT32_C(16) /* a plugin gave it for a flow, but the packet has none, or there is no room */

/* The verdict of one packet of the burst, by its position among the burst's packets. */
struct arena_verdict {
    uint32_t id;
    uint32_t verdict; /* NFQE_ACCEPT or NFQE_DROP, once decided */
    uint32_t mark;    /* of the packet; with ARENA_SETS_MARK, what it becomes */
    _Atomic uint32_t flags; /* ARENA_... */
};

/* Counted by workers; committed once a burst. */
struct arena_counters {
    uint64_t packets;        /* received, each once */
    uint64_t accepted;
    uint64_t dropped;
    uint64_t invalid;        /* verdicts that the ABI does not know; they got the --on-crash verdict */
    uint64_t verdicts_resent;         /* verdicts of a burst sent again after a crash that the kernel had already */
    uint64_t stale_verdicts;           /* verdicts for packets that the kernel had flushed (ENOENT) */
    uint64_t verdict_errors; /* verdicts that the kernel refused otherwise */
    uint64_t receive_errors;
    uint64_t truncated;      /* messages larger than their slot; their packets got the --on-crash verdict */
    uint64_t malformed;      /* messages that are no nfqueue message */
    uint64_t recovered_ids;          /* ids that no message was seen of after a crash, answered with --on-crash */
    uint64_t flow_packets;   /* packets that got the verdict of their flow, without the chain */
    uint64_t flow_not_stored; /* verdicts for a flow that only the packet got: it has none, or there is no room */
    uint64_t bursts;
};

struct arena {
    uint32_t magic;
    uint32_t layout;
    uint32_t queue;
    uint32_t slot_size; /* bytes of each receive slot */
    uint64_t size; /* of the whole mapping */

    /* supervisor to worker; each change is followed by a write to the queue's eventfd */
    _Atomic uint32_t owner; /* pid of the one worker that may read the socket */
    _Atomic uint32_t request; /* enum arena_request */

    /* worker to supervisor */
    _Atomic uint32_t state; /* enum arena_state; changes are followed by a write to the doorbell eventfd */
    char message[ARENA_MESSAGE_SIZE];

    /* supervisor only */
    uint64_t crash_verdicts; /* packets that got the --on-crash verdict since a worker died handling them */
    uint64_t restarts;
    uint32_t attempts; /* workers that died over this burst in a plugin, with no packet to blame */

    /* the burst; worker only while one lives */
    _Atomic uint32_t phase; /* enum arena_phase in the low 8 bits, index of the live counters above */
    _Atomic uint32_t cursor; /* packet of the burst that is with a plugin, or ARENA_NOBODY */
    _Atomic uint32_t plugin; /* position in the chain, or ARENA_NOBODY */
    _Atomic uint32_t one_by_one; /* not 0: this burst goes through handle(), since handle_batch() crashed */
    _Atomic uint32_t sent; /* not 0: verdicts of this burst may have been sent already */
    _Atomic uint32_t progress; /* changes whenever a plugin returned; for the supervisor's watch */
    uint32_t packets; /* packets decoded from the messages; worker, then HANDLING */
    uint32_t sequence; /* number of the burst, in nlmsg_seq of its verdict messages */
    uint32_t last_id; /* id of the last packet answered; 0: none yet */
    uint32_t sweep; /* not 0: a message may have been lost with a worker, see arena_request_sweep() */
    uint32_t sweep_to; /* with sweep: the last id that the kernel had given out by then */
    struct arena_counters counters[2];
    struct arena_verdict verdicts[BURST_MAX];
    struct mmsghdr messages[BURST_MAX];
    struct iovec iovecs[BURST_MAX];
};

/* What an arena is made for. Its owner keeps this: what the arena says of itself is not to be trusted. */
struct arena_shape {
    uint32_t slot_size; /* bytes of each receive slot: a multiple of ARENA_SLOT_ALIGN, at most ARENA_SLOT_MAX */
    uint64_t flows_size; /* bytes of the flow table: a multiple of ARENA_SLOT_ALIGN; 0: none */
};

/*
 * Makes the arena of `queue`. The memfd's size is sealed: nobody can cut it short under a reader; and the memory
 * of its flow table is taken at once. Returns 0 or a negative errno. [supervisor]
 */
int arena_new(uint32_t queue, struct arena_shape shape, struct arena **arena, int *fd);

/* Maps the arena of another process again, read-only: for the packets that plugins see. [worker] */
int arena_map_view(int fd, struct arena_shape shape, const struct arena **view);

/* Unmaps and closes. NULL is fine. [supervisor], and a worker for the queues of others */
void arena_free(struct arena *arena, struct arena_shape shape, int *fd);

/* The flow table's memory; zero when the arena is new. */
void *arena_flows(struct arena *arena, struct arena_shape shape);

/* Receive slot `index` (below BURST_MAX). Of a view: read-only. */
void *arena_slot(const struct arena *arena, unsigned index);

/*
 * Makes the page table entries of all that a receive writes to, in this process. A worker killed while the kernel copies
 * into a page that is not there yet loses that message: the fault fails, the message is already consumed.
 * Also restores the layout fields and points the receive headers at the slots, whatever stood there; msg_len
 * and msg_flags are kept. [worker]
 */
void arena_prepare(struct arena *arena, uint32_t queue, struct arena_shape shape);

/* Clears the msg_len of the burst before and enters RECEIVING. [worker] */
void arena_begin_receive(struct arena *arena);

/* How many messages of the burst were received: all non-zero msg_len from the first on. Any process. */
unsigned arena_received(const struct arena *arena);

/* Length of received message `index`, never more than the slot holds. */
size_t arena_message_len(const struct arena *arena, unsigned index);

enum arena_phase arena_phase(const struct arena *arena);
void arena_enter(struct arena *arena, enum arena_phase phase);

/* The counters as last committed. Any process. */
const struct arena_counters *arena_counters(const struct arena *arena);

/* Adds `delta` to the counters and ends the burst (IDLE), both in one store: no crash counts a burst twice. */
void arena_commit(struct arena *arena, const struct arena_counters *delta);

/* Stores the verdict of packet `index` and marks it decided. */
static inline void arena_decide(struct arena *arena, unsigned index, uint32_t verdict)
{
    arena->verdicts[index].verdict = verdict;
    atomic_store_explicit(&arena->verdicts[index].flags, ARENA_DECIDED, memory_order_release);
}

/* The same, with the packet's mark and what else there is to say in flags, beside ARENA_DECIDED. */
static inline void arena_set_verdict(struct arena *arena, unsigned index, uint32_t verdict, uint32_t mark,
                                     uint32_t flags)
{
    arena->verdicts[index].verdict = verdict;
    arena->verdicts[index].mark = mark;
    atomic_store_explicit(&arena->verdicts[index].flags, ARENA_DECIDED | flags, memory_order_release);
}

static inline bool arena_decided(const struct arena *arena, unsigned index)
{
    return (atomic_load_explicit(&arena->verdicts[index].flags, memory_order_relaxed) & ARENA_DECIDED) != 0;
}

/* Who is to blame for a worker's death. */
struct arena_death {
    bool handling; /* a plugin was running */
    bool packet_known; /* `packet_id` is the guilty packet; false after a crash in handle_batch() */
    uint32_t abandoned; /* packets that got the verdict since ARENA_ATTEMPTS workers died in handle_batch() */
    uint32_t packet_id;
    uint32_t plugin; /* position in the chain, below `plugins`, or ARENA_NOBODY */
};

/*
 * After the worker's death: finds out who is to blame, gives the guilty packet `verdict`, and arranges that
 * the next worker takes the rest of the burst one by one. plugins: length of the chain. [supervisor]
 */
void arena_assign_crash(struct arena *arena, uint32_t plugins, uint32_t verdict, struct arena_death *blame);

/*
 * Brings every burst field that a dead worker left into its bounds, so that the burst can be finished.
 * Returns the phase to take up: IDLE, RECEIVING, HANDLING or SENDING. [worker]
 */
enum arena_phase arena_recover(struct arena *arena);

/*
 * A message can be lost with its worker: killed inside the receive, on a page fault that then fails. Its
 * packet would wait in the kernel for ever, or be answered, unseen, by the next batch verdict. So after
 * a death in mid-burst the ids between the last one answered and the next one freshly received are answered
 * one by one. `last_kernel_id` is the last id given out, read while nobody reads the socket. [supervisor]
 */
void arena_request_sweep(struct arena *arena, uint32_t last_kernel_id);

/*
 * The ids to sweep, before anything else is answered: *first to *last. next_id: the first id of the burst just
 * received; has_next false: the socket is empty. False: nothing to sweep. [worker]
 */
bool arena_sweep_range(const struct arena *arena, bool has_next, uint32_t next_id, uint32_t *first, uint32_t *last);

/* The range is answered. Not before: a worker that dies in between leaves the sweep to its successor. [worker] */
void arena_end_sweep(struct arena *arena);

#endif
