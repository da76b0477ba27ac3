/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checksums byte by byte. A field is put as what the sum lacks, so a packet is right if its sum is 0 modulo 65535.
 */
#include "checksums.h"

#include <string.h>

static unsigned sum_of(const uint8_t *bytes, size_t len)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < len; i++) {
        sum += i % 2 == 0 ? bytes[i] * UINT64_C(256) : bytes[i];
    }
    return (unsigned)(sum % 65535);
}

/* The sum that the transport part has with its pseudo-header. */
static unsigned transport_sum(const uint8_t *packet, uint8_t protocol, const uint8_t *transport, size_t len)
{
    uint8_t pseudo[40] = {0};
    size_t addresses = packet[0] / 16 == 4 ? 8 : 32;

    if (protocol == 1) {
        return sum_of(transport, len);
    }
    memcpy(pseudo, packet + (addresses == 8 ? 12 : 8), addresses);
    pseudo[addresses + 2] = (uint8_t)(len / 256);
    pseudo[addresses + 3] = (uint8_t)(len % 256);
    pseudo[addresses + 5] = protocol;
    return (sum_of(pseudo, addresses + 6) + sum_of(transport, len)) % 65535;
}

static void put(uint8_t *at, unsigned sum)
{
    at[0] = (uint8_t)((65535 - sum) / 256);
    at[1] = (uint8_t)((65535 - sum) % 256);
}

void checksums_put(struct builder *builder)
{
    size_t place = builder->protocol == 6 ? 16 : builder->protocol == 17 ? 6 : 2;
    uint8_t *transport = builder->bytes + builder->transport;

    if (builder->version == 4) {
        memset(builder->bytes + 10, 0, 2);
        put(builder->bytes + 10, sum_of(builder->bytes, (size_t)4 * (builder->bytes[0] % 16)));
    }
    memset(transport + place, 0, 2);
    put(transport + place,
        transport_sum(builder->bytes, builder->protocol, transport, builder->len - builder->transport));
}

bool checksums_are_right(const uint8_t *packet, size_t len)
{
    size_t header = packet[0] / 16 == 4 ? 20 : 40;
    size_t said;

    if (len < header + 8) {
        return false;
    }
    said = header == 20 ? packet[2] * 256U + packet[3] : 40 + packet[4] * 256U + packet[5];
    return said == len && (header == 40 || (packet[0] == 0x45 && sum_of(packet, header) == 0)) &&
           transport_sum(packet, packet[header == 20 ? 9 : 6], packet + header, len - header) == 0;
}
