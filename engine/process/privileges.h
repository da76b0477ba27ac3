/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process of the engine may do. Each kind gives up all other rights, once, before it runs code of a plugin or
 * reads a packet, and reads back what is left:
 *
 *   worker         no capability, a uid and a gid of its own, no supplementary group, so many processes and threads
 *   queue process  CAP_NET_ADMIN alone, without which the kernel takes no verdict; a uid of its own, not that of root:
 *                  without any capability that one still owns root's files
 *   fork server    CAP_SETUID and CAP_SETGID in a user namespace of its workers' uids; without a namespace, nothing
 *
 * and all three: no capability in the bounding, inheritable and ambient sets; no_new_privs; and unless that was allowed,
 * no core, also where core_pattern is a pipe, and no access through /proc or ptrace for others with the same uid.
 *
 * A change of uid undoes process_tie_to_supervisor(): call it again. docs/security.md has the reasons.
 */
#ifndef ENGINE_PROCESS_PRIVILEGES_H
#define ENGINE_PROCESS_PRIVILEGES_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * --core-dumps: the process that calls this, and what it forks, leaves cores as large as the hard limit that it was
 * started with allows, and is dumpable. Before the functions below.
 */
void privileges_allow_core_dumps(void);

/* In place of a uid: the process keeps its uids, gids and groups, since it has no right to change them. */
#define PRIVILEGES_SAME_UID ((uid_t)-1)

/* Capabilities as a set, as /proc has them. */
#define PRIVILEGES_CAPABILITY(capability) (UINT64_C(1) << (capability))

/*
 * Each returns 0, or a negative errno with an error that names what could not be given up. Then the process has
 * to exit: it has lost some of its rights.
 *
 * processes: how many processes and threads this uid may have, over all workers that have it; 0: as many as before,
 * for a uid that the engine shares with others.
 */
int privileges_drop_worker(uid_t uid, unsigned processes, struct error *error);
int privileges_drop_queue(uid_t uid, struct error *error);

/*
 * uid is the fork server's own, within first to last, the uids that its workers take; with first PRIVILEGES_SAME_UID
 * there is no user namespace, and its workers have its uid.
 */
int privileges_drop_forkserver(uid_t uid, uid_t first, uid_t last, struct error *error);

/*
 * Whether a process has this uid alone, these capabilities and no more, and no_new_privs; pid 0: this process. The
 * supervisor uses it on a worker before it gives it anything: a constructor of a plugin could have replaced what the
 * worker runs. Returns 0, or a negative errno with the error filled: -EPERM if it has something else.
 */
int privileges_check(pid_t pid, uid_t uid, uint64_t capabilities, struct error *error);

/* Whether this process has all of these capabilities. */
bool privileges_has(uint64_t capabilities);

#endif
