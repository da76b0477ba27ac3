/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash_thread - on a marked datagram, starts a thread that dereferences NULL, and waits for it.
 *
 * The process dies in another thread than the one that is in handle(). It waits, so that it is certain
 * which packet was in handle() at that moment.
 */
#include "marked.h"
#include "misbehave.h"

#include <pthread.h>

static void *run_thread(void *argument)
{
    (void)argument;
    crash();
    return NULL;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    pthread_t thread;

    (void)self;
    if (is_marked(packet) && pthread_create(&thread, NULL, run_thread, NULL) == 0) {
        pthread_join(thread, NULL);
    }
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "crash_thread", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
