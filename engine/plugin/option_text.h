/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user's text of a plugin's options, "name=value,name=value". A comma inside a value is written twice.
 */
#ifndef ENGINE_PLUGIN_OPTION_TEXT_H
#define ENGINE_PLUGIN_OPTION_TEXT_H

#include "base/error.h"

/*
 * Cuts the first item off *text, in place. Returns 1, and *name and *value are its parts; 0: there is none left; -EINVAL
 * with the reason in *error: it is not "name=value". [fork server]
 */
int option_text_next(char **text, char **name, char **value, struct error *error);

/*
 * Copies the value of item `index` of the text, for the caller to free. text may be NULL. Returns 0; -ENOENT: there are
 * not so many; -EINVAL: it is not "name=value"; -ENOMEM. [supervisor]
 */
int option_text_copy_value(const char *text, unsigned index, char **value);

#endif
