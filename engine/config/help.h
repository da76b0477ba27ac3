/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nfq-engine --help prints.
 */
#ifndef ENGINE_CONFIG_HELP_H
#define ENGINE_CONFIG_HELP_H

#include <stdio.h>

/* Writes the help text. If a write fails, ferror() is set. */
void help_print(FILE *file);

#endif
