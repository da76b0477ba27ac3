/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nfqueue_decode() on any message, and the accessors on what it yields.
 *
 * Input: a byte of flags (1: the kernel cut the message, 2: another queue), then the message, which is copied to the
 * end of an allocation. libmnl also parses the attributes: both must find the same id, marks and payload.
 */
#include "base/limits.h"
#include "input.h"
#include "packet_promises.h"
#include "queue/conntrack_entry.h"
#include "queue/nfqueue_decode.h"
#include "queue/nfqueue_sequence.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdbool.h>
#include <stdlib.h>

#define QUEUE 4711 /* MESSAGES_QUEUE of the seeds */
#define CUT 1
#define OTHER_QUEUE 2
#define ALL_PRESENT (NFQE_HAS_CGROUP_CLASS * 2 - 1)
#define ALL_FLAGS (NFQE_PACKET_CHECKSUM_UNVERIFIED * 2 - 1)
#define NO_FLAGS (NFQE_PACKET_MODIFIED | 0x100) /* that the kernel does not send */

/* A field that is not present is 0. */
static void check_absent(const struct nfqe_packet *packet)
{
    static const uint8_t zeros[sizeof(packet->hw_address)];

    PROMISE((packet->present & ~ALL_PRESENT) == 0);
#define ABSENT_IS_ZERO(bit, field) PROMISE((packet->present & (bit)) != 0 || !packet->field)
    ABSENT_IS_ZERO(NFQE_HAS_MARK, mark);
    ABSENT_IS_ZERO(NFQE_HAS_TIMESTAMP, timestamp_ns);
    ABSENT_IS_ZERO(NFQE_HAS_IN_IFINDEX, in_ifindex);
    ABSENT_IS_ZERO(NFQE_HAS_OUT_IFINDEX, out_ifindex);
    ABSENT_IS_ZERO(NFQE_HAS_PHYS_IN_IFINDEX, phys_in_ifindex);
    ABSENT_IS_ZERO(NFQE_HAS_PHYS_OUT_IFINDEX, phys_out_ifindex);
    ABSENT_IS_ZERO(NFQE_HAS_HW_ADDRESS, hw_address_len);
    ABSENT_IS_ZERO(NFQE_HAS_UID, uid);
    ABSENT_IS_ZERO(NFQE_HAS_GID, gid);
    ABSENT_IS_ZERO(NFQE_HAS_PRIORITY, priority);
    ABSENT_IS_ZERO(NFQE_HAS_CONNTRACK_MARK, conntrack_mark);
    ABSENT_IS_ZERO(NFQE_HAS_SECCTX, secctx_len);
    ABSENT_IS_ZERO(NFQE_HAS_SECCTX, secctx);
    ABSENT_IS_ZERO(NFQE_HAS_VLAN, vlan_protocol);
    ABSENT_IS_ZERO(NFQE_HAS_VLAN, vlan_tci);
    ABSENT_IS_ZERO(NFQE_HAS_LINK_HEADER, link_header);
    ABSENT_IS_ZERO(NFQE_HAS_LINK_HEADER, link_header_len);
    ABSENT_IS_ZERO(NFQE_HAS_CGROUP_CLASS, cgroup_class);
#undef ABSENT_IS_ZERO
    PROMISE(packet->hw_address_len <= sizeof(packet->hw_address));
    PROMISE((packet->present & NFQE_HAS_HW_ADDRESS) != 0 || memcmp(packet->hw_address, zeros, sizeof(zeros)) == 0);
}

/* What libmnl finds. */
struct found {
    const uint8_t *payload;
    const uint8_t *link_header;
    uint32_t id;
    uint32_t mark;
    uint32_t conntrack_mark;
    uint16_t vlan_protocol;
    uint16_t vlan_tci;
    bool has_vlan;
    bool has_id;
    bool has_mark;
    bool has_conntrack_mark;
};

static int read_conntrack(const struct nlattr *attribute, void *data)
{
    struct found *found = data;

    if (mnl_attr_get_type(attribute) == CTA_MARK && mnl_attr_get_payload_len(attribute) >= sizeof(uint32_t)) {
        found->conntrack_mark = mnl_attr_get_u32(attribute);
        found->has_conntrack_mark = true;
    }
    return MNL_CB_OK;
}

struct tag {
    const uint8_t *parts[NFQA_VLAN_MAX + 1];
};

static int read_tag(const struct nlattr *attribute, void *data)
{
    struct tag *tag = data;
    uint16_t type = mnl_attr_get_type(attribute);

    if (type <= NFQA_VLAN_MAX && mnl_attr_get_payload_len(attribute) >= sizeof(uint16_t)) {
        tag->parts[type] = mnl_attr_get_payload(attribute);
    }
    return MNL_CB_OK;
}

static void read_vlan(const struct nlattr *attribute, struct found *found)
{
    struct tag tag = {{NULL}};
    const uint8_t *protocol;
    const uint8_t *tci;

    mnl_attr_parse_nested(attribute, read_tag, &tag);
    protocol = tag.parts[NFQA_VLAN_PROTO];
    tci = tag.parts[NFQA_VLAN_TCI];
    if (protocol != NULL && tci != NULL) {
        found->has_vlan = true;
        found->vlan_protocol = (uint16_t)(protocol[0] * 256 + protocol[1]);
        found->vlan_tci = (uint16_t)(tci[0] * 256 + tci[1]);
    }
}

static int read_attribute(const struct nlattr *attribute, void *data)
{
    struct found *found = data;
    const uint8_t *value = mnl_attr_get_payload(attribute);
    size_t len = mnl_attr_get_payload_len(attribute);

    if (mnl_attr_get_type(attribute) == NFQA_PACKET_HDR && len >= sizeof(struct nfqnl_msg_packet_hdr)) {
        memcpy(&found->id, value, sizeof(found->id));
        found->has_id = true;
    } else if (mnl_attr_get_type(attribute) == NFQA_MARK && len >= sizeof(found->mark)) {
        memcpy(&found->mark, value, sizeof(found->mark));
        found->has_mark = true;
    } else if (mnl_attr_get_type(attribute) == NFQA_PAYLOAD && len > 0 && len <= COPY_RANGE_MAX) {
        found->payload = value;
    } else if (mnl_attr_get_type(attribute) == NFQA_CT) {
        mnl_attr_parse_nested(attribute, read_conntrack, found);
    } else if (mnl_attr_get_type(attribute) == NFQA_VLAN) {
        read_vlan(attribute, found);
    } else if (mnl_attr_get_type(attribute) == NFQA_L2HDR && len > 0) {
        found->link_header = value;
    }
    return MNL_CB_OK;
}

static void check_against_libmnl(const struct nfqe_packet *packet, const void *message)
{
    struct found found = {.has_id = false};

    PROMISE(mnl_attr_parse(message, sizeof(struct nfgenmsg), read_attribute, &found) == MNL_CB_OK);
    PROMISE(found.has_id && packet->id == ntohl(found.id));
    PROMISE(((packet->present & NFQE_HAS_MARK) != 0) == found.has_mark && packet->mark == ntohl(found.mark));
    PROMISE(((packet->present & NFQE_HAS_CONNTRACK_MARK) != 0) == found.has_conntrack_mark);
    PROMISE(packet->conntrack_mark == ntohl(found.conntrack_mark));
    PROMISE(packet->data == found.payload);
    PROMISE(((packet->present & NFQE_HAS_VLAN) != 0) == found.has_vlan);
    PROMISE(packet->vlan_protocol == found.vlan_protocol && packet->vlan_tci == found.vlan_tci);
    PROMISE(packet->link_header == found.link_header);
}

static bool is_inside(const uint8_t *message, size_t len, const uint8_t *part, size_t part_len)
{
    return part >= message && part <= message + len && part_len <= len - (size_t)(part - message);
}

static void check_packet(const struct nfqe_packet *packet, const uint8_t *message, size_t len, bool cut)
{
    PROMISE(!cut); /* of a message that was cut only the id is known */
    PROMISE(packet->size == sizeof(*packet));
    PROMISE(packet->queue == QUEUE);
    PROMISE(packet->len <= COPY_RANGE_MAX && packet->wire_len >= packet->len);
    PROMISE(((packet->flags & NFQE_PACKET_TRUNCATED) != 0) == (packet->wire_len > packet->len));
    PROMISE((packet->flags & NO_FLAGS) == 0 && packet->flags <= ALL_FLAGS);
    PROMISE(packet->reserved == 0 && packet->reserved_2 == 0);
    PROMISE(packet->len == 0 || is_inside(message, len, packet->data, packet->len));
    PROMISE(packet->secctx == NULL || is_inside(message, len, (const uint8_t *)packet->secctx, packet->secctx_len));
    PROMISE(packet->link_header == NULL || is_inside(message, len, packet->link_header, packet->link_header_len));
    check_absent(packet);
    packet_promises_check(packet);
    check_against_libmnl(packet, message);
}

/* What is said of the connection lies in the message, and the two decoders of its mark agree. */
static void check_conntrack(const struct nfqe_packet *packet, const struct nfqueue_conntrack *conntrack,
                            const uint8_t *message, size_t len)
{
    struct nfqe_conntrack_entry entry;

    if (conntrack->bytes == NULL) {
        PROMISE(conntrack->len == 0);
        return;
    }
    PROMISE(is_inside(message, len, conntrack->bytes, conntrack->len));
    conntrack_entry_decode(conntrack->bytes, conntrack->len, conntrack->info, &entry);
    PROMISE(entry.size == sizeof(entry) && entry.helper[NFQE_HELPER_SIZE - 1] == '\0');
    PROMISE((entry.present & NFQE_CONNTRACK_HAS_MARK) == 0 || entry.mark == packet->conntrack_mark);
}

static void check_answer(const struct nfqueue_answer *answer)
{
    PROMISE(answer->verdict == ((answer->sequence & NFQUEUE_SEQUENCE_CONFIGURATION) == 0));
    PROMISE(answer->resent == (answer->verdict && (answer->sequence & NFQUEUE_SEQUENCE_RESENT) != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};
    uint8_t flags = input_u8(&input);
    const uint8_t *original = input.data;
    bool cut = (flags & CUT) != 0;
    uint16_t queue = (flags & OTHER_QUEUE) != 0 ? QUEUE + 1 : QUEUE;
    struct nfqueue_conntrack conntrack = {.bytes = NULL};
    struct nfqe_packet packets[2];
    struct nfqueue_answer answers[2];
    enum nfqueue_kind kind = NFQUEUE_MALFORMED;
    size_t message_len;
    uint8_t *message = input_copy(&input, input.len, &message_len);

    /* Twice, with different content before: nothing of that may stay. */
    for (unsigned i = 0; i < 2; i++) {
        enum nfqueue_kind before = kind;

        memset(&packets[i], i == 0 ? 0xa5 : 0x5a, sizeof(packets[i]));
        memset(&answers[i], i == 0 ? 0 : 1, sizeof(answers[i])); /* a bool is 0 or 1 */
        kind = nfqueue_decode(message, message_len, cut, queue, &packets[i], &conntrack, &answers[i]);
        PROMISE(i == 0 || kind == before);
    }
    switch (kind) {
    case NFQUEUE_PACKET:
        PROMISE(queue == QUEUE || packets[0].queue == queue);
        PROMISE(memcmp(&packets[0], &packets[1], sizeof(packets[0])) == 0);
        packets[0].queue = QUEUE;
        check_packet(&packets[0], message, message_len, cut);
        check_conntrack(&packets[0], &conntrack, message, message_len);
        break;
    case NFQUEUE_TRUNCATED:
        PROMISE(packets[0].id == packets[1].id && packets[0].queue == queue);
        break;
    case NFQUEUE_ANSWER:
        PROMISE(answers[0].error == answers[1].error && answers[0].sequence == answers[1].sequence);
        check_answer(&answers[0]);
        check_answer(&answers[1]);
        break;
    default:
        PROMISE(kind == NFQUEUE_MALFORMED);
    }
    PROMISE(message_len == 0 || memcmp(message, original, message_len) == 0);
    free(message);
    return 0;
}
