/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * no_symbol - has the section, but its symbol is local: what a C++ plugin gets that puts the visibility
 * attribute on the definition, and what a linker script with "local: *" does.
 */
#include <nfqe/plugin.h>

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

static const struct nfqe_plugin hidden_plugin __attribute__((section(NFQE_SECTION), used, aligned(8))) = {
    NFQE_HEAD_.id = "no_symbol", .version = "1.0.0", .handle = handle};
