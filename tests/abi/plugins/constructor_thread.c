/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * constructor_thread - its constructor starts a thread, before any function of the plugin is called. It has no load().
 *
 * A library with a thread pool does this to a plugin that is linked with it.
 */
#include <nfqe/plugin.h>

#include <pthread.h>
#include <unistd.h>

static void *idle(void *argument)
{
    pause();
    return argument;
}

static __attribute__((constructor)) void start_thread(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, idle, NULL);
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "constructor_thread", .version = "1.0.0", .handle = handle)
