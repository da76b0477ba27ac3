/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The head of a plugin: the first bytes of its struct nfqe_plugin, read from the file without executing its code.
 */
#ifndef ENGINE_PLUGIN_PLUGIN_HEAD_H
#define ENGINE_PLUGIN_PLUGIN_HEAD_H

#include "base/error.h"
#include "plugin/plugin.h"

/*
 * Reads and checks the head in the ELF file data[size], and sets head, id, version, abi, needs and header_bytes of the
 * plugin. Returns 0 or a negative errno with the reason in *error. Reads nothing outside of data[size]. [supervisor]
 */
int plugin_head_read(struct plugin *plugin, const void *data, size_t size, struct error *error);

#endif
