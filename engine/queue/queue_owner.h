/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which process holds the netlink socket that owns a queue.
 *
 * Reads /proc; nothing of it is on the packet path. Process: [supervisor].
 */
#ifndef ENGINE_QUEUE_QUEUE_OWNER_H
#define ENGINE_QUEUE_QUEUE_OWNER_H

#include "base/proc_stat.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct queue_owner {
    pid_t pid;
    char name[PROC_STAT_NAME_SIZE];
    bool ending; /* it exits or was killed, or its parent was; and so with each other process that holds the socket */
};

/*
 * Finds a process that holds the socket with this port id; one that goes on, if there is any. Returns 0, or -ENOENT: no
 * process that can be seen from here holds it; it may be in another PID namespace.
 */
int queue_owner_find(uint32_t port_id, struct queue_owner *owner);

#endif
