/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exit_marked - ends its process on a marked datagram instead of answering it, accepts everything else.
 *
 * As libraries do that think they own the program: with exit(), or with _exit() and a status that looks like
 * success, or with one that the engine uses itself.
 */
#include "orders.h"

#include <stdlib.h>
#include <unistd.h>

#define ORDER_EXIT 1
#define ORDER_EXIT_AS_IF_DONE 2
#define ORDER_EXIT_AS_THE_ENGINE 3
#define STATUS 3
#define STATUS_OF_THE_ENGINE 70

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    switch (order_of(packet)) {
    case ORDER_EXIT:
        exit(STATUS);
    case ORDER_EXIT_AS_IF_DONE:
        _exit(0);
    case ORDER_EXIT_AS_THE_ENGINE:
        _exit(STATUS_OF_THE_ENGINE);
    default:
        return NFQE_ACCEPT;
    }
}

NFQE_PLUGIN(.id = "exit_marked", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
