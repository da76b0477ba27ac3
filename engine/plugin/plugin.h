/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plugin of the plugin chain, from its file to its instance.
 *
 * plugin_file_check() fills its part in the supervisor, plugin_link() and plugin_load() theirs in the fork server, and
 * plugin_open() the rest in a worker. Each process inherits by fork what the one before filled.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_H
#define ENGINE_PLUGIN_PLUGIN_H

#include "plugin/host.h"
#include "plugin/plugin_config.h"
#include "plugin/plugin_lists.h"

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <sys/types.h>

/* The id of its head, and @NAME if the user gave it one. */
#define PLUGIN_ID_SIZE (2 * NFQE_ID_SIZE)

struct plugin {
    const char *path;        /* as the user wrote it */
    const char *values_text; /* "key=value,..." or NULL */

    /* from plugin_file_check() */
    int memfd;               /* sealed copy; open for the life of the process, since the dynamic loader takes
                                a second library with the same file name for the first one */
    bool foreign_owner;      /* the file is owned by neither root nor the engine's user */
    uid_t owner;
    char head[NFQE_HEAD_SIZE]; /* as in the file */
    char id[PLUGIN_ID_SIZE]; /* in the chain, no other plugin has it */
    char version[NFQE_VERSION_SIZE];
    uint32_t abi;
    uint32_t header_bytes;
    uint64_t needs;         /* 0 in the head is HEADERS here */
    uint64_t uses;          /* without bits that this engine does not know */
    uint32_t flags;         /* enum nfqe_plugin_flag */
    bool address_sanitizer; /* it needs the run time of gcc's */

    /* from plugin_link() and plugin_load() */
    struct plugin_config config; /* for the life of the process */
    void *library;
    struct nfqe_plugin table; /* what the plugin exports, cut or filled with zeros to our size */
    struct plugin_lists lists;
    struct plugin_host host;
    void *shared;

    /* from plugin_open() */
    void *self;
};

/* What it needs or uses: it may give the verdicts that are part of that. */
static inline uint64_t plugin_wants(const struct plugin *plugin)
{
    return plugin->needs | plugin->uses;
}

#endif
