/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks for children that are overdue (child.h).
 *
 * Each is tried to be reaped once more first: after a pause of the supervisor it may have ended long ago. A worker has a
 * successor already, and a fork server gets one now. A queue process has none until it has ended, since it may be in a
 * call that reads the queue's socket. Process: [supervisor].
 */
#include "process/overdue.h"

#include "base/log.h"
#include "process/ends.h"

static void check_worker(struct children_worker *worker, uint64_t now_ns)
{
    if (child_becomes_overdue(&worker->process, now_ns) && !ends_reap_worker(worker)) {
        log_line("queue %u: worker %d was killed but is still there, perhaps in a system call that cannot be "
                 "interrupted; another one has taken its place",
                 children_number(worker->queue), worker->process.pid);
    }
}

static void check_queue(struct children_queue *queue, uint64_t now_ns)
{
    if (child_becomes_overdue(&queue->process, now_ns) && !ends_reap_queue(queue)) {
        log_line("queue %u: queue process %d was killed but is still there; the queue waits for its end",
                 children_number(queue), queue->process.pid);
    }
}

/* Births do not wait for its end. */
static void check_forkserver(struct children *children, uint64_t now_ns)
{
    struct child *process = &children->forkserver.process;
    bool becomes_overdue = child_becomes_overdue(process, now_ns) && !ends_reap_forkserver(children);
    pid_t pid = process->pid;
    bool left;

    if (!process->overdue) {
        return;
    }
    if (becomes_overdue) {
        log_line("the fork server %d was killed but is still there, perhaps in a system call that cannot be "
                 "interrupted",
                 pid);
    }
    left = !children->ending && ends_leave_forkserver(children);
    if (becomes_overdue && !left && !children->ending) {
        log_line("%d fork servers do not end; no more are started until one has", CHILDREN_FORKSERVERS_LEFT_MAX + 1);
    }
}

void overdue_check(struct children *children, uint64_t now_ns)
{
    for (unsigned i = 0; i < children->engine->queue_count * children->places; i++) {
        check_worker(&children->workers[i], now_ns);
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        check_queue(&children->queues[i], now_ns);
    }
    check_forkserver(children, now_ns);
}
