/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of a plugin: checked, and copied into a sealed memfd, so that what runs is what was checked.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_FILE_H
#define ENGINE_PLUGIN_PLUGIN_FILE_H

#include "base/error.h"
#include "plugin/plugin.h"

/*
 * Checks the file plugin->path, its directories and its head, and makes the sealed copy. Returns 0 and sets what
 * plugin.h lists; or a negative errno with the reason in *error, and then nothing is open. [supervisor]
 */
int plugin_file_check(struct plugin *plugin, struct error *error);

/* Closes the copy. [supervisor] */
void plugin_file_close(struct plugin *plugin);

#endif
