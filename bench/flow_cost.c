/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow_cost - measures the look-up of the flows of a burst, in flow tables of several sizes.
 *
 * Each table is full, and in shared memory as in a worker. A burst has 64 packets of random flows of the table, UDP
 * over IPv4 and a quarter of them over IPv6. New packets are made for each burst, outside of the measured time, so
 * that the entries of the flows are not in the cache but the packets are, as after decoding. It measures
 * flow_table_begin_burst() and one flow_table_find() for each packet, in two ways: with a clock that advances as at
 * 500,000 packets a second, so that flows move in the order of use as in a worker; and with a constant clock, which
 * is the look-up alone.
 *
 * It prints one JSON object: for each clock and number of flows, a list with the nanoseconds per packet of each
 * round. Rounds of the tables are interleaved. With --short: the smallest and the largest table, the advancing clock,
 * and a few short rounds, in about two seconds.
 */
#include "flow/flow_table.h"
#include "queue/queue_shm.h"

#include <nfqe/plugin.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define QUEUE 1
#define SLOT_SIZE 1024
#define BURST BURST_MAX
#define ROUNDS 9
#define BURSTS_PER_ROUND 80000 /* 10 s of the advancing clock: each flow of a large table moves once in the order */
#define WARM_UP_BURSTS 100000 /* 13 s of the advancing clock, for flows of all ages */
#define SHORT_ROUNDS 3
#define SHORT_BURSTS 20000
#define IDLE_MS 300000 /* what the engine takes by itself */
#define PACKET_NS 2000 /* of the advancing clock, between two packets */
#define IPV6_EVERY 4
#define UDP_PORT 4000
#define START_NS UINT64_C(3600000000000)
#define NS_PER_S UINT64_C(1000000000)

static const uint32_t sizes[] = {1000, 10000, 100000, 1000000};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static const char *const clocks[] = {"moving", "standing"};
#define CLOCKS (sizeof(clocks) / sizeof(clocks[0]))

/* The network header; the transport header follows it. */
union headers {
    struct nfqe_ipv4_header ipv4;
    struct nfqe_ipv6_header ipv6;
    uint8_t bytes[sizeof(struct nfqe_ipv6_header) + sizeof(struct nfqe_udp_header)];
};

struct table {
    uint32_t size;
    struct flow_table flows;
    uint64_t now_ns;
    double cost[CLOCKS][ROUNDS];
};

/* What is measured: tables[0], tables[step], ...; clocks from the first on. */
struct plan {
    unsigned step;
    unsigned clocks;
    unsigned rounds;
    unsigned bursts;
};

static const struct plan full_plan = {.step = 1, .clocks = CLOCKS, .rounds = ROUNDS, .bursts = BURSTS_PER_ROUND};
static const struct plan short_plan = {.step = SIZES - 1, .clocks = 1, .rounds = SHORT_ROUNDS, .bursts = SHORT_BURSTS};

static struct table tables[SIZES];
static union headers headers[BURST];
static struct nfqe_packet packets[BURST];
static struct flow_burst flow_burst;
static uint64_t random_state = 88172645463325252;

static void die(const char *what)
{
    fprintf(stderr, "flow_cost: %s\n", what);
    exit(1);
}

/* xorshift64* */
static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)(((random_state * UINT64_C(2685821657736338717)) >> 32) * limit >> 32);
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Makes packet `index` of the burst one of flow `flow`, whose number is in the client's address and port. */
static void make_packet(unsigned index, uint32_t flow)
{
    union headers *header = &headers[index];
    const uint8_t address[] = {10, (uint8_t)(flow >> 16), (uint8_t)(flow >> 8), (uint8_t)flow};
    uint8_t *transport;

    memset(header, 0, sizeof(*header));
    packets[index] = (struct nfqe_packet){.size = sizeof(packets[index]), .protocol = NFQE_PROTOCOL_UDP};
    packets[index].data = header->bytes;
    if (flow % IPV6_EVERY == 0) {
        header->ipv6.version_class_flow.bytes[0] = 0x60;
        header->ipv6.next_header = NFQE_PROTOCOL_UDP;
        memcpy(header->ipv6.source + 12, address, sizeof(address));
        header->ipv6.source[0] = 0xfd;
        header->ipv6.dest[0] = 0xfd;
        packets[index].family = AF_INET6;
        packets[index].transport = sizeof(struct nfqe_ipv6_header);
    } else {
        header->ipv4.version_ihl = 0x45;
        header->ipv4.protocol = NFQE_PROTOCOL_UDP;
        memcpy(header->ipv4.source, address, sizeof(address));
        memcpy(header->ipv4.dest, "\x0a\xff\xff\xff", sizeof(header->ipv4.dest));
        packets[index].family = AF_INET;
        packets[index].transport = sizeof(struct nfqe_ipv4_header);
    }
    packets[index].len = packets[index].transport + sizeof(struct nfqe_udp_header);
    packets[index].wire_len = packets[index].len;
    packets[index].payload = (uint16_t)packets[index].len;
    transport = header->bytes + packets[index].transport;
    transport[0] = (uint8_t)(flow >> 8);
    transport[1] = (uint8_t)flow;
    transport[2] = UDP_PORT >> 8;
    transport[3] = UDP_PORT & 0xff;
    transport[5] = sizeof(struct nfqe_udp_header);
}

static void fill_table(struct table *table, uint32_t size)
{
    const struct queue_shm_layout layout = {
        .control_size = 1, .slot_size = SLOT_SIZE, .flows_size = flow_memory_size(size)};
    struct flow_totals totals;
    struct flow_seed seed;
    struct queue_shm shm;

    if (queue_shm_new(QUEUE, &layout, &shm) != 0 || flow_seed_make(&seed) != 0) {
        die("no memory");
    }
    table->size = size;
    table->now_ns = START_NS;
    flow_table_attach(&table->flows, shm.flows, size, IDLE_MS, &seed);
    for (uint32_t first = 0, count; first < size; first += count) {
        for (count = 0; count < BURST && first + count < size; count++) {
            make_packet(count, first + count);
        }
        flow_table_begin_burst(&table->flows, &flow_burst, packets, count, table->now_ns);
        for (unsigned i = 0; i < count; i++) {
            flow_table_add(&table->flows, &flow_burst, i, NFQE_ACCEPT);
        }
        table->now_ns += (uint64_t)PACKET_NS * count;
    }
    totals = table->flows.index.header->totals;
    if (totals.added != size || totals.replaced != 0) {
        die("the table does not hold what it was made for");
    }
}

static double measure(struct table *table, bool clock_moves, unsigned bursts)
{
    uint64_t elapsed = 0;
    uint64_t found = 0;

    for (unsigned burst = 0; burst < bursts; burst++) {
        uint64_t start;

        for (unsigned i = 0; i < BURST; i++) {
            make_packet(i, random_below(table->size));
        }
        table->now_ns += clock_moves ? (uint64_t)PACKET_NS * BURST : 0;
        start = clock_ns();
        flow_table_begin_burst(&table->flows, &flow_burst, packets, BURST, table->now_ns);
        for (unsigned i = 0; i < BURST; i++) {
            found += flow_table_find(&table->flows, &flow_burst, i) == NFQE_ACCEPT;
        }
        elapsed += clock_ns() - start;
    }
    if (found != (uint64_t)bursts * BURST) {
        die("a flow was not found");
    }
    return (double)elapsed / bursts / BURST;
}

static void print_results(const struct plan *plan)
{
    printf("{");
    for (unsigned clock = 0; clock < CLOCKS && clock < plan->clocks; clock++) {
        printf("%s\"%s\": {", clock > 0 ? ", " : "", clocks[clock]);
        for (unsigned i = 0; i < SIZES; i += plan->step) {
            printf("%s\"%u\": [", i > 0 ? ", " : "", sizes[i]);
            for (unsigned round = 0; round < plan->rounds; round++) {
                printf("%s%.2f", round > 0 ? ", " : "", tables[i].cost[clock][round]);
            }
            printf("]");
        }
        printf("}");
    }
    printf("}\n");
}

int main(int argc, char *argv[])
{
    bool is_short = argc == 2 && strcmp(argv[1], "--short") == 0;
    const struct plan *plan = is_short ? &short_plan : &full_plan;

    if (argc > 1 && !is_short) {
        fprintf(stderr, "usage: %s [--short]\n", argv[0]);
        return 2;
    }
    for (unsigned i = 0; i < SIZES; i += plan->step) {
        fill_table(&tables[i], sizes[i]);
    }
    for (unsigned clock = 0; clock < plan->clocks; clock++) {
        for (unsigned i = 0; i < SIZES; i += plan->step) {
            measure(&tables[i], clock == 0, WARM_UP_BURSTS);
        }
        for (unsigned round = 0; round < plan->rounds; round++) {
            for (unsigned i = 0; i < SIZES; i += plan->step) {
                tables[i].cost[clock][round] = measure(&tables[i], clock == 0, plan->bursts);
            }
        }
    }
    print_results(plan);
    return 0;
}
