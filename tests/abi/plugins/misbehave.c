/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * misbehave - does in load(), open(), close() and unload() what the options of these names say: fail, fail
 * without a reason, crash, abort, hang, exit, start a thread.
 *
 * crash really dereferences NULL: the address is read from a volatile, and the sanitizers are kept out of the
 * function, since they would turn the SIGSEGV into an exit. hang burns the CPU, as an endless loop does.
 */
#include <nfqe/plugin.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOAD, OPEN, CLOSE, UNLOAD, FUNCTIONS };

static const struct nfqe_option options[] = {
    [LOAD] = {.name = "load", .type = NFQE_OPTION_STRING, .default_value = "well"},
    [OPEN] = {.name = "open", .type = NFQE_OPTION_STRING, .default_value = "well"},
    [CLOSE] = {.name = "close", .type = NFQE_OPTION_STRING, .default_value = "well"},
    [UNLOAD] = {.name = "unload", .type = NFQE_OPTION_STRING, .default_value = "well"},
    {.name = NULL},
};

/* How each function is to behave, copied by load(): the values are valid until it returns. */
static char how_to[FUNCTIONS][32];

static const struct nfqe_host *host_of_process;

static __attribute__((noinline, no_sanitize("address", "undefined"))) int crash(const struct nfqe_host *host)
{
    static int *volatile nowhere = NULL;

    (void)host;
    *nowhere = 1;
    return 0;
}

static int hang(const struct nfqe_host *host)
{
    static volatile int for_ever = 1;

    (void)host;
    while (for_ever) {
    }
    return 0;
}

static int fail(const struct nfqe_host *host)
{
    return host->fail(host, -ENOENT, "the list %s cannot be read", "/etc/list");
}

/* The longest text that host->fail() keeps has 200 bytes; this one has 260. */
static int fail_at_length(const struct nfqe_host *host)
{
    return host->fail(host, -EINVAL, "%0260d", 0);
}

static int fail_silently(const struct nfqe_host *host)
{
    (void)host;
    return -EIO;
}

static int end_three(const struct nfqe_host *host)
{
    (void)host;
    exit(3);
}

static int end_zero(const struct nfqe_host *host)
{
    (void)host;
    _exit(0);
}

static int end_by_abort(const struct nfqe_host *host)
{
    (void)host;
    abort();
}

static void *idle(void *argument)
{
    pause();
    return argument;
}

static int start_thread(const struct nfqe_host *host)
{
    pthread_t thread;

    (void)host;
    return -pthread_create(&thread, NULL, idle, NULL);
}

static const struct {
    const char *name;
    int (*function)(const struct nfqe_host *host);
} ways[] = {
    {"crash", crash},          {"hang", hang},        {"fail", fail},       {"fail-at-length", fail_at_length},
    {"silent", fail_silently}, {"exit-3", end_three}, {"exit-0", end_zero}, {"abort", end_by_abort},
    {"thread", start_thread},
};

static int behave(const struct nfqe_host *host, const char *how)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(ways[i].name, how) == 0) {
            return ways[i].function(host);
        }
    }
    return strcmp(how, "well") == 0 ? 0 : host->fail(host, -EINVAL, "%s: no such misbehaviour", how);
}

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    *shared = NULL;
    host_of_process = host;
    for (size_t i = 0; i < n; i++) {
        strncpy(how_to[i], values[i].text, sizeof(how_to[i]) - 1);
    }
    return behave(host, how_to[LOAD]);
}

static int open_plugin(const struct nfqe_host *host, const void *shared, const struct nfqe_state *old, void **self)
{
    (void)shared;
    (void)old;
    *self = NULL;
    return behave(host, how_to[OPEN]);
}

static void close_plugin(void *self)
{
    (void)self;
    behave(host_of_process, how_to[CLOSE]);
}

static void unload(void *shared)
{
    (void)shared;
    behave(host_of_process, how_to[UNLOAD]);
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "misbehave", .version = "1.0.0", .options = options, .load = load, .open = open_plugin,
            .handle = handle, .close = close_plugin, .unload = unload)
