/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan for the queues of a group: how each is bound, its receive buffer and its flow table. It follows from the
 * group's configuration and from what the plugins need.
 *
 * Pure data: it does not depend on plugin files, this machine or its kernel. What this machine cannot do is refused
 * later (process/preflight.h, queue/queue.h). [supervisor] makes it; fork server and workers inherit it.
 */
#ifndef ENGINE_CONFIG_PLAN_H
#define ENGINE_CONFIG_PLAN_H

#include "base/error.h"
#include "base/limits.h"
#include "config/queue_group.h"
#include "config/queue_settings.h"

#include <stdbool.h>
#include <stdint.h>

#define PLAN_FLOWS_DEFAULT 65536
#define PLAN_FLOW_TIMEOUT_DEFAULT_MS (5 * 60 * 1000)
#define PLAN_REJECT_RATE_DEFAULT 1000
#define PLAN_REPEAT_MASK_DEFAULT UINT32_C(0x70000000)
/*
 * Bytes that are copied where a plugin needs headers, or the engine for flows: IPv6, 400 bytes of extension headers, and
 * TCP with options. The kernel copies no more than a packet has, so this costs next to nothing.
 */
#define PLAN_HEADER_BYTES 512

/* What the plan needs to know of a plugin. The strings must outlive the plan. */
struct plan_plugin {
    const char *id;
    const char *path;
    uint64_t needs;        /* NFQE_NEED_... */
    uint64_t uses;         /* the same, but only where the kernel and the user's options have it; in a plan, without
                              what the options leave no room for */
    uint32_t header_bytes; /* with NFQE_NEED_HEADERS */
};

struct plan {
    struct plan_plugin plugins[PLUGINS_MAX]; /* in the order of the plugin chain */
    unsigned plugin_count;
    struct queue_settings settings; /* of every queue */
    uint32_t optional_flags;        /* of the settings' flags: left out on a kernel without them */
    bool no_enobufs;
    uint64_t receive_buffer;        /* bytes; 0: sized from the settings */
    bool changes;                   /* plugins may change packets */
    uint32_t flows;                 /* in the table of each queue; 0: no flow table */
    uint64_t flow_timeout_ms;
    uint32_t repeat_mask;           /* of the packet mark, for the count of NFQE_REPEAT; 0: no plugin needs it */
    bool rejects;                   /* a plugin may have senders told that their packets are dropped, */
    uint32_t reject_rate;           /* by so many answers a second of each queue */
};

/*
 * Makes the plan. Returns 0, or -EINVAL with EXIT_CODE_CONFIGURATION if an option contradicts what a plugin needs, or
 * if no plugin makes use of it.
 */
int plan_make(const struct queue_group *group, const struct plan_plugin *plugins, unsigned count, struct plan *plan,
              struct error *error);

/* The first plugin with any of these needs, or NULL. */
const struct plan_plugin *plan_who_needs(const struct plan *plan, uint64_t needs);

#endif
