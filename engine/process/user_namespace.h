/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A user namespace that has some uids and gids of its parent under the same numbers, and no other: not that of root.
 *
 * In it, a process may have capabilities that hold for these uids alone: with CAP_SETUID there it can take each of
 * them, but not uid 0, and it has no power over files, processes and networks of others. Process: [fork server], before
 * it loads a plugin.
 */
#ifndef ENGINE_PROCESS_USER_NAMESPACE_H
#define ENGINE_PROCESS_USER_NAMESPACE_H

#include "base/error.h"

#include <sys/types.h>

/*
 * Moves this process, which has one thread, to a new user namespace with the uids and gids first to last. It needs
 * CAP_SETUID and CAP_SETGID; in the new namespace it has all capabilities. Returns 0, or a negative errno with the error
 * filled; then it may be in a namespace without any uid, and has to exit.
 */
int user_namespace_enter(uid_t first, uid_t last, struct error *error);

/*
 * No process of this namespace can make another user namespace, in which it would have all capabilities. Needs
 * CAP_SYS_RESOURCE in the namespace; who has it can undo this. Returns 0 or a negative errno, -EROFS if /proc/sys is mounted
 * read-only.
 */
int user_namespace_close(void);

#endif
