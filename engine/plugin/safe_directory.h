/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether users that are not trusted can change what a path leads to.
 */
#ifndef ENGINE_PLUGIN_SAFE_DIRECTORY_H
#define ENGINE_PLUGIN_SAFE_DIRECTORY_H

#include <stdbool.h>

/*
 * Checks a directory, which is absolute, and all above it, up to the root. "Above" is by the path as it is given: where
 * a link on it leads is checked, but not what is above that. So callers check the path as it was written, since a link
 * on it can be replaced, and the one that realpath(3) makes of it. A sticky bit keeps others from replacing what is
 * there; where names are searched for that may be missing, it does not help. Returns 0; -EPERM: all users may write to
 * the directory fault[PATH_MAX]; or what stat(2) said of fault. [supervisor]
 */
int safe_directory_check(const char *directory, bool searched, char *fault);

#endif
