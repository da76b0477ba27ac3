/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds installed plugins by name: one without / and without .so is looked for where the engine's own plugins are.
 *
 * A file of that name in the current directory is another one, and is written ./name. Nothing here looks at the machine.
 * Runs before any process is forked.
 */
#include "config/plugin_path.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".so"

static bool is_installed_name(const char *name)
{
    size_t len = strlen(name);

    return strchr(name, '/') == NULL && (len < strlen(SUFFIX) || strcmp(name + len - strlen(SUFFIX), SUFFIX) != 0);
}

size_t plugin_path_write(char *to, size_t size, const char *directory, const char *name)
{
    bool installed = directory != NULL && is_installed_name(name);
    int len = installed ? snprintf(to, size, "%s/%s" SUFFIX, directory, name) : snprintf(to, size, "%s", name);

    return len > 0 ? (size_t)len : 0;
}
