/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo_larger - its struct is longer than the engine's, with unknown members, under the same ABI version.
 *
 * The engine must read only what it knows. The next member is a function that ends the process; after it all bits are
 * set.
 */
#include <nfqe/plugin.h>

#include <stdlib.h>

struct larger_plugin {
    struct nfqe_plugin now;
    void (*later)(void);
    uint64_t more[64];
};

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

extern const struct larger_plugin nfqe_plugin_v2 __attribute__((visibility("default")));
const struct larger_plugin nfqe_plugin_v2 __attribute__((section(NFQE_SECTION), used, aligned(8))) = {
    .now = {.magic = NFQE_MAGIC,
            .size = sizeof(struct larger_plugin),
            .abi = NFQE_ABI_VERSION,
            .abi_min = NFQE_ABI_VERSION,
            .id = "zoo_larger",
            .version = "1.0.0",
            .built_with = NFQE_BUILT_WITH_,
            .option_size = sizeof(struct nfqe_option),
            .handle = handle},
    .later = abort,
    .more = {UINT64_MAX, UINT64_MAX},
};
