/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * other_symbol - its section has one plugin, its symbol is another one, as in a shared object that has a hidden struct
 * and links a second plugin.
 *
 * The engine checks the head in the section. If it then used the symbol, it would run a plugin that was not checked.
 */
#include <nfqe/plugin.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

static const struct nfqe_plugin checked __attribute__((section(NFQE_SECTION), used, aligned(8))) = {
    NFQE_HEAD_.id = "other_symbol", .version = "1.0.0", .handle = handle};

extern const struct nfqe_plugin nfqe_plugin_v2 __attribute__((visibility("default")));
const struct nfqe_plugin nfqe_plugin_v2 = {NFQE_HEAD_.id = "other", .version = "1.0.0", .needs = NFQE_NEED_MODIFY,
                                           .handle = handle};
