/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plugin of the chain: checking its file, loading it, opening it.
 *
 * The checks run in the order of docs/plugin-abi.md, each with a message of its own. Everything up to the
 * needs is checked on a sealed memfd copy without running any of its code, so that what was checked is
 * what runs, whatever happens to the file afterwards.
 *
 * Each function belongs to one process; struct plugin is filled in the supervisor, inherited by the
 * template and by its workers. Functions return 0 or a negative errno, and write a message to a person,
 * without the plugin's path, to error[PLUGIN_ERROR_MAX].
 */
#ifndef ENGINE_PLUGIN_PLUGIN_H
#define ENGINE_PLUGIN_PLUGIN_H

#include "plugin/plugin_options.h"

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <sys/types.h>

#define PLUGIN_ERROR_MAX 512
#define PLUGIN_FAIL_MAX 201             /* what host->fail() keeps, with its NUL */
#define PLUGIN_FILE_MAX (256L * 1024 * 1024)

/* Writes one log line of a plugin. */
typedef void plugin_log(int level, const char *id, const char *text);

struct plugin {
    const char *path;        /* as the user wrote it */
    const char *values_text; /* "key=value,..." or NULL */

    /* from plugin_check() */
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
    struct nfqe_host host;
    plugin_log *log;
    void *shared;
    char fail_text[PLUGIN_FAIL_MAX];

    /* from plugin_open() */
    void *self;
};

/* Checks the file and makes the sealed copy. [supervisor] */
int plugin_check(struct plugin *plugin, char *error);

/* Closes the copy. [supervisor] */
void plugin_done(struct plugin *plugin);

/*
 * Maps the copy into this process, which runs its constructors; checks functions and options.
 * log: writes what the plugin logs. [fork server]
 */
int plugin_link(struct plugin *plugin, plugin_log *log, char *error);

/* Calls load(). [fork server] */
int plugin_load(struct plugin *plugin, char *error);

/* Calls unload(). [fork server] */
void plugin_unload(struct plugin *plugin);

/* Calls open(). [worker] */
int plugin_open(struct plugin *plugin, char *error);

/* Calls close(). [worker] */
void plugin_close(struct plugin *plugin);

#endif
