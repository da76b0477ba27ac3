/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limits that more than one layer must know. A limit that one module alone enforces is defined in that module.
 */
#ifndef ENGINE_BASE_LIMITS_H
#define ENGINE_BASE_LIMITS_H

#define PLUGINS_MAX 64       /* in a plugin chain; the cost of a packet grows with each */
#define QUEUES_MAX 256       /* of one engine: each takes three descriptors and a process */
#define CPUS_MAX 1024        /* numbers for --cpu: what CONFIG_NR_CPUS allows on large machines */
#define BURST_MAX 64         /* packets received by one system call; larger bursts gained nothing */
#define COPY_RANGE_MAX 65531 /* bytes of a packet: nfnetlink_queue.c copies at most 0xffff less an attribute header */

#endif
