/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A flow table in memory as the worker has it, and a check of its whole index.
 *
 * The check follows the chain of every bucket and the order of use, and compares them with the entries. It is written
 * from the comments in flow_memory.h and does not call flow_memory.c.
 */
#include "flow_image.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define IN_FRONT 0xa5 /* every byte before the table */
#define IN_FRONT_SIZE 4096
#define ADDRESS_HIGH 10 /* one end is 10.x.y.z, where x.y.z is the number; the other is the same for all flows */

/* ---- packets ------------------------------------------------------------------------------------------- */

/* TCP's, over the addresses, the protocol, the length of the header, and the header. */
static void put_checksum(uint8_t *bytes)
{
    uint32_t sum = NFQE_PROTOCOL_TCP + 20;

    for (unsigned i = 12; i < 40; i += 2) {
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16));
    bytes[36] = (uint8_t)(sum >> 8);
    bytes[37] = (uint8_t)sum;
}

void flow_packet_make(struct flow_packet *packet, uint32_t number, bool reply, uint8_t tcp_flags)
{
    const uint8_t own[] = {ADDRESS_HIGH, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
    const uint8_t other[] = {192, 0, 2, 1};
    uint8_t *bytes = packet->bytes;

    memset(bytes, 0, sizeof(packet->bytes));
    bytes[0] = 0x45;
    bytes[3] = sizeof(packet->bytes);
    bytes[9] = NFQE_PROTOCOL_TCP;
    memcpy(bytes + (reply ? 16 : 12), own, sizeof(own));
    memcpy(bytes + (reply ? 12 : 16), other, sizeof(other));
    bytes[reply ? 23 : 21] = 80; /* its own port; the other end's is 0 */
    bytes[32] = 0x50;
    bytes[33] = tcp_flags;
    put_checksum(bytes);
    packet->packet = (struct nfqe_packet){
        .size = sizeof(packet->packet),
        .data = bytes,
        .len = sizeof(packet->bytes),
        .protocol = NFQE_PROTOCOL_TCP,
        .transport = 20,
        .payload = sizeof(packet->bytes),
    };
}

/* ---- the table ------------------------------------------------------------------------------------------- */

void flow_image_attach(struct flow_image *image, uint64_t idle_ms)
{
    flow_table_attach(&image->flows, image->header, image->capacity, idle_ms, &image->seed);
}

void flow_image_init(struct flow_image *image, uint32_t capacity, const struct flow_seed *seed)
{
    uint8_t *table;

    memset(image, 0, sizeof(*image));
    image->capacity = capacity;
    image->size = flow_memory_size(capacity);
    guarded_init(&image->guarded, image->size + IN_FRONT_SIZE);
    table = guarded_put(&image->guarded, NULL, image->size, 64);
    memset(image->guarded.region, IN_FRONT, (size_t)(table - image->guarded.region));
    if (seed != NULL) {
        image->seed = *seed;
    } else {
        assert_int_equal(flow_seed_make(&image->seed), 0);
    }
    image->header = (struct flow_memory_header *)(void *)table;
    image->bucket_count = (uint32_t)((image->size - sizeof(*image->header) - capacity * sizeof(*image->entries)) / 4);
    image->buckets = (uint32_t *)(void *)(table + sizeof(*image->header));
    image->entries = (struct flow_entry *)(void *)(image->buckets + image->bucket_count);
    flow_image_attach(image, FLOW_IMAGE_IDLE_MS);
}

void flow_image_done(struct flow_image *image)
{
    for (const uint8_t *byte = image->guarded.region; byte < (const uint8_t *)image->header; byte++) {
        assert_int_equal(*byte, IN_FRONT);
    }
    guarded_done(&image->guarded);
}

/* ---- what a worker does ------------------------------------------------------------------------------------ */

static void begin(struct flow_image *image, uint32_t number, uint64_t tick, uint8_t tcp_flags)
{
    flow_packet_make(&image->packet, number, false, tcp_flags);
    flow_table_begin_burst(&image->flows, &image->burst, &image->packet.packet, 1, tick * FLOW_TICK_NS);
}

static nfqe_verdict find(struct flow_image *image, uint32_t number, uint64_t tick, uint8_t tcp_flags)
{
    begin(image, number, tick, tcp_flags);
    return flow_table_find(&image->flows, &image->burst, 0);
}

nfqe_verdict flow_image_find(struct flow_image *image, uint32_t number, uint64_t tick)
{
    return find(image, number, tick, NFQE_TCP_ACK);
}

nfqe_verdict flow_image_syn(struct flow_image *image, uint32_t number, uint64_t tick)
{
    return find(image, number, tick, NFQE_TCP_SYN);
}

nfqe_verdict flow_image_reset(struct flow_image *image, uint32_t number, uint64_t tick)
{
    return find(image, number, tick, NFQE_TCP_RST);
}

bool flow_image_add(struct flow_image *image, uint32_t number, uint64_t tick, nfqe_verdict verdict)
{
    begin(image, number, tick, NFQE_TCP_ACK);
    return flow_table_add(&image->flows, &image->burst, 0, verdict);
}

static void begin_udp(struct flow_image *image, uint32_t number, uint64_t tick)
{
    struct flow_packet *packet = &image->packet;

    flow_packet_make(packet, number, false, 0);
    packet->bytes[9] = packet->packet.protocol = NFQE_PROTOCOL_UDP;
    memset(packet->bytes + 24, 0, sizeof(packet->bytes) - 24); /* it has no checksum */
    packet->bytes[25] = 20;
    flow_table_begin_burst(&image->flows, &image->burst, &packet->packet, 1, tick * FLOW_TICK_NS);
}

nfqe_verdict flow_image_find_udp(struct flow_image *image, uint32_t number, uint64_t tick)
{
    begin_udp(image, number, tick);
    return flow_table_find(&image->flows, &image->burst, 0);
}

bool flow_image_add_udp(struct flow_image *image, uint32_t number, uint64_t tick, nfqe_verdict verdict)
{
    begin_udp(image, number, tick);
    return flow_table_add(&image->flows, &image->burst, 0, verdict);
}

uint32_t flow_image_repair(struct flow_image *image, uint64_t tick)
{
    _Atomic uint32_t progress = 0;

    flow_image_attach(image, FLOW_IMAGE_IDLE_MS);
    return flow_table_repair(&image->flows, tick * FLOW_TICK_NS, &progress);
}

/* ---- what is in the table ------------------------------------------------------------------------------------ */

uint32_t flow_image_number(const struct flow_entry *entry)
{
    const uint8_t *address = entry->key.address[0][0] == ADDRESS_HIGH ? entry->key.address[0] : entry->key.address[1];

    if (entry->verdict == NFQE_CONTINUE || address[0] != ADDRESS_HIGH) {
        return FLOW_IMAGE_NONE;
    }
    return (uint32_t)address[1] << 16 | (uint32_t)address[2] << 8 | address[3];
}

const struct flow_entry *flow_image_entry(const struct flow_image *image, uint32_t number)
{
    for (uint32_t i = 0; i < image->capacity; i++) {
        if (flow_image_number(&image->entries[i]) == number) {
            return &image->entries[i];
        }
    }
    return NULL;
}

/* Each entry that holds a flow is in the chain of its hash, once, and no other entry is in any. */
static const char *chains_fault(const struct flow_image *image, uint8_t *chained)
{
    for (uint32_t bucket = 0; bucket < image->bucket_count; bucket++) {
        for (uint32_t link = image->buckets[bucket]; link != 0; link = image->entries[link - 1].next) {
            const struct flow_entry *entry = &image->entries[link - 1];

            if (link > image->capacity) {
                return "a chain leads out of the table";
            }
            if (chained[link - 1]++ != 0) {
                return "an entry is in two chains, or twice in one";
            }
            if ((entry->hash & (image->bucket_count - 1)) != bucket) {
                return "an entry is in a chain that is not its own";
            }
        }
    }
    for (uint32_t i = 0; i < image->capacity; i++) {
        if (chained[i] != (image->entries[i].verdict != NFQE_CONTINUE)) {
            return chained[i] != 0 ? "a free entry is in a chain" : "a flow is in no chain";
        }
    }
    return "";
}

/* The age in ticks; 0 if it was seen with a clock that is ahead. */
static uint32_t age_of(const struct flow_image *image, const struct flow_entry *entry)
{
    uint32_t age = image->flows.now - entry->seen;

    return age > INT32_MAX ? 0 : age;
}

/* Whether a flow with this verdict can be in the list. */
static bool is_listed_right(unsigned list, nfqe_verdict verdict)
{
    switch (list) {
    case FLOW_FREE:
        return verdict == NFQE_CONTINUE;
    case FLOW_DROPPED:
        return (verdict & NFQE_ACTION_MASK) == NFQE_DROP;
    default:
        return verdict == NFQE_ACCEPT;
    }
}

/* A list is in the order of use, which in large tables may be inexact by some ticks. *total: grows by its entries. */
static const char *list_fault(const struct flow_image *image, unsigned list, uint32_t *total)
{
    const struct flow_order *order = &image->header->orders[list];
    uint32_t newer = 0;
    uint32_t age = 0; /* of the entry before */
    uint32_t count = 0;

    for (uint32_t link = order->newest; link != 0; link = image->entries[link - 1].older) {
        const struct flow_entry *entry = &image->entries[link - 1];

        if (link > image->header->used || image->header->used > image->capacity) {
            return "a list leads to an entry that was never used";
        }
        if (entry->newer != newer || ++count > image->header->used) {
            return "a list is not the same in both directions";
        }
        if (entry->list != list || !is_listed_right(list, entry->verdict)) {
            return "an entry is in a list that is not its own";
        }
        if (list != FLOW_FREE && image->flows.now - entry->seen + image->flows.order_ticks < age) {
            return "an entry follows an older one";
        }
        age = age_of(image, entry);
        newer = link;
    }
    *total += count;
    return newer != order->oldest || count != order->count ? "a list does not hold all its entries" : "";
}

/* Each entry that was ever used is in one list. */
static const char *order_fault(const struct flow_image *image)
{
    const char *fault = "";
    uint32_t total = 0;

    for (unsigned list = 0; list < FLOW_LISTS && fault[0] == '\0'; list++) {
        fault = list_fault(image, list, &total);
    }
    return fault[0] == '\0' && total != image->header->used ? "the lists do not hold all entries" : fault;
}

const char *flow_image_fault(const struct flow_image *image)
{
    uint8_t *chained = calloc(image->capacity, 1);
    const char *fault;

    if (chained == NULL) {
        return "no memory";
    }
    fault = chains_fault(image, chained);
    free(chained);
    if (fault[0] == '\0') {
        fault = order_fault(image);
    }
    return fault[0] == '\0' && image->header->changing != 0 ? "it says that it is being changed" : fault;
}

nfqe_verdict flow_image_verdict(uint32_t number)
{
    return number % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT;
}

void flow_image_add_many(struct flow_image *image, uint32_t count, uint64_t tick)
{
    for (uint32_t number = 0; number < count; number++) {
        flow_image_add(image, number, tick + number, flow_image_verdict(number));
    }
}

bool flow_image_knows(const struct flow_image *image, uint32_t number)
{
    return flow_image_entry(image, number) != NULL;
}

void flow_image_assert_in_order(const struct flow_image *image)
{
    assert_false(flow_table_damaged(&image->flows));
    assert_false(flow_table_need_repair(&image->flows));
    assert_string_equal(flow_image_fault(image), "");
}
