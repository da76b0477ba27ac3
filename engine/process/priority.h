/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How soon the scheduler runs a process of the packet path after it was woken.
 *
 * A packet waits twice for a CPU: until the queue process runs, and until the worker does. Neither needs more of the CPU
 * than others for that, but its part in small pieces: a process with a short time slice runs before those with a long
 * one when it wakes up, and its share is the same (EEVDF; a slice can be chosen since Linux 6.12). Each function returns 0
 * or a negative errno; the process can go on without.
 */
#ifndef ENGINE_PROCESS_PRIORITY_H
#define ENGINE_PROCESS_PRIORITY_H

/*
 * A short time slice, in a session of its own. Where the kernel has none, a nice value that lets it run before all that
 * plugins start. [queue process] with all capabilities still
 */
int priority_take_queue(void);

/* Before every process that is not real-time: SCHED_RR with the lowest of the real-time priorities. [queue process] */
int priority_take_realtime(void);

/* A short time slice. Threads and processes that plugins start have none. [worker] */
int priority_take_worker(void);

#endif
