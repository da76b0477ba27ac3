/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks the extension headers between the IPv6 header and the transport header once more, in search of a routing
 * header. Few packets have any, so the parser does not keep what it passes.
 *
 * Of a packet with segments left, the IPv6 header has the next stop; the last one is in the routing header: the first
 * address of a segment list (type 4), the last one of the list of type 0, the only one of type 2. Each step of the walk
 * takes at least 8 captured bytes. Process: [queue process], [worker].
 */
#include "packet/final_dest.h"

#include <stddef.h>

#define ROUTING 43
#define FRAGMENT 44
#define AUTHENTICATION 51

#define UNIT 8 /* bytes, in which lengths are counted */
#define ADDRESS 16
#define ROUTING_ADDRESSES 8 /* offset of the first address in a routing header */

/* routing: the header at `offset` of the packet, of which 8 bytes were captured. */
static const uint8_t *last_segment(const struct nfqe_packet *packet, uint32_t offset, const uint8_t *routing)
{
    uint32_t addresses = (uint32_t)routing[1] * UNIT / ADDRESS;
    uint32_t place;

    if (addresses == 0) {
        return NULL;
    }
    switch (routing[2]) {
    case 0:
        place = addresses - 1;
        break;
    case 2:
    case 4:
        place = 0;
        break;
    default:
        return NULL;
    }
    return (const uint8_t *)nfqe_bytes(packet, offset + ROUTING_ADDRESSES + place * ADDRESS, ADDRESS);
}

const uint8_t *packet_final_dest(const struct nfqe_packet *packet)
{
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    uint32_t offset = packet->network + (uint32_t)sizeof(*ipv6);
    uint8_t kind;

    if (ipv6 == NULL) {
        return NULL;
    }
    kind = ipv6->next_header;
    while (offset < packet->transport) {
        const uint8_t *extension = (const uint8_t *)nfqe_bytes(packet, offset, UNIT);

        if (extension == NULL) {
            return NULL;
        }
        if (kind == ROUTING && extension[3] != 0) {
            return last_segment(packet, offset, extension);
        }
        if (kind == FRAGMENT) {
            offset += UNIT;
        } else if (kind == AUTHENTICATION) {
            offset += ((uint32_t)extension[1] + 2) * 4;
        } else {
            offset += ((uint32_t)extension[1] + 1) * UNIT;
        }
        kind = extension[0];
    }
    return ipv6->dest;
}
