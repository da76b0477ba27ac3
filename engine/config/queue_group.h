/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration of a group of queues that share a plugin chain: which queues on which CPUs, which plugins with
 * which values, and the policy for their packets.
 *
 * Made once from options and never changed afterwards, so every process may read it without asking who else does.
 * It owns its strings: the options may go. What was not given is 0 where the plugins decide the default; see plan.h.
 */
#ifndef ENGINE_CONFIG_QUEUE_GROUP_H
#define ENGINE_CONFIG_QUEUE_GROUP_H

#include "base/error.h"
#include "base/limits.h"
#include "config/options.h"

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_GROUP_NO_CPU (-1)

struct queue_group {
    struct plugin_setting plugins[PLUGINS_MAX]; /* in the order of the plugin chain */
    unsigned plugin_count;
    uint16_t queues[QUEUES_MAX];  /* their numbers, each once */
    unsigned queue_count;
    uint16_t cpus[CPUS_MAX];
    unsigned cpu_count;           /* 0: workers run where the scheduler puts them */

    uint32_t default_verdict;     /* NFQE_ACCEPT or NFQE_DROP, also the next two */
    uint32_t on_crash;
    uint32_t on_stop;
    struct mark_setting bypass_mark;

    uint32_t max_len;             /* packets that may wait in each queue */
    uint32_t copy_range;          /* bytes; 0: what the plugins need */
    uint64_t receive_buffer;      /* bytes; 0: sized from max_len and the copy range */
    uint32_t flow_table;          /* flows of each queue; 0: not given */
    uint64_t flow_timeout_ms;     /* 0: not given */
    enum gso_setting gso;
    bool fail_open;
    bool conntrack;
    bool uid_gid;
    bool secctx;
    bool no_enobufs;              /* the kernel does not report a full socket as a receive error */

    uint64_t drain_timeout_ms;
    uint64_t load_timeout_ms;
    uint64_t handle_timeout_ms;

    char *text;                   /* owns the strings that plugins[] points into */
};

/* Makes a group of all queues and plugins in the options. Returns 0 or -ENOMEM with the error filled. */
int queue_group_new(const struct options *options, const struct queue_group **group, struct error *error);

/* The CPU for the worker of queues[index]: the CPUs in turn; QUEUE_GROUP_NO_CPU: any. */
int queue_group_cpu(const struct queue_group *group, unsigned index);

void queue_group_free(const struct queue_group *group);

#endif
