/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo_long_value - logs the length of its option's text and whether it is all x. The text itself does not fit a log
 * line.
 */
#include <nfqe/plugin.h>

#include <string.h>

struct config {
    const char *any;
    const char *bounded;
};

static const struct nfqe_option options[] = {
    {.name = "any", .type = NFQE_OPTION_STRING, NFQE_MEMBER(struct config, any), .default_value = ""},
    {.name = "bounded",
     .type = NFQE_OPTION_STRING,
     NFQE_MEMBER(struct config, bounded),
     .flags = NFQE_OPTION_HAS_MAX,
     .max = 65535,
     .default_value = ""},
    {.name = NULL},
};

static void say(const struct nfqe_host *host, const char *name, const char *value)
{
    size_t len = strlen(value);

    host->log(host, NFQE_LOG_INFO, "%s has %zu bytes, %s", name, len,
              strspn(value, "x") == len ? "all x" : "not all x");
}

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;

    (void)shared;
    say(host, "any", config->any);
    say(host, "bounded", config->bounded);
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "zoo_long_value", .version = "1.0.0", .config_size = sizeof(struct config), .options = options,
            .load = load, .handle = handle)
