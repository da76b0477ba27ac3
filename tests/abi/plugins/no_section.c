/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * no_section - a complete shared object of this machine that is no plugin: it has no section .nfqe_plugin.
 *
 * It exports the plugin's symbol, like a plugin that defines the struct without NFQE_PLUGIN().
 */
#include <nfqe/plugin.h>

extern const struct nfqe_plugin nfqe_plugin_v2 __attribute__((visibility("default")));
const struct nfqe_plugin nfqe_plugin_v2 = {.magic = NFQE_MAGIC, .id = "no_section", .version = "1.0.0"};
