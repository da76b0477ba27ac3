/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From argv to struct options.
 */
#ifndef ENGINE_CONFIG_COMMAND_LINE_H
#define ENGINE_CONFIG_COMMAND_LINE_H

#include "config/options.h"

/*
 * Reads the command line. Returns 0 or a negative errno; the error then names the argument and says what is expected,
 * with EXIT_CODE_USAGE or EXIT_CODE_CONFIGURATION. options_done() in any case.
 */
int command_line_parse(struct options *options, int argc, char *const argv[], struct error *error);

#endif
