/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading and opening a plugin whose file was checked. The functions are called in the order in which they are
 * declared, except that plugin_close() precedes plugin_unload().
 *
 * They return 0, or a negative errno with the reason in *error. The reason does not contain the plugin's path.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_LOAD_H
#define ENGINE_PLUGIN_PLUGIN_LOAD_H

#include "base/error.h"
#include "plugin/plugin.h"

/*
 * Maps the sealed copy into this process, which runs its constructors, and checks its functions, counters and reasons.
 * [fork server], or the process that describes it
 */
int plugin_map(struct plugin *plugin, struct error *error);

/* The same, and fills its config struct. services: must outlive the plugin. [fork server] */
int plugin_link(struct plugin *plugin, const struct host_services *services, struct error *error);

/* Calls load() if the plugin has it. What its options name is open. [fork server] */
int plugin_load(struct plugin *plugin, struct error *error);

/* Calls unload() if the plugin has it. [fork server] */
void plugin_unload(struct plugin *plugin);

/* Calls open() if the plugin has it. [worker] */
int plugin_open(struct plugin *plugin, struct error *error);

/* Calls close() if the plugin has it. [worker] */
void plugin_close(struct plugin *plugin);

#endif
