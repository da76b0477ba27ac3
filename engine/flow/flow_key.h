/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The key of the flow that a packet belongs to, and the keyed hash of a key. flow_table.h defines what a flow is.
 *
 * Pure functions of the captured headers. Never reads beyond packet->len.
 */
#ifndef ENGINE_FLOW_FLOW_KEY_H
#define ENGINE_FLOW_FLOW_KEY_H

#include <nfqe/packet.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FLOW_KEY_WORDS 10 /* 32-bit words of struct flow_key */

/* The two ends of a flow, in an order that does not depend on the direction of the packet. */
struct flow_key {
    uint8_t address[2][16]; /* IPv4: the first 4 bytes; the rest is 0 */
    uint16_t port[2];       /* as in the packet, big-endian; 0 for protocols without */
    uint8_t protocol;
    uint8_t version;        /* 4 or 6 */
    uint16_t zero;
};

/* The bits in which 8 bytes of two keys differ. */
static inline uint64_t flow_key_differ(const struct flow_key *a, const struct flow_key *b, size_t offset)
{
    uint64_t words[2];

    memcpy(&words[0], (const uint8_t *)a + offset, sizeof(words[0]));
    memcpy(&words[1], (const uint8_t *)b + offset, sizeof(words[1]));
    return words[0] ^ words[1];
}

/* For each packet: memcmp() would be a call, since the key is longer than what the compiler compares by itself. */
static inline bool flow_key_same(const struct flow_key *a, const struct flow_key *b)
{
    return (flow_key_differ(a, b, 0) | flow_key_differ(a, b, 8) | flow_key_differ(a, b, 16) |
            flow_key_differ(a, b, 24) | flow_key_differ(a, b, 32)) == 0;
}

/* The key of the hash: made once, at the start; queue processes inherit it. */
struct flow_seed {
    uint64_t words[FLOW_KEY_WORDS + 1];
};

/* Fills the seed with random bytes. Returns 0 or a negative errno. [supervisor] */
int flow_seed_make(struct flow_seed *seed);

/* What a packet is to its flow. */
struct flow_traits {
    bool begins; /* it begins a connection: TCP SYN without ACK, SCTP INIT, DCCP Request; or it may, see `alone` */
    bool resets; /* TCP RST */
    /*
     * A first fragment, or a packet that other stations than its receiver come first to: its flow is known, but it
     * neither decides the flow, nor is it accepted with it. If the byte that says whether it begins a connection is in
     * a later fragment, it is taken to begin one.
     */
    bool alone;
};

/* Finds the flow of the packet. False: it has none, and *key is undefined. [queue process] */
bool flow_key_find(const struct nfqe_packet *packet, struct flow_key *key, struct flow_traits *traits);

/* The hash of a key; always the same for the same seed. [queue process] */
uint32_t flow_key_hash(const struct flow_seed *seed, const struct flow_key *key);

#endif
