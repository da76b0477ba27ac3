/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of a plugin: fills its config struct from "name=value,name=value" of the user, by the list that the plugin
 * declares.
 *
 * Everything is checked before load() is called: unknown, duplicate and missing names, types and limits, of defaults as
 * well as of given values. What options name is not opened here: the fork server, which has not the rights, goes through
 * the paths.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_OPTIONS_H
#define ENGINE_PLUGIN_PLUGIN_OPTIONS_H

#include "base/error.h"
#include "plugin/plugin_config.h"

#include <nfqe/plugin.h>

/*
 * Fills *config. plugin: has options, config_size and what belongs to them; text: the user's, or NULL. Returns 0; or
 * -EINVAL (an error in the user's text), -EBADMSG (in the declaration) or -ENOMEM with the reason in *error, and then
 * *config is empty. What was filled lives until plugin_options_done(). [fork server]
 */
int plugin_options_parse(const struct nfqe_plugin *plugin, const char *text, struct plugin_config *config,
                         struct error *error);

void plugin_options_done(struct plugin_config *config);

#endif
