/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drowsy_marked - takes its time over a marked datagram, then accepts it, and everything else at once.
 *
 * The datagram's mark says how long: so many times 10 ms. It sleeps, so that it takes that long and hardly longer however
 * busy the machine is.
 */
#include "orders.h"

#include <errno.h>
#include <time.h>

#define NS_PER_UNIT INT64_C(10000000)
#define NS_PER_SECOND INT64_C(1000000000)

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    struct timespec until;
    int64_t ns;

    (void)self;
    clock_gettime(CLOCK_MONOTONIC, &until);
    ns = until.tv_nsec + order_of(packet) * NS_PER_UNIT;
    until.tv_sec += ns / NS_PER_SECOND;
    until.tv_nsec = ns % NS_PER_SECOND;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "drowsy_marked", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
