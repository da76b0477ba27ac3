/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options - declares options of each type, and logs the values that load() gets.
 *
 * One option is required; the others have a default, no default, or limits.
 */
#include <nfqe/plugin.h>

#include <inttypes.h>

static const struct nfqe_option options[] = {
    {.name = "name",
     .type = NFQE_OPTION_STRING,
     .flags = NFQE_OPTION_REQUIRED | NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
     .min = 1,
     .max = 8,
     .help = "what it is called"},
    {.name = "rate",
     .type = NFQE_OPTION_INTEGER,
     .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
     .min = -10,
     .max = 1000,
     .default_value = "0x10"},
    {.name = "strict", .type = NFQE_OPTION_BOOLEAN, .default_value = "on"},
    {.name = "comment", .type = NFQE_OPTION_STRING},
    {.name = "any-number", .type = NFQE_OPTION_INTEGER},
    {.name = NULL},
};

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    *shared = NULL;
    for (size_t i = 0; i < n; i++) {
        host->log(host, NFQE_LOG_INFO, "%s type %" PRIu32 " text \"%s\" integer %" PRId64 " given %" PRIu32,
                  values[i].name, values[i].type, values[i].text != NULL ? values[i].text : "(none)", values[i].integer,
                  values[i].given);
    }
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "options", .version = "1.0.0", .options = options, .load = load, .handle = handle)
