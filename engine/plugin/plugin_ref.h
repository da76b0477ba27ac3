/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which plugin: its position in the plugin chain of a generation of the configuration.
 *
 * A position alone means another plugin after a reload, so whatever is kept or crosses a process has the generation's
 * number beside it. All zero is no plugin. 8 bytes, so it can be one atomic word in shared memory. Process: any.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_REF_H
#define ENGINE_PLUGIN_PLUGIN_REF_H

#include <stdbool.h>
#include <stdint.h>

struct plugin_ref {
    uint32_t generation; /* counted from 1; 0: no plugin */
    uint32_t index;
};

_Static_assert(sizeof(struct plugin_ref) == 8, "one atomic word");

#define PLUGIN_REF_NONE ((struct plugin_ref){0, 0})

static inline bool plugin_ref_equal(struct plugin_ref a, struct plugin_ref b)
{
    return a.generation == b.generation && a.index == b.index;
}

#endif
