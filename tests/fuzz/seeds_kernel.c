/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seeds of what comes from the kernel: packets, messages, and journals with messages in them.
 */
#include "seed.h"

#include "builder.h"
#include "burst/journal.h"
#include "kernel_messages.h"
#include "queue/nfqueue_sequence.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdbool.h>
#include <sys/socket.h>

/* ---- packets -------------------------------------------------------------------------------------------- */

/* Builds a packet that takes a path of its own through the parser. False: there is none of this number. */
static bool build_packet(unsigned number, struct builder *builder)
{
    switch (number) {
    case 0:
        builder_ipv4(builder, 0, 0x4000);
        builder_tcp(builder, 12);
        builder_bytes(builder, 20);
        break;
    case 1:
        builder_ipv4(builder, 8, 0);
        builder_udp(builder);
        builder_bytes(builder, 5);
        break;
    case 2:
        builder_ipv4(builder, 0, 0x2000); /* first fragment */
        builder_icmp(builder);
        break;
    case 3:
        builder_ipv4(builder, 0, 0x00b9); /* later fragment */
        builder_protocol(builder, NFQE_PROTOCOL_UDP);
        builder_bytes(builder, 8);
        break;
    case 4:
        builder_ipv4(builder, 40, 0);
        builder_protocol(builder, 47);
        builder_bytes(builder, 8);
        break;
    case 5:
        builder_ipv6(builder);
        builder_tcp(builder, 0);
        builder_bytes(builder, 4);
        break;
    case 6:
        builder_ipv6(builder);
        builder_extension(builder, IPV6_HOP_BY_HOP, 8);
        builder_extension(builder, IPV6_ROUTING, 24);
        builder_extension(builder, IPV6_DESTINATION, 16);
        builder_extension(builder, IPV6_AUTHENTICATION, 24);
        builder_udp(builder);
        builder_bytes(builder, 3);
        break;
    case 7:
        builder_ipv6(builder);
        builder_fragment(builder, 0, true);
        builder_icmpv6(builder);
        break;
    case 8:
        builder_ipv6(builder);
        builder_fragment(builder, 20, false);
        builder_protocol(builder, NFQE_PROTOCOL_TCP);
        builder_bytes(builder, 16);
        break;
    case 9:
        builder_ipv6(builder);
        builder_extension(builder, IPV6_MOBILITY, 8);
        builder_extension(builder, IPV6_HOST_IDENTITY, 8);
        builder_extension(builder, IPV6_SHIM6, 8);
        builder_protocol(builder, IPV6_NO_NEXT);
        break;
    case 10:
        builder_ipv6(builder);
        builder_fragment(builder, 0, false);
        builder_extension(builder, IPV6_DESTINATION, 8);
        builder_protocol(builder, IPV6_ENCRYPTED);
        builder_bytes(builder, 12);
        break;
    default:
        return false;
    }
    builder_finish(builder);
    return true;
}

static void make_packet(const char *name, unsigned number, const struct builder *builder, uint8_t hw_protocol,
                        uint8_t place, size_t len)
{
    struct seed seed = {.len = 0};

    seed_put_u8(&seed, hw_protocol);
    seed_put_u8(&seed, 0);
    seed_put_u8(&seed, place);
    seed_put(&seed, builder->bytes, len);
    seed_save_number("packet", name, number, &seed);
}

void make_packets(void)
{
    struct builder builder;

    for (unsigned i = 0; build_packet(i, &builder); i++) {
        uint8_t hw_protocol = builder.version == 4 ? 0 : 1;

        make_packet("whole", i, &builder, hw_protocol, 0, builder.len);
        make_packet("shorter", i, &builder, 2, 4 * 9 + 1, builder.len);
        make_packet("cut", i, &builder, hw_protocol, 4 * 3, builder.headers_end - 1);
        builder_bytes(&builder, 9);
        make_packet("padded", i, &builder, hw_protocol, 4 * 4 + 3, builder.len);
        make_packet("mistaken", i, &builder, !hw_protocol, 0, builder.len);
        make_packet("other", i, &builder, 3, 0, builder.len);
        builder.bytes[builder.transport + 12] = 0x40; /* a TCP header shorter than one can be */
        builder.bytes[0] = builder.version == 4 ? 0x44 : 0x60;
        make_packet("short", i, &builder, hw_protocol, 0, builder.len);
    }
    make_packet("empty", 0, &builder, 0, 0, 0);
}

/* ---- refused packets -------------------------------------------------------------------------------------- */

void make_rejects(void)
{
    const struct nfqe_tuple tuple = {.source = {10, 1, 1, 1},
                                     .dest = {10, 2, 2, 2},
                                     .source_port = 1,
                                     .dest_port = 2,
                                     .family = AF_INET,
                                     .protocol = NFQE_PROTOCOL_UDP};
    struct builder builder;

    for (unsigned i = 0; build_packet(i, &builder); i++) {
        struct seed plain = {.len = 0};
        struct seed translated = {.len = 0};
        struct nfqe_tuple sent = tuple;

        sent.family = builder.version == 4 ? AF_INET : AF_INET6;
        sent.protocol = builder.protocol;
        seed_put_u8(&plain, (uint8_t)(i % 5));
        seed_put_u8(&plain, 1);
        seed_put(&plain, builder.bytes, builder.len);
        seed_save_number("reject", "plain", i, &plain);
        seed_put_u8(&translated, (uint8_t)(i % 2 * 3));
        seed_put_u8(&translated, 3);
        seed_put(&translated, &sent, sizeof(sent));
        seed_put(&translated, builder.bytes, builder.len);
        seed_save_number("reject", "translated", i, &translated);
    }
}

/* ---- messages -------------------------------------------------------------------------------------------- */

static void save_message(const char *name, unsigned number, const struct message *message, uint8_t flags, size_t len)
{
    struct seed seed = {.len = 0};

    seed_put_u8(&seed, flags);
    seed_put(&seed, message->bytes, len);
    seed_save_number("message", name, number, &seed);
}

void make_messages(void)
{
    struct message message;
    struct builder builder;

    message_all(&message, 0);
    save_message("all", 0, &message, 0, message.len);
    save_message("all_cut", 0, &message, 1, message.len - 8);
    save_message("other_queue", 0, &message, 2, message.len);
    for (size_t i = 0; i < message_attribute_count; i++) {
        uint16_t type = message_attributes[i].type;

        message_all(&message, type);
        save_message("without", type, &message, 0, message.len);
        message_begin(&message);
        message_put_id(&message, 1);
        message_put(&message, type, message_attributes[i].value, message_attributes[i].len);
        save_message("only", type, &message, 0, message.len);
        message_begin(&message);
        message_put(&message, type, message_attributes[i].value, 3); /* too short to count */
        message_put_id(&message, 1);
        save_message("short", type, &message, 0, message.len);
    }
    for (unsigned i = 0; build_packet(i, &builder); i++) {
        message_begin(&message);
        message_put_id(&message, i);
        message_put(&message, NFQA_PAYLOAD, builder.bytes, builder.len);
        save_message("packet", i, &message, 0, message.len);
    }
    message_begin(&message);
    message_put_id(&message, 5);
    message_put(&message, NFQA_PAYLOAD, builder.bytes, 100);
    ((struct nlattr *)(void *)(message.bytes + message_attribute_offset(&message, NFQA_PAYLOAD)))->nla_len = 2000;
    save_message("attribute_too_long", 0, &message, 0, message.len);
    save_message("cut_in_payload", 0, &message, 1, message.len);
    message_begin(&message);
    message_put_id(&message, 5);
    message_put(&message, NFQA_CT, "\x08\x00\x03\x00\x00\x00\x00\x02\x08\x00\x08\x00\x01\x02\x03\x04", 16);
    save_message("conntrack", 0, &message, 0, message.len);
    message.bytes[message.len - 8]++; /* now its mark is longer than what is left */
    save_message("conntrack", 1, &message, 0, message.len);
    message_answer(&message, -ENOENT, 7);
    save_message("answer", 0, &message, 0, message.len);
    message_answer(&message, -EPERM, 7 | NFQUEUE_SEQUENCE_CONFIGURATION);
    save_message("answer", 1, &message, 0, message.len);
    message_answer(&message, -ENOENT, 7 | NFQUEUE_SEQUENCE_RESENT);
    save_message("answer", 2, &message, 0, message.len);
    save_message("answer_cut", 0, &message, 0, message.len - 4);
}

/* ---- journals ----------------------------------------------------------------------------------------------- */

/* The numbers at the start of an input of fuzz_burst.c. */
struct damage {
    uint32_t phase, packets, last_id, recover_ids, recover_to, next_id, sequence, choices;
};

static void put_message(struct seed *seed, uint32_t id, uint8_t flags)
{
    struct message message;
    struct builder builder;

    builder_ipv4(&builder, 0, 0);
    builder_udp(&builder);
    builder_bytes(&builder, 4);
    builder_finish(&builder);
    message_begin(&message);
    message_put_id(&message, id);
    message_put(&message, NFQA_PAYLOAD, builder.bytes, builder.len);
    seed_put_u8(seed, flags);
    seed_put_u8(seed, (uint8_t)message.len);
    if ((flags & 2) != 0) {
        seed_put_u32(seed, UINT32_MAX);
    }
    if ((flags & 4) != 0) {
        seed_put_u32(seed, id);
        seed_put_u32(seed, id % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT);
        seed_put_u32(seed, 0x1234);
        seed_put_u32(seed, BURST_DECIDED | (id % 2) << 1);
    }
    seed_put(seed, message.bytes, message.len);
}

/* Phase words that a queue process with one burst in flight writes: being received, committed, being sent. */
enum { IDLE = 0, RECEIVING = 1, COMMITTED = 0, SENDING = JOURNAL_SENDING };

/* messages: after the last id, or, if that many ids are outstanding, these. */
static void make_journal(const char *name, const struct damage *damage, unsigned messages, unsigned decided)
{
    uint32_t first = damage->phase == RECEIVING ? damage->last_id + 1 : damage->next_id;
    struct seed seed = {.len = 0};

    seed_put(&seed, damage, sizeof(*damage));
    for (unsigned i = 0; i < messages; i++) {
        put_message(&seed, first + i, i < decided ? 4 : 0);
    }
    seed_save("burst", name, &seed);
}

void make_journals(void)
{
    const struct damage idle = {.phase = IDLE, .last_id = 9};
    struct damage damage = idle;
    struct seed seed = {.len = 0};

    make_journal("idle", &damage, 0, 0);
    damage.phase = RECEIVING;
    damage.recover_ids = 1;
    damage.recover_to = 15;
    make_journal("receiving", &damage, 3, 0);
    make_journal("receiving_none", &damage, 0, 0);
    damage.choices = 2;
    damage.next_id = 12;
    make_journal("next_known", &damage, 2, 2);
    damage.last_id = UINT32_MAX - 1;
    damage.next_id = 3;
    make_journal("wrap", &damage, 4, 0);
    damage = idle;
    damage.phase = COMMITTED;
    damage.next_id = 4; /* to 9: outstanding */
    damage.packets = 6;
    damage.sequence = 77;
    make_journal("between_packets", &damage, 6, 3);
    damage.choices = 1;
    make_journal("undecided", &damage, 6, 0);
    damage.phase = SENDING | JOURNAL_TOTALS;
    make_journal("sending", &damage, 6, 6);
    damage.choices = 3 << 4;
    make_journal("last_burst", &damage, 6, 3);
    damage.phase = 77;
    damage.choices = 8;
    make_journal("wild_phase", &damage, 6, 6);
    damage.phase = SENDING;
    seed_put(&seed, &damage, sizeof(damage));
    for (unsigned i = 0; i < 16; i++) {
        put_message(&seed, i, (uint8_t)(i == 5 ? 2 : i == 6 ? 1 : 4));
    }
    seed_save("burst", "wild_messages", &seed);
    seed.len = 0;
    seed_put(&seed, &damage, sizeof(damage));
    for (unsigned i = 0; i < BURST_MAX; i++) { /* each too short to be one */
        seed_put_u8(&seed, (uint8_t)(i % 32));
        seed_put_u8(&seed, 1 + i % 20);
    }
    seed_save("burst", "full", &seed);
}
