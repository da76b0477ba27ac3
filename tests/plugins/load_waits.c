/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load_waits - its load() does not return before the file that `until` names is there.
 *
 * So that a test decides what happens between the engine's first look at its queues and the moment it takes them. It has
 * no opinion on any packet.
 */
#include <nfqe/plugin.h>

#include <stddef.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 1000000

static const struct nfqe_option options[] = {
    {.name = "until", .type = NFQE_OPTION_STRING, .required = 1, .help = "the file to wait for"},
    {.name = NULL},
};

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    (void)host;
    (void)n;
    (void)shared;
    while (access(values[0].text, F_OK) != 0) {
        nanosleep(&pause, NULL);
    }
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "load_waits", .version = "1.0.0", .options = options, .load = load, .handle = handle)
