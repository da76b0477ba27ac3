/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits that more than one layer uses. A limit that only one module uses is defined in that module.
 */
#ifndef ENGINE_BASE_LIMITS_H
#define ENGINE_BASE_LIMITS_H

#define PLUGINS_MAX 64       /* in a plugin chain; each one adds to the cost of a packet */
#define REASONS_MAX 1024     /* that the plugins of a chain declare together; each takes two counters a queue */
#define COUNTERS_MAX 1024    /* the same of counters; each takes 8 bytes a worker */
#define AREAS_MAX 32 /* that the plugins of a chain declare together; each may take a descriptor of a worker */
#define REPEATS_MAX 4 /* NFQE_REPEAT of one packet; counted in --repeat-mark */
#define QUEUES_MAX 256 /* of one engine; each is a process, and so is each of its workers */
#define WORKERS_MAX 16 /* of a queue; more CPUs than that are better used by more queues */
#define SPARES_MAX 8 /* of a queue; each is a process that waits for a crash */
#define CRASH_LIMIT_MAX 1000 /* of --crash-limit; the time of each crash is kept */
#define WORKER_UIDS 2 /* of each worker, in turn: children of a dead worker may still have one */
#define CPUS_MAX 1024 /* entries of --cpu, and each number is below this */
#define BURST_MAX 64 /* packets that one system call receives; larger bursts were not faster */
#define BURSTS_IN_FLIGHT 4 /* of one queue, so that receiving, plugins and sending overlap */
#define FLOWS_IN_FLIGHT_MAX (BURST_MAX * BURSTS_IN_FLIGHT) /* each packet in flight can be of another flow */
#define COPY_RANGE_MAX 65531 /* bytes of a packet; nfnetlink_queue.c copies at most 0xffff minus an attribute header */

/*
 * The uids that an engine takes if it is told no others. Debian 12 gives them to no one: neither adduser (1000 to 59999),
 * nor systemd (up to 65519, and from 524288 on), nor the ranges of /etc/subuid (from 100000 on). The lower 16 bits,
 * which is all that some file systems keep, are never those of root or of a system user. Enough for 256 queues with 8
 * workers and a spare each, which take 9,474.
 */
#define WORKER_UIDS_FIRST 70000
#define WORKER_UIDS_LAST 94999

/*
 * How many uids an engine takes: one for each queue process, and for each of two generations, which run side by side
 * during a reload, one for the fork server and WORKER_UIDS for each worker and spare. slots: these of a queue.
 */
#define WORKER_UIDS_NEEDED(queues, slots) ((queues) + 2 * (1 + WORKER_UIDS * (uint64_t)(queues) * (slots)))

#endif
