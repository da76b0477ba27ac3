/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A generation of the configuration: the queue group with its plugins and the plan that was made from both.
 *
 * It is made once, before anything of it runs, and the supervisor never changes it afterwards: what runs (queues,
 * children) is in struct engine. Fork server and workers enter into the plugins what they load and open, each in its
 * own copy of the memory. A generation is known by its number, which is part of every reference to one of its plugins.
 *
 * Process: [supervisor] makes it; fork server and workers inherit it.
 */
#ifndef ENGINE_PROCESS_GENERATION_H
#define ENGINE_PROCESS_GENERATION_H

#include "base/limits.h"
#include "config/plan.h"
#include "config/queue_group.h"
#include "plugin/plugin.h"
#include "plugin/plugin_ref.h"

#include <stdint.h>

struct generation {
    uint32_t number; /* counted from 1 */
    const struct queue_group *group;
    struct plugin plugins[PLUGINS_MAX]; /* in the order of the plugin chain */
    unsigned plugin_count;
    struct plan plan;
};

/* A generation of the group, which outlives it, without plugins and plan: preflight_check() makes these. */
void generation_init(struct generation *generation, uint32_t number, const struct queue_group *group);

/* Closes the sealed copies of the plugins. [supervisor] */
void generation_done(struct generation *generation);

/* The reference to the plugin at a position of the plugin chain. */
struct plugin_ref generation_plugin_ref(const struct generation *generation, unsigned index);

/* The plugin that is meant; NULL: it is none of this generation. The reference may come from anywhere. */
const struct plugin *generation_plugin(const struct generation *generation, struct plugin_ref ref);

#endif
