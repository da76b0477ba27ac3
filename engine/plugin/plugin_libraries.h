/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The libraries that a plugin is linked with: whether others can change which ones are loaded.
 *
 * The engine copies the plugin's file, but not its libraries; the dynamic loader searches for these by name.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_LIBRARIES_H
#define ENGINE_PLUGIN_PLUGIN_LIBRARIES_H

#include "base/error.h"

/*
 * Follows the loader's search for each library that the ELF file fd needs, directly or by another one, and that this
 * process has not loaded already. Checks the directories that are looked at, until the library is found, and the file
 * that is found, like those of a plugin. What the loader finds in the system's own directories, which its configuration
 * names, is not looked at. Returns 0, or a negative errno with a reason in *error that names library and directory.
 * [supervisor]
 */
int plugin_libraries_check(int fd, struct error *error);

#endif
