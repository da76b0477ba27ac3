/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fields - a plugin whose members the build chooses: NFQE_TEST_FIELDS is the rest of NFQE_PLUGIN().
 *
 * So the plugins that have a member too many, or too few, differ from each other only in that.
 */
#include <nfqe/plugin.h>

#include <stdlib.h>

static __attribute__((unused)) nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

static __attribute__((unused)) void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n,
                                                 /* NOLINTNEXTLINE(readability-non-const-parameter): the ABI's */
                                                 nfqe_verdict *out)
{
    (void)self;
    (void)packets;
    (void)n;
    (void)out;
}

static __attribute__((unused)) int save(void *self, const struct nfqe_state *state)
{
    (void)self;
    (void)state;
    return 0;
}

static __attribute__((unused)) const struct nfqe_counter counters[] = {{.name = "seen"}, {.name = NULL}};

/* Without an element at their end. */
static __attribute__((unused)) const struct nfqe_counter counted[] = {{.name = "seen"}, {.name = "dropped"}};
static __attribute__((unused))
const struct nfqe_reason reasons[] = {{.name = "too-long", .help = "longer than allowed"}};

static __attribute__((unused)) const struct nfqe_reason capital[] = {{.name = "Long"}, {.name = NULL}};

static __attribute__((unused)) const struct nfqe_option wrong_type[] = {{.name = "rate", .type = 1000}, {.name = NULL}};

static __attribute__((unused)) const struct nfqe_option wrong_name[] = {
    {.name = "rate", .type = NFQE_OPTION_STRING}, {.name = "a=b", .type = NFQE_OPTION_STRING}, {.name = NULL}};

static __attribute__((unused)) const struct nfqe_option same_name[] = {
    {.name = "rate", .type = NFQE_OPTION_STRING}, {.name = "rate", .type = NFQE_OPTION_INTEGER}, {.name = NULL}};

static __attribute__((unused))
const struct nfqe_option wrong_default[] = {{.name = "rate",
                                             .type = NFQE_OPTION_INTEGER,
                                             .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
                                             .min = 1,
                                             .max = 9,
                                             .default_value = "10"},
                                            {.name = NULL}};

static __attribute__((unused)) const struct nfqe_option range[] = {
    {.name = "rate", .type = NFQE_OPTION_INTEGER, .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX, .min = 1},
    {.name = NULL}};

static __attribute__((unused))
const struct nfqe_option option[] = {{.name = "rate", .type = NFQE_OPTION_INTEGER}, {.name = NULL}};

/* Without its last element, and before something that is no pointer. */
static __attribute__((unused)) const struct {
    struct nfqe_option option;
    uint64_t next[8];
} no_end = {{.name = "rate", .type = NFQE_OPTION_INTEGER}, {1, 2, 3, 4, 5, 6, 7, 8}};

NFQE_PLUGIN(.id = "fields", .version = "1.0.0", NFQE_TEST_FIELDS)
