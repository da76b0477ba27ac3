/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a file or directory is opened that the user named for a plugin.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_CONFIG_H
#define ENGINE_PLUGIN_PLUGIN_CONFIG_H

enum path_access { PATH_FILE, PATH_WRITABLE_FILE, PATH_DIRECTORY, PATH_ACCESSES };

#endif
