/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decodes a conntrack entry, as the kernel puts it into a queue message (__ctnetlink_glue_build()).
 *
 * Not by libnetfilter_conntrack, whose objects are allocated for each entry. A tuple is taken only if it has both
 * addresses and the protocol; the entry has tuples if both directions do. Every other attribute counts for itself.
 * Process: [worker], when a plugin asks for it.
 */
#include "queue/conntrack_entry.h"

#include "queue/attribute.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#define IPV4_SIZE 4
#define IPV6_SIZE 16

enum part {
    PART_SOURCE = 1,
    PART_DEST = 2,
    PART_PROTOCOL = 4,
    PARTS = 7,
};

_Static_assert(NFQE_CONNTRACK_ESTABLISHED == (int)IP_CT_ESTABLISHED && NFQE_CONNTRACK_RELATED == (int)IP_CT_RELATED &&
                   NFQE_CONNTRACK_NEW == (int)IP_CT_NEW,
               "states are numbered as in the kernel");

static bool take_u16(const struct attribute *attribute, uint16_t *to)
{
    if (attribute->len < sizeof(*to)) {
        return false;
    }
    *to = read_be16(attribute->value);
    return true;
}

static bool take_u32(const struct attribute *attribute, uint32_t *to)
{
    if (attribute->len < sizeof(*to)) {
        return false;
    }
    *to = read_be32(attribute->value);
    return true;
}

static bool take_u64(const struct attribute *attribute, uint64_t *to)
{
    if (attribute->len < sizeof(*to)) {
        return false;
    }
    *to = read_be64(attribute->value);
    return true;
}

static void take_u8(const struct attribute *attribute, uint8_t *to)
{
    if (attribute->len >= sizeof(*to)) {
        *to = attribute->value[0];
    }
}

/* Finds the last attribute of a type among those inside `nest`. */
static bool find(const struct attribute *nest, unsigned type, struct attribute *found)
{
    struct attribute attribute;
    size_t offset = 0;
    bool any = false;

    while (attribute_next(nest->value, nest->len, &offset, &attribute)) {
        if (attribute.type == type) {
            *found = attribute;
            any = true;
        }
    }
    return any;
}

/* ---- tuples -------------------------------------------------------------------------------------------------- */

static unsigned decode_addresses(const struct attribute *nest, struct nfqe_tuple *tuple)
{
    struct attribute attribute;
    size_t offset = 0;
    unsigned parts = 0;

    while (attribute_next(nest->value, nest->len, &offset, &attribute)) {
        bool v6 = attribute.type == CTA_IP_V6_SRC || attribute.type == CTA_IP_V6_DST;
        bool v4 = attribute.type == CTA_IP_V4_SRC || attribute.type == CTA_IP_V4_DST;
        bool source = attribute.type == CTA_IP_V4_SRC || attribute.type == CTA_IP_V6_SRC;
        size_t size = v6 ? IPV6_SIZE : IPV4_SIZE;

        if ((v4 || v6) && attribute.len >= size) {
            memcpy(source ? tuple->source : tuple->dest, attribute.value, size);
            tuple->family = v6 ? AF_INET6 : AF_INET;
            parts |= source ? PART_SOURCE : PART_DEST;
        }
    }
    return parts;
}

static unsigned decode_protocol(const struct attribute *nest, struct nfqe_tuple *tuple)
{
    struct attribute attribute;
    size_t offset = 0;
    unsigned parts = 0;

    while (attribute_next(nest->value, nest->len, &offset, &attribute)) {
        switch (attribute.type) {
        case CTA_PROTO_NUM:
            take_u8(&attribute, &tuple->protocol);
            parts |= attribute.len > 0 ? PART_PROTOCOL : 0;
            break;
        case CTA_PROTO_SRC_PORT:
        case CTA_PROTO_ICMP_ID:
        case CTA_PROTO_ICMPV6_ID:
            take_u16(&attribute, &tuple->source_port);
            break;
        case CTA_PROTO_DST_PORT:
            take_u16(&attribute, &tuple->dest_port);
            break;
        case CTA_PROTO_ICMP_TYPE:
        case CTA_PROTO_ICMPV6_TYPE:
            take_u8(&attribute, &tuple->icmp_type);
            break;
        case CTA_PROTO_ICMP_CODE:
        case CTA_PROTO_ICMPV6_CODE:
            take_u8(&attribute, &tuple->icmp_code);
            break;
        default:
            break;
        }
    }
    return parts;
}

/* Whether the tuple is complete; if it is not, it is all zeros. */
static bool decode_tuple(const struct attribute *nest, struct nfqe_tuple *tuple)
{
    struct attribute attribute;
    size_t offset = 0;
    unsigned parts = 0;

    *tuple = (struct nfqe_tuple){.family = 0};
    while (attribute_next(nest->value, nest->len, &offset, &attribute)) {
        if (attribute.type == CTA_TUPLE_IP) {
            parts |= decode_addresses(&attribute, tuple);
        } else if (attribute.type == CTA_TUPLE_PROTO) {
            parts |= decode_protocol(&attribute, tuple);
        } else if (attribute.type == CTA_TUPLE_ZONE) {
            take_u16(&attribute, &tuple->zone);
        }
    }
    if (parts != PARTS) {
        *tuple = (struct nfqe_tuple){.family = 0};
    }
    return parts == PARTS;
}

/* ---- the rest -------------------------------------------------------------------------------------------------- */

/* Returns the bits of what is there, like the next functions. */
static uint32_t decode_tcp_state(const struct attribute *nest, struct nfqe_conntrack_entry *entry)
{
    struct attribute tcp;
    struct attribute state;

    if (!find(nest, CTA_PROTOINFO_TCP, &tcp) || !find(&tcp, CTA_PROTOINFO_TCP_STATE, &state) || state.len == 0) {
        return 0;
    }
    entry->tcp_state = state.value[0];
    return NFQE_CONNTRACK_HAS_TCP_STATE;
}

static uint32_t decode_helper(const struct attribute *nest, struct nfqe_conntrack_entry *entry)
{
    struct attribute attribute;
    size_t len;

    if (!find(nest, CTA_HELP_NAME, &attribute)) {
        return 0;
    }
    len = strnlen((const char *)attribute.value, attribute.len);
    if (len == 0 || len >= sizeof(entry->helper)) {
        return 0;
    }
    memset(entry->helper, 0, sizeof(entry->helper));
    memcpy(entry->helper, attribute.value, len);
    return NFQE_CONNTRACK_HAS_HELPER;
}

static uint32_t decode_counters(const struct attribute *nest, uint64_t *packets, uint64_t *bytes)
{
    struct attribute attribute[2];
    bool whole = find(nest, CTA_COUNTERS_PACKETS, &attribute[0]) && find(nest, CTA_COUNTERS_BYTES, &attribute[1]) &&
                 attribute[0].len >= sizeof(*packets) && attribute[1].len >= sizeof(*bytes);

    if (whole) {
        *packets = read_be64(attribute[0].value);
        *bytes = read_be64(attribute[1].value);
    }
    return whole ? NFQE_CONNTRACK_HAS_COUNTERS : 0;
}

/* The kernel's labels are numbers of 64 bits in its byte order. */
static uint32_t decode_labels(const struct attribute *attribute, struct nfqe_conntrack_entry *entry)
{
    uint64_t words[sizeof(entry->labels) / sizeof(uint64_t)];

    if (attribute->len < sizeof(words)) {
        return 0;
    }
    memcpy(words, attribute->value, sizeof(words));
    for (size_t i = 0; i < sizeof(entry->labels); i++) {
        entry->labels[i] = (uint8_t)(words[i / 8] >> (i % 8 * 8));
    }
    return NFQE_CONNTRACK_HAS_LABELS;
}

static uint32_t decode_start(const struct attribute *nest, struct nfqe_conntrack_entry *entry)
{
    struct attribute attribute;

    return find(nest, CTA_TIMESTAMP_START, &attribute) && take_u64(&attribute, &entry->start_ns)
               ? NFQE_CONNTRACK_HAS_START
               : 0;
}

static uint32_t decode_attribute(const struct attribute *attribute, struct nfqe_conntrack_entry *entry)
{
    switch (attribute->type) {
    case CTA_STATUS:
        return take_u32(attribute, &entry->status) ? NFQE_CONNTRACK_HAS_STATUS : 0;
    case CTA_TIMEOUT:
        return take_u32(attribute, &entry->timeout_s) ? NFQE_CONNTRACK_HAS_TIMEOUT : 0;
    case CTA_MARK:
        return take_u32(attribute, &entry->mark) ? NFQE_CONNTRACK_HAS_MARK : 0;
    case CTA_ID:
        return take_u32(attribute, &entry->id) ? NFQE_CONNTRACK_HAS_ID : 0;
    case CTA_ZONE:
        return take_u16(attribute, &entry->zone) ? NFQE_CONNTRACK_HAS_ZONE : 0;
    case CTA_PROTOINFO:
        return decode_tcp_state(attribute, entry);
    case CTA_HELP:
        return decode_helper(attribute, entry);
    case CTA_TUPLE_MASTER:
        return decode_tuple(attribute, &entry->master) ? NFQE_CONNTRACK_HAS_MASTER : 0;
    case CTA_LABELS:
        return decode_labels(attribute, entry);
    case CTA_TIMESTAMP:
        return decode_start(attribute, entry);
    default:
        return 0;
    }
}

void conntrack_entry_decode(const void *bytes, size_t len, uint32_t info, struct nfqe_conntrack_entry *entry)
{
    bool original = false;
    bool reply = false;
    uint32_t original_counters = 0;
    uint32_t reply_counters = 0;
    struct attribute attribute;
    size_t offset = 0;

    *entry = (struct nfqe_conntrack_entry){
        .size = sizeof(*entry), .state = info % IP_CT_IS_REPLY, .is_reply = info >= IP_CT_IS_REPLY};
    while (attribute_next(bytes, len, &offset, &attribute)) {
        if (attribute.type == CTA_TUPLE_ORIG) {
            original = decode_tuple(&attribute, &entry->original);
        } else if (attribute.type == CTA_TUPLE_REPLY) {
            reply = decode_tuple(&attribute, &entry->reply);
        } else if (attribute.type == CTA_COUNTERS_ORIG) {
            original_counters = decode_counters(&attribute, &entry->original_packets, &entry->original_bytes);
        } else if (attribute.type == CTA_COUNTERS_REPLY) {
            reply_counters = decode_counters(&attribute, &entry->reply_packets, &entry->reply_bytes);
        } else {
            entry->present |= decode_attribute(&attribute, entry);
        }
    }
    entry->present |= original_counters & reply_counters;
    if (original && reply) {
        entry->present |= NFQE_CONNTRACK_HAS_TUPLES;
    } else {
        entry->original = (struct nfqe_tuple){.family = 0};
        entry->reply = (struct nfqe_tuple){.family = 0};
    }
    if ((entry->present & NFQE_CONNTRACK_HAS_COUNTERS) == 0) {
        entry->original_packets = entry->original_bytes = 0;
        entry->reply_packets = entry->reply_bytes = 0;
    }
}
