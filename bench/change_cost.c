/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * change_cost - measures what it costs a worker to change a packet, from the first operation to the checksums.
 *
 * The packets are TCP over IPv4, and lie one after the other in memory, as a frame has them. Each gets one change:
 *
 *   ttl      a byte of the IP header is written
 *   byte     a byte of the payload is written
 *   splice   20 bytes are put in, in the middle of the payload
 *   odd      21 bytes, so that what comes after them has to be summed
 *   replace  the whole packet is replaced
 *
 * It prints one JSON object: for each length the medians in nanoseconds per packet.
 */
#include "packet/change.h"
#include "packet/change_rules.h"
#include "packet/parse.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define ROUNDS 9
#define PACKETS_PER_ROUND (100 * 1000)
#define LEN_MAX 1500
#define HEADERS 40
#define BUFFER_SIZE (PACKET_CHANGE_ROOM + 4096 / BURST_MAX + 5) /* so that no two begin at the same place of a page */

static const uint32_t lengths[] = {60, 200, 1400};
static uint8_t frame[BURST_MAX][LEN_MAX];
static struct nfqe_packet packets[BURST_MAX];
static struct packet_change changes[BURST_MAX];
static uint8_t *spare;

static void fail(const char *what)
{
    fprintf(stderr, "change_cost: %s\n", what);
    exit(1);
}

static void make_packets(uint32_t len)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        uint8_t *bytes = frame[i];

        for (uint32_t k = 0; k < len; k++) {
            bytes[k] = (uint8_t)(k * 31 + i);
        }
        memset(bytes, 0, HEADERS);
        bytes[0] = 0x45;
        bytes[2] = (uint8_t)(len >> 8);
        bytes[3] = (uint8_t)len;
        bytes[8] = 64;
        bytes[9] = NFQE_PROTOCOL_TCP;
        bytes[32] = 0x50;
    }
}

static void begin(unsigned i, uint32_t len)
{
    packets[i] = (struct nfqe_packet){.size = sizeof(packets[i]),
                                      .data = frame[i],
                                      .len = len,
                                      .wire_len = len,
                                      .hw_protocol = 0x0800,
                                      .family = AF_INET};
    packet_parse(&packets[i]);
    packet_change_init(&changes[i], changes[i].buffer, &spare, CHANGE_RULES_ALL);
}

/* ---- the changes --------------------------------------------------------------------------------------------- */

static int change_ttl(struct packet_change *change, struct nfqe_packet *packet)
{
    uint8_t *bytes;
    int code = packet_change_writable(change, packet, 8, 1, &bytes);

    if (code == 0) {
        (*bytes)--;
    }
    return code;
}

static int change_byte(struct packet_change *change, struct nfqe_packet *packet)
{
    uint8_t *bytes;
    int code = packet_change_writable(change, packet, packet->payload + 3U, 1, &bytes);

    if (code == 0) {
        (*bytes)++;
    }
    return code;
}

static int put_in(struct packet_change *change, struct nfqe_packet *packet, uint32_t count)
{
    static const uint8_t bytes[32] = "what a plugin puts in";

    return packet_change_splice(change, packet, packet->payload + packet->payload_len / 2, 0, bytes, count);
}

static int change_splice(struct packet_change *change, struct nfqe_packet *packet)
{
    return put_in(change, packet, 20);
}

static int change_odd(struct packet_change *change, struct nfqe_packet *packet)
{
    return put_in(change, packet, 21);
}

static int change_replace(struct packet_change *change, struct nfqe_packet *packet)
{
    return packet_change_replace(change, packet, frame[0], packet->len);
}

static const struct way {
    const char *name;
    int (*change)(struct packet_change *change, struct nfqe_packet *packet);
} ways[] = {
    {"ttl", change_ttl}, {"byte", change_byte},       {"splice", change_splice},
    {"odd", change_odd}, {"replace", change_replace},
};

/* ---- measuring ------------------------------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* way: NULL measures what it costs to have the packets. */
static double measure(const struct way *way, uint32_t len)
{
    uint64_t start = cpu_ns();

    for (unsigned done = 0; done < PACKETS_PER_ROUND; done += BURST_MAX) {
        for (unsigned i = 0; i < BURST_MAX; i++) {
            begin(i, len);
            if (way != NULL &&
                (way->change(&changes[i], &packets[i]) < 0 || packet_change_finish(&changes[i], &packets[i]) < 0)) {
                fail("a change was refused");
            }
        }
    }
    return (double)(cpu_ns() - start) / PACKETS_PER_ROUND;
}

static int compare(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

static double median_of(const struct way *way, uint32_t len)
{
    double values[ROUNDS];

    for (unsigned round = 0; round < ROUNDS; round++) {
        double nothing = measure(NULL, len);

        values[round] = measure(way, len) - nothing;
    }
    qsort(values, ROUNDS, sizeof(values[0]), compare);
    return values[ROUNDS / 2];
}

static void make_buffers(void)
{
    uint8_t *memory =
        mmap(NULL, (size_t)(BURST_MAX + 1) * BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        fail("no memory");
    }
    for (unsigned i = 0; i < BURST_MAX; i++) {
        changes[i].buffer = memory + (size_t)i * BUFFER_SIZE;
    }
    spare = memory + (size_t)BURST_MAX * BUFFER_SIZE;
}

int main(void)
{
    const unsigned count = sizeof(lengths) / sizeof(lengths[0]);

    make_buffers();
    printf("{\n");
    for (unsigned i = 0; i < count; i++) {
        make_packets(lengths[i]);
        printf("  \"%u bytes\": {", lengths[i]);
        for (unsigned k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
            printf("%s\"%s_ns\": %.0f", k > 0 ? ", " : "", ways[k].name, median_of(&ways[k], lengths[i]));
        }
        printf("}%s\n", i + 1 < count ? "," : "");
    }
    printf("}\n");
    return 0;
}
