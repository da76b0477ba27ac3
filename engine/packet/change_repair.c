/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes lengths and checksums right.
 *
 * The Internet checksum is a sum, so it follows from the received one and from the difference between the two packets:
 * what both have at their beginning and end needs no sum. If a change moved the end by an odd number of bytes, these
 * change places in their 16-bit words, and everything from the change on is summed. The difference also does what a
 * whole sum cannot: a first fragment gets the checksum of its datagram without the other fragments, and a damaged packet
 * stays damaged. Where there is nothing to start from (a checksum that is pending, one that a plugin asks for, a
 * replaced packet), the sum is made of all bytes. Process: [worker].
 */
#include "packet/change_repair.h"

#include "packet/checksum.h"
#include "packet/crc32c.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#define PROTOCOL_DCCP 33
#define PROTOCOL_SCTP 132
#define PROTOCOL_UDP_LITE 136

#define IPV4_CHECKSUM 10 /* offset, as in the table below */
#define UDP_LENGTH 4 /* of UDP-Lite: the coverage */
#define UDP_HEADER 8
#define DCCP_DATA_OFFSET 4
#define DCCP_COVERAGE 5
#define SCTP_CHECKSUM 8
#define SCTP_HEADER 12

enum sum_kind { SUM_NONE, SUM_CRC, SUM_PLAIN, SUM_PSEUDO }; /* the last with a pseudo-header */

static const struct checksum_kind {
    uint8_t kind;  /* enum sum_kind */
    uint8_t field; /* offset of the checksum in the header */
    uint8_t size;  /* bytes of the header that have to be there */
} kinds[256] = {
    [NFQE_PROTOCOL_ICMP] = {SUM_PLAIN, 2, 8},          [NFQE_PROTOCOL_TCP] = {SUM_PSEUDO, 16, 20},
    [NFQE_PROTOCOL_UDP] = {SUM_PSEUDO, 6, UDP_HEADER}, [PROTOCOL_DCCP] = {SUM_PSEUDO, 6, 12},
    [NFQE_PROTOCOL_ICMPV6] = {SUM_PSEUDO, 2, 8},       [PROTOCOL_SCTP] = {SUM_CRC, SCTP_CHECKSUM, SCTP_HEADER},
    [PROTOCOL_UDP_LITE] = {SUM_PSEUDO, 6, UDP_HEADER},
};

/* What a checksum is about. */
struct cover {
    uint32_t from;   /* the transport header */
    uint32_t field;  /* the checksum */
    uint32_t end;    /* of the bytes that count */
    uint64_t pseudo; /* sum of the pseudo-header */
    bool dest_known; /* and whether that is complete */
};

static uint16_t read_be16(const uint8_t *bytes)
{
    return (uint16_t)((bytes[0] << 8) | bytes[1]);
}

static void write_be16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

/* In this machine's byte order, like the sums. */
static uint16_t read_field(const uint8_t *bytes)
{
    uint16_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static bool is_fragment(const struct nfqe_packet *packet)
{
    return (packet->flags & NFQE_PACKET_FRAGMENT) != 0;
}

/* ---- lengths ------------------------------------------------------------------------------------------------- */

uint32_t change_ip_len(const struct nfqe_packet *packet)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    uint32_t len = 0; /* 0: longer than the field can say */

    if (ipv4 != NULL) {
        len = nfqe_be16(ipv4->total_len);
    } else if (ipv6 != NULL && nfqe_be16(ipv6->payload_len) != 0) {
        len = (uint32_t)sizeof(*ipv6) + nfqe_be16(ipv6->payload_len);
    }
    return len != 0 && len < packet->len ? len : packet->len;
}

/* Bytes of the IP packet from the transport header on. 0: there is none. */
static uint32_t transport_len(const struct nfqe_packet *packet)
{
    uint32_t len = change_ip_len(packet);

    return packet->transport < len ? len - packet->transport : 0;
}

void change_repair_ip_length(uint8_t *bytes, uint32_t len)
{
    const uint32_t ipv6_size = sizeof(struct nfqe_ipv6_header);

    if (len >= sizeof(struct nfqe_ipv4_header) && bytes[0] >> 4 == 4) {
        write_be16(bytes + offsetof(struct nfqe_ipv4_header, total_len), len);
    } else if (len >= ipv6_size && bytes[0] >> 4 == 6) {
        write_be16(bytes + offsetof(struct nfqe_ipv6_header, payload_len), len - ipv6_size);
    }
}

bool change_repair_udp(const struct nfqe_packet *packet, uint8_t *bytes, uint32_t rest)
{
    uint32_t len = transport_len(packet);
    uint8_t *field = bytes + packet->transport + UDP_LENGTH;
    uint32_t value;

    if (len < UDP_HEADER || is_fragment(packet)) {
        return false;
    }
    if (packet->protocol == NFQE_PROTOCOL_UDP) {
        value = rest <= len - UDP_HEADER ? len - rest : len;
    } else if (packet->protocol == PROTOCOL_UDP_LITE && read_be16(field) > len) {
        value = 0;
    } else {
        return false;
    }
    if (read_be16(field) == value) {
        return false;
    }
    write_be16(field, value);
    return true;
}

/* ---- what a checksum is about ------------------------------------------------------------------------------------ */

/* Bytes from the transport header on that count, of `len` that are there. */
static uint32_t covered_len(const struct nfqe_packet *packet, const uint8_t *header, uint32_t len)
{
    uint32_t least = kinds[packet->protocol].size;
    uint32_t covered = len;

    if (packet->protocol == NFQE_PROTOCOL_UDP || packet->protocol == PROTOCOL_UDP_LITE) {
        covered = read_be16(header + UDP_LENGTH);
    } else if (packet->protocol == PROTOCOL_DCCP && (header[DCCP_COVERAGE] & 15) != 0) {
        covered = (header[DCCP_DATA_OFFSET] + (header[DCCP_COVERAGE] & 15U) - 1) * 4;
    }
    return covered >= least && covered < len ? covered : len;
}

/* False: the packet has no header with a checksum, or not all of it. */
static bool find_cover(const struct nfqe_packet *packet, struct cover *cover)
{
    const struct checksum_kind *kind = &kinds[packet->protocol];
    uint32_t len = transport_len(packet);
    uint32_t pseudo_len = len;

    if (kind->kind == SUM_NONE || len < kind->size) {
        return false;
    }
    *cover = (struct cover){.from = packet->transport, .field = packet->transport + kind->field, .dest_known = true};
    cover->end = cover->from + covered_len(packet, packet->data + packet->transport, len);
    if (kind->kind != SUM_PSEUDO) {
        return true;
    }
    if (packet->protocol == NFQE_PROTOCOL_UDP) {
        pseudo_len = cover->end - cover->from;
    }
    cover->pseudo = checksum_addresses(packet, &cover->dest_known) + htonl(packet->protocol);
    if (!is_fragment(packet)) { /* that of the datagram is not known, and the same before and after */
        cover->pseudo += htonl(pseudo_len);
    }
    return true;
}

bool change_checksum_is_elsewhere(const struct nfqe_packet *packet)
{
    struct cover cover;
    uint8_t kind = kinds[packet->protocol].kind;

    if (!is_fragment(packet)) {
        return false;
    }
    if (packet->transport == NFQE_NONE) {
        return kind != SUM_NONE || packet->protocol == 0;
    }
    return kind == SUM_CRC || (kind != SUM_NONE && !find_cover(packet, &cover));
}

/* ---- checksums --------------------------------------------------------------------------------------------------- */

static void repair_ipv4(uint8_t *bytes, uint32_t len)
{
    uint32_t size = (bytes[0] & 15U) * 4;
    uint16_t value;

    if (size >= sizeof(struct nfqe_ipv4_header) && size <= len) {
        memset(bytes + IPV4_CHECKSUM, 0, sizeof(value));
        value = (uint16_t)~checksum_fold(checksum_sum(bytes, size));
        memcpy(bytes + IPV4_CHECKSUM, &value, sizeof(value));
    }
}

/* value: as the sum says; 0 and 0xffff mean the same to it. */
static void put_checksum(const struct nfqe_packet *changed, const struct cover *cover, uint8_t *bytes, uint16_t value)
{
    bool zero_is_none = changed->protocol == NFQE_PROTOCOL_UDP || changed->protocol == PROTOCOL_UDP_LITE;

    if (value == 0 || value == 0xffff) {
        value = zero_is_none ? 0xffff : 0;
    }
    memcpy(bytes + cover->field, &value, sizeof(value));
}

/* Of all bytes. */
static void make(const struct nfqe_packet *changed, const struct cover *cover, uint8_t *bytes)
{
    uint64_t sum = cover->pseudo;

    memset(bytes + cover->field, 0, sizeof(uint16_t));
    sum += checksum_sum(bytes + cover->from, cover->end - cover->from);
    put_checksum(changed, cover, bytes, (uint16_t)~checksum_fold(sum));
}

/* Bytes at the end of what counts that do not have to be summed, in either packet. */
static uint32_t same_end(const struct cover *was, uint32_t was_len, const struct cover *is, uint32_t is_len,
                         const struct change_extent *same, uint32_t front)
{
    uint32_t shorter = was->end < is->end ? was->end : is->end;
    uint32_t rest = is_len - is->end;
    uint32_t begin = front <= is->field ? is->field + (uint32_t)sizeof(uint16_t) : front; /* of what may be left out */
    uint32_t back;

    if (was_len - was->end != rest || same->back <= rest || (was->end - is->end) % 2 != 0) {
        return 0;
    }
    back = same->back - rest;
    return back < shorter - begin ? back : shorter - begin;
}

/*
 * By what is different: sum and checksum of the received packet together, which are 0xffff if it is right, less the sum
 * of the changed one.
 */
static void adjust(const struct nfqe_packet *received, const struct cover *was, const struct nfqe_packet *changed,
                   const struct cover *is, uint8_t *bytes, const struct change_extent *same)
{
    uint32_t shorter = was->end < is->end ? was->end : is->end;
    uint32_t front = was->from;
    uint32_t back;
    uint64_t before;
    uint64_t after;

    if (was->from == is->from && same->front > front) {
        front = same->front < shorter ? same->front : shorter;
        front -= (front - was->from) % 2;
    }
    back = was->from == is->from ? same_end(was, change_ip_len(received), is, changed->len, same, front) : 0;
    before = was->pseudo + checksum_sum(received->data + front, was->end - back - front);
    if (front > was->field) {
        before += read_field(received->data + was->field);
    } else {
        memset(bytes + is->field, 0, sizeof(uint16_t));
    }
    front += is->from - was->from;
    after = is->pseudo + checksum_sum(bytes + front, is->end - back - front);
    put_checksum(changed, is, bytes, checksum_fold((uint64_t)checksum_fold(before) + (uint16_t)~checksum_fold(after)));
}

static uint32_t sctp_crc(const uint8_t *header, uint32_t len)
{
    static const uint8_t zero[SCTP_HEADER - SCTP_CHECKSUM];
    uint32_t crc = crc32c_add(CRC32C_BEGIN, header, SCTP_CHECKSUM);

    crc = crc32c_add(crc, zero, sizeof(zero));
    return ~crc32c_add(crc, header + SCTP_HEADER, len - SCTP_HEADER);
}

/* was: NULL if the received packet's does not count. */
static void repair_sctp(const struct nfqe_packet *received, const struct cover *was, const struct cover *is,
                        uint8_t *bytes)
{
    uint32_t crc = sctp_crc(bytes + is->from, is->end - is->from);
    uint32_t difference = 0;

    if (was != NULL) {
        const uint8_t *field = received->data + was->field;

        difference = sctp_crc(received->data + was->from, was->end - was->from);
        difference ^= field[0] | (uint32_t)field[1] << 8 | (uint32_t)field[2] << 16 | (uint32_t)field[3] << 24;
    }
    crc ^= difference;
    for (unsigned i = 0; i < sizeof(crc); i++) {
        bytes[is->field + i] = (uint8_t)(crc >> (8 * i));
    }
}

static bool is_pending(const struct nfqe_packet *received)
{
    return (received->flags & (NFQE_PACKET_CHECKSUM_PENDING | NFQE_PACKET_GSO)) != 0;
}

/* Whether the received packet is one of UDP whose sender made no checksum. */
static bool has_none(const struct nfqe_packet *received, const struct cover *was)
{
    return received->protocol == NFQE_PROTOCOL_UDP && !is_pending(received) &&
           read_field(received->data + was->field) == 0;
}

/* Whether a UDP checksum of 0 is to stay so; over IPv6 that needs a receiver that has agreed to it. */
static bool wants_none(const struct nfqe_packet *received, const struct cover *was, const struct nfqe_packet *changed,
                       uint16_t field, const struct change_extent *same)
{
    if (changed->protocol != NFQE_PROTOCOL_UDP || field != 0 || is_pending(received)) {
        return false;
    }
    return nfqe_ipv4(changed) != NULL || (was != NULL && has_none(received, was) && !same->replaced);
}

enum repair { REPAIR_NOTHING, REPAIR_BY_DIFFERENCE, REPAIR_BY_ALL, REPAIR_IMPOSSIBLE };

/* How the transport's checksum is to be made. *is is set but for NOTHING, *was for BY_DIFFERENCE. */
static enum repair choose(const struct nfqe_packet *received, const struct nfqe_packet *changed,
                          const struct change_extent *same, struct cover *was, struct cover *is)
{
    bool had = find_cover(received, was);
    bool based = had && received->protocol == changed->protocol && !is_pending(received) && !has_none(received, was) &&
                 (!same->replaced || is_fragment(changed));

    if (!find_cover(changed, is) || change_checksum_is_elsewhere(changed) ||
        wants_none(received, had ? was : NULL, changed, read_field(changed->data + is->field), same)) {
        return REPAIR_NOTHING;
    }
    if (based && was->dest_known == is->dest_known) {
        return REPAIR_BY_DIFFERENCE;
    }
    return is_fragment(changed) || !is->dest_known ? REPAIR_IMPOSSIBLE : REPAIR_BY_ALL;
}

bool change_can_repair(const struct nfqe_packet *received, const struct nfqe_packet *changed,
                       const struct change_extent *same)
{
    struct cover was;
    struct cover is;

    return choose(received, changed, same, &was, &is) != REPAIR_IMPOSSIBLE;
}

void change_repair_checksums(const struct nfqe_packet *received, const struct nfqe_packet *changed, uint8_t *bytes,
                             const struct change_extent *same)
{
    struct cover was;
    struct cover is;
    enum repair repair = choose(received, changed, same, &was, &is);

    if (nfqe_ipv4(changed) != NULL) {
        repair_ipv4(bytes, changed->len);
    }
    if (repair != REPAIR_BY_DIFFERENCE && repair != REPAIR_BY_ALL) {
        return;
    }
    if (changed->protocol == PROTOCOL_SCTP) {
        repair_sctp(received, repair == REPAIR_BY_DIFFERENCE ? &was : NULL, &is, bytes);
    } else if (repair == REPAIR_BY_DIFFERENCE) {
        adjust(received, &was, changed, &is, bytes, same);
    } else {
        make(changed, &is, bytes);
    }
}
