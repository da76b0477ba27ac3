/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * no_section - a shared object like any other: no plugin, but whole, and of this machine.
 *
 * It even exports the plugin's symbol, as somebody would write who copied the struct without the macro.
 */
#include <nfqe/plugin.h>

extern const struct nfqe_plugin nfqe_plugin_v1 __attribute__((visibility("default")));
const struct nfqe_plugin nfqe_plugin_v1 = {.magic = NFQE_MAGIC, .id = "no_section", .version = "1.0.0"};
