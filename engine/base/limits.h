/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits that more than one layer uses. A limit that only one module uses is defined in that module.
 */
#ifndef ENGINE_BASE_LIMITS_H
#define ENGINE_BASE_LIMITS_H

#define PLUGINS_MAX 64       /* in a plugin chain; each one adds to the cost of a packet */
#define QUEUES_MAX 256       /* of one engine; each takes five descriptors and a process */
#define WORKERS_MAX 16       /* of a queue; more CPUs than that are better used by more queues */
#define SPARES_MAX 8         /* of a queue; each is a process that waits for a crash */
#define CPUS_MAX 1024        /* entries of --cpu, and each number is below this */
#define BURST_MAX 64         /* packets that one system call receives; larger bursts were not faster */
#define BURSTS_IN_FLIGHT 4   /* of one queue, so that receiving, plugins and sending overlap */
#define FLOWS_IN_FLIGHT_MAX (BURST_MAX * BURSTS_IN_FLIGHT) /* each packet in flight can be of another flow */
#define COPY_RANGE_MAX 65531 /* bytes of a packet; nfnetlink_queue.c copies at most 0xffff minus an attribute header */

#endif
