/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of a plugin: "key=value,key=value" from the user held against what the plugin declares.
 *
 * Everything is checked before the plugin sees anything: unknown, duplicate and missing names, types and
 * ranges, defaults as well as given values. A comma inside a value is written twice.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_OPTIONS_H
#define ENGINE_PLUGIN_PLUGIN_OPTIONS_H

#include "base/error.h"

#include <nfqe/plugin.h>

#define PLUGIN_OPTIONS_MAX 128

struct plugin_values {
    struct nfqe_value *values; /* one for each declared option, in that order */
    size_t count;
    char *text;                /* owns the given values' text */
};

/*
 * declared: the plugin's list, or NULL; stride: bytes from one element to the next; text: the user's, or NULL.
 * Returns 0, or -EINVAL (the user's text), -EBADMSG (the declaration) or -ENOMEM with the reason in
 * *error. [fork server]
 */
int plugin_options_parse(const struct nfqe_option *declared, size_t stride, const char *text,
                         struct plugin_values *values, struct error *error);

void plugin_options_done(struct plugin_values *values);

#endif
