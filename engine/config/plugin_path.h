/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of a plugin that the user named: a path, or the name of an installed plugin.
 */
#ifndef ENGINE_CONFIG_PLUGIN_PATH_H
#define ENGINE_CONFIG_PLUGIN_PATH_H

#include <stddef.h>

/*
 * Writes the path into to[size], as snprintf(3) does, and returns its length. directory: where installed plugins are;
 * NULL: unknown, then every name is a path.
 */
size_t plugin_path_write(char *to, size_t size, const char *directory, const char *name);

#endif
