/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plugin of the plugin chain: what is known of it, from its file to its instance.
 *
 * The supervisor fills what plugin_file.h says, the fork server what plugin_link() and plugin_load() say, and a worker
 * the rest. Each process inherits from the one before by fork, so a field is never written by two processes.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_H
#define ENGINE_PLUGIN_PLUGIN_H

#include "plugin/host.h"
#include "plugin/plugin_options.h"

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <sys/types.h>

struct plugin {
    const char *path;        /* as the user wrote it */
    const char *values_text; /* "key=value,..." or NULL */

    /* from plugin_file_check() */
    int memfd;               /* sealed copy; kept open as long as the process lives, since the dynamic loader
                                takes a second library under the same name for the first */
    bool foreign_owner;      /* the file belongs to neither root nor the engine's user */
    uid_t owner;
    char head[NFQE_HEAD_SIZE]; /* as it stands in the file */
    char id[NFQE_ID_SIZE];
    char version[NFQE_VERSION_SIZE];
    uint32_t abi;
    uint32_t header_bytes;
    uint64_t needs;

    /* from plugin_link() and plugin_load() */
    struct plugin_values values; /* until load() returned */
    void *library;
    struct nfqe_plugin table; /* what the plugin exports, cut or zero-filled to our size */
    struct plugin_host host;
    void *shared;

    /* from plugin_open() */
    void *self;
};

#endif
