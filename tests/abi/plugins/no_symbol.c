/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * no_symbol - has the section, but its symbol is local. This happens to a C++ plugin with the visibility attribute on
 * the definition, and to a plugin that is linked with "local: *" in a version script.
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
