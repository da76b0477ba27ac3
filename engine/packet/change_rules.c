/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules for changed packets, each with the function of the kernel that has it (net/netfilter/nfnetlink_queue.c).
 *
 * All kernels: nfqnl_mangle() wants no packet that ends before its transport header. Those of 2026 also have
 * nfqnl_validate_write(): the IP header must fit the new length, and what was parsed before the queue (IPv4 options,
 * IPv6 extension headers) must stay. The kernel's walk over extension headers knows fewer of them than the parser here,
 * and also goes on after a fragment header of a later fragment, so it is done once more as the kernel does it.
 *
 * Neither of the two packets is trusted: a rule reads only bytes that it has found to be there, whatever the rules
 * before it said. Process: [worker], [queue process].
 */
#include "packet/change_rules.h"

#include "base/limits.h"
#include "packet/change_repair.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define IPV4_SIZE ((uint32_t)sizeof(struct nfqe_ipv4_header))
#define IPV6_SIZE ((uint32_t)sizeof(struct nfqe_ipv6_header))
#define IPV4_LENGTH 2 /* offsets */
#define IPV4_FRAGMENT 6
#define IPV6_LENGTH 4
#define IPV6_NEXT 6
#define IPV4_DONT_FRAGMENT 0x40 /* of the first byte of the fragment field */
#define IPV6_EXTENSIONS_MAX 12 /* IP6_MAX_EXT_HDRS_CNT */

#define PROTOCOL_HOP_BY_HOP 0
#define PROTOCOL_ROUTING 43
#define PROTOCOL_FRAGMENT 44
#define PROTOCOL_AUTHENTICATION 51
#define PROTOCOL_NO_NEXT 59
#define PROTOCOL_DESTINATION 60

struct bytes {
    const uint8_t *at;
    uint32_t len;
    unsigned version; /* 4 or 6, of a packet with at least the fixed header; else 0 */
};

struct comparison {
    const struct nfqe_packet *received;
    struct bytes old; /* without padding */
    struct bytes new;
};

static uint32_t read_be16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static struct bytes make_bytes(const uint8_t *at, uint32_t len)
{
    unsigned version = len > 0 ? at[0] >> 4 : 0;
    bool whole = (version == 4 && len >= IPV4_SIZE) || (version == 6 && len >= IPV6_SIZE);

    return (struct bytes){.at = at, .len = len, .version = whole ? version : 0};
}

/* Bytes of the IPv4 header; 0: it is not all there. */
static uint32_t ipv4_size(const struct bytes *packet)
{
    uint32_t size = packet->version == 4 ? (packet->at[0] & 15U) * 4 : 0;

    return size >= IPV4_SIZE && size <= packet->len ? size : 0;
}

/* The end of the last extension header, as the kernel finds it; 0: they are not all there, or too many. */
static uint32_t ipv6_headers_end(const struct bytes *packet)
{
    uint32_t end = IPV6_SIZE;
    unsigned count = 0;
    uint8_t kind;

    if (packet->version != 6) {
        return 0;
    }
    kind = packet->at[IPV6_NEXT];
    while (kind == PROTOCOL_HOP_BY_HOP || kind == PROTOCOL_ROUTING || kind == PROTOCOL_FRAGMENT ||
           kind == PROTOCOL_AUTHENTICATION || kind == PROTOCOL_DESTINATION) {
        uint32_t size = 8;

        if (count++ >= IPV6_EXTENSIONS_MAX || packet->len - end < 2) {
            return 0;
        }
        if (kind == PROTOCOL_AUTHENTICATION) {
            size = (packet->at[end + 1] + 2U) * 4;
        } else if (kind != PROTOCOL_FRAGMENT) {
            size = (packet->at[end + 1] + 1U) * 8;
        }
        if (size > packet->len - end) {
            return 0;
        }
        kind = packet->at[end];
        end += size;
    }
    return end;
}

static uint32_t headers_end(const struct bytes *packet)
{
    return packet->version == 4 ? ipv4_size(packet) : ipv6_headers_end(packet);
}

/* ---- the rules: whether each is broken ---------------------------------------------------------------------------- */

static bool was_truncated(const struct comparison *packets)
{
    return (packets->received->flags & NFQE_PACKET_TRUNCATED) != 0;
}

static bool is_too_long(const struct comparison *packets)
{
    return packets->new.len > COPY_RANGE_MAX;
}

static bool is_other_ip(const struct comparison *packets)
{
    return packets->received->network == NFQE_NONE || packets->old.version == 0 ||
           packets->new.version != packets->old.version;
}

static bool is_on_bridge(const struct comparison *packets)
{
    return packets->received->family != (packets->old.version == 4 ? AF_INET : AF_INET6);
}

static bool has_other_ip_length(const struct comparison *packets)
{
    if (packets->new.version == 4) {
        return read_be16(packets->new.at + IPV4_LENGTH) != packets->new.len;
    }
    return packets->new.version != 6 || read_be16(packets->new.at + IPV6_LENGTH) != packets->new.len - IPV6_SIZE;
}

static bool has_other_ipv4_header(const struct comparison *packets)
{
    uint32_t size = ipv4_size(&packets->old);

    if (packets->old.version != 4) {
        return false;
    }
    return size == 0 || size != ipv4_size(&packets->new) ||
           memcmp(packets->old.at + IPV4_SIZE, packets->new.at + IPV4_SIZE, size - IPV4_SIZE) != 0;
}

static bool has_other_fragment_bits(const struct comparison *packets)
{
    const uint8_t *old = packets->old.at + IPV4_FRAGMENT;
    const uint8_t *new = packets->new.at + IPV4_FRAGMENT;

    if (packets->old.version != 4 || packets->new.version != 4) {
        return false;
    }
    return ((old[0] ^ new[0]) & ~IPV4_DONT_FRAGMENT) != 0 || old[1] != new[1];
}

static bool has_other_ipv6_headers(const struct comparison *packets)
{
    uint32_t end = ipv6_headers_end(&packets->old);

    if (packets->old.version != 6) {
        return false;
    }
    return end == 0 || packets->new.version != 6 || packets->new.len < end ||
           packets->old.at[IPV6_NEXT] != packets->new.at[IPV6_NEXT] ||
           memcmp(packets->old.at + IPV6_SIZE, packets->new.at + IPV6_SIZE, end - IPV6_SIZE) != 0;
}

static bool ends_before_transport(const struct comparison *packets)
{
    uint32_t transport = packets->received->transport;

    return packets->new.len < (transport != NFQE_NONE ? transport : headers_end(&packets->old));
}

static bool resizes_gso(const struct comparison *packets)
{
    return (packets->received->flags & NFQE_PACKET_GSO) != 0 && packets->new.len != packets->old.len;
}

static bool resizes_fragment(const struct comparison *packets)
{
    return (packets->received->flags & NFQE_PACKET_FRAGMENT) != 0 && packets->new.len != packets->old.len;
}

static bool changes_fragment(const struct comparison *packets)
{
    uint32_t end = headers_end(&packets->old);

    if (packets->old.version == 0 || !change_checksum_is_elsewhere(packets->received)) {
        return false;
    }
    return packets->new.len != packets->old.len ||
           memcmp(packets->old.at + end, packets->new.at + end, packets->old.len - end) != 0;
}

static const struct rule {
    bool (*is_broken)(const struct comparison *packets);
    int error;
    const char *text;
} table[CHANGE_RULES] = {
    /* a payload is the whole packet: what was not copied would be cut off */
    [CHANGE_RULE_WHOLE] = {was_truncated, -EMSGSIZE, "was not received whole"},
    /* the length of a netlink attribute has 16 bits */
    [CHANGE_RULE_SIZE] = {is_too_long, -EMSGSIZE, "is too long"},
    /* nfqnl_validate_write(), and nfqnl_validate_ip4() and _ip6() */
    [CHANGE_RULE_IP] = {is_other_ip, -EOPNOTSUPP, "is not of the same IP version"},
    [CHANGE_RULE_HOOK] = {is_on_bridge, -EOPNOTSUPP, "is on a bridge"},
    [CHANGE_RULE_IP_LENGTH] = {has_other_ip_length, -EOPNOTSUPP, "has another length in its IP header"},
    /* nfqnl_validate_ipopts() */
    [CHANGE_RULE_IPV4_HEADER] = {has_other_ipv4_header, -EOPNOTSUPP, "has other IPv4 options"},
    [CHANGE_RULE_IPV4_FRAGMENT] = {has_other_fragment_bits, -EOPNOTSUPP, "has other IPv4 fragment bits"},
    /* nfqnl_validate_exthdr() */
    [CHANGE_RULE_IPV6_HEADERS] = {has_other_ipv6_headers, -EOPNOTSUPP, "has other IPv6 extension headers"},
    /* nfqnl_mangle() */
    [CHANGE_RULE_TRANSPORT] = {ends_before_transport, -EOPNOTSUPP, "ends before its transport header"},
    /* not of the kernel: it keeps the size of the segments, and the receiver ignores a datagram that does not fit */
    [CHANGE_RULE_GSO] = {resizes_gso, -EOPNOTSUPP, "is of segmentation offload, and has another length"},
    [CHANGE_RULE_FRAGMENT] = {resizes_fragment, -EOPNOTSUPP, "is a fragment, and has another length"},
    [CHANGE_RULE_CHECKSUM] = {changes_fragment, -EOPNOTSUPP, "is a fragment whose checksum is in another one"},
};

enum change_rule change_rules_check(const struct nfqe_packet *received, const uint8_t *bytes, uint32_t len,
                                    uint32_t rules)
{
    const struct comparison packets = {.received = received,
                                       .old = make_bytes(received->data, change_ip_len(received)),
                                       .new = make_bytes(bytes, len)};

    for (unsigned rule = 0; rule < CHANGE_RULES; rule++) {
        if ((rules & UINT32_C(1) << rule) != 0 && table[rule].is_broken(&packets)) {
            return (enum change_rule)rule;
        }
    }
    return CHANGE_RULES;
}

int change_rule_error(enum change_rule rule)
{
    return rule < CHANGE_RULES ? table[rule].error : 0;
}

const char *change_rule_text(enum change_rule rule)
{
    return rule < CHANGE_RULES ? table[rule].text : "";
}
