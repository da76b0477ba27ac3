/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slow - accepts every packet, after about 50 microseconds of work.
 *
 * With it a worker decides at most 20,000 packets a second, fewer than the traffic generator sends. So the
 * kernel's queue is deep, and a worker that is killed is nearly always in the middle of handle(). It
 * burns the time instead of sleeping, because a plugin that thinks does so too.
 */
#include <nfqe/plugin.h>

#include <time.h>

#define WORK_NS INT64_C(50000)

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    int64_t end_ns = now_ns() + WORK_NS;

    (void)self;
    (void)packet;
    while (now_ns() < end_ns) {
    }
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "slow", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
