/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads headers one byte at a time through octet(), which notes whether a byte was asked for that is not there.
 *
 * Sources: RFC 791 (IPv4), 8200 (IPv6), 4302 (AH), 4303 (ESP), 6275, 7401, 5533 (extension headers), 9293 (TCP), 768
 * and 2675 (UDP), 3828 (UDP-Lite), 792 and 4443 (ICMP), 9260 (SCTP), 4340 (DCCP), 2784, 2890 and 2637 (GRE).
 */
#include "reference.h"

#include <string.h>

struct sight {
    const uint8_t *bytes;
    size_t captured; /* bytes from here on were not captured */
    size_t ip_len;   /* bytes from here on are padding; 0: none are */
    bool missing;    /* a byte was asked for that is not there */
};

static unsigned octet(struct sight *sight, size_t at)
{
    if (at >= sight->captured || (sight->ip_len != 0 && at >= sight->ip_len)) {
        sight->missing = true;
        return 0;
    }
    return sight->bytes[at];
}

static unsigned pair(struct sight *sight, size_t at)
{
    return octet(sight, at) * 256 + octet(sight, at + 1);
}

/* Whether all of `size` bytes are there. */
static bool all(struct sight *sight, size_t at, size_t size)
{
    while (size-- > 0) {
        octet(sight, at++);
    }
    return !sight->missing;
}

/* The shortest header of a protocol; 0: no rule for it. */
static size_t shortest(unsigned protocol)
{
    if (protocol == 6) {
        return 20;
    }
    if (protocol == 33 || protocol == 132) {
        return 12;
    }
    if (protocol == 47) {
        return 4;
    }
    return protocol == 1 || protocol == 17 || protocol == 50 || protocol == 58 || protocol == 136 ? 8 : 0;
}

/* How long a header says that it is. Its shortest form is there. False: it contradicts itself. */
static bool own_size(struct sight *sight, unsigned protocol, size_t at, size_t *size)
{
    *size = shortest(protocol);
    if (protocol == 6) {
        *size = (size_t)4 * (octet(sight, at + 12) / 16);
        return *size >= 20;
    }
    if (protocol == 17) {
        return pair(sight, at + 4) == 0 || pair(sight, at + 4) >= 8;
    }
    if (protocol == 33) {
        *size = (size_t)4 * octet(sight, at + 4);
        return *size >= (octet(sight, at + 8) % 2 == 1 ? 16U : 12U);
    }
    if (protocol == 47) {
        unsigned flags = pair(sight, at);

        if ((flags & 0x8000) != 0 || (flags & 0x4000) != 0) {
            *size += 4; /* checksum and offset */
        }
        if ((flags & 0x2000) != 0) {
            *size += 4; /* key */
        }
        if ((flags & 0x1000) != 0) {
            *size += 4; /* sequence number */
        }
        if ((flags & 0x0007) == 1 && (flags & 0x0080) != 0) {
            *size += 4; /* acknowledgment number */
        }
    }
    return true;
}

static void read_payload(struct sight *sight, struct reference *found)
{
    size_t end = sight->captured;

    if (sight->ip_len != 0 && sight->ip_len < end) {
        end = sight->ip_len;
    }
    if (found->protocol == 17) {
        size_t datagram = pair(sight, found->transport + 4);

        if (datagram != 0 && found->transport + datagram < end) {
            end = found->transport + datagram;
        }
    }
    found->payload_len = end > found->payload ? (unsigned)(end - found->payload) : 0;
}

static void read_transport(struct sight *sight, size_t at, size_t wire_len, struct reference *found)
{
    size_t least = shortest(found->protocol);
    size_t ends = sight->ip_len != 0 ? sight->ip_len : wire_len;
    size_t size;

    if (ends == at && least == 0) {
        return; /* nothing comes after the IP header */
    }
    if (ends != 0 && ends < at + least) {
        found->cut = true;
        return;
    }
    if (!all(sight, at, 1)) {
        found->cut = true;
        return;
    }
    found->transport = (unsigned)at;
    if (!all(sight, at, least) || !own_size(sight, found->protocol, at, &size) || !all(sight, at, size)) {
        found->cut = true;
        return;
    }
    if (found->protocol == 1 || found->protocol == 6 || found->protocol == 17 || found->protocol == 58) {
        found->payload = (unsigned)(at + size);
        read_payload(sight, found);
    }
}

static void read_ipv4(struct sight *sight, size_t wire_len, struct reference *found)
{
    size_t size = (size_t)4 * (octet(sight, 0) % 16);
    unsigned fragment = pair(sight, 6);
    unsigned protocol = octet(sight, 9);

    found->protocol = protocol == 51 ? 0 : protocol;
    found->protocol_known = protocol != 51;
    found->fragment = fragment % 0x4000 != 0;
    sight->ip_len = pair(sight, 2);
    if (size < 20 || !all(sight, 0, size)) {
        found->cut = true;
        return;
    }
    for (size_t at = 20; at < size && octet(sight, at) != 0;) {
        size_t option = octet(sight, at) == 1 ? 1 : at + 1 < size ? octet(sight, at + 1) : 0;

        if (octet(sight, at) != 1 && (option < 2 || at + option > size)) {
            break;
        }
        if (octet(sight, at) == 131 || octet(sight, at) == 137) {
            found->source_route = option >= 3 && octet(sight, at + 2) <= option;
            break;
        }
        at += option;
    }
    if (fragment % 0x2000 != 0) {
        return; /* a later fragment */
    }
    while (protocol == 51) {
        size_t header = (octet(sight, size + 1) + (size_t)2) * 4;

        if (sight->missing || !all(sight, size, header)) {
            found->cut = true;
            return;
        }
        protocol = octet(sight, size);
        size += header;
    }
    found->protocol = protocol;
    found->protocol_known = true;
    read_transport(sight, size, wire_len, found);
}

static bool is_extension(unsigned protocol)
{
    static const unsigned extensions[] = {0, 43, 44, 51, 60, 135, 139, 140};

    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        if (protocol == extensions[i]) {
            return true;
        }
    }
    return false;
}

static void read_ipv6(struct sight *sight, size_t wire_len, struct reference *found)
{
    size_t at = 40;
    unsigned next = octet(sight, 6);
    unsigned payload_len = pair(sight, 4);

    sight->ip_len = payload_len != 0 ? 40 + (size_t)payload_len : 0;
    while (is_extension(next)) {
        size_t size = next == 44   ? 8
                      : next == 51 ? ((size_t)octet(sight, at + 1) + 2) * 4
                                   : ((size_t)octet(sight, at + 1) + 1) * 8;
        unsigned after = octet(sight, at);

        if (sight->missing || !all(sight, at, size)) {
            found->cut = true;
            return;
        }
        if (next == 43 && octet(sight, at + 3) > 0) {
            found->source_route = true;
        }
        if (next == 44) {
            found->fragment = true;
            if (pair(sight, at + 2) >= 8) {
                found->protocol = is_extension(after) ? 0 : after;
                found->protocol_known = !is_extension(after);
                return;
            }
        }
        at += size;
        next = after;
    }
    found->protocol = next;
    found->protocol_known = true;
    if (next != 59) {
        read_transport(sight, at, wire_len, found);
    }
}

struct reference reference_read(const uint8_t *bytes, size_t len, size_t wire_len, unsigned ether_type)
{
    struct reference found = {.transport = REFERENCE_NONE, .payload = REFERENCE_NONE};
    struct sight sight = {.bytes = bytes, .captured = len};
    unsigned version = len > 0 ? bytes[0] / 16 : 0;
    unsigned expected = ether_type == 0x0800 ? 4 : ether_type == 0x86dd ? 6 : ether_type == 0 ? version : 0;

    if (expected != 4 && expected != 6) {
        found.cut = len == 0;
    } else if (version != expected || len < (expected == 4 ? 20U : 40U)) {
        found.cut = true;
    } else if (expected == 4) {
        found.version = 4;
        read_ipv4(&sight, wire_len, &found);
    } else {
        found.version = 6;
        read_ipv6(&sight, wire_len, &found);
    }
    return found;
}
