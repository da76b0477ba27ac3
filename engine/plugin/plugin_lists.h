/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters and reasons that a plugin declares: how many there are, and whether they can be read.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_LISTS_H
#define ENGINE_PLUGIN_PLUGIN_LISTS_H

#include "base/error.h"

#include <nfqe/plugin.h>

#include <stddef.h>

#define PLUGIN_LIST_MAX 4096 /* elements of a list; bounds the search for its end, and for a name that is there twice */

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

#endif
