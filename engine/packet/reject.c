/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making resets and ICMP errors.
 *
 * Sequence numbers of a reset are those of RFC 9293 3.5.2, by which the sender of the refused segment takes it for valid:
 * what it expects next, if the segment says that, else its own next one is acknowledged.
 *
 * An ICMP message quotes as much of the packet as there is and as the smallest MTU has room for. The quote is the packet
 * as its sender wrote it: where a NAT has changed addresses and ports they are changed back, and checksums by the
 * difference, since most of what they are about is not here. Process: [queue process].
 */
#include "packet/reject.h"

#include "packet/reject_rules.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define HOPS 64
#define ICMP_LEN 8
#define IPV4_ANSWER_MAX 576
#define CODE_NONE 0xff

/* What answers go to and come from, as the sender of the refused packet wrote it. */
struct refused {
    const struct nfqe_packet *packet;
    const uint8_t *source;
    const uint8_t *dest;
    const uint8_t *from; /* what answers come from: dest, or this machine */
    uint32_t address_size;
    uint16_t ports[2]; /* of source and dest; of ICMP the first is the identifier */
    bool translated;   /* they are not those of the packet */
};

struct unreachable_codes {
    uint8_t icmp;
    uint8_t icmpv6;
};

/* Codes of "destination unreachable": type 3 of ICMP, type 1 of ICMPv6. */
static const struct unreachable_codes codes[REJECT_KINDS] = {
    [REJECT_AUTO] = {3, 4},
    [REJECT_TCP_RESET] = {CODE_NONE, CODE_NONE},
    [REJECT_PORT_UNREACHABLE] = {3, 4},
    [REJECT_HOST_UNREACHABLE] = {1, 3},
    [REJECT_PROHIBITED] = {13, 1},
};

/* ---- bytes and checksums ----------------------------------------------------------------------------------- */

static void put_16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static void put_32(uint8_t *to, uint32_t value)
{
    put_16(to, value >> 16);
    put_16(to + 2, value & 0xffff);
}

static uint32_t get_16(const uint8_t *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

/* The sum of 16-bit words; what follows the last byte counts as 0. At most 64 KiB together. */
static uint32_t add(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
    for (; len >= 2; len -= 2, bytes += 2) {
        sum += get_16(bytes);
    }
    return len == 1 ? sum + ((uint32_t)bytes[0] << 8) : sum;
}

static uint32_t fold(uint32_t sum)
{
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint32_t checksum(uint32_t sum)
{
    return ~fold(sum) & 0xffff;
}

/* ---- IP header --------------------------------------------------------------------------------------------- */

static uint32_t header_len(const struct refused *refused)
{
    return refused->address_size == sizeof(struct in_addr) ? sizeof(struct nfqe_ipv4_header)
                                                           : sizeof(struct nfqe_ipv6_header);
}

/* tos: of IPv4. */
static void put_ipv4(const struct refused *refused, uint8_t protocol, uint8_t tos, uint32_t len, uint8_t *answer)
{
    memset(answer, 0, sizeof(struct nfqe_ipv4_header));
    answer[0] = 0x45;
    answer[1] = tos;
    put_16(answer + 2, len);
    answer[6] = protocol == NFQE_PROTOCOL_TCP ? 0x40 : 0; /* a reset needs no id, since it is not fragmented */
    answer[8] = HOPS;
    answer[9] = protocol;
    memcpy(answer + 12, refused->from, refused->address_size);
    memcpy(answer + 16, refused->source, refused->address_size);
    put_16(answer + 10, checksum(add(0, answer, sizeof(struct nfqe_ipv4_header))));
}

static void put_ipv6(const struct refused *refused, uint8_t protocol, uint32_t len, uint8_t *answer)
{
    memset(answer, 0, sizeof(struct nfqe_ipv6_header));
    answer[0] = 0x60;
    put_16(answer + 4, len - (uint32_t)sizeof(struct nfqe_ipv6_header));
    answer[6] = protocol;
    answer[7] = HOPS;
    memcpy(answer + 8, refused->from, refused->address_size);
    memcpy(answer + 24, refused->source, refused->address_size);
}

/* The checksum over the transport part of an answer that has its IP header, with the pseudo-header. */
static uint32_t transport_checksum(const struct refused *refused, uint8_t protocol, const uint8_t *transport,
                                   uint32_t len)
{
    uint32_t sum = add(0, refused->source, refused->address_size);

    sum = add(sum, refused->from, refused->address_size);
    return checksum(add(sum, transport, len) + protocol + len);
}

/* ---- reset ------------------------------------------------------------------------------------------------- */

/* Bytes of payload, which may not all have been captured; of IPv4 and IPv6 a length of 0 is that of a larger packet. */
static uint32_t segment_payload(const struct nfqe_packet *packet, const struct nfqe_tcp_header *tcp)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    uint32_t headers = (uint32_t)(packet->transport - packet->network) + (tcp->data_offset >> 4) * 4U;
    uint32_t len = 0;

    if (ipv4 != NULL) {
        len = nfqe_be16(ipv4->total_len);
    } else if (ipv6 != NULL && nfqe_be16(ipv6->payload_len) != 0) {
        len = (uint32_t)sizeof(*ipv6) + nfqe_be16(ipv6->payload_len);
    }
    if (len == 0) {
        len = packet->wire_len;
    }
    return len > headers ? len - headers : 0;
}

static int make_reset(const struct refused *refused, uint8_t *answer)
{
    const struct nfqe_packet *packet = refused->packet;
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);
    const uint32_t len = header_len(refused) + (uint32_t)sizeof(*tcp);
    uint8_t *reset = answer + header_len(refused);

    if (tcp == NULL || (packet->flags & NFQE_PACKET_FRAGMENT) != 0) { /* of a fragment the length is not known */
        return -EOPNOTSUPP;
    }
    memset(reset, 0, sizeof(*tcp));
    put_16(reset, refused->ports[1]);
    put_16(reset + 2, refused->ports[0]);
    if ((tcp->flags & NFQE_TCP_ACK) != 0) {
        put_32(reset + 4, nfqe_be32(tcp->ack_seq));
        reset[13] = NFQE_TCP_RST;
    } else {
        uint32_t octets = ((tcp->flags & NFQE_TCP_SYN) != 0) + ((tcp->flags & NFQE_TCP_FIN) != 0);

        put_32(reset + 8, nfqe_be32(tcp->seq) + segment_payload(packet, tcp) + octets);
        reset[13] = NFQE_TCP_RST | NFQE_TCP_ACK;
    }
    reset[12] = (uint8_t)(sizeof(*tcp) / 4 << 4);
    put_16(reset + 16, transport_checksum(refused, NFQE_PROTOCOL_TCP, reset, sizeof(*tcp)));
    if (nfqe_ipv4(packet) != NULL) {
        put_ipv4(refused, NFQE_PROTOCOL_TCP, 0, len, answer);
    } else {
        put_ipv6(refused, NFQE_PROTOCOL_TCP, len, answer);
    }
    return (int)len;
}

/* ---- ICMP -------------------------------------------------------------------------------------------------- */

/* Where a transport header has its ports and its checksum. */
struct transport_form {
    uint8_t protocol;
    uint8_t ports; /* their offset */
    uint8_t ports_len; /* bytes */
    uint8_t checksum; /* its offset */
    bool has_addresses; /* in the pseudo-header of its checksum */
};

static const struct transport_form forms[] = {
    {NFQE_PROTOCOL_TCP, 0, 4, 16, true},
    {NFQE_PROTOCOL_UDP, 0, 4, 6, true},
    {NFQE_PROTOCOL_ICMP, 4, 2, 2, false},
    {NFQE_PROTOCOL_ICMPV6, 4, 2, 2, true},
};

static const struct transport_form *find_form(uint8_t protocol)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (forms[i].protocol == protocol) {
            return &forms[i];
        }
    }
    return NULL;
}

/* Replaces an even number of bytes. Returns what that adds to a sum over them. */
static uint32_t replace(uint8_t *at, const uint8_t *by, uint32_t len)
{
    uint32_t sum = add(0, by, len);

    for (uint32_t i = 0; i < len; i += 2) {
        sum += ~get_16(at + i) & 0xffff;
    }
    memcpy(at, by, len);
    return sum;
}

/* A checksum over bytes whose sum has changed (RFC 1624). */
static void add_to_checksum(uint8_t *at, uint32_t change)
{
    put_16(at, checksum((~get_16(at) & 0xffff) + fold(change)));
}

/* The transport header of a quote, of which `len` bytes are there. addresses: what changed in the pseudo-header. */
static void translate_transport(const struct refused *refused, uint8_t *transport, uint32_t len, uint32_t addresses)
{
    const struct transport_form *form = find_form(refused->packet->protocol);
    uint32_t change;
    uint8_t ports[4];

    if (form == NULL || len < (uint32_t)form->ports + form->ports_len) {
        return;
    }
    put_16(ports, refused->ports[0]);
    put_16(ports + 2, refused->ports[1]);
    change = replace(transport + form->ports, ports, form->ports_len) + (form->has_addresses ? addresses : 0);
    if (len < (uint32_t)form->checksum + 2) {
        return;
    }
    if (form->protocol == NFQE_PROTOCOL_UDP && get_16(transport + form->checksum) == 0) {
        return; /* the sender made none */
    }
    add_to_checksum(transport + form->checksum, change);
    if (form->protocol == NFQE_PROTOCOL_UDP && get_16(transport + form->checksum) == 0) {
        put_16(transport + form->checksum, 0xffff);
    }
}

static void translate(const struct refused *refused, uint8_t *quote, uint32_t len)
{
    const uint32_t size = refused->address_size;
    bool is_ipv4 = size == sizeof(struct in_addr);
    uint32_t addresses_at =
        is_ipv4 ? offsetof(struct nfqe_ipv4_header, source) : offsetof(struct nfqe_ipv6_header, source);
    uint32_t transport = (uint32_t)(refused->packet->transport - refused->packet->network);
    uint32_t change = replace(quote + addresses_at, refused->source, size);

    change += replace(quote + addresses_at + size, refused->dest, size);
    if (is_ipv4) {
        add_to_checksum(quote + offsetof(struct nfqe_ipv4_header, checksum), change);
    }
    if (transport < len) {
        translate_transport(refused, quote + transport, len - transport, change);
    }
}

/* Bytes of the packet that are there, without what follows it. */
static uint32_t packet_bytes(const struct nfqe_packet *packet)
{
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    uint32_t captured = packet->len - packet->network;
    uint32_t len = captured;

    if (ipv4 != NULL && nfqe_be16(ipv4->total_len) != 0) {
        len = nfqe_be16(ipv4->total_len);
    } else if (ipv6 != NULL && nfqe_be16(ipv6->payload_len) != 0) {
        len = (uint32_t)sizeof(*ipv6) + nfqe_be16(ipv6->payload_len);
    }
    return len < captured ? len : captured;
}

/* What the answer has after its IP header; it has room for `room` bytes. Returns their number. */
static uint32_t put_message(const struct refused *refused, uint8_t type, uint8_t code, uint8_t *message, uint32_t room)
{
    uint32_t quoted = packet_bytes(refused->packet);

    quoted = quoted > room - ICMP_LEN ? room - ICMP_LEN : quoted;
    memset(message, 0, ICMP_LEN);
    message[0] = type;
    message[1] = code;
    memcpy(message + ICMP_LEN, refused->packet->data + refused->packet->network, quoted);
    if (refused->translated) {
        translate(refused, message + ICMP_LEN, quoted);
    }
    return ICMP_LEN + quoted;
}

static int make_unreachable(const struct refused *refused, enum reject_kind kind, uint8_t *answer)
{
    const uint32_t header = header_len(refused);
    uint8_t *message = answer + header;
    uint32_t len;

    if (nfqe_ipv4(refused->packet) != NULL) {
        len = put_message(refused, 3, codes[kind].icmp, message, IPV4_ANSWER_MAX - header);
        put_16(message + 2, checksum(add(0, message, len)));
        put_ipv4(refused, NFQE_PROTOCOL_ICMP, 0xc0, header + len, answer); /* RFC 1812: precedence of network control */
    } else {
        len = put_message(refused, 1, codes[kind].icmpv6, message, REJECT_ANSWER_MAX - header);
        put_16(message + 2, transport_checksum(refused, NFQE_PROTOCOL_ICMPV6, message, len));
        put_ipv6(refused, NFQE_PROTOCOL_ICMPV6, header + len, answer);
    }
    return (int)(header + len);
}

/* ---- the refused packet ------------------------------------------------------------------------------------ */

/* The packet's own addresses and ports. False: it is neither IPv4 nor IPv6. */
static bool read_packet(struct refused *refused)
{
    const struct nfqe_packet *packet = refused->packet;
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    const struct transport_form *form = find_form(packet->protocol);
    const uint8_t *ports = form == NULL ? NULL : nfqe_bytes(packet, packet->transport + form->ports, form->ports_len);

    if (ipv4 != NULL) {
        refused->source = ipv4->source;
        refused->dest = ipv4->dest;
        refused->address_size = sizeof(ipv4->source);
    } else if (ipv6 != NULL) {
        refused->source = ipv6->source;
        refused->dest = ipv6->dest;
        refused->address_size = sizeof(ipv6->source);
    } else {
        return false;
    }
    if (ports != NULL) {
        refused->ports[0] = (uint16_t)get_16(ports);
        refused->ports[1] = form->ports_len == 4 ? (uint16_t)get_16(ports + 2) : 0;
    }
    return true;
}

/* The connection may be another one than the packet's, such as that which an ICMP error is about. */
static void read_tuple(struct refused *refused, const struct nfqe_tuple *sent)
{
    const struct nfqe_packet *packet = refused->packet;
    const struct transport_form *form = find_form(packet->protocol);
    bool same_family = sent->family == (nfqe_ipv4(packet) != NULL ? AF_INET : AF_INET6);
    uint16_t second = form != NULL && form->ports_len == 4 ? sent->dest_port : 0;

    if (!same_family || sent->protocol != packet->protocol) {
        return;
    }
    refused->translated = memcmp(refused->source, sent->source, refused->address_size) != 0 ||
                          memcmp(refused->dest, sent->dest, refused->address_size) != 0 ||
                          (form != NULL && (refused->ports[0] != sent->source_port || refused->ports[1] != second));
    if (refused->translated) {
        refused->source = sent->source;
        refused->dest = sent->dest;
        refused->ports[0] = sent->source_port;
        refused->ports[1] = second;
    }
}

int reject_answer(const struct nfqe_packet *packet, const struct nfqe_tuple *sent, const uint8_t *own,
                  enum reject_kind kind, uint8_t answer[REJECT_ANSWER_MAX])
{
    struct refused refused = {.packet = packet};

    if (kind >= REJECT_KINDS || !reject_rules_allow(packet) || !read_packet(&refused)) {
        return -EOPNOTSUPP;
    }
    if (sent != NULL) {
        read_tuple(&refused, sent);
    }
    if (!reject_rules_are_hosts(refused.source, refused.dest, refused.address_size)) {
        return -EOPNOTSUPP;
    }
    refused.from = refused.dest;
    if (kind == REJECT_TCP_RESET || (kind == REJECT_AUTO && packet->protocol == NFQE_PROTOCOL_TCP)) {
        return make_reset(&refused, answer);
    }
    if (own != NULL) {
        refused.from = own;
    }
    return make_unreachable(&refused, kind, answer);
}
