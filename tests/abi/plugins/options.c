/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options - declares five options of three types, and logs its config struct in load().
 *
 * One option is required; the others have a default, no default, or limits.
 */
#include <nfqe/plugin.h>

#include <inttypes.h>
#include <stdbool.h>

struct config {
    const char *name;
    const char *comment;
    int64_t rate;
    int64_t any_number;
    bool strict;
};

static const struct nfqe_option options[] = {
    {.name = "name",
     .type = NFQE_OPTION_STRING,
     NFQE_MEMBER(struct config, name),
     .flags = NFQE_OPTION_REQUIRED | NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
     .min = 1,
     .max = 8,
     .help = "what it is called"},
    {.name = "rate",
     .type = NFQE_OPTION_INTEGER,
     NFQE_MEMBER(struct config, rate),
     .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
     .min = -10,
     .max = 1000,
     .default_value = "0x10"},
    {.name = "strict", .type = NFQE_OPTION_BOOLEAN, NFQE_MEMBER(struct config, strict), .default_value = "on"},
    {.name = "comment", .type = NFQE_OPTION_STRING, NFQE_MEMBER(struct config, comment)},
    {.name = "any-number", .type = NFQE_OPTION_INTEGER, NFQE_MEMBER(struct config, any_number)},
    {.name = NULL},
};

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;

    (void)shared;
    host->log(host, NFQE_LOG_INFO, "name \"%s\"", config->name);
    host->log(host, NFQE_LOG_INFO, "rate %" PRId64, config->rate);
    host->log(host, NFQE_LOG_INFO, "strict %d", config->strict);
    host->log(host, NFQE_LOG_INFO, "comment \"%s\"", config->comment != NULL ? config->comment : "(none)");
    host->log(host, NFQE_LOG_INFO, "any-number %" PRId64, config->any_number);
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "options", .version = "1.0.0", .config_size = sizeof(struct config), .options = options, .load = load,
            .handle = handle)
