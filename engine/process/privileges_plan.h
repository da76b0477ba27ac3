/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which uid each process of a queue group has, and which promises the engine cannot keep on this machine.
 *
 * Two processes with the same uid can stop, kill and slow down each other. So each queue process and each slot of a worker
 * has a uid of its own, each slot two in turn: what a dead worker has left running does not reach its successor. Two
 * generations run at once during a reload, and a fork server can take each uid of its workers, so neighbouring
 * generations have none in common. Process: [supervisor] makes it, at start; all may ask it.
 */
#ifndef ENGINE_PROCESS_PRIVILEGES_PLAN_H
#define ENGINE_PROCESS_PRIVILEGES_PLAN_H

#include "base/error.h"
#include "process/privileges.h"

#include <stdbool.h>
#include <stdint.h>

/* Processes and threads of a worker: more than helper threads of plugins need, and no fork bomb. */
#define PRIVILEGES_WORKER_PROCESSES_MAX 64

enum privileges_form {
    PRIVILEGES_NAMESPACE, /* the fork server gives workers their uid in a user namespace */
    PRIVILEGES_ONE_UID, /* no namespace: a fork server and its workers share one uid, without any capability */
    PRIVILEGES_SAME, /* not root: all have the uid of the supervisor, without capabilities but the queue's */
};

struct privileges_range {
    uid_t first;
    uid_t last;
};

struct privileges_plan {
    enum privileges_form form;
    struct privileges_range range;
    unsigned queues;
    unsigned slots; /* workers and spares of each queue */
    bool nested; /* plugins can make user namespaces, in which they have all capabilities */
    pid_t stranger;             /* a process that has a uid of the range already; 0: none */
    char reason[ERROR_TEXT_MAX]; /* why it is not PRIVILEGES_NAMESPACE */
};

/*
 * Finds the best form that this machine has; tries each in a child. A range of 0 to 0: no uids of their own are wanted,
 * whoever the engine runs as. Returns 0; or a negative errno with the error
 * filled: the range is not one of uids for this purpose, or is too small (-ERANGE).
 */
int privileges_plan_make(const struct privileges_range *range, unsigned queues, unsigned slots,
                         struct privileges_plan *plan, struct error *error);

/* PRIVILEGES_SAME_UID where they have no uid of their own. slot is below slots; turn: how often the slot was used. */
uid_t privileges_queue_uid(const struct privileges_plan *plan, unsigned queue);
uid_t privileges_worker_uid(const struct privileges_plan *plan, uint32_t generation, unsigned queue, unsigned slot,
                            unsigned turn);

/* Whether a uid is one that workers of the generation have, and no other process. */
bool privileges_is_worker_uid(const struct privileges_plan *plan, uint32_t generation, uid_t uid);

/* What privileges_drop_worker() gets as `processes`. */
unsigned privileges_worker_processes(const struct privileges_plan *plan);

/* The process becomes a fork server: privileges_drop_forkserver() with the uids of the generation. */
int privileges_become_forkserver(const struct privileges_plan *plan, uint32_t generation, struct error *error);

/* The promises that fall, as one line for the log, in text[ERROR_LINE_MAX]. Returns NULL if none does. */
const char *privileges_plan_warning(const struct privileges_plan *plan, char *text);

#endif
