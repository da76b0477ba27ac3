/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nfq-engine --help prints.
 */
#ifndef ENGINE_CONFIG_HELP_H
#define ENGINE_CONFIG_HELP_H

#include <stdio.h>

/* Writes the help text. Whether it arrived, ferror() says. */
void help_print(FILE *file);

#endif
