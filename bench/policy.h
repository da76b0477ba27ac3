/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verdicts of both reference loops: those of the plugin drop_tcp80, and for other packets one of three patterns.
 *
 * TCP to port 80 is dropped. Other packets are accepted, dropped, or alternately accepted and dropped, as the command
 * line says: `reference_... QUEUE accept|drop|alternate whole|segments`. The last argument says whether offload
 * packets are taken whole, by the loop that can do so.
 */
#ifndef BENCH_POLICY_H
#define BENCH_POLICY_H

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY_PORT 80
#define POLICY_IPV4_HEADER 20
#define POLICY_IPV6_HEADER 40
#define POLICY_PORTS 4 /* bytes of the two ports, which TCP and UDP begin with */

/* The same for both loops and the engine, so that only the loops differ. */
#define POLICY_MAX_LEN 8192
#define POLICY_RECEIVE_BUFFER (16 * 1024 * 1024)

enum policy_pattern { POLICY_ACCEPT, POLICY_DROP, POLICY_ALTERNATE };

/* Reads the command line, or says how it is used and exits. */
static inline void policy_parse(int argc, char *const argv[], uint16_t *queue, enum policy_pattern *pattern,
                                bool *whole)
{
    static const char *const names[] = {"accept", "drop", "alternate"};

    if (argc == 4 && (strcmp(argv[3], "whole") == 0 || strcmp(argv[3], "segments") == 0)) {
        char *end;
        unsigned long number = strtoul(argv[1], &end, 10);

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (*end == '\0' && number <= UINT16_MAX && strcmp(argv[2], names[i]) == 0) {
                *queue = (uint16_t)number;
                *pattern = (enum policy_pattern)i;
                *whole = strcmp(argv[3], "whole") == 0;
                return;
            }
        }
    }
    fprintf(stderr, "usage: %s QUEUE accept|drop|alternate whole|segments\n", argv[0]);
    exit(2);
}

/* Whether the packet is TCP to port 80. What is too short or fragmented is not. */
static inline bool policy_is_blocked(const uint8_t *data, size_t len)
{
    size_t transport;
    uint8_t protocol;

    if (len >= POLICY_IPV4_HEADER && data[0] >> 4 == 4) {
        transport = (size_t)(data[0] & 15) * 4;
        protocol = data[9];
        if (((data[6] & 0x1f) | data[7]) != 0) {
            return false;
        }
    } else if (len >= POLICY_IPV6_HEADER && data[0] >> 4 == 6) {
        transport = POLICY_IPV6_HEADER;
        protocol = data[6];
    } else {
        return false;
    }
    if (len < transport + POLICY_PORTS || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)) {
        return false;
    }
    return ((data[transport + 2] << 8) | data[transport + 3]) == POLICY_PORT && protocol == IPPROTO_TCP;
}

static inline uint32_t policy_decide(enum policy_pattern pattern, uint32_t id, const uint8_t *data, size_t len)
{
    if (policy_is_blocked(data, len) || pattern == POLICY_DROP) {
        return NF_DROP;
    }
    return pattern == POLICY_ALTERNATE && (id & 1) != 0 ? NF_DROP : NF_ACCEPT;
}

#endif
