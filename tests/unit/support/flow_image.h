/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A flow table in memory, for the tests of flow_table.c: flows that are identified by a number, what a worker does with
 * them, and a check of the whole index.
 *
 * The table ends at an unmapped page; flow_image_done() checks that the bytes before it are unchanged. The flow of a
 * number is TCP over IPv4; numbers are less than 2^24.
 */
#ifndef UNIT_FLOW_IMAGE_H
#define UNIT_FLOW_IMAGE_H

#include "flow/flow_table.h"
#include "guarded.h"

#define FLOW_IMAGE_IDLE_TICKS 80
#define FLOW_IMAGE_IDLE_MS (FLOW_IMAGE_IDLE_TICKS * UINT64_C(125))
#define FLOW_IMAGE_NONE UINT32_MAX

/* A packet of a flow, whole. */
struct flow_packet {
    struct nfqe_packet packet;
    uint8_t bytes[40];
};

struct flow_image {
    struct guarded guarded;
    struct flow_packet packet; /* the last one */
    size_t size;
    uint32_t capacity;
    uint32_t bucket_count;
    struct flow_memory_header *header;
    uint32_t *buckets;
    struct flow_entry *entries;
    struct flow_seed seed;
    struct flow_table flows; /* the worker's side */
    struct flow_burst burst; /* the last one */
};

void flow_packet_make(struct flow_packet *packet, uint32_t number, bool reply, uint8_t tcp_flags);

/* Makes an empty table. seed NULL: a random one. */
void flow_image_init(struct flow_image *image, uint32_t capacity, const struct flow_seed *seed);
void flow_image_done(struct flow_image *image);

/* Attaches to the table as it is, as the next worker does. */
void flow_image_attach(struct flow_image *image, uint64_t idle_ms);

/* A burst of one packet of the flow, at this tick: with the TCP flag ACK, SYN, or RST. */
nfqe_verdict flow_image_find(struct flow_image *image, uint32_t number, uint64_t tick);
nfqe_verdict flow_image_reset(struct flow_image *image, uint32_t number, uint64_t tick);
nfqe_verdict flow_image_syn(struct flow_image *image, uint32_t number, uint64_t tick);
/* Returns what flow_table_add() returns. */
bool flow_image_add(struct flow_image *image, uint32_t number, uint64_t tick, nfqe_verdict verdict);
/* The same for a flow of UDP, which is another one than that of TCP with the same number. */
nfqe_verdict flow_image_find_udp(struct flow_image *image, uint32_t number, uint64_t tick);
bool flow_image_add_udp(struct flow_image *image, uint32_t number, uint64_t tick, nfqe_verdict verdict);

/* Flows 0 to count - 1, one a tick from `tick` on; every third is dropped, from the first on. */
nfqe_verdict flow_image_verdict(uint32_t number);
void flow_image_add_many(struct flow_image *image, uint32_t count, uint64_t tick);

/* Another worker attaches to the table and repairs it, at this tick. Returns the number of flows. */
uint32_t flow_image_repair(struct flow_image *image, uint64_t tick);

/* The flow in an entry, FLOW_IMAGE_NONE: none. The entry of a flow, NULL: none. */
uint32_t flow_image_number(const struct flow_entry *entry);
const struct flow_entry *flow_image_entry(const struct flow_image *image, uint32_t number);

/* Whether the table has the flow. Does not change its place in the order of use. */
bool flow_image_knows(const struct flow_image *image, uint32_t number);

/* What is wrong with the index; "" if it is correct. */
const char *flow_image_fault(const struct flow_image *image);

/* Asserts that there is no damage, nothing to repair, and no fault in the index. */
void flow_image_assert_in_order(const struct flow_image *image);

#endif
