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
#include "queue/nfqueue_sequence.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <string.h>

#define NS_PER_US 1000

static uint32_t read_be32(const void *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return ntohl(value);
}

static uint64_t read_be64(const void *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value));
    return be64toh(value);
}

static void set_present(struct nfqe_packet *packet, uint32_t bit, uint32_t *field, const void *value, size_t len)
{
    if (len >= sizeof(uint32_t)) {
        packet->present |= bit;
        *field = read_be32(value);
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
}

/* Of the attributes inside NFQA_CT, the mark of the connection. */
static void decode_conntrack(struct nfqe_packet *packet, const uint8_t *value, size_t value_len)
{
    size_t offset = 0;

    while (value_len - offset >= NLA_HDRLEN) {
        const struct nlattr *attribute = (const void *)(value + offset);
        size_t size = attribute->nla_len;

        if (size < NLA_HDRLEN || size > value_len - offset) {
            return;
        }
        if ((attribute->nla_type & NLA_TYPE_MASK) == CTA_MARK) {
            set_present(packet, NFQE_HAS_CONNTRACK_MARK, &packet->conntrack_mark, value + offset + NLA_HDRLEN,
                        size - NLA_HDRLEN);
        }
        offset += NLA_ALIGN(size) < value_len - offset ? NLA_ALIGN(size) : value_len - offset;
    }
}

/* Decodes one attribute. Returns whether it is the packet header, without which nothing can be answered. */
static bool decode_attribute(struct nfqe_packet *packet, unsigned type, const uint8_t *value, size_t len)
{
    switch (type) {
    case NFQA_PACKET_HDR:
        if (len < sizeof(struct nfqnl_msg_packet_hdr)) {
            return false;
        }
        packet->id = read_be32(value);
        packet->hw_protocol = (uint16_t)((value[4] << 8) | value[5]);
        packet->hook = value[6];
        return true;
    case NFQA_MARK:
        set_present(packet, NFQE_HAS_MARK, &packet->mark, value, len);
        break;
    case NFQA_TIMESTAMP:
        decode_timestamp(packet, value, len);
        break;
    case NFQA_IFINDEX_INDEV:
        set_present(packet, NFQE_HAS_IN_IFINDEX, &packet->in_ifindex, value, len);
        break;
    case NFQA_IFINDEX_OUTDEV:
        set_present(packet, NFQE_HAS_OUT_IFINDEX, &packet->out_ifindex, value, len);
        break;
    case NFQA_IFINDEX_PHYSINDEV:
        set_present(packet, NFQE_HAS_PHYS_IN_IFINDEX, &packet->phys_in_ifindex, value, len);
        break;
    case NFQA_IFINDEX_PHYSOUTDEV:
        set_present(packet, NFQE_HAS_PHYS_OUT_IFINDEX, &packet->phys_out_ifindex, value, len);
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
        decode_conntrack(packet, value, len);
        break;
    case NFQA_SECCTX:
        packet->present |= NFQE_HAS_SECCTX;
        packet->secctx = (const char *)value;
        packet->secctx_len = (uint32_t)len;
        break;
    case NFQA_UID:
        set_present(packet, NFQE_HAS_UID, &packet->uid, value, len);
        break;
    case NFQA_GID:
        set_present(packet, NFQE_HAS_GID, &packet->gid, value, len);
        break;
    case NFQA_PRIORITY:
        set_present(packet, NFQE_HAS_PRIORITY, &packet->priority, value, len);
        break;
    default:
        break;
    }
    return false;
}

static enum nfqueue_kind decode_packet(const uint8_t *data, size_t len, bool cut, uint16_t queue,
                                       struct nfqe_packet *packet)
{
    const struct nfgenmsg *family = (const void *)(data + NLMSG_HDRLEN);
    size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(*family));
    bool has_id = false;
    bool whole = !cut;

    if (len < offset || ntohs(family->res_id) != queue) {
        return NFQUEUE_MALFORMED;
    }
    *packet = (struct nfqe_packet){.size = sizeof(*packet), .queue = queue, .family = family->nfgen_family};
    while (len - offset >= NLA_HDRLEN) {
        const struct nlattr *attribute = (const void *)(data + offset);
        size_t size = attribute->nla_len;

        if (size < NLA_HDRLEN || size > len - offset) {
            whole = false;
            break;
        }
        has_id |= decode_attribute(packet, attribute->nla_type & NLA_TYPE_MASK, data + offset + NLA_HDRLEN,
                                   size - NLA_HDRLEN);
        offset += NLA_ALIGN(size) < len - offset ? NLA_ALIGN(size) : len - offset;
    }
    if (!has_id) {
        return NFQUEUE_MALFORMED;
    }
    if (!whole) {
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
                                 struct nfqueue_answer *answer)
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
    return decode_packet(data, len, cut, queue, packet);
}
