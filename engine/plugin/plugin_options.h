/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of a plugin: parses "key=value,key=value" from the user by the list that the plugin declares.
 *
 * Everything is checked before load() is called: unknown, duplicate and missing names, types and limits, of defaults as
 * well as of given values. A comma inside a value is written twice.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_OPTIONS_H
#define ENGINE_PLUGIN_PLUGIN_OPTIONS_H

#include "base/error.h"

#include <nfqe/plugin.h>

#define PLUGIN_OPTIONS_MAX 128 /* declared by one plugin; bounds the search for the end of its list */

struct plugin_values {
    struct nfqe_value *values; /* one for each declared option, in that order */
    size_t count;
    char *text;                /* owns the text of given values */
};

/*
 * Fills *values, one for each declared option. declared: the plugin's list, or NULL; stride: bytes from one element
 * to the next; text: the user's, or NULL. Returns 0; or -EINVAL (an error in the user's text), -EBADMSG (in the
 * declaration) or -ENOMEM with the reason in *error, and then *values is empty. [fork server]
 */
int plugin_options_parse(const struct nfqe_option *declared, size_t stride, const char *text,
                         struct plugin_values *values, struct error *error);

/* The value of the option of this name, if it is a file; otherwise NULL. [fork server] */
struct nfqe_value *plugin_options_find_file(const struct plugin_values *values, const char *name);

void plugin_options_done(struct plugin_values *values);

#endif
