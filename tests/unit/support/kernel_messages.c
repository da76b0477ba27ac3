/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds netlink messages as the kernel sends them, with libmnl: an implementation of the format that shares no code
 * with the decoder under test.
 *
 * The values differ in every byte, so a wrong byte order, field or width is noticed.
 */
#include "kernel_messages.h"

#include "unit.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>
#include <sys/socket.h>

#ifndef NFQA_CGROUP_CLASSID
#define NFQA_CGROUP_CLASSID 22 /* newer than some headers */
#endif

#define BYTES(text) (sizeof(text) - 1), (text)

/* An IPv4 packet with a UDP header and 5 bytes of payload. */
#define PAYLOAD                                                                                                        \
    "\x45\x00\x00\x21\x00\x01\x40\x00\x40\x11\x00\x00\xc0\x00\x02\x01\xc6\x33\x64\x02"                                 \
    "\xc0\xde\x1f\x90\x00\x0d\x00\x00"                                                                                 \
    "hello"

#define LINK_HEADER "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x81\x00"

/* In the order of the kernel. The values of types that the decoder does not know must be skipped. */
const struct message_attribute message_attributes[] = {
    {NFQA_PACKET_HDR, BYTES("\xfe\xdc\xba\x98\x08\x00\x03")},
    {NFQA_IFINDEX_INDEV, BYTES("\x11\x12\x13\x14")},
    {NFQA_IFINDEX_OUTDEV, BYTES("\x21\x22\x23\x24")},
    {NFQA_IFINDEX_PHYSINDEV, BYTES("\x31\x32\x33\x34")},
    {NFQA_IFINDEX_PHYSOUTDEV, BYTES("\x41\x42\x43\x44")},
    {NFQA_MARK, BYTES("\x51\x52\x53\x54")},
    {NFQA_PRIORITY, BYTES("\x61\x62\x63\x64")},
    {NFQA_HWADDR, BYTES("\x00\x06\x00\x00\xa1\xa2\xa3\xa4\xa5\xa6\x00\x00")},
    {NFQA_TIMESTAMP, BYTES("\x00\x00\x00\x00\x65\x66\x67\x68\x00\x00\x00\x00\x00\x01\x02\x03")},
    {NFQA_UID, BYTES("\x71\x72\x73\x74")},
    {NFQA_GID, BYTES("\x81\x82\x83\x84")},
    {NFQA_CGROUP_CLASSID, BYTES("\x91\x92\x93\x94")},
    {NFQA_SECCTX, BYTES("unconfined")},
    {NFQA_CT_INFO, BYTES("\x00\x00\x00\x02")},
    {NFQA_CT, BYTES("\x08\x00\x03\x00\x00\x00\x01\x8e\x08\x00\x08\x00\xb1\xb2\xb3\xb4")}, /* status, mark */
    {NFQA_VLAN, BYTES("\x06\x00\x02\x00\x60\x07\x00\x00\x06\x00\x01\x00\x81\x00")}, /* TCI, protocol */
    {NFQA_L2HDR, BYTES(LINK_HEADER)},
    {NFQA_SKB_INFO, BYTES("\x00\x00\x00\x07")},
    {NFQA_CAP_LEN, BYTES("\x00\x00\x05\xdc")},
    {NFQA_PAYLOAD, BYTES(PAYLOAD)},
};

const size_t message_attribute_count = sizeof(message_attributes) / sizeof(message_attributes[0]);

void message_begin(struct message *message)
{
    struct nlmsghdr *header;
    struct nfgenmsg *family;

    memset(message, 0, sizeof(*message));
    header = mnl_nlmsg_put_header(message->bytes);
    header->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET;
    family = mnl_nlmsg_put_extra_header(header, sizeof(*family));
    family->nfgen_family = AF_INET;
    family->version = NFNETLINK_V0;
    family->res_id = htons(MESSAGES_QUEUE);
    message->len = header->nlmsg_len;
}

void message_put(struct message *message, uint16_t type, const void *value, size_t len)
{
    struct nlmsghdr *header = (void *)message->bytes;

    mnl_attr_put(header, type, len, value);
    message->len = header->nlmsg_len;
}

void message_put_id(struct message *message, uint32_t id)
{
    struct nfqnl_msg_packet_hdr value = {.packet_id = htonl(id), .hw_protocol = htons(0x0800), .hook = 1};

    message_put(message, NFQA_PACKET_HDR, &value, sizeof(value));
}

void message_all(struct message *message, uint16_t without)
{
    message_begin(message);
    for (size_t i = 0; i < message_attribute_count; i++) {
        if (message_attributes[i].type != without) {
            message_put(message, message_attributes[i].type, message_attributes[i].value, message_attributes[i].len);
        }
    }
}

void message_answer(struct message *message, int error, uint32_t sequence)
{
    struct nlmsghdr *header;
    struct nlmsgerr *answer;

    memset(message, 0, sizeof(*message));
    header = mnl_nlmsg_put_header(message->bytes);
    header->nlmsg_type = NLMSG_ERROR;
    answer = mnl_nlmsg_put_extra_header(header, sizeof(*answer));
    answer->error = error;
    answer->msg.nlmsg_len = 32;
    answer->msg.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT;
    answer->msg.nlmsg_seq = sequence;
    message->len = header->nlmsg_len;
}

void message_expected(struct nfqe_packet *expected, uint16_t without)
{
    *expected = (struct nfqe_packet){
        .size = sizeof(*expected),
        .present = NFQE_HAS_MARK | NFQE_HAS_TIMESTAMP | NFQE_HAS_IN_IFINDEX | NFQE_HAS_OUT_IFINDEX |
                   NFQE_HAS_PHYS_IN_IFINDEX | NFQE_HAS_PHYS_OUT_IFINDEX | NFQE_HAS_HW_ADDRESS | NFQE_HAS_UID |
                   NFQE_HAS_GID | NFQE_HAS_PRIORITY | NFQE_HAS_CONNTRACK_MARK | NFQE_HAS_SECCTX | NFQE_HAS_VLAN |
                   NFQE_HAS_LINK_HEADER | NFQE_HAS_CGROUP_CLASS,
        .len = sizeof(PAYLOAD) - 1,
        .wire_len = 1500,
        .timestamp_ns = UINT64_C(0x65666768) * 1000000000 + UINT64_C(0x010203) * 1000,
        .mark = 0x51525354,
        .queue = MESSAGES_QUEUE,
        .id = MESSAGES_ID,
        .in_ifindex = 0x11121314,
        .out_ifindex = 0x21222324,
        .phys_in_ifindex = 0x31323334,
        .phys_out_ifindex = 0x41424344,
        .conntrack_mark = 0xb1b2b3b4,
        .secctx = "unconfined",
        .secctx_len = 10,
        .uid = 0x71727374,
        .gid = 0x81828384,
        .priority = 0x61626364,
        .hw_protocol = 0x0800,
        .hw_address_len = 6,
        .hw_address = {0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6},
        .hook = 3,
        .family = AF_INET,
        .flags = NFQE_PACKET_TRUNCATED | NFQE_PACKET_GSO | NFQE_PACKET_CHECKSUM_PENDING |
                 NFQE_PACKET_CHECKSUM_UNVERIFIED | NFQE_PACKET_PROTOCOL_KNOWN,
        .protocol = NFQE_PROTOCOL_UDP,
        .network = 0,
        .transport = 20,
        .payload = 28,
        .payload_len = 5,
        .cgroup_class = 0x91929394,
        .vlan_protocol = 0x8100,
        .vlan_tci = 0x6007,
        .link_header_len = sizeof(LINK_HEADER) - 1,
        .link_header = (const uint8_t *)LINK_HEADER,
    };

#define WITHOUT(bit, member) (expected->present &= ~(bit), (void)memset(&expected->member, 0, sizeof(expected->member)))
    switch (without) {
    case NFQA_MARK:
        WITHOUT(NFQE_HAS_MARK, mark);
        break;
    case NFQA_TIMESTAMP:
        WITHOUT(NFQE_HAS_TIMESTAMP, timestamp_ns);
        break;
    case NFQA_IFINDEX_INDEV:
        WITHOUT(NFQE_HAS_IN_IFINDEX, in_ifindex);
        break;
    case NFQA_IFINDEX_OUTDEV:
        WITHOUT(NFQE_HAS_OUT_IFINDEX, out_ifindex);
        break;
    case NFQA_IFINDEX_PHYSINDEV:
        WITHOUT(NFQE_HAS_PHYS_IN_IFINDEX, phys_in_ifindex);
        break;
    case NFQA_IFINDEX_PHYSOUTDEV:
        WITHOUT(NFQE_HAS_PHYS_OUT_IFINDEX, phys_out_ifindex);
        break;
    case NFQA_HWADDR:
        WITHOUT(NFQE_HAS_HW_ADDRESS, hw_address);
        expected->hw_address_len = 0;
        break;
    case NFQA_UID:
        WITHOUT(NFQE_HAS_UID, uid);
        break;
    case NFQA_GID:
        WITHOUT(NFQE_HAS_GID, gid);
        break;
    case NFQA_PRIORITY:
        WITHOUT(NFQE_HAS_PRIORITY, priority);
        break;
    case NFQA_CT:
        WITHOUT(NFQE_HAS_CONNTRACK_MARK, conntrack_mark);
        break;
    case NFQA_SECCTX:
        WITHOUT(NFQE_HAS_SECCTX, secctx);
        expected->secctx_len = 0;
        break;
    case NFQA_VLAN:
        WITHOUT(NFQE_HAS_VLAN, vlan_protocol);
        expected->vlan_tci = 0;
        break;
    case NFQA_L2HDR:
        WITHOUT(NFQE_HAS_LINK_HEADER, link_header);
        expected->link_header_len = 0;
        break;
    case NFQA_CGROUP_CLASSID:
        WITHOUT(NFQE_HAS_CGROUP_CLASS, cgroup_class);
        break;
    case NFQA_SKB_INFO:
        expected->flags = NFQE_PACKET_TRUNCATED | NFQE_PACKET_PROTOCOL_KNOWN;
        break;
    case NFQA_CAP_LEN: /* present only when the packet was truncated */
        expected->wire_len = expected->len;
        expected->flags &= (uint16_t)~NFQE_PACKET_TRUNCATED;
        break;
    default:
        break;
    }
#undef WITHOUT
}

void message_assert_packet(const struct nfqe_packet *packet, const struct nfqe_packet *expected)
{
    assert_int_equal(packet->size, expected->size);
    assert_int_equal(packet->present, expected->present);
    assert_int_equal(packet->len, expected->len);
    assert_int_equal(packet->wire_len, expected->wire_len);
    assert_int_equal(packet->timestamp_ns, expected->timestamp_ns);
    assert_int_equal(packet->mark, expected->mark);
    assert_int_equal(packet->conntrack_mark, expected->conntrack_mark);
    assert_int_equal(packet->secctx_len, expected->secctx_len);
    assert_memory_equal(expected->secctx_len > 0 ? packet->secctx : "",
                        expected->secctx_len > 0 ? expected->secctx : "", expected->secctx_len);
    assert_int_equal(packet->queue, expected->queue);
    assert_int_equal(packet->id, expected->id);
    assert_int_equal(packet->in_ifindex, expected->in_ifindex);
    assert_int_equal(packet->out_ifindex, expected->out_ifindex);
    assert_int_equal(packet->phys_in_ifindex, expected->phys_in_ifindex);
    assert_int_equal(packet->phys_out_ifindex, expected->phys_out_ifindex);
    assert_int_equal(packet->uid, expected->uid);
    assert_int_equal(packet->gid, expected->gid);
    assert_int_equal(packet->priority, expected->priority);
    assert_int_equal(packet->hw_protocol, expected->hw_protocol);
    assert_int_equal(packet->hw_address_len, expected->hw_address_len);
    assert_memory_equal(packet->hw_address, expected->hw_address, sizeof(packet->hw_address));
    assert_int_equal(packet->hook, expected->hook);
    assert_int_equal(packet->family, expected->family);
    assert_int_equal(packet->flags, expected->flags);
    assert_int_equal(packet->protocol, expected->protocol);
    assert_int_equal(packet->network, expected->network);
    assert_int_equal(packet->transport, expected->transport);
    assert_int_equal(packet->payload, expected->payload);
    assert_int_equal(packet->payload_len, expected->payload_len);
    assert_int_equal(packet->cgroup_class, expected->cgroup_class);
    assert_int_equal(packet->vlan_protocol, expected->vlan_protocol);
    assert_int_equal(packet->vlan_tci, expected->vlan_tci);
    assert_int_equal(packet->link_header_len, expected->link_header_len);
    assert_int_equal(packet->link_header != NULL, expected->link_header != NULL);
    assert_memory_equal(expected->link_header_len > 0 ? packet->link_header : (const uint8_t *)"",
                        expected->link_header_len > 0 ? expected->link_header : (const uint8_t *)"",
                        expected->link_header_len);
}

size_t message_attribute_offset(const struct message *message, uint16_t type)
{
    size_t offset = MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg);

    while (offset < message->len) {
        const struct nlattr *attribute = (const void *)(message->bytes + offset);

        if (mnl_attr_get_type(attribute) == type) {
            return offset;
        }
        offset += MNL_ALIGN(attribute->nla_len);
    }
    fail_msg("attribute %u is not in the message", type);
    return 0;
}
