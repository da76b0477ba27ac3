/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration of a group of queues that share a plugin chain: the queues, the CPUs of their workers, the plugins
 * with their options, and the policy for packets.
 *
 * It is made once from the options and never changed, so every process may read it without a lock. It owns its strings,
 * so the options may be freed. A value that was not given is 0 where its default depends on the plugins (plan.h).
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
    unsigned workers;             /* of each queue, 1 to WORKERS_MAX */
    unsigned spares;              /* of each queue, besides the workers; 0 to SPARES_MAX */
    struct uid_range worker_uids; /* at least WORKER_UIDS_NEEDED(), or off */
    bool worker_uids_given;       /* false: worker_uids is the default */
    enum priority_setting priority;
    bool core_dumps;              /* of workers and fork server */
    uint64_t plugin_memory;       /* bytes of all areas that plugins declare */
    unsigned plugin_log;          /* enum nfqe_log_level: plugins' lines of later levels are not shown */

    uint32_t default_verdict;     /* NFQE_ACCEPT or NFQE_DROP, also the next two */
    uint32_t on_crash;
    uint32_t on_stop;
    struct mark_setting bypass_mark;
    uint32_t repeat_mask;         /* 0: not given */
    struct mark_setting reject_mark; /* of answers to senders; mask 0: none */
    struct mark_setting reject_by_rule; /* of packets whose senders a rule tells; mask 0: the engine tells them */
    uint32_t reject_rate;         /* answers a second of each queue; 0: not given */

    struct crash_limit_setting crash_limit; /* of one plugin; off: count is 0 */
    enum crash_limit_action on_crash_limit; /* not skip, if there is one plugin */
    uint64_t outage_timeout_ms;
    enum outage_action on_outage;
    uint64_t outage_retry_ms;

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

    char *text;                   /* owns the strings that plugins[] points to */
};

/* Makes a group of all queues and plugins of the options. Returns 0 or -ENOMEM with the error filled. */
int queue_group_new(const struct options *options, const struct queue_group **group, struct error *error);

/*
 * The CPU for a worker of queues[index]: the CPUs are used in turn, first by the workers of the first queue. The queue's
 * own process runs on the CPU of its worker 0. QUEUE_GROUP_NO_CPU: any CPU.
 */
int queue_group_cpu(const struct queue_group *group, unsigned index, unsigned worker);

/* "accept" or "drop" */
const char *queue_group_verdict_name(uint32_t verdict);

void queue_group_free(const struct queue_group *group);

#endif
