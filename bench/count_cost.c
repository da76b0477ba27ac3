/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * count_cost - measures nfqe_count(): an increment of a counter in the shared memory of a worker.
 *
 * The cells are those of a worker: a memory file, mapped and sealed by the engine's own code. A round increments counters
 * in turn, so that no store waits for the one before it, as plugins count packets, bytes and something else. The same
 * loop without the increment is subtracted.
 *
 * It prints one JSON object: a list with the nanoseconds per increment of each round.
 */
#include "process/counter_cells.h"

#include <nfqe/plugin.h>

#include <stdio.h>
#include <time.h>

#define COUNTERS 4
#define ROUNDS 9
#define INCREMENTS 50000000

static uint64_t used_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* of this process: others do not count */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Nanoseconds for all increments; host NULL: for the loop alone. */
static double measure(const struct nfqe_host *host)
{
    uint64_t start = used_ns();

    for (uint32_t i = 0; i < INCREMENTS; i++) {
        uint32_t counter = i % COUNTERS;

        __asm__ volatile("" : "+r"(counter), "+r"(host)::"memory"); /* each increment is made, with what it reads */
        if (host != NULL) {
            nfqe_count(host, counter, 1);
        }
    }
    return (double)(used_ns() - start);
}

int main(void)
{
    static uint32_t first[PLUGINS_MAX + 1];
    uint64_t *places[PLUGINS_MAX];
    struct counter_cells cells;
    struct nfqe_host host = {.counter_count = COUNTERS};

    for (unsigned i = 1; i <= PLUGINS_MAX; i++) {
        first[i] = COUNTERS;
    }
    if (counter_cells_new(counter_cells_size(first), &cells) < 0 || counter_cells_enter(cells.fd, first, places) < 0) {
        fprintf(stderr, "count_cost: no memory for cells\n");
        return 1;
    }
    host.counters = places[0];
    printf("{\"increment_ns\": [");
    for (unsigned round = 0; round < ROUNDS; round++) {
        double cost = measure(&host) - measure(NULL);

        printf("%s%.3f", round == 0 ? "" : ", ", cost / INCREMENTS);
    }
    printf("]}\n");
    return places[0][0] == (uint64_t)ROUNDS * INCREMENTS / COUNTERS ? 0 : 1;
}
