/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * described - has everything that --plugin-info prints. Its constructor does what the environment variable
 * NFQE_TEST_CONSTRUCTOR says; load() would end the process.
 */
#include <nfqe/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config {
    int64_t port;
    uint64_t wait;
    const char *label;
    uint32_t mode;
    struct nfqe_list nets;
};

static const struct nfqe_option options[] = {
    {NFQE_MEMBER(struct config, port), .name = "port", .type = NFQE_OPTION_INTEGER, .min = 1, .max = 65535,
     .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX, .default_value = "80", .help = "destination port"},
    {NFQE_MEMBER(struct config, wait), .name = "wait", .type = NFQE_OPTION_DURATION, .min = 1500000,
     .flags = NFQE_OPTION_HAS_MIN},
    {NFQE_MEMBER(struct config, label), .name = "label", .type = NFQE_OPTION_STRING, .max = 16,
     .flags = NFQE_OPTION_HAS_MAX | NFQE_OPTION_REQUIRED, .help = "in the log"},
    {NFQE_MEMBER(struct config, mode), .name = "mode", .type = NFQE_OPTION_CHOICE, .choices = "slow|fast"},
    {NFQE_MEMBER(struct config, nets), .name = "net", .type = NFQE_OPTION_PREFIX, .flags = NFQE_OPTION_REPEATABLE},
};

static const struct nfqe_counter counters[] = {
    {.name = "matched", .unit = "packets", .help = "to the port"},
    {.name = "looks"},
};

static const struct nfqe_reason reasons[] = {
    {.name = "port-80", .help = "was to the port"},
    {.name = "other"},
};

static __attribute__((constructor)) void construct(void)
{
    const char *way = getenv("NFQE_TEST_CONSTRUCTOR");

    if (way == NULL) {
        return;
    }
    if (strcmp(way, "hang") == 0) {
        for (;;) {
            pause();
        }
    }
    if (strcmp(way, "exit") == 0) {
        _exit(3);
    }
    if (strcmp(way, "leave") == 0 && fork() == 0) { /* with everything that is open here */
        sleep(60);
        _exit(0);
    }
    if (strcmp(way, "print") == 0) {
        puts("printed");
        fflush(stdout);
    }
}

static int load(const struct nfqe_host *host, const void *config, void **shared)
{
    (void)host;
    (void)config;
    (void)shared;
    _exit(4);
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "described", .version = "1.2.3", .needs = NFQE_NEED_HEADERS | NFQE_NEED_FLOW, .header_bytes = 200,
            .uses = NFQE_NEED_CONNTRACK, .flags = NFQE_PLUGIN_MULTIPLE, .config_size = sizeof(struct config),
            .options = NFQE_OPTIONS(options), .counters = NFQE_COUNTERS(counters), .reasons = NFQE_REASONS(reasons),
            .summary = "has \033[31mall\033[0m of it", .vendor = "the tests", .license = "GPL-2.0-or-later",
            .load = load, .handle = handle)
