/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files and directories that the user named in options of plugins (NFQE_OPTION_FILE, NFQE_OPTION_DIRECTORY), opened
 * by the supervisor for the fork server, which has not the rights to.
 *
 * Which options are files only the plugin knows, so the fork server asks. Its request may be false: it names no path but
 * an item of the user's own text, and no file is opened that is not named there.
 *
 * Always: every file is opened before the first fork server is ready. To open one can wait, for a file server or a disk,
 * and the supervisor of a running engine must not; a later fork server gets a copy of the same descriptor. Process:
 * [supervisor].
 */
#ifndef ENGINE_PROCESS_OPTION_FILES_H
#define ENGINE_PROCESS_OPTION_FILES_H

#include "process/generation.h"

#include <stdbool.h>

#define OPTION_FILES_MAX 64 /* of all plugins together */

struct option_file {
    unsigned plugin; /* its position in the plugin chain */
    unsigned item;   /* of its options, in the user's order */
    enum path_access access;
    int fd;
};

struct option_files {
    struct option_file files[OPTION_FILES_MAX];
    unsigned count;
    bool sealed; /* no further file is opened */
};

void option_files_init(struct option_files *files);

/*
 * The descriptor of what the user named in an item of a plugin's options, owned by *files; or a negative errno: of open();
 * -EINVAL: not a regular file, not a directory, or not "key=value"; -ENOENT: no such file or item; -EMFILE: there are
 * OPTION_FILES_MAX already; -EPERM: they are sealed.
 */
int option_files_get(struct option_files *files, const struct generation *generation, unsigned plugin, unsigned item,
                     enum path_access access);

/* From now on no file is opened. */
void option_files_seal(struct option_files *files);

void option_files_done(struct option_files *files);

#endif
