/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a generation, and its plugins by reference.
 *
 * References come from shared memory that plugins can write to, so one is looked up only if it names this generation
 * and a plugin that it has. Process: any; only the supervisor calls generation_init() and generation_done().
 */
#include "process/generation.h"

#include "plugin/plugin_file.h"

void generation_init(struct generation *generation, uint32_t number, const struct queue_group *group)
{
    *generation = (struct generation){.number = number, .group = group};
}

void generation_done(struct generation *generation)
{
    for (unsigned i = 0; i < generation->plugin_count; i++) {
        plugin_file_close(&generation->plugins[i]);
    }
    generation->plugin_count = 0;
}

struct plugin_ref generation_plugin_ref(const struct generation *generation, unsigned index)
{
    return (struct plugin_ref){generation->number, index};
}

const struct plugin *generation_plugin(const struct generation *generation, struct plugin_ref ref)
{
    return ref.generation == generation->number && ref.index < generation->plugin_count
               ? &generation->plugins[ref.index]
               : NULL;
}
