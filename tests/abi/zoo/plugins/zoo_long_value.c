/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo_long_value - logs the length of its option's text and whether it is all x. The text itself does not fit a log
 * line.
 */
#include <nfqe/plugin.h>

#include <stdbool.h>
#include <string.h>

enum { ANY, BOUNDED };

static const struct nfqe_option options[] = {
    [ANY] = {.name = "any", .type = NFQE_OPTION_STRING, .default_value = ""},
    [BOUNDED] = {.name = "bounded",
                 .type = NFQE_OPTION_STRING,
                 .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
                 .max = 65535,
                 .default_value = ""},
    {.name = NULL},
};

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    *shared = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(values[i].text);
        bool whole = strspn(values[i].text, "x") == len;

        host->log(host, NFQE_LOG_INFO, "%s has %zu bytes, %s", values[i].name, len, whole ? "all x" : "not all x");
    }
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "zoo_long_value", .version = "1.0.0", .options = options, .load = load, .handle = handle)
