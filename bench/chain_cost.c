/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chain_cost BURST NAME=PLUGIN,PLUGIN... NAME=... - measures the engine's own code: decoding a recorded burst, looking up
 * flows, running the plugin chain, deciding, and encoding the verdicts. It does all that a queue process does between
 * its two system calls, and what its worker does, without these calls and without the ring between the two.
 *
 * It measures each plugin chain that is named and prints one JSON object: for each name a list with the nanoseconds per
 * packet of each round. Rounds of the chains are interleaved. A chain with a plugin that gives flow verdicts has a flow
 * table of the default size, in shared memory as in a queue process, which has every flow of the burst before the first
 * round. The messages are the same in every round, so they are in the cache, as after the kernel has copied them.
 */
#include "burst_file.h"

#include "base/clock.h"
#include "burst/decide.h"
#include "burst/journal.h"
#include "config/plan.h"
#include "flow/flow_in_flight.h"
#include "flow/flow_table.h"
#include "plugin/chain_run.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_encode.h"
#include "queue/queue_shm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE 1
#define CHAINS_MAX 16
#define ROUNDS 9
#define BURSTS_PER_ROUND 5000
#define FLOW_IDLE_MS 300000

struct named_chain {
    const char *name;
    struct decide_policy policy;
    struct flow_table *flows; /* NULL: no plugin gives verdicts for flows */
    struct flow_table flow_table;
    struct flow_in_flight in_flight;
    struct plugin_chain chain;
    struct chain_flows chain_flows;
    struct chain_run run;
    double cost[ROUNDS];
};

/* A burst on its way through the two halves. The arrays are by the packet's place among those that a worker gets. */
struct flight {
    struct flow_burst flow_burst;
    struct chain_batch asked;
    unsigned entries[BURST_MAX]; /* the packets' places in the burst */
    struct chain_flow chain_flows[BURST_MAX];
    struct plugin_answer answers[BURST_MAX];
};

struct bench {
    struct queue_shm shm;
    struct journal *journal; /* in shm */
    struct outstanding outstanding;
    struct named_chain chains[CHAINS_MAX];
    unsigned chain_count;
    struct nfqe_packet packets[BURST_MAX];
    struct nfqueue_encoder verdicts;
    uint32_t message_len[BURST_MAX];
    uint16_t queue; /* that the burst was recorded from */
};

static struct bench bench;

static void *slot(unsigned index)
{
    return queue_shm_slot(bench.shm.slots, index, BURST_FILE_SLOT);
}

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
    for (unsigned i = 0; i < BURST_MAX; i++) {
        uint32_t *len = &bench.message_len[i];

        if (fread(len, sizeof(*len), 1, file) != 1 || *len > BURST_FILE_SLOT || fread(slot(i), *len, 1, file) != 1) {
            die(path, "is no recorded burst");
        }
    }
    fclose(file);
    memcpy(&bench.queue, (const char *)slot(0) + 18, sizeof(bench.queue)); /* nfgenmsg.res_id */
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

static int make_memory(uint64_t flows_size, struct queue_shm *shm)
{
    const struct queue_shm_layout layout = {.control_size = 1, .slot_size = BURST_FILE_SLOT, .flows_size = flows_size};

    return queue_shm_new(QUEUE, &layout, shm);
}

/* The flow table of a plugin chain, in shared memory as in a worker. */
static void add_flows(struct named_chain *named)
{
    struct flow_seed seed;
    struct queue_shm shm;

    if (make_memory(flow_memory_size(PLAN_FLOWS_DEFAULT), &shm) != 0 || flow_seed_make(&seed) != 0) {
        die("flow table", "no memory");
    }
    flow_table_attach(&named->flow_table, shm.flows, PLAN_FLOWS_DEFAULT, FLOW_IDLE_MS, &seed);
    named->flows = &named->flow_table;
}

/* As worker_frames_begin(). */
static void begin_chain(struct named_chain *named)
{
    static _Atomic uint32_t words[3];
    static nfqe_verdict verdicts[BURST_MAX];

    flow_in_flight_init(&named->in_flight);
    chain_flows_init(&named->chain_flows, &named->chain, named->policy.default_verdict, named->policy.on_crash);
    named->run = (struct chain_run){.chain = &named->chain,
                                    .position = {.packet = &words[0], .plugin = &words[1], .progress = &words[2]},
                                    .verdicts_end = verdicts + BURST_MAX,
                                    .flows = named->flows != NULL ? &named->chain_flows : NULL};
}

/* text: NAME=PLUGIN,PLUGIN... */
static void add_chain(char *text)
{
    struct named_chain *named = &bench.chains[bench.chain_count++];
    char *rest = strchr(text, '=');
    char *path;

    if (rest == NULL) {
        die(text, "is no NAME=PLUGIN,PLUGIN...");
    }
    *rest++ = '\0';
    named->name = text;
    named->policy = (struct decide_policy){.default_verdict = NFQE_ACCEPT, .on_crash = NFQE_DROP};
    while ((path = strsep(&rest, ",")) != NULL) {
        const struct nfqe_plugin *plugin = load_plugin(path);
        const struct plugin_chain_member member = {
            .handle = plugin->handle, .handle_batch = plugin->handle_batch, .rights.needs = plugin->needs};

        if (named->chain.count == PLUGINS_MAX) {
            die(named->name, "has too many plugins");
        }
        plugin_chain_add(&named->chain, &member);
        if ((member.rights.needs & NFQE_NEED_FLOW) != 0 && named->flows == NULL) {
            add_flows(named);
        }
    }
    begin_chain(named);
}

/* Queue process: the flow table decides, or a worker is asked; as queue_routes_burst(). */
static void route(struct named_chain *named, const struct decide *decide, struct flight *flight, unsigned count)
{
    flight->asked.count = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct flow_lookup *lookup = &flight->flow_burst.lookups[i];
        unsigned place = flight->asked.count;

        if (named->flows != NULL) {
            uint32_t number;

            if (flow_in_flight_find(&named->in_flight, lookup) == FLOW_IN_FLIGHT_NONE && decide_by_flow(decide, i)) {
                continue;
            }
            number = flow_in_flight_acquire(&named->in_flight, lookup);
            flight->chain_flows[place] = (struct chain_flow){
                .number = number,
                .epoch = flow_in_flight_epoch(&named->in_flight, number),
                .begins = lookup->traits.begins,
                .alone = lookup->traits.alone,
                .accepted = (lookup->traits.alone || flow_burst_has_begun(&flight->flow_burst, i)) &&
                            flow_table_is_accepted(named->flows, lookup)};
        }
        flight->asked.packets[place] = &bench.packets[i];
        flight->asked.places[place] = place;
        flight->entries[place] = i;
        flight->asked.count++;
    }
}

/* Worker: as worker_frames_handle(). */
static void answer(const struct named_chain *named, struct flight *flight)
{
    const struct chain_run *run = &named->run;

    if (named->chain.has_batch) {
        chain_run_batch(run, &flight->asked, flight->chain_flows, flight->answers);
        return;
    }
    if (run->flows != NULL) {
        chain_flows_begin_burst(run->flows);
    }
    for (unsigned i = 0; i < flight->asked.count; i++) {
        flight->answers[i] = run->flows != NULL
                                 ? chain_run_flow_packet(run, flight->asked.packets[i], i, &flight->chain_flows[i])
                                 : chain_run_packet(run, flight->asked.packets[i], i);
    }
    chain_run_end(run);
}

/* Queue process: as queue_loop_take_answers(). count: packets that the worker got. */
static void take_answers(struct named_chain *named, const struct decide *decide, const struct flight *flight,
                         unsigned count)
{
    struct decide_invalid invalid = {0};

    for (unsigned i = 0; i < count; i++) {
        decide_answered(decide, flight->entries[i], flight->answers[i],
                        plugin_chain_rights(&named->chain, flight->answers[i].plugin), &invalid);
        if (named->flows != NULL && flight->chain_flows[i].number != FLOW_IN_FLIGHT_NONE) {
            flow_in_flight_release(&named->in_flight, flight->chain_flows[i].number);
        }
    }
}

/* From the packets of a burst to their verdicts. */
static void decide_burst(struct named_chain *named, struct burst *burst, unsigned count)
{
    static struct flight flight;
    const struct decide decide = {
        .policy = &named->policy, .flows = named->flows, .flow_burst = &flight.flow_burst, .burst = burst};
    unsigned asked;

    if (named->flows != NULL) {
        flow_table_begin_burst(named->flows, &flight.flow_burst, bench.packets, count, monotonic_coarse_ns());
    }
    route(named, &decide, &flight, count);
    asked = flight.asked.count; /* the worker uses it up */
    if (asked > 0) {
        answer(named, &flight);
        take_answers(named, &decide, &flight, asked);
    }
}

/* All that is done between receiving a burst and sending the verdicts. */
static void run_burst(struct named_chain *named)
{
    struct journal *journal = bench.journal;
    struct burst *burst = &journal->bursts[0];
    struct queue_stats delta = {.bursts = 1};
    struct outstanding_range run;
    unsigned received;
    unsigned count = 0;

    journal_begin_receive(journal, 0);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        burst->messages[i].msg_len = bench.message_len[i];
    }
    received = burst_received(burst);
    for (unsigned i = 0; i < received; i++) {
        struct nfqueue_conntrack conntrack;
        struct nfqueue_answer answer;

        if (nfqueue_decode(slot(i), burst_message_len(burst, i, BURST_FILE_SLOT), false, bench.queue,
                           &bench.packets[count], &conntrack, &answer) == NFQUEUE_PACKET) {
            burst->entries[count].id = bench.packets[count].id;
            atomic_store_explicit(&burst->entries[count].flags, 0, memory_order_relaxed);
            delta.packets++;
            count++;
        }
    }
    burst->packets = count;
    for (unsigned next = 0; next < count;) {
        next = burst_id_run(burst, next, count, &run);
        outstanding_add(&bench.outstanding, run);
    }
    journal_commit_receive(journal, &delta, &bench.outstanding);
    delta = (struct queue_stats){0};
    decide_burst(named, burst, count);
    journal_begin_send(journal);
    for (unsigned next = 0; next < count;) {
        next = burst_id_run(burst, next, count, &run);
        outstanding_remove(&bench.outstanding, run);
    }
    for (unsigned i = 0; i < count; i++) {
        burst_count_verdict(&burst->entries[i], &delta);
    }
    for (unsigned next = 0; next < count;) {
        next = nfqueue_encode(&bench.verdicts, burst->entries, NULL, count, next, &bench.outstanding);
    }
    journal_commit_send(journal, &delta, NULL, &bench.outstanding);
}

static double measure(struct named_chain *named)
{
    struct timespec start;
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; i < BURSTS_PER_ROUND; i++) {
        run_burst(named);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((double)(end.tv_sec - start.tv_sec) * (double)NS_PER_S + (double)(end.tv_nsec - start.tv_nsec)) /
           BURSTS_PER_ROUND / BURST_MAX;
}

/* Checks that the rounds measured all packets, and that all flows were in the table. */
static void warm_up(struct named_chain *named)
{
    measure(named);
    if (bench.journal->bursts[0].packets != BURST_MAX) {
        die("burst", "not all of its messages are packets");
    }
    for (unsigned i = 0; named->flows != NULL && i < BURST_MAX; i++) {
        if ((bench.journal->bursts[0].entries[i].flags & BURST_BY_FLOW) == 0) {
            die(named->name, "not all of the burst's packets get the verdict of their flow");
        }
    }
}

static void print_results(void)
{
    printf("{");
    for (unsigned i = 0; i < bench.chain_count; i++) {
        printf("%s\"%s\": [", i > 0 ? ", " : "", bench.chains[i].name);
        for (unsigned round = 0; round < ROUNDS; round++) {
            printf("%s%.2f", round > 0 ? ", " : "", bench.chains[i].cost[round]);
        }
        printf("]");
    }
    printf("}\n");
}

int main(int argc, char *argv[])
{
    if (argc < 3 || argc - 2 > CHAINS_MAX) {
        fprintf(stderr, "usage: %s BURST NAME=PLUGIN,PLUGIN... (at most %d chains)\n", argv[0], CHAINS_MAX);
        return 2;
    }
    if (make_memory(0, &bench.shm) != 0) {
        die("shared memory", "cannot be made");
    }
    queue_shm_prepare(&bench.shm, QUEUE, 1);
    bench.journal = bench.shm.journal;
    read_burst(argv[1]);
    bench.verdicts.queue = QUEUE;
    for (int i = 2; i < argc; i++) {
        add_chain(argv[i]);
    }
    for (unsigned i = 0; i < bench.chain_count; i++) {
        warm_up(&bench.chains[i]);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < bench.chain_count; i++) {
            bench.chains[i].cost[round] = measure(&bench.chains[i]);
        }
    }
    print_results();
    return 0;
}
