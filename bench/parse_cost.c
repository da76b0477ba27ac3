/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parse_cost - measures what it costs to fill a struct nfqe_packet and to parse its headers, against a filter program.
 *
 * The packets are mixed at random, as in a capture: TCP, UDP and ICMP over IPv4 and IPv6, some with options, fragments
 * or extension headers. They lie in slots of several sizes: few, which are in the cache, as after the kernel has copied
 * a burst; and many, which are not. Three ways to find "TCP to port 80" among them take turns, on the same packets:
 *
 *   touch   reads one byte of each header: what the memory costs
 *   filter  interprets the classic BPF program of "tcp dst port 80", a bounds check at each load, as libpcap does
 *   parse   fills the struct, calls packet_parse() and nfqe_tcp()
 *
 * It prints one JSON object: for each size and number of slots the medians in nanoseconds per packet, and the median of
 * the rounds' ratios of parse to filter. The ratios are what another machine can be compared with.
 */
#include "median.h"

#include "packet/parse.h"

#include "base/arith.h"
#include "base/clock.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS 9
#define PACKETS_PER_ROUND (500 * 1000)
#define BURST 64
#define MANY (256 * 1024)
#define PACKET_MAX 128

static const unsigned slot_sizes[] = {128, 512, 576, 1536};
static const unsigned slot_counts[] = {BURST, MANY};

struct slots {
    uint8_t *memory;
    uint8_t *lengths;
    unsigned size;
    unsigned count;
};

static uint64_t random_state = UINT64_C(88172645463325252);

static unsigned below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 16) % limit);
}

/* ---- packets ------------------------------------------------------------------------------------------------- */

static unsigned put_transport(uint8_t *at, uint8_t protocol)
{
    at[3] = below(4) == 0 ? 80 : (uint8_t)below(256);
    if (protocol == NFQE_PROTOCOL_TCP) {
        at[12] = (uint8_t)((5 + below(2) * 3) << 4);
        return at[12] / 16U * 4;
    }
    if (protocol == NFQE_PROTOCOL_UDP) {
        at[5] = 8 + 20;
    }
    return 8;
}

static uint8_t choose_protocol(bool ipv6)
{
    unsigned choice = below(16);

    if (choice < 11) {
        return NFQE_PROTOCOL_TCP;
    }
    return choice < 15 ? NFQE_PROTOCOL_UDP : ipv6 ? NFQE_PROTOCOL_ICMPV6 : NFQE_PROTOCOL_ICMP;
}

/* Returns the packet's length. */
static unsigned make_packet(uint8_t *packet)
{
    bool ipv6 = below(4) == 0;
    unsigned headers = ipv6 ? 40 : 20;
    uint8_t protocol = choose_protocol(ipv6);

    memset(packet, 0, PACKET_MAX);
    packet[0] = ipv6 ? 0x60 : 0x45;
    packet[ipv6 ? 6 : 9] = protocol;
    if (ipv6 && below(16) == 0) { /* hop-by-hop options */
        packet[6] = 0;
        packet[40] = protocol;
        headers += 8;
    } else if (!ipv6 && below(32) == 0) {
        packet[0] = 0x46;
        headers += 4;
    } else if (!ipv6 && below(32) == 0) {
        packet[7] = 185; /* a later fragment */
    }
    headers += put_transport(packet + headers, protocol) + 20;
    packet[ipv6 ? 5 : 3] = (uint8_t)(headers - (ipv6 ? 40 : 0));
    return headers;
}

static void make_slots(struct slots *slots, unsigned size, unsigned count)
{
    *slots = (struct slots){.size = size, .count = count};
    slots->memory =
        mmap(NULL, (size_t)size * count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    slots->lengths = malloc(count);
    if (slots->memory == MAP_FAILED || slots->lengths == NULL) {
        fprintf(stderr, "parse_cost: no memory\n");
        exit(1);
    }
    for (unsigned i = 0; i < count; i++) {
        uint8_t packet[PACKET_MAX];

        slots->lengths[i] = (uint8_t)make_packet(packet);
        memcpy(slots->memory + (size_t)i * size, packet, slots->lengths[i]);
    }
}

/* ---- three ways ------------------------------------------------------------------------------------------------ */

static unsigned touch(const struct slots *slots, unsigned first)
{
    unsigned found = 0;

    for (unsigned i = first; i < first + BURST; i++) {
        const volatile uint8_t *packet = slots->memory + (size_t)i * slots->size;

        found += packet[0] + packet[9] + packet[23];
    }
    return found;
}

static const struct sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x60, 0, 4),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NFQE_PROTOCOL_TCP, 0, 11),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 42),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 80, 8, 9),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 8),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NFQE_PROTOCOL_TCP, 0, 6),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 4, 0),
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
    BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 80, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, 1),
    BPF_STMT(BPF_RET | BPF_K, 0),
};

/* The instructions that the program has, and a few that keep the compiler from making less than an interpreter of it. */
static unsigned interpret(const struct sock_filter *next, const uint8_t *packet, uint32_t len)
{
    uint32_t accumulator = 0;
    uint32_t index = 0;

    for (;; next++) {
        uint32_t at = next->k;

        switch (next->code) {
        case BPF_RET | BPF_K:
            return next->k;
        case BPF_LD | BPF_B | BPF_IND:
            at += index;
            /* fall through */
        case BPF_LD | BPF_B | BPF_ABS:
            if (at >= len) {
                return 0;
            }
            accumulator = packet[at];
            break;
        case BPF_LD | BPF_H | BPF_IND:
            at += index;
            /* fall through */
        case BPF_LD | BPF_H | BPF_ABS:
            if (at > len || len - at < 2) {
                return 0;
            }
            accumulator = (uint32_t)(packet[at] << 8 | packet[at + 1]);
            break;
        case BPF_LDX | BPF_B | BPF_MSH:
            if (at >= len) {
                return 0;
            }
            index = (packet[at] & 0x0fU) << 2;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            accumulator &= next->k;
            break;
        case BPF_ALU | BPF_ADD: /* by a constant: BPF_K is 0 */
            accumulator += next->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            next += accumulator == next->k ? next->jt : next->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            next += accumulator >= next->k ? next->jt : next->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            next += (accumulator & next->k) != 0 ? next->jt : next->jf;
            break;
        default:
            return 0;
        }
    }
}

static unsigned filter(const struct slots *slots, unsigned first)
{
    unsigned found = 0;

    for (unsigned i = first; i < first + BURST; i++) {
        found += interpret(program, slots->memory + (size_t)i * slots->size, slots->lengths[i]);
    }
    return found;
}

static unsigned parse(const struct slots *slots, unsigned first)
{
    static struct nfqe_packet packets[BURST];
    unsigned found = 0;

    for (unsigned i = 0; i < BURST; i++) {
        struct nfqe_packet *packet = &packets[i];
        const uint8_t *data = slots->memory + (size_t)(first + i) * slots->size;
        uint32_t len = slots->lengths[first + i];
        const struct nfqe_tcp_header *tcp;

        *packet = (struct nfqe_packet){
            .size = sizeof(*packet), .queue = 1, .id = i, .data = data, .len = len, .wire_len = len};
        packet_parse(packet);
        tcp = nfqe_tcp(packet);
        found += tcp != NULL && nfqe_be16(tcp->dest) == 80;
    }
    return found;
}

/* ---- measuring ------------------------------------------------------------------------------------------------- */

typedef unsigned way(const struct slots *slots, unsigned first);

/* Of this process alone: another one on the same CPU costs only the cache. */
static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static double measure(way *find, const struct slots *slots, unsigned *found)
{
    uint64_t start = cpu_ns();

    *found = 0;
    for (unsigned done = 0; done < PACKETS_PER_ROUND; done += BURST) {
        *found += find(slots, done % slots->count);
    }
    return (double)(cpu_ns() - start) / PACKETS_PER_ROUND;
}

static void measure_slots(unsigned size, unsigned count, bool last)
{
    double touches[ROUNDS];
    double filters[ROUNDS];
    double parses[ROUNDS];
    double ratios[ROUNDS];
    struct slots slots;

    make_slots(&slots, size, count);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned found[3];

        touches[round] = measure(touch, &slots, &found[0]);
        filters[round] = measure(filter, &slots, &found[1]);
        parses[round] = measure(parse, &slots, &found[2]);
        ratios[round] = parses[round] / filters[round];
        if (found[1] > found[2] || found[2] == 0) { /* the filter does not look past extension headers */
            fprintf(stderr, "parse_cost: the filter finds %u packets, the parser %u\n", found[1], found[2]);
            exit(1);
        }
    }
    printf("  \"%s, %u bytes\": {\"touch_ns\": %.1f, \"filter_ns\": %.1f, \"parse_ns\": %.1f, \"parse / filter\": "
           "%.2f}%s\n",
           count == BURST ? "cached" : "not cached", size, median(touches, ROUNDS), median(filters, ROUNDS),
           median(parses, ROUNDS), median(ratios, ROUNDS), last ? "" : ",");
    munmap(slots.memory, (size_t)size * count);
    free(slots.lengths);
}

int main(void)
{
    const unsigned sizes = sizeof(slot_sizes) / sizeof(slot_sizes[0]);
    const unsigned counts = sizeof(slot_counts) / sizeof(slot_counts[0]);

    printf("{\n");
    for (unsigned count = 0; count < counts; count++) {
        for (unsigned size = 0; size < sizes; size++) {
            measure_slots(slot_sizes[size], slot_counts[count], count + 1 == counts && size + 1 == sizes);
        }
    }
    printf("}\n");
    return 0;
}
