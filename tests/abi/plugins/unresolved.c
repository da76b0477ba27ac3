/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unresolved - calls a function that no library has, like a plugin that was linked without one of its libraries.
 *
 * It must be refused when it is loaded, not when the function is called for the first packet.
 */
#include <nfqe/plugin.h>

extern nfqe_verdict nfqe_test_nobody_has_this(void);

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return nfqe_test_nobody_has_this();
}

NFQE_PLUGIN(.id = "unresolved", .version = "1.0.0", .handle = handle)
