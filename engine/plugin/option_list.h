/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of options that a plugin declares: a checked copy of it.
 */
#ifndef ENGINE_PLUGIN_OPTION_LIST_H
#define ENGINE_PLUGIN_OPTION_LIST_H

#include "base/error.h"

#include <nfqe/plugin.h>

#define PLUGIN_OPTIONS_MAX 128       /* declared by one plugin; bounds the search for the end of its list */
#define PLUGIN_CONFIG_SIZE_MAX 65536 /* of the struct that they fill; each plugin of the chain has one in each worker */

/* Its texts are the plugin's. */
struct option_list {
    struct nfqe_option *options;
    size_t count;
};

/*
 * Makes the copy of plugin->options. Returns 0; or -EBADMSG (an error of the plugin) or -ENOMEM with the reason in *error,
 * and then the list is empty. [fork server]
 */
int option_list_init(struct option_list *list, const struct nfqe_plugin *plugin, struct error *error);

void option_list_done(struct option_list *list);

#endif
