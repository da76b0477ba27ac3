/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check of options against each other. What an option's own value must be is checked by its parser; what plugins
 * need by plan.h.
 */
#ifndef ENGINE_CONFIG_OPTION_CONFLICTS_H
#define ENGINE_CONFIG_OPTION_CONFLICTS_H

#include "config/options.h"

/* Returns 0, or -EINVAL with EXIT_CODE_CONFIGURATION if one option contradicts another or makes it useless. */
int option_conflicts_check(const struct options *options, struct error *error);

#endif
