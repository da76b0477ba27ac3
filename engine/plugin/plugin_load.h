/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading and opening a plugin whose file was checked: the functions of a plugin, called in the order of its life.
 *
 * Functions return 0 or a negative errno, with the reason in *error, without the plugin's path.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_LOAD_H
#define ENGINE_PLUGIN_PLUGIN_LOAD_H

#include "base/error.h"
#include "plugin/plugin.h"

/*
 * Maps the sealed copy into this process, which runs its constructors; checks its functions and options.
 * services: outlive the plugin. [fork server]
 */
int plugin_link(struct plugin *plugin, const struct host_services *services, struct error *error);

/* Calls load(). [fork server] */
int plugin_load(struct plugin *plugin, struct error *error);

/* Calls unload(). [fork server] */
void plugin_unload(struct plugin *plugin);

/* Calls open(). [worker] */
int plugin_open(struct plugin *plugin, struct error *error);

/* Calls close(). [worker] */
void plugin_close(struct plugin *plugin);

#endif
