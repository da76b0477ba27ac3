/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the supervisor says to processes that run plugins, and they to it: messages on the channels of the fork server and
 * of each new worker, and the fork server's status in shared memory. What a worker that has its ring says is in ring.h;
 * queue processes have queue_messages.h.
 *
 * The supervisor keeps its own copy of what it asked for, and checks what they say before it uses it. Who sent a message
 * the kernel says. Process: [supervisor] [fork server] [worker].
 */
#ifndef ENGINE_PROCESS_MESSAGES_H
#define ENGINE_PROCESS_MESSAGES_H

#include "base/error.h"
#include "config/reason_names.h"
#include "plugin/plugin_ref.h"
#include "process/area.h"
#include "process/ring.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Exit status of a fork server or worker that failed; the reason is in its status or its ring. */
#define PROCESS_EXIT_FAILED 70

/* ---- the fork server's status, in memory that it shares with the supervisor ---- */

enum forkserver_stage { FORKSERVER_LINKING, FORKSERVER_LOADING, FORKSERVER_LOADED, FORKSERVER_UNLOADING };

/* How far it has come. In shared memory, since it may die on the way. */
struct forkserver_status {
    _Atomic uint32_t stage; /* enum forkserver_stage */
    uint32_t reserved;
    _Atomic struct plugin_ref plugin; /* the one being linked, loaded or unloaded, or PLUGIN_REF_NONE */
    char error[ERROR_TEXT_MAX]; /* why that one is refused */
    struct area_declaration area; /* with FORKSERVER_AREA */
    struct reason_names counters; /* with FORKSERVER_READY, those of all plugins; also the next one */
    struct reason_names reasons;
};

/* ---- messages on a channel (base/channel.h) ---- */

#define MESSAGE_VERSION 6

enum message_kind {
    /* between supervisor and fork server */
    FORKSERVER_READY = 1, /* fork server: every plugin is loaded */
    FORKSERVER_FORK, /* supervisor: make a worker for queue `value`; a descriptor: its end of the worker's channel */
    FORKSERVER_LEAVE, /* supervisor: unload the plugins and exit */
    FORKSERVER_OPEN, /* fork server: open what the user named for plugin `value`, in item `slot` of its options */
    FORKSERVER_AREA, /* fork server: plugin `value` declares the area that is in its status */
    FORKSERVER_FILE, /* supervisor: the answer to either; `value`: errno, or a descriptor of what was opened, of a TABLE */

    /* between supervisor and worker */
    WORKER_NOT_FORKED, /* fork server, in place of the worker: there is none; `value`: errno */
    WORKER_HELLO, /* worker: it is there, and a child of the supervisor */
    WORKER_DESCRIPTORS, /* supervisor: see WORKER_FDS_MAX; the last one here. `value`: bit i: area i is fresh */
};

/*
 * The descriptors that a worker is passed: its ring's, as enum ring_fd; that of its counter cells, if its plugins declare
 * some; those of its areas, in the order in which they were declared; the pipe that it prints into, if there is one.
 */
#define WORKER_FDS_MAX (RING_FDS + 1 + AREAS_MAX + 1)

_Static_assert(AREAS_MAX <= 32, "a bit in the value of WORKER_DESCRIPTORS");

/* Who may have sent a message. A fork server has a worker's end until the worker is there. */
enum message_sender { FROM_SUPERVISOR, FROM_FORKSERVER, FROM_BIRTH };

struct process_message {
    uint32_t version; /* MESSAGE_VERSION */
    uint32_t kind; /* enum message_kind */
    uint32_t value; /* 0 where the kind has none */

    uint32_t
        slot; /* of FORKSERVER_FORK: of the worker, among those of its queue, 0 to workers + spares - 1, which CPU it
                      runs on; of FORKSERVER_OPEN: see there; otherwise 0 */

    uint32_t uid; /* of FORKSERVER_FORK: that the worker takes; PRIVILEGES_SAME_UID: none of its own; otherwise 0 */
    uint32_t access; /* of FORKSERVER_OPEN: enum path_access; otherwise 0 */

    /* of FORKSERVER_FORK; otherwise 0 */
    uint64_t skipped; /* bit i: the plugin at position i is left out of the chain, see --on-crash-limit */
};

_Static_assert(sizeof(struct process_message) == 32, "part of MESSAGE_VERSION");

/* A message of this version. */
struct process_message process_message_make(enum message_kind kind, uint32_t value);

/*
 * Whether a message of `len` bytes, which may be more than the struct has, is one that `from` sends to an engine with
 * so many queues. Returns 0; -EMSGSIZE: it has another length; -EPROTO: another version;
 * -EBADMSG: a kind that `from` does not send, or a field that is out of bounds or not part of the kind.
 */
int process_message_check(const struct process_message *message, size_t len, enum message_sender from, uint32_t queues);

#endif
