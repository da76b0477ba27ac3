/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The config struct of a plugin, with what its members point to, and what is to be opened for it.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_CONFIG_H
#define ENGINE_PLUGIN_PLUGIN_CONFIG_H

#include <stddef.h>

enum path_access { PATH_FILE, PATH_WRITABLE_FILE, PATH_DIRECTORY, PATH_ACCESSES };

/* A file or directory that the user named, in the order of the text. */
struct plugin_path {
    const char *option;
    const char *path;
    unsigned item; /* of the user's text */
    enum path_access access;
    void *member; /* an int of the members or in one of its lists, at any alignment; -1 until the path is opened */
};

struct plugin_config {
    void *members; /* what load() and open() get; NULL: the plugin has no config struct */
    struct plugin_path *paths;
    size_t path_count;

    char *text;  /* given strings are in it */
    void *items; /* of all lists */
};

#endif
