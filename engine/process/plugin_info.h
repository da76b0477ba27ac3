/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --plugin-info: what a plugin says of itself.
 */
#ifndef ENGINE_PROCESS_PLUGIN_INFO_H
#define ENGINE_PROCESS_PLUGIN_INFO_H

#include "base/error.h"
#include "config/options.h"

#include <stdio.h>

/*
 * Prints the description of the plugin options->plugin_info. Its constructors run in a child process, with the rights of a
 * fork server, for at most --load-timeout; nothing else of it runs. Returns 0, or a negative errno with the error filled,
 * which a plugin that the engine refuses leads to as well. What is known from the head is printed in any case.
 */
int plugin_info_print(FILE *file, const struct options *options, struct error *error);

#endif
