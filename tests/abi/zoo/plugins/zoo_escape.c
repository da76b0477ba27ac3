/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo_escape - takes away in load() or in open() what the process around it lives on, and reports success.
 *
 * Each is what a library in good faith does that wants to be a daemon or to be safe: closing every descriptor, giving
 * up every capability.
 */
#include <nfqe/plugin.h>

#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOAD, OPEN, FUNCTIONS };

static const struct nfqe_option options[] = {
    [LOAD] = {.name = "load", .type = NFQE_OPTION_STRING, .max = 31, .default_value = "well"},
    [OPEN] = {.name = "open", .type = NFQE_OPTION_STRING, .max = 31, .default_value = "well"},
    {.name = NULL},
};

/* Copied by load(): the values are valid until it returns. */
static char how_to[FUNCTIONS][32];

static int behave(const struct nfqe_host *host, const char *how)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    long result = 0;

    if (strcmp(how, "close-all") == 0) {
        result = syscall(SYS_close_range, 3U, ~0U, 0U);
    } else if (strcmp(how, "close-really-all") == 0) {
        result = syscall(SYS_close_range, 0U, ~0U, 0U);
    } else if (strcmp(how, "drop-capabilities") == 0) {
        result = syscall(SYS_capset, &header, none);
    } else if (strcmp(how, "well") != 0) {
        result = -1;
    }
    return result == 0 ? 0 : host->fail(host, 0, "%s: not possible", how);
}

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    *shared = NULL;
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

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "zoo_escape", .version = "1.0.0", .options = options, .load = load, .open = open_plugin,
            .handle = handle)
