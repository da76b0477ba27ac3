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

struct config {
    int64_t rate;
    const char *name;
    uint8_t more[16];
};

#define UNUSED static __attribute__((unused))
#define RATE .name = "rate", .type = NFQE_OPTION_INTEGER, NFQE_MEMBER(struct config, rate)
#define NAME .name = "name", .type = NFQE_OPTION_STRING, NFQE_MEMBER(struct config, name)
#define MORE(option_type) .name = "more", .type = (option_type), NFQE_MEMBER(struct config, more)
#define CONFIG_SIZE sizeof(struct config)
#define LIMITS (NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)
#define END                                                                                                            \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

UNUSED const struct nfqe_option no_type[] = {{RATE}, {.name = "name", NFQE_MEMBER(struct config, name)}, END};
UNUSED const struct nfqe_option later_type[] = {{RATE}, {MORE(1000), .flags = NFQE_OPTION_REQUIRED}, END};
UNUSED const struct nfqe_option wrong_name[] = {{RATE}, {.name = "a=b", .type = NFQE_OPTION_STRING}, END};
UNUSED const struct nfqe_option same_name[] = {{RATE}, {RATE}, END};
UNUSED const struct nfqe_option wrong_default[] = {{RATE, .flags = LIMITS, .min = 1, .max = 9, .default_value = "10"},
                                                   END};
UNUSED const struct nfqe_option wasted_default[] = {{RATE, .flags = NFQE_OPTION_REQUIRED, .default_value = "10"}, END};
UNUSED const struct nfqe_option file_default[] = {{MORE(NFQE_OPTION_FILE), .default_value = "/etc/passwd"}, END};
UNUSED const struct nfqe_option range[] = {{RATE, .flags = LIMITS, .min = 1}, END};
UNUSED const struct nfqe_option limits[] = {{MORE(NFQE_OPTION_BOOLEAN), .flags = LIMITS}, END};
UNUSED const struct nfqe_option writable[] = {{NAME, .flags = NFQE_OPTION_WRITABLE}, END};
UNUSED const struct nfqe_option no_choices[] = {{MORE(NFQE_OPTION_CHOICE)}, END};
UNUSED const struct nfqe_option empty_choice[] = {{MORE(NFQE_OPTION_CHOICE), .choices = "a||b"}, END};
UNUSED const struct nfqe_option same_choice[] = {{MORE(NFQE_OPTION_CHOICE), .choices = "one|two|one"}, END};
UNUSED const struct nfqe_option choices[] = {{RATE, .choices = "1|2"}, END};
UNUSED const struct nfqe_option wrong_size[] = {{MORE(NFQE_OPTION_INTEGER)}, END};
UNUSED const struct nfqe_option wrong_list[] = {{RATE, .flags = NFQE_OPTION_REPEATABLE}, END};
UNUSED const struct nfqe_option same_member[] = {
    {RATE}, {.name = "name", .type = NFQE_OPTION_STRING, .offset = 7, .member_size = 8}, END};
UNUSED const struct nfqe_option option[] = {{RATE}, END};

/* Without its last element, and before something that is no pointer. */
UNUSED const struct {
    struct nfqe_option option;
    uint64_t next[8];
} no_end = {{RATE}, {1, 2, 3, 4, 5, 6, 7, 8}};

UNUSED int load(const struct nfqe_host *host, const void *config, void **shared)
{
    (void)host;
    (void)config;
    (void)shared;
    return 0;
}

NFQE_PLUGIN(.id = "fields", .version = "1.0.0", NFQE_TEST_FIELDS)
