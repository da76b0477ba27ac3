/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * other_symbol - its section holds one plugin, its symbol is another: what a shared object gets that has a hidden
 * table of its own and links a second plugin.
 *
 * The head is checked in the section. If the symbol were used all the same, nothing that was checked would be
 * what runs.
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

extern const struct nfqe_plugin nfqe_plugin_v1 __attribute__((visibility("default")));
const struct nfqe_plugin nfqe_plugin_v1 = {NFQE_HEAD_.id = "other", .version = "1.0.0", .needs = NFQE_NEED_MODIFY,
                                           .handle = handle};
