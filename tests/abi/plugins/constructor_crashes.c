/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * constructor_crashes - its constructor writes through NULL: it crashes inside dlopen(), before any function of the
 * plugin is called.
 */
#include <nfqe/plugin.h>

static __attribute__((constructor, noinline, no_sanitize("address", "undefined"))) void crash(void)
{
    static int *volatile nowhere = NULL;

    *nowhere = 1;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "constructor_crashes", .version = "1.0.0", .handle = handle)
