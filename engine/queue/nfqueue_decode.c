/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decodes a message of the kernel.
 *
 * The decoder walks the attributes itself instead of calling libmnl for each step: about fifteen calls a packet would
 * cost more than the whole plugin chain. Every attribute but the packet header may be absent, a too short one
 * counts as absent, an unknown one is skipped. Nothing outside the message is read, whatever its lengths say.
 * Process: [queue process].
 */
#include "queue/nfqueue_decode.h"

#include "base/clock.h"
#include "base/limits.h"
#include "packet/parse.h"
#include "queue/attribute.h"
#include "queue/nfqueue_sequence.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <string.h>

#define NS_PER_US 1000

#ifndef NFQA_CGROUP_CLASSID
#define NFQA_CGROUP_CLASSID 22 /* enum nfqnl_attr_type of Linux 6.4; the headers of Debian 12 are of 6.1 */
#endif

/* The attributes whose value is a number of 32 bits, and the member that it is for. */
static const struct number {
    uint32_t present; /* enum nfqe_presence */
    uint32_t member;  /* its offset in struct nfqe_packet */
} numbers[] = {
    [NFQA_MARK] = {NFQE_HAS_MARK, offsetof(struct nfqe_packet, mark)},
    [NFQA_IFINDEX_INDEV] = {NFQE_HAS_IN_IFINDEX, offsetof(struct nfqe_packet, in_ifindex)},
    [NFQA_IFINDEX_OUTDEV] = {NFQE_HAS_OUT_IFINDEX, offsetof(struct nfqe_packet, out_ifindex)},
    [NFQA_IFINDEX_PHYSINDEV] = {NFQE_HAS_PHYS_IN_IFINDEX, offsetof(struct nfqe_packet, phys_in_ifindex)},
    [NFQA_IFINDEX_PHYSOUTDEV] = {NFQE_HAS_PHYS_OUT_IFINDEX, offsetof(struct nfqe_packet, phys_out_ifindex)},
    [NFQA_UID] = {NFQE_HAS_UID, offsetof(struct nfqe_packet, uid)},
    [NFQA_GID] = {NFQE_HAS_GID, offsetof(struct nfqe_packet, gid)},
    [NFQA_PRIORITY] = {NFQE_HAS_PRIORITY, offsetof(struct nfqe_packet, priority)},
    [NFQA_CGROUP_CLASSID] = {NFQE_HAS_CGROUP_CLASS, offsetof(struct nfqe_packet, cgroup_class)},
};

#define NUMBER_TYPES (sizeof(numbers) / sizeof(numbers[0]))

static void decode_number(struct nfqe_packet *packet, const struct number *number, const uint8_t *value, size_t len)
{
    uint32_t decoded;

    if (len >= sizeof(decoded)) {
        decoded = read_be32(value);
        memcpy((char *)packet + number->member, &decoded, sizeof(decoded));
        packet->present |= number->present;
    }
}

static void decode_hw_address(struct nfqe_packet *packet, const void *value, size_t len)
{
    struct nfqnl_msg_packet_hw address;
    uint16_t address_len;

    if (len < sizeof(address)) {
        return;
    }
    memcpy(&address, value, sizeof(address));
    address_len = ntohs(address.hw_addrlen);
    if (address_len > sizeof(packet->hw_address)) {
        return;
    }
    packet->present |= NFQE_HAS_HW_ADDRESS;
    packet->hw_address_len = address_len;
    memcpy(packet->hw_address, address.hw_addr, address_len);
}

static void decode_timestamp(struct nfqe_packet *packet, const uint8_t *value, size_t len)
{
    if (len < sizeof(struct nfqnl_msg_packet_timestamp)) {
        return;
    }
    packet->present |= NFQE_HAS_TIMESTAMP;
    packet->timestamp_ns = read_be64(value) * NS_PER_S + read_be64(value + 8) * NS_PER_US;
}

static void decode_skb_info(struct nfqe_packet *packet, const void *value, size_t len)
{
    uint32_t info = len >= sizeof(uint32_t) ? read_be32(value) : 0;

    packet->flags |= (uint16_t)((info & NFQA_SKB_CSUMNOTREADY) != 0 ? NFQE_PACKET_CHECKSUM_PENDING : 0);
    packet->flags |= (uint16_t)((info & NFQA_SKB_GSO) != 0 ? NFQE_PACKET_GSO : 0);
    packet->flags |= (uint16_t)((info & NFQA_SKB_CSUM_NOTVERIFIED) != 0 ? NFQE_PACKET_CHECKSUM_UNVERIFIED : 0);
}

/* Of the attributes inside NFQA_CT, the mark of the connection; a worker decodes the rest if a plugin asks for it. */
static void decode_conntrack(struct nfqe_packet *packet, const uint8_t *value, size_t len)
{
    static const struct number mark = {NFQE_HAS_CONNTRACK_MARK, offsetof(struct nfqe_packet, conntrack_mark)};
    struct attribute attribute;
    size_t offset = 0;

    while (attribute_next(value, len, &offset, &attribute)) {
        if (attribute.type == CTA_MARK) {
            decode_number(packet, &mark, attribute.value, attribute.len);
        }
    }
}

/* The tag that the kernel keeps beside the bytes of the packet. */
static void decode_vlan(struct nfqe_packet *packet, const uint8_t *value, size_t len)
{
    const uint8_t *protocol = NULL;
    const uint8_t *tci = NULL;
    struct attribute attribute;
    size_t offset = 0;

    while (attribute_next(value, len, &offset, &attribute)) {
        if (attribute.type == NFQA_VLAN_PROTO && attribute.len >= sizeof(uint16_t)) {
            protocol = attribute.value;
        } else if (attribute.type == NFQA_VLAN_TCI && attribute.len >= sizeof(uint16_t)) {
            tci = attribute.value;
        }
    }
    if (protocol != NULL && tci != NULL) {
        packet->present |= NFQE_HAS_VLAN;
        packet->vlan_protocol = read_be16(protocol);
        packet->vlan_tci = read_be16(tci);
    }
}

/* Decodes one attribute. Returns whether it is the packet header, without which nothing can be answered. */
static bool decode_attribute(struct nfqe_packet *packet, struct nfqueue_conntrack *conntrack, unsigned type,
                             const uint8_t *value, size_t len)
{
    if (type < NUMBER_TYPES && numbers[type].present != 0) {
        decode_number(packet, &numbers[type], value, len);
        return false;
    }
    switch (type) {
    case NFQA_PACKET_HDR:
        if (len < sizeof(struct nfqnl_msg_packet_hdr)) {
            return false;
        }
        packet->id = read_be32(value);
        packet->hw_protocol = read_be16(value + 4);
        packet->hook = value[6];
        return true;
    case NFQA_TIMESTAMP:
        decode_timestamp(packet, value, len);
        break;
    case NFQA_HWADDR:
        decode_hw_address(packet, value, len);
        break;
    case NFQA_PAYLOAD:
        if (len > 0 && len <= COPY_RANGE_MAX) {
            packet->data = value;
            packet->len = (uint32_t)len;
        }
        break;
    case NFQA_CAP_LEN:
        packet->wire_len = len >= sizeof(uint32_t) ? read_be32(value) : 0;
        break;
    case NFQA_SKB_INFO:
        decode_skb_info(packet, value, len);
        break;
    case NFQA_CT:
        conntrack->bytes = value;
        conntrack->len = (uint32_t)len;
        decode_conntrack(packet, value, len);
        break;
    case NFQA_CT_INFO:
        conntrack->info = len >= sizeof(uint32_t) ? read_be32(value) : 0;
        break;
    case NFQA_SECCTX:
        packet->present |= NFQE_HAS_SECCTX;
        packet->secctx = (const char *)value;
        packet->secctx_len = (uint32_t)len;
        break;
    case NFQA_VLAN:
        decode_vlan(packet, value, len);
        break;
    case NFQA_L2HDR:
        if (len > 0) {
            packet->present |= NFQE_HAS_LINK_HEADER;
            packet->link_header = value;
            packet->link_header_len = (uint16_t)len;
        }
        break;
    default:
        break;
    }
    return false;
}

static enum nfqueue_kind decode_packet(const uint8_t *data, size_t len, bool cut, uint16_t queue,
                                       struct nfqe_packet *packet, struct nfqueue_conntrack *conntrack)
{
    const struct nfgenmsg *family = (const void *)(data + NLMSG_HDRLEN);
    size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(*family));
    struct attribute attribute;
    bool has_id = false;

    if (len < offset || ntohs(family->res_id) != queue) {
        return NFQUEUE_MALFORMED;
    }
    *packet = (struct nfqe_packet){.size = sizeof(*packet), .queue = queue, .family = family->nfgen_family};
    *conntrack = (struct nfqueue_conntrack){.bytes = NULL};
    while (attribute_next(data, len, &offset, &attribute)) {
        has_id |= decode_attribute(packet, conntrack, attribute.type, attribute.value, attribute.len);
    }
    if (!has_id) {
        return NFQUEUE_MALFORMED;
    }
    if (cut || len - offset >= NLA_HDRLEN) {
        return NFQUEUE_TRUNCATED;
    }
    if (packet->wire_len < packet->len) {
        packet->wire_len = packet->len;
    } else if (packet->wire_len > packet->len) {
        packet->flags |= NFQE_PACKET_TRUNCATED;
    }
    packet_parse(packet);
    return NFQUEUE_PACKET;
}

static enum nfqueue_kind decode_answer(const uint8_t *data, size_t len, struct nfqueue_answer *answer)
{
    struct nlmsgerr error;

    if (len < NLMSG_HDRLEN + sizeof(error)) {
        return NFQUEUE_MALFORMED;
    }
    memcpy(&error, data + NLMSG_HDRLEN, sizeof(error));
    answer->error = error.error;
    answer->sequence = error.msg.nlmsg_seq;
    answer->verdict = (error.msg.nlmsg_seq & NFQUEUE_SEQUENCE_CONFIGURATION) == 0;
    answer->resent = answer->verdict && (error.msg.nlmsg_seq & NFQUEUE_SEQUENCE_RESENT) != 0;
    answer->packets =
        answer->verdict ? (error.msg.nlmsg_seq & NFQUEUE_SEQUENCE_PACKETS) / NFQUEUE_SEQUENCE_ONE_PACKET + 1 : 0;
    return NFQUEUE_ANSWER;
}

enum nfqueue_kind nfqueue_decode(const void *data, size_t len, bool cut, uint16_t queue, struct nfqe_packet *packet,
                                 struct nfqueue_conntrack *conntrack, struct nfqueue_answer *answer)
{
    const struct nlmsghdr *header = data;

    if (len < NLMSG_HDRLEN || header->nlmsg_len < NLMSG_HDRLEN || (header->nlmsg_len > len && !cut)) {
        return NFQUEUE_MALFORMED;
    }
    if (header->nlmsg_len < len) {
        len = header->nlmsg_len;
    }
    if (header->nlmsg_type == NLMSG_ERROR) {
        return decode_answer(data, len, answer);
    }
    if (header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) {
        return NFQUEUE_MALFORMED;
    }
    return decode_packet(data, len, cut, queue, packet, conntrack);
}
