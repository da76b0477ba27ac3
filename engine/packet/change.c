/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes packets in buffers of the worker's own; the received bytes are never written to.
 *
 * Splice and replace make the new packet in the spare buffer, from whichever bytes the packet has by then, and exchange
 * the buffers if the rules allow the result. So nothing has to be undone, what is inserted may even come from the packet
 * itself, and a pointer from before leads to memory that the packet does not have any more.
 *
 * What was written through a pointer of packet_change_writable() is not known until it is looked at, so from then on all
 * of those bytes count as changed, whatever they are. Never allocates, blocks or logs. Process: [worker].
 */
#include "packet/change.h"

#include "packet/change_rules.h"
#include "packet/parse.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The bytes [offset, offset + remove) of a packet that become `count` others. */
struct edit {
    uint32_t offset;
    uint32_t remove;
    const uint8_t *bytes;
    uint32_t count;
};

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Bytes after the datagram, in a packet that says how long that is. */
static uint32_t find_udp_rest(const struct nfqe_packet *packet)
{
    const struct nfqe_udp_header *udp = nfqe_udp(packet);
    uint32_t udp_len = udp != NULL ? nfqe_be16(udp->len) : 0;
    uint32_t len = packet->len - packet->transport;

    return udp_len >= sizeof(*udp) && udp_len < len ? len - udp_len : 0;
}

/* Before each operation. Until the packet is changed, this leaves no trace. */
static void prepare(struct packet_change *change, const struct nfqe_packet *packet)
{
    if (!change->is_changed) {
        change->received = *packet;
        change->received.len = change_ip_len(packet);
        change->len = change->received.len;
        change->udp_rest = find_udp_rest(&change->received);
        change->same = (struct change_extent){.front = change->len, .back = change->len};
    }
}

/*
 * Whether the IP headers are those that they were, as they must be in the end. A plugin may have written others, and still
 * put them right: until then, what seems to be a transport header is other bytes of the packet.
 */
static bool has_same_headers(const struct packet_change *change, const struct nfqe_packet *packet)
{
    const struct nfqe_packet *received = &change->received;

    if (nfqe_ipv4(packet) != NULL) {
        return change->buffer[0] == received->data[0];
    }
    return nfqe_ipv6(received) != NULL &&
           (received->transport == NFQE_NONE ||
            (packet->transport == received->transport && packet->protocol == received->protocol));
}

/* The packet is what lies in the buffer. */
static void show(struct packet_change *change, struct nfqe_packet *packet)
{
    change_repair_ip_length(change->buffer, change->len);
    packet->data = change->buffer;
    packet->len = change->len;
    packet->wire_len = change->len;
    packet->flags |= NFQE_PACKET_MODIFIED;
    packet_parse(packet);
    if (has_same_headers(change, packet) && change_repair_udp(packet, change->buffer, change->udp_rest)) {
        change->same.front = min_u32(change->same.front, packet->transport);
        packet_parse(packet);
    }
}

/* No more than so many bytes at the beginning and at the end are as they were received. */
static void note(struct packet_change *change, uint32_t front, uint32_t back)
{
    change->same.front = min_u32(change->same.front, front);
    change->same.back = min_u32(change->same.back, back);
}

static bool has_range(const struct packet_change *change, uint32_t offset, uint32_t len)
{
    return offset <= change->len && len <= change->len - offset;
}

/* Of the changed packet. The datagram grows and shrinks with what is put in and taken out up to its end. */
static uint32_t edited_udp_rest(const struct packet_change *change, const struct edit *edit)
{
    uint32_t end = change->len - change->udp_rest;
    uint32_t removed_to = edit->offset + edit->remove;

    if (edit->offset > end) {
        return change->udp_rest - edit->remove + edit->count;
    }
    return removed_to > end ? change->len - removed_to : change->udp_rest;
}

static void make(const struct packet_change *change, const struct edit *edit, uint8_t *to)
{
    const uint8_t *from = change->is_changed ? change->buffer : change->received.data;
    uint32_t after = edit->offset + edit->remove;

    if (edit->count > 0) {
        memmove(to + edit->offset, edit->bytes, edit->count); /* they may lie in the spare buffer, too */
    }
    if (edit->offset > 0) {
        memcpy(to, from, edit->offset);
    }
    if (after < change->len) {
        memcpy(to + edit->offset + edit->count, from + after, change->len - after);
    }
}

/* What the plugin gets for bytes that are to be the packet: 0 or a negative errno. */
static int apply_rules(struct packet_change *change, const uint8_t *bytes, uint32_t len)
{
    enum change_rule rule = change_rules_check(&change->received, bytes, len, change->rules);

    if (rule < CHANGE_RULES) {
        change->broken = rule;
    }
    return change_rule_error(rule);
}

/* The range is in the packet. */
static int apply(struct packet_change *change, struct nfqe_packet *packet, const struct edit *edit)
{
    uint32_t kept = change->len - edit->remove;
    uint8_t *made = *change->spare;
    uint32_t len;
    int code;

    if (kept > PACKET_CHANGE_ROOM || edit->count > PACKET_CHANGE_ROOM - kept) {
        change->broken = CHANGE_RULE_SIZE;
        return change_rule_error(CHANGE_RULE_SIZE);
    }
    len = kept + edit->count;
    make(change, edit, made);
    change_repair_ip_length(made, len);
    code = apply_rules(change, made, len);
    if (code < 0) {
        return code;
    }
    *change->spare = change->buffer;
    change->buffer = made;
    change->is_changed = true;
    change->udp_rest = edited_udp_rest(change, edit);
    note(change, edit->offset, kept - edit->offset);
    change->len = len;
    show(change, packet);
    return 0;
}

int packet_change_writable(struct packet_change *change, struct nfqe_packet *packet, uint32_t offset, uint32_t len,
                           uint8_t **bytes)
{
    const struct edit copy = {.offset = offset};
    int code = 0;

    prepare(change, packet);
    if (!has_range(change, offset, len)) {
        return -EINVAL;
    }
    if (change->is_changed) {
        show(change, packet);
    } else {
        code = apply(change, packet, &copy);
    }
    if (code == 0) {
        note(change, offset, change->len - offset - len);
        *bytes = change->buffer + offset;
    }
    return code;
}

int packet_change_splice(struct packet_change *change, struct nfqe_packet *packet, uint32_t offset, uint32_t remove,
                         const uint8_t *bytes, uint32_t count)
{
    const struct edit edit = {.offset = offset, .remove = remove, .bytes = bytes, .count = count};

    prepare(change, packet);
    if (!has_range(change, offset, remove) || (bytes == NULL && count > 0)) {
        return -EINVAL;
    }
    return apply(change, packet, &edit);
}

int packet_change_replace(struct packet_change *change, struct nfqe_packet *packet, const uint8_t *bytes, uint32_t len)
{
    int code;

    prepare(change, packet);
    code = packet_change_splice(change, packet, 0, change->len, bytes, len);
    if (code == 0) {
        change->same.replaced = true;
    }
    return code;
}

int packet_change_check(struct packet_change *change, struct nfqe_packet *packet)
{
    int code;

    if (!change->is_changed) {
        return 0;
    }
    show(change, packet);
    code = apply_rules(change, change->buffer, change->len);
    if (code == 0 && !change_can_repair(&change->received, packet, &change->same)) {
        change->broken = CHANGE_RULES;
        code = -EOPNOTSUPP;
    }
    return code;
}

int packet_change_finish(struct packet_change *change, struct nfqe_packet *packet)
{
    int code = packet_change_check(change, packet);

    if (code == 0 && change->is_changed) {
        change_repair_checksums(&change->received, packet, change->buffer, &change->same);
    }
    return code;
}
