/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters and reasons that a plugin declares: how many there are, and whether they can be read.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_LISTS_H
#define ENGINE_PLUGIN_PLUGIN_LISTS_H

#include "base/error.h"
#include "config/reason_names.h"

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <stddef.h>

#define PLUGIN_LIST_NAME_MAX 31 /* bytes of a name */

struct plugin_lists {
    size_t counter_count;
    size_t reason_count;
};

/*
 * Checks the lists of a plugin that is mapped, and counts their elements. table: what it exports, cut or filled with zeros
 * to our size; exported: where. Returns 0, or -EBADMSG with the reason in *error. [fork server]
 */
int plugin_lists_check(const struct nfqe_plugin *table, const void *exported, struct plugin_lists *lists,
                       struct error *error);

/* Element `index` of a list that was checked, below its count: a copy, whose texts are the plugin's. */
struct nfqe_counter plugin_lists_counter(const struct nfqe_plugin *table, size_t index);
struct nfqe_reason plugin_lists_reason(const struct nfqe_plugin *table, size_t index);

/* Whether a text of the plugin that is not NULL can be read up to its NUL. */
bool plugin_lists_is_text(const char *text);

/*
 * Adds the names of the counters that were counted, of the plugin at this position, to those of the positions before it.
 * Returns 0, or -EBADMSG: all of them together are more than COUNTERS_MAX. [fork server]
 */
int plugin_lists_add_counters(const struct nfqe_plugin *table, const struct plugin_lists *lists, unsigned position,
                              struct reason_names *names, struct error *error);

/*
 * Adds the names of the reasons that were counted, of the plugin at this position, to those of the positions before it.
 * Returns 0, or -EBADMSG: all of them together are more than REASONS_MAX. [fork server]
 */
int plugin_lists_add_reasons(const struct nfqe_plugin *table, const struct plugin_lists *lists, unsigned position,
                             struct reason_names *names, struct error *error);

#endif
