/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open_few - its open() succeeds in as many workers as `opens` says, then fails in as many as `fails` says, then succeeds
 * again.
 *
 * As with a plugin that takes something of which there is only so much. Without `fails` it fails for ever. It has no
 * opinion on any packet.
 */
#include <nfqe/plugin.h>

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

/* In memory that all workers share. */
struct shared_state {
    atomic_long opened;
    int64_t opens;
    int64_t fails;
};

static const struct nfqe_option options[] = {
    {.name = "opens", .type = NFQE_OPTION_INTEGER, .required = 1, .min = 1, .max = 1000, .help = "opens that succeed"},
    {.name = "fails",
     .type = NFQE_OPTION_INTEGER,
     .min = 1,
     .max = 1000000,
     .default_value = "1000000",
     .help = "opens behind those that fail"},
    {.name = NULL},
};

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    struct shared_state *state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)n;
    if (state == MAP_FAILED) {
        return host->fail(host, -errno, "no memory");
    }
    state->opens = values[0].integer;
    state->fails = values[1].integer;
    *shared = state;
    return 0;
}

static int open_worker(const struct nfqe_host *host, const void *shared, const struct nfqe_state *old, void **self)
{
    struct shared_state *state = (struct shared_state *)(uintptr_t)shared; /* ours, and not copied on write */
    int64_t before = atomic_fetch_add(&state->opened, 1);

    (void)old;
    (void)self;
    if (before < state->opens || before >= state->opens + state->fails) {
        return 0;
    }
    return host->fail(host, -EBUSY, "there is none left");
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "open_few", .version = "1.0.0", .options = options, .load = load, .open = open_worker,
            .handle = handle)
