/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reasons that the plugins of a chain declare: how many each has, and their names. The counters that they declare are
 * kept in the same form.
 *
 * A reason is counted in a cell, by its place among those of all plugins; cell first[i] is the first one of the plugin
 * at position i. The names lie in the plugins' data, which only the fork server has; it writes them to memory that it
 * shares with the supervisor (messages.h), which takes a copy within bounds. Process: [fork server] writes,
 * [supervisor] takes.
 */
#ifndef ENGINE_CONFIG_REASON_NAMES_H
#define ENGINE_CONFIG_REASON_NAMES_H

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define REASON_NAME_SIZE 32 /* with a NUL */

struct reason_names {
    uint32_t first[PLUGINS_MAX + 1];
    char names[REASONS_MAX][REASON_NAME_SIZE]; /* by cell */
};

/* Small letters, digits, - and _; at least one, and a NUL. */
bool reason_name_is_valid(const char name[REASON_NAME_SIZE]);

/*
 * Copies the reasons of so many plugins out of memory that a plugin may be writing to. Whatever it holds, the copy has
 * at most REASONS_MAX cells, in order, and a name that is none is "?".
 */
void reason_names_take(struct reason_names *to, const struct reason_names *from, unsigned plugins);

#endif
