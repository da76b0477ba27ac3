/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * later_minor - a plugin compiled for a later ABI, 2.3, that also works with ABI 2.0.
 *
 * Its struct and each of its options are longer than the engine's. The engine must not use the appended members: the
 * appended function ends the process. It finds the second option only if it goes through the list by the plugin's
 * option_size.
 */
#include <nfqe/plugin.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct later_option {
    struct nfqe_option now;
    const char *unit;
    uint64_t more;
};

struct later_plugin {
    struct nfqe_plugin now;
    void (*later)(void);
    uint64_t more[16];
};

struct config {
    int64_t first;
    const char *second;
};

static const struct later_option options[] = {
    {.now = {.name = "first", .type = NFQE_OPTION_INTEGER, NFQE_MEMBER(struct config, first), .default_value = "1"},
     .unit = "s",
     .more = UINT64_MAX},
    {.now = {.name = "second", .type = NFQE_OPTION_STRING, NFQE_MEMBER(struct config, second), .default_value = "two"},
     .unit = "ms",
     .more = UINT64_MAX},
    {.now = {.name = NULL}},
};

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;

    (void)shared;
    if (config->first != 1 || strcmp(config->second, "two") != 0) {
        return host->fail(host, -EINVAL, "its longer options were read with the wrong stride");
    }
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

extern const struct later_plugin nfqe_plugin_v2 __attribute__((visibility("default")));
const struct later_plugin nfqe_plugin_v2 __attribute__((section(NFQE_SECTION), used, aligned(8))) = {
    .now = {.magic = NFQE_MAGIC,
            .size = sizeof(struct later_plugin),
            .abi = NFQE_ABI(2, 3),
            .abi_min = NFQE_ABI(2, 0),
            .id = "later_minor",
            .version = "1.0.0",
            .built_with = "nfqe 9.9.9",
            .config_size = sizeof(struct config),
            .option_size = sizeof(struct later_option),
            .counter_size = 128,
            .options = &options[0].now,
            .load = load,
            .handle = handle},
    .later = abort,
    .more = {UINT64_MAX, UINT64_MAX},
};
