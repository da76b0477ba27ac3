/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chain_cost BURST PLUGIN... - what the engine itself costs: decoding a recorded burst, the chain, and encoding the
 * verdicts, with every step of a worker between its two system calls and none of the system calls.
 *
 * Measures a chain of the first plugin, then of the first two, and so on for the lengths asked for; prints one JSON
 * object: nanoseconds per packet by length of the chain, a list of one value a round. Rounds of the lengths are
 * interleaved. The messages are the same in every round, so everything is in the cache, as it is for a worker whose
 * kernel has just copied the burst there.
 */
#include "burst_file.h"

#include "arena.h"
#include "chain.h"
#include "nfqueue.h"
#include "verdicts.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE 1
#define ROUNDS 9
#define BURSTS_PER_ROUND 5000
#define NS_PER_S 1e9

static const unsigned lengths[] = {1, 4, 16};
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

struct bench {
    struct arena *arena;
    struct chain chains[LENGTHS];
    struct nfqe_packet packets[ARENA_BURST];
    struct verdicts verdicts;
    uint32_t message_len[ARENA_BURST];
    uint16_t queue; /* that the burst was recorded from */
};

static struct bench bench;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "chain_cost: %s: %s\n", what, why);
    exit(1);
}

static void read_burst(const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        die(path, "cannot be opened");
    }
    for (unsigned i = 0; i < ARENA_BURST; i++) {
        uint32_t *len = &bench.message_len[i];

        if (fread(len, sizeof(*len), 1, file) != 1 || *len > BURST_FILE_SLOT ||
            fread(arena_slot(bench.arena, i), *len, 1, file) != 1) {
            die(path, "is no recorded burst");
        }
    }
    fclose(file);
    memcpy(&bench.queue, (const char *)arena_slot(bench.arena, 0) + 18, sizeof(bench.queue)); /* nfgenmsg.res_id */
    bench.queue = __builtin_bswap16(bench.queue);
}

static const struct nfqe_plugin *load_plugin(const char *path)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct nfqe_plugin *plugin = object != NULL ? dlsym(object, NFQE_SYMBOL) : NULL;

    if (plugin == NULL) {
        die(path, dlerror());
    }
    return plugin;
}

/* What a worker does with a burst, between receiving it and sending the verdicts. */
static void run_burst(const struct chain *chain)
{
    struct arena *arena = bench.arena;
    struct arena_counters delta = {.bursts = 1};
    struct chain_report report;
    unsigned received;
    unsigned count = 0;

    arena_begin_receive(arena);
    for (unsigned i = 0; i < ARENA_BURST; i++) {
        arena->messages[i].msg_len = bench.message_len[i];
    }
    received = arena_received(arena);
    for (unsigned i = 0; i < received; i++) {
        struct nfqueue_answer answer;

        if (nfqueue_decode(arena_slot(arena, i), arena_message_len(arena, i), false, bench.queue, &bench.packets[count],
                           &answer) == NFQUEUE_PACKET) {
            arena->verdicts[count].id = bench.packets[count].id;
            atomic_store_explicit(&arena->verdicts[count].flags, 0, memory_order_relaxed);
            delta.packets++;
            count++;
        }
    }
    arena->packets = count;
    arena_enter(arena, ARENA_HANDLING);
    chain_run(chain, arena, bench.packets, count, &report);
    for (unsigned i = 0; i < count; i++) {
        if (arena->verdicts[i].verdict == NFQE_ACCEPT) {
            delta.accepted++;
        } else {
            delta.dropped++;
        }
    }
    arena_enter(arena, ARENA_SENDING);
    for (unsigned next = 0; next < count;) {
        next = verdicts_encode(&bench.verdicts, arena->verdicts, NULL, count, next);
    }
    arena_commit(arena, &delta);
}

static double measure(const struct chain *chain)
{
    struct timespec start;
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; i < BURSTS_PER_ROUND; i++) {
        run_burst(chain);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - start.tv_sec) * NS_PER_S + (double)(end.tv_nsec - start.tv_nsec)) / BURSTS_PER_ROUND /
           ARENA_BURST;
}

int main(int argc, char *argv[])
{
    double cost[LENGTHS][ROUNDS];
    int arena_fd;

    if (argc - 2 < (int)lengths[LENGTHS - 1]) {
        fprintf(stderr, "usage: %s BURST PLUGIN... (%u plugins)\n", argv[0], lengths[LENGTHS - 1]);
        return 2;
    }
    if (arena_new(QUEUE, BURST_FILE_SLOT, &bench.arena, &arena_fd) != 0) {
        die("arena", "no memory");
    }
    arena_prepare(bench.arena, QUEUE, BURST_FILE_SLOT);
    read_burst(argv[1]);
    bench.verdicts.queue = QUEUE;
    for (unsigned i = 0; i < LENGTHS; i++) {
        bench.chains[i] = (struct chain){.default_verdict = NFQE_ACCEPT, .on_crash = NFQE_DROP};
    }
    for (unsigned number = 0; number < lengths[LENGTHS - 1]; number++) {
        const struct nfqe_plugin *plugin = load_plugin(argv[2 + number]);
        const struct chain_member member = {.handle = plugin->handle, .handle_batch = plugin->handle_batch};

        for (unsigned i = 0; i < LENGTHS; i++) {
            if (number < lengths[i]) {
                chain_add(&bench.chains[i], &member);
            }
        }
    }
    measure(&bench.chains[0]); /* warms up */
    if (bench.arena->packets != ARENA_BURST) {
        die(argv[1], "not all of its messages are packets");
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < LENGTHS; i++) {
            cost[i][round] = measure(&bench.chains[i]);
        }
    }
    printf("{");
    for (unsigned i = 0; i < LENGTHS; i++) {
        printf("%s\"%u\": [", i > 0 ? ", " : "", lengths[i]);
        for (unsigned round = 0; round < ROUNDS; round++) {
            printf("%s%.2f", round > 0 ? ", " : "", cost[i][round]);
        }
        printf("]");
    }
    printf("}\n");
    return 0;
}
