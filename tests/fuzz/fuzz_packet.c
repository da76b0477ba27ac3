/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet_parse() on any bytes, captured to any length, as any protocol.
 *
 * Input: a byte that chooses hw_protocol, a byte of flags that were set before, a byte of how unaligned the packet
 * is (0 to 3) and how much shorter its second capture, then the packet. The packet ends where its allocation does.
 */
#include "input.h"
#include "packet/parse.h"
#include "packet_promises.h"

#include <stdlib.h>

#define PARSED_FLAGS                                                                                                   \
    (NFQE_PACKET_FRAGMENT | NFQE_PACKET_HEADERS_CUT | NFQE_PACKET_SOURCE_ROUTE | NFQE_PACKET_PROTOCOL_KNOWN)

static const uint16_t protocols[] = {0x0800, 0x86dd, 0, 0x0806};

static struct nfqe_packet parse(const uint8_t *data, size_t len, uint16_t hw_protocol, uint8_t flags)
{
    struct nfqe_packet packet = {.size = sizeof(packet),
                                 .data = len > 0 ? data : NULL,
                                 .len = (uint32_t)len,
                                 .hw_protocol = hw_protocol,
                                 .flags = flags};
    struct nfqe_packet before;

    packet_parse(&packet);
    PROMISE(packet.data == (len > 0 ? data : NULL) && packet.len == len && packet.hw_protocol == hw_protocol);
    PROMISE((packet.flags & ~PARSED_FLAGS) == (flags & ~PARSED_FLAGS));
    packet_promises_check(&packet);
    before = packet;
    packet_parse(&packet); /* what an earlier run left does not count */
    PROMISE(memcmp(&packet, &before, sizeof(packet)) == 0);
    return packet;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};
    uint16_t hw_protocol = protocols[input_u8(&input) % (sizeof(protocols) / sizeof(protocols[0]))];
    uint8_t flags = input_u8(&input);
    uint8_t place = input_u8(&input);
    size_t shift = 4 + place % 4; /* an allocation is never empty */
    size_t packet_len = input.len;
    size_t shorter_len = packet_len - (packet_len < place / 4U ? packet_len : place / 4U);
    uint8_t *memory = malloc(shift + packet_len);
    uint8_t *shorter_memory = malloc(shift + shorter_len);
    struct nfqe_packet packet;
    struct nfqe_packet shorter;

    PROMISE(memory != NULL && shorter_memory != NULL);
    memset(memory, 0, shift); /* the bytes before the packet are not part of it */
    memset(shorter_memory, 0, shift);
    if (packet_len > 0) {
        memcpy(memory + shift, input.data, packet_len);
        memcpy(shorter_memory + shift, input.data, shorter_len);
    }
    packet = parse(memory + shift, packet_len, hw_protocol, flags);
    shorter = parse(shorter_memory + shift, shorter_len, hw_protocol, flags);
    if (shorter_len > 0) {
        packet_promises_check_shorter(&packet, &shorter);
    }
    PROMISE(packet_len == 0 || memcmp(memory + shift, input.data, packet_len) == 0);
    free(shorter_memory);
    free(memory);
    return 0;
}
