/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a plugin says of itself, as text for people.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_DESCRIBE_H
#define ENGINE_PLUGIN_PLUGIN_DESCRIBE_H

#include "base/error.h"
#include "plugin/plugin.h"

#include <stdio.h>

/* What is in the head, of a plugin whose file was checked. */
void plugin_describe_head(FILE *file, const struct plugin *plugin);

/*
 * The rest, of one that is mapped (plugin_map()): texts, functions, options, counters, reasons. Returns 0, or a negative
 * errno with the reason in *error.
 */
int plugin_describe_lists(FILE *file, const struct plugin *plugin, struct error *error);

#endif
