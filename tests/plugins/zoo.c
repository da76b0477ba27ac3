/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo - a plugin that attacks the engine from its worker, and decides every other packet as the packet asks.
 *
 *     --plugin zoo.so,do=ANIMAL[:NUMBER][,in=FUNCTION][,file=PATH]
 *
 * The animals are in zoo_memory.c, zoo_descriptors.c, zoo_processes.c and zoo_rights.c. A packet asks with the mark of
 * marked.h, as in tests/live/orders.py: 1 accept, 2 drop, 5 attack and, if there is a next instruction, accept. in=open
 * attacks in open(), in=load in load(), in=fork in a handler that runs in each process that the fork server forks.
 *
 * A call that must be refused and is not prints a line that begins with "breach". CMakeLists.txt builds it three times:
 * zoo_batch has handle_batch(), and do=overrun:NUMBER there writes so many verdicts too many; zoo_modify may change
 * packets. Runs in the worker, and
 * in the fork server where `in` says so.
 */
#include "zoo.h"

#include "marked.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ORDER_DROP 2
#define ORDER_ATTACK 5

struct config {
    const char *what;
    const char *in;
    const char *file;
};

static const struct nfqe_option options[] = {
    {.name = "do",
     .type = NFQE_OPTION_STRING,
     NFQE_MEMBER(struct config, what),
     .flags = NFQE_OPTION_REQUIRED,
     .help = "what"},
    {.name = "in",
     .type = NFQE_OPTION_STRING,
     NFQE_MEMBER(struct config, in),
     .default_value = "handle",
     .help = "where"},
    {.name = "file", .type = NFQE_OPTION_PATH, NFQE_MEMBER(struct config, file), .help = "for it"},
    {.name = NULL},
};

/* Set by load() and inherited by the workers. */
static struct {
    const struct animal *animal; /* NULL: overrun */
    const char *in;
    struct deed deed;
} plan;

static unsigned refused;
static uint32_t random_state;

void zoo_refused(const char *what, long result)
{
    if (result >= 0) {
        dprintf(STDERR_FILENO, "breach: %s\n", what);
    } else {
        refused++;
    }
}

void zoo_say_refused(void)
{
    dprintf(STDERR_FILENO, "%u refused\n", refused);
    refused = 0;
}

uint32_t zoo_random(void)
{
    if (random_state == 0) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        random_state = ((uint32_t)getpid() * 2654435761u) ^ (uint32_t)now.tv_nsec ^ 1;
        random_state += random_state == 0;
    }
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static const struct animal *find(const struct animal *animals, const char *name, size_t len)
{
    for (; animals->name != NULL; animals++) {
        if (strlen(animals->name) == len && strncmp(animals->name, name, len) == 0) {
            return animals;
        }
    }
    return NULL;
}

static bool choose(const char *text)
{
    const struct animal *const tables[] = {zoo_memory, zoo_descriptors, zoo_processes, zoo_rights};
    size_t len = strcspn(text, ":");

    plan.deed.number = text[len] == ':' ? strtol(text + len + 1, NULL, 10) : 0;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && plan.animal == NULL; i++) {
        plan.animal = find(tables[i], text, len);
    }
    return plan.animal != NULL || strncmp(text, "overrun", len) == 0;
}

static void attack(void)
{
    if (plan.animal != NULL) {
        plan.animal->act(&plan.deed);
    }
}

static int attack_in(const char *place)
{
    if (strcmp(plan.in, place) == 0) {
        attack();
    }
    return 0;
}

/* Not for what the animal forks itself. */
static void attack_in_child(void)
{
    static bool attacks;

    if (!attacks) {
        attacks = true;
        attack();
    }
}

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;

    (void)shared;
    plan.in = config->in;
    plan.deed.file = config->file != NULL ? config->file : "";
    if (!choose(config->what)) {
        return host->fail(host, -EINVAL, "do=%s: no such animal", config->what);
    }
    if (strcmp(plan.in, "fork") == 0 && pthread_atfork(NULL, NULL, attack_in_child) != 0) {
        return host->fail(host, -ENOMEM, "no handler for fork");
    }
    return attack_in("load");
}

static int open_worker(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)host;
    (void)config;
    (void)shared;
    *self = NULL;
    return attack_in("open");
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    unsigned order = mark_of(packet);

    (void)self;
    if (order == ORDER_ATTACK) {
        attack_in("handle");
    }
    return order == ORDER_DROP ? NFQE_DROP : NFQE_ACCEPT;
}

#ifdef ZOO_BATCH
static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    volatile nfqe_verdict *beyond = out + n;
    bool attacks = false;

    for (size_t i = 0; i < n; i++) {
        attacks |= mark_of(packets[i]) == ORDER_ATTACK;
        out[i] = handle(self, packets[i]);
    }
    for (long i = 0; attacks && plan.animal == NULL && i < plan.deed.number; i++) {
        beyond[i] = NFQE_ACCEPT;
    }
}
#define HANDLE_BATCH handle_batch
#else
#define HANDLE_BATCH NULL
#endif

#ifdef ZOO_MODIFY
#define ZOO_NEEDS NFQE_NEED_MODIFY
#else
#define ZOO_NEEDS NFQE_NEED_HEADERS
#endif

NFQE_PLUGIN(.id = ZOO_ID, .version = "1.0.0", .needs = ZOO_NEEDS, .config_size = sizeof(struct config),
            .options = options, .load = load, .open = open_worker, .handle = handle, .handle_batch = HANDLE_BATCH)
