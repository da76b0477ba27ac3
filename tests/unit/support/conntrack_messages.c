/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The attributes of two connections. The values differ in every byte, so a wrong byte order, member or width is noticed.
 */
#include "conntrack_messages.h"

#include "unit.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#define IPV4_CLIENT "\xc0\x00\x02\x01"
#define IPV4_SERVER "\xc6\x33\x64\x02"
#define IPV4_OUTSIDE "\xcb\x00\x71\x03" /* the client's address after translation */
#define IPV6_CLIENT "\x20\x01\x0d\xb8\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"
#define IPV6_SERVER "\x20\x01\x0d\xb8\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc"
#define LABELS "\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18"

const uint16_t conntrack_message_types[] = {
    CTA_TUPLE_ORIG,   CTA_TUPLE_REPLY, CTA_STATUS,        CTA_PROTOINFO,      CTA_HELP,
    CTA_TIMEOUT,      CTA_MARK,        CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY, CTA_ID,
    CTA_TUPLE_MASTER, CTA_ZONE,        CTA_TIMESTAMP,     CTA_LABELS,         0};

static struct nlmsghdr *header(struct conntrack_message *message)
{
    return (void *)message->bytes;
}

static void measure(struct conntrack_message *message)
{
    message->len = header(message)->nlmsg_len - MNL_NLMSG_HDRLEN;
}

void conntrack_message_begin(struct conntrack_message *message)
{
    memset(message, 0, sizeof(*message));
    mnl_nlmsg_put_header(message->bytes);
    message->attributes = message->bytes + MNL_NLMSG_HDRLEN;
}

void conntrack_message_put(struct conntrack_message *message, uint16_t type, const void *value, size_t len)
{
    mnl_attr_put(header(message), type, len, value);
    measure(message);
}

void conntrack_message_nest(struct conntrack_message *message, uint16_t type, uint16_t inner, const void *value,
                            size_t len)
{
    struct nlattr *nest = mnl_attr_nest_start(header(message), type);

    mnl_attr_put(header(message), inner, len, value);
    mnl_attr_nest_end(header(message), nest);
    measure(message);
}

static void put_ipv4(struct conntrack_message *message, uint16_t type, const char *source, const char *dest,
                     uint16_t source_port, uint16_t dest_port)
{
    struct nlattr *tuple = mnl_attr_nest_start(header(message), type);
    struct nlattr *part = mnl_attr_nest_start(header(message), CTA_TUPLE_IP);

    mnl_attr_put(header(message), CTA_IP_V4_SRC, 4, source);
    mnl_attr_put(header(message), CTA_IP_V4_DST, 4, dest);
    mnl_attr_nest_end(header(message), part);
    part = mnl_attr_nest_start(header(message), CTA_TUPLE_PROTO);
    mnl_attr_put_u8(header(message), CTA_PROTO_NUM, 6);
    mnl_attr_put_u16(header(message), CTA_PROTO_SRC_PORT, htons(source_port));
    mnl_attr_put_u16(header(message), CTA_PROTO_DST_PORT, htons(dest_port));
    mnl_attr_nest_end(header(message), part);
    mnl_attr_put(header(message), CTA_TUPLE_ZONE, 2, "\x12\x34");
    mnl_attr_nest_end(header(message), tuple);
}

static void put_ipv6(struct conntrack_message *message, uint16_t type, const char *source, const char *dest,
                     uint8_t icmp_type)
{
    struct nlattr *tuple = mnl_attr_nest_start(header(message), type);
    struct nlattr *part = mnl_attr_nest_start(header(message), CTA_TUPLE_IP);

    mnl_attr_put(header(message), CTA_IP_V6_SRC, 16, source);
    mnl_attr_put(header(message), CTA_IP_V6_DST, 16, dest);
    mnl_attr_nest_end(header(message), part);
    part = mnl_attr_nest_start(header(message), CTA_TUPLE_PROTO);
    mnl_attr_put_u8(header(message), CTA_PROTO_NUM, 58);
    mnl_attr_put(header(message), CTA_PROTO_ICMPV6_ID, 2, "\x56\x78");
    mnl_attr_put_u8(header(message), CTA_PROTO_ICMPV6_TYPE, icmp_type);
    mnl_attr_put_u8(header(message), CTA_PROTO_ICMPV6_CODE, 9);
    mnl_attr_nest_end(header(message), part);
    mnl_attr_nest_end(header(message), tuple);
}

static void put_tuple(struct conntrack_message *message, int ipv6, uint16_t type)
{
    if (type == CTA_TUPLE_MASTER) {
        put_ipv4(message, type, IPV4_CLIENT, IPV4_SERVER, 0x2122, 0x0015);
    } else if (type == CTA_TUPLE_REPLY) {
        if (ipv6) {
            put_ipv6(message, type, IPV6_SERVER, IPV6_CLIENT, 129);
        } else {
            put_ipv4(message, type, IPV4_SERVER, IPV4_OUTSIDE, 0x0050, 0x3132);
        }
    } else if (ipv6) {
        put_ipv6(message, type, IPV6_CLIENT, IPV6_SERVER, 128);
    } else {
        put_ipv4(message, type, IPV4_CLIENT, IPV4_SERVER, 0x4142, 0x0050);
    }
}

static void put_counters(struct conntrack_message *message, uint16_t type, const char *packets, const char *bytes)
{
    struct nlattr *nest = mnl_attr_nest_start(header(message), type);

    mnl_attr_put(header(message), CTA_COUNTERS_PACKETS, 8, packets);
    mnl_attr_put(header(message), CTA_COUNTERS_BYTES, 8, bytes);
    mnl_attr_nest_end(header(message), nest);
}

static void put_tcp(struct conntrack_message *message)
{
    struct nlattr *nest = mnl_attr_nest_start(header(message), CTA_PROTOINFO);
    struct nlattr *tcp = mnl_attr_nest_start(header(message), CTA_PROTOINFO_TCP);

    mnl_attr_put_u8(header(message), CTA_PROTOINFO_TCP_STATE, 3);
    mnl_attr_put_u8(header(message), CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, 7);
    mnl_attr_nest_end(header(message), tcp);
    mnl_attr_nest_end(header(message), nest);
}

static void put_one(struct conntrack_message *message, int ipv6, uint16_t type)
{
    switch (type) {
    case CTA_TUPLE_ORIG:
    case CTA_TUPLE_REPLY:
    case CTA_TUPLE_MASTER:
        put_tuple(message, ipv6, type);
        break;
    case CTA_STATUS:
        mnl_attr_put(header(message), type, 4, "\x00\x00\x01\x8e");
        break;
    case CTA_PROTOINFO:
        put_tcp(message);
        break;
    case CTA_HELP:
        conntrack_message_nest(message, type, CTA_HELP_NAME, "netbios-ns", 11);
        break;
    case CTA_TIMEOUT:
        mnl_attr_put(header(message), type, 4, "\x00\x06\x97\x80");
        break;
    case CTA_MARK:
        mnl_attr_put(header(message), type, 4, "\xb1\xb2\xb3\xb4");
        break;
    case CTA_COUNTERS_ORIG:
        put_counters(message, type, "\x01\x02\x03\x04\x05\x06\x07\x08", "\x11\x12\x13\x14\x15\x16\x17\x18");
        break;
    case CTA_COUNTERS_REPLY:
        put_counters(message, type, "\x21\x22\x23\x24\x25\x26\x27\x28", "\x31\x32\x33\x34\x35\x36\x37\x38");
        break;
    case CTA_ID:
        mnl_attr_put(header(message), type, 4, "\xc1\xc2\xc3\xc4");
        break;
    case CTA_ZONE:
        mnl_attr_put(header(message), type, 2, "\x43\x21");
        break;
    case CTA_TIMESTAMP:
        conntrack_message_nest(message, type, CTA_TIMESTAMP_START, "\x17\x81\x82\x83\x84\x85\x86\x87", 8);
        break;
    default:
        assert_int_equal(type, CTA_LABELS);
        mnl_attr_put(header(message), type, 16, LABELS);
    }
    measure(message);
}

void conntrack_message_make(struct conntrack_message *message, int ipv6, uint16_t without)
{
    conntrack_message_begin(message);
    for (size_t i = 0; conntrack_message_types[i] != 0; i++) {
        if (conntrack_message_types[i] != without) {
            put_one(message, ipv6, conntrack_message_types[i]);
        }
    }
}

static void expect_tuples(struct nfqe_conntrack_entry *expected, int ipv6)
{
    if (ipv6) {
        expected->original = (struct nfqe_tuple){
            .source_port = 0x5678, .family = AF_INET6, .protocol = 58, .icmp_type = 128, .icmp_code = 9};
        expected->reply = (struct nfqe_tuple){
            .source_port = 0x5678, .family = AF_INET6, .protocol = 58, .icmp_type = 129, .icmp_code = 9};
        memcpy(expected->original.source, IPV6_CLIENT, 16);
        memcpy(expected->original.dest, IPV6_SERVER, 16);
        memcpy(expected->reply.source, IPV6_SERVER, 16);
        memcpy(expected->reply.dest, IPV6_CLIENT, 16);
        return;
    }
    expected->original = (struct nfqe_tuple){
        .source_port = 0x4142, .dest_port = 0x0050, .zone = 0x1234, .family = AF_INET, .protocol = 6};
    expected->reply = (struct nfqe_tuple){
        .source_port = 0x0050, .dest_port = 0x3132, .zone = 0x1234, .family = AF_INET, .protocol = 6};
    memcpy(expected->original.source, IPV4_CLIENT, 4);
    memcpy(expected->original.dest, IPV4_SERVER, 4);
    memcpy(expected->reply.source, IPV4_SERVER, 4);
    memcpy(expected->reply.dest, IPV4_OUTSIDE, 4);
}

void conntrack_message_expected(struct nfqe_conntrack_entry *expected, int ipv6, uint16_t without, uint32_t info)
{
    *expected = (struct nfqe_conntrack_entry){
        .size = sizeof(*expected), .state = info % 3, .is_reply = info >= 3, .helper = ""};
#define WITH(absent, bit) ((absent) != without && (expected->present |= (bit)) != 0)
    if (without != CTA_TUPLE_REPLY && WITH(CTA_TUPLE_ORIG, NFQE_CONNTRACK_HAS_TUPLES)) {
        expect_tuples(expected, ipv6);
    }
    if (WITH(CTA_TUPLE_MASTER, NFQE_CONNTRACK_HAS_MASTER)) {
        expected->master = (struct nfqe_tuple){
            .source_port = 0x2122, .dest_port = 0x0015, .zone = 0x1234, .family = AF_INET, .protocol = 6};
        memcpy(expected->master.source, IPV4_CLIENT, 4);
        memcpy(expected->master.dest, IPV4_SERVER, 4);
    }
    if (without != CTA_COUNTERS_REPLY && WITH(CTA_COUNTERS_ORIG, NFQE_CONNTRACK_HAS_COUNTERS)) {
        expected->original_packets = UINT64_C(0x0102030405060708);
        expected->original_bytes = UINT64_C(0x1112131415161718);
        expected->reply_packets = UINT64_C(0x2122232425262728);
        expected->reply_bytes = UINT64_C(0x3132333435363738);
    }
    if (WITH(CTA_HELP, NFQE_CONNTRACK_HAS_HELPER)) {
        strcpy(expected->helper, "netbios-ns");
    }
    if (WITH(CTA_LABELS, NFQE_CONNTRACK_HAS_LABELS)) {
        memcpy(expected->labels, LABELS, 16);
    }
    expected->status = WITH(CTA_STATUS, NFQE_CONNTRACK_HAS_STATUS) ? 0x18e : 0;
    expected->tcp_state = WITH(CTA_PROTOINFO, NFQE_CONNTRACK_HAS_TCP_STATE) ? 3 : 0;
    expected->timeout_s = WITH(CTA_TIMEOUT, NFQE_CONNTRACK_HAS_TIMEOUT) ? 432000 : 0;
    expected->mark = WITH(CTA_MARK, NFQE_CONNTRACK_HAS_MARK) ? 0xb1b2b3b4 : 0;
    expected->id = WITH(CTA_ID, NFQE_CONNTRACK_HAS_ID) ? 0xc1c2c3c4 : 0;
    expected->zone = WITH(CTA_ZONE, NFQE_CONNTRACK_HAS_ZONE) ? 0x4321 : 0;
    expected->start_ns = WITH(CTA_TIMESTAMP, NFQE_CONNTRACK_HAS_START) ? UINT64_C(0x1781828384858687) : 0;
#undef WITH
}
