/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet/change.c agrees with a second implementation (change_model.h), after each step of random programs: what is
 * refused and how, every byte, what the parser finds in the packet, lengths, and in the end the checksums.
 *
 * The packets are of every protocol with a checksum and of some without, with options, extension headers, padding and
 * surplus bytes, whole and as fragments; right, damaged, and with checksums that are pending. The programs write into
 * them, grow and shrink them, and do what is not allowed.
 */
#include "unit.h"

#include "builder.h"
#include "change_model.h"
#include "guarded.h"
#include "packet/change.h"
#include "packet/change_rules.h"
#include "packet/parse.h"
#include "reference.h"

#include <stdio.h>
#include <sys/socket.h>

#define CASES 60000
#define CASES_QUICK 6000
#define STEPS_MAX 6
#define CANARY 64
#define LONG_ONE_IN 50

static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);
static struct guarded memory[4]; /* the received packet, two buffers, what is put in */
static uint8_t *canaries[2]; /* bytes in front of the buffers */
static uint8_t *rooms[2];
static uint8_t *spare;
static struct change_model model;

static uint32_t below(uint32_t limit)
{
    return unit_random_below(&random_state, limit);
}

static bool one_in(uint32_t count)
{
    return below(count) == 0;
}

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = one_in(8) ? (uint8_t)(one_in(2) ? 0xff : 0) : (uint8_t)below(256);
    }
}

/* ---- packets ------------------------------------------------------------------------------------------------- */

static void append_routing(struct builder *builder)
{
    static const uint8_t types[] = {0, 2, 3, 4};
    uint32_t addresses = below(3);
    size_t at = builder->len;

    builder_extension(builder, IPV6_ROUTING, 8 + addresses * 16);
    builder->bytes[at + 2] = types[below(sizeof(types))];
    builder->bytes[at + 3] = (uint8_t)below(3);
}

static void append_ip(struct builder *builder)
{
    static const uint16_t fragments[] = {0, 0, 0, 0, 0, 0x4000, 0x8000, 0x2000, 0x2001, 0x00b9};

    if (one_in(2)) {
        builder_ipv4(builder, one_in(2) ? 0 : below(11) * 4, fragments[below(sizeof(fragments) / 2)]);
        while (one_in(8)) {
            builder_extension(builder, IPV6_AUTHENTICATION, 12 + below(4) * 4);
        }
        return;
    }
    builder_ipv6(builder);
    while (one_in(3) && builder->len < 300) {
        static const uint8_t kinds[] = {IPV6_HOP_BY_HOP, IPV6_DESTINATION, IPV6_MOBILITY, IPV6_AUTHENTICATION};
        uint8_t kind = kinds[below(sizeof(kinds))];

        if (one_in(3)) {
            append_routing(builder);
        } else if (one_in(3)) {
            builder_fragment(builder, one_in(2) ? 0 : (uint16_t)below(100), one_in(2));
        } else {
            builder_extension(builder, kind, kind == IPV6_AUTHENTICATION ? 12 + below(4) * 4 : 8 + below(3) * 8);
        }
    }
    while (one_in(500) && builder->len < 2000) {
        builder_extension(builder, IPV6_DESTINATION, 8);
    }
}

static void append_transport(struct builder *builder, size_t payload)
{
    static const uint8_t protocols[] = {6, 6, 6, 17, 17, 17, 1, 58, 132, 33, 136, 47, 59, 200};
    uint8_t protocol = protocols[below(sizeof(protocols))];
    uint8_t *header = builder->bytes + builder->len;

    builder_protocol(builder, protocol);
    builder->transport = builder->len;
    builder_bytes(builder, payload);
    fill(header, payload);
    if (payload > 16) {
        if (protocol == 6) {
            header[12] = (uint8_t)(one_in(8) ? header[12] : 0x50);
        } else if (protocol == 17 && !one_in(8)) {
            size_t len = one_in(8) ? below(8) : one_in(3) ? 8 + below((uint32_t)payload - 7) : payload;

            header[4] = (uint8_t)(len >> 8);
            header[5] = (uint8_t)len;
        } else if (protocol == 136) {
            header[4] = 0;
            header[5] = (uint8_t)(one_in(2) ? 0 : below((uint32_t)payload + 2));
        } else if (protocol == 33) {
            header[4] = (uint8_t)(3 + below(3));
            header[8] = 0;
        }
    }
}

/* Returns how long it is. */
static size_t build(struct builder *builder)
{
    static const uint32_t sizes[] = {12, 40, 200, 1500};

    append_ip(builder);
    append_transport(builder, below(sizes[below(4)]));
    builder_finish(builder);
    change_model_make_right(builder->bytes, builder->len);
    if (one_in(4)) { /* damaged on its way, or without a checksum */
        size_t at = builder->transport + below(20);

        builder->bytes[at < builder->len ? at : 0] ^= (uint8_t)(at < builder->len ? 1 + below(255) : 0);
        if (one_in(2) && builder->transport + 8 <= builder->len) {
            memset(builder->bytes + builder->transport + 6, 0, 2);
        }
    }
    if (one_in(20)) {
        builder->bytes[below((uint32_t)builder->len)] ^= (uint8_t)(1 + below(255));
    }
    if (one_in(10)) {
        builder_bytes(builder, below(30)); /* padding */
    }
    return builder->len;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void assert_shown(const struct nfqe_packet *packet)
{
    struct reference found = reference_read(model.bytes, model.len, model.len, packet->hw_protocol);
    uint32_t len;

    assert_int_equal(packet->len, model.len);
    assert_int_equal(packet->wire_len, model.len);
    assert_memory_equal(packet->data, model.bytes, model.len);
    assert_true((packet->flags & NFQE_PACKET_MODIFIED) != 0);
    assert_int_equal(packet->transport, found.transport);
    assert_int_equal(packet->payload, found.payload);
    assert_int_equal(packet->protocol, found.protocol);
    assert_int_equal((packet->flags & NFQE_PACKET_HEADERS_CUT) != 0, found.cut);
    assert_int_equal((packet->flags & NFQE_PACKET_FRAGMENT) != 0, found.fragment);
    nfqe_payload(packet, &len);
    assert_int_equal(len, found.payload_len);
}

static uint32_t some_offset(void)
{
    switch (below(8)) {
    case 0:
        return below(80);
    case 1:
        return (uint32_t)model.len;
    case 2:
        return (uint32_t)model.len + below(3);
    case 3:
        return one_in(20) ? UINT32_MAX - below(3) : 0;
    default:
        return below((uint32_t)model.len + 1);
    }
}

static uint32_t some_len(uint32_t offset)
{
    uint32_t left = offset < model.len ? (uint32_t)model.len - offset : 0;

    return one_in(4) ? left : one_in(30) ? UINT32_MAX - below(100) : below(one_in(2) ? left + 2 : 24);
}

static int step_writable(struct packet_change *change, struct nfqe_packet *packet, int *expected)
{
    uint32_t offset = some_offset();
    uint32_t len = one_in(3) ? below(4) : some_len(offset);
    uint8_t *bytes = NULL;
    int code = packet_change_writable(change, packet, offset, len, &bytes);

    *expected = change_model_writable(&model, offset, len);
    assert_true((bytes != NULL) == (code == 0));
    if (code == 0) {
        assert_ptr_equal(bytes, packet->data + offset);
        assert_shown(packet);
        for (uint32_t i = 0; i < len; i++) {
            if (one_in(2)) {
                bytes[i] = (uint8_t)below(256);
            }
            model.bytes[offset + i] = bytes[i];
        }
    }
    return code;
}

static int step_splice(struct packet_change *change, struct nfqe_packet *packet, int *expected)
{
    static uint8_t bytes[CHANGE_MODEL_MAX + 10];
    uint32_t offset = some_offset();
    uint32_t remove = some_len(offset);
    uint32_t count = one_in(LONG_ONE_IN) ? CHANGE_MODEL_MAX - below(100) : below(one_in(2) ? 24 : 1600);

    if (one_in(6) && remove < 100) {
        count = remove;
    }
    fill(bytes, count < 2000 ? count : 2000);
    *expected = change_model_splice(&model, offset, remove, count == 0 ? NULL : bytes, count);
    return packet_change_splice(change, packet, offset, remove,
                                count == 0 ? NULL : guarded_put(&memory[3], bytes, count, 1), count);
}

static int step_replace(struct packet_change *change, struct nfqe_packet *packet, int *expected)
{
    static uint8_t bytes[CHANGE_MODEL_MAX];
    uint32_t len = one_in(3) ? below(80) : (uint32_t)model.len;

    memcpy(bytes, model.bytes, model.len);
    for (unsigned i = 0; i < 4 && len > 0; i++) {
        bytes[below(len)] = (uint8_t)below(256);
    }
    if (one_in(4)) {
        uint32_t more = below(CHANGE_MODEL_MAX - len < 600 ? CHANGE_MODEL_MAX - len : 600);

        memset(bytes + len, 0x5a, more);
        len += more;
    }
    *expected = change_model_replace(&model, bytes, len);
    return packet_change_replace(change, packet, guarded_put(&memory[3], bytes, len, 1), len);
}

static void run_step(struct packet_change *change, struct nfqe_packet *packet)
{
    struct nfqe_packet before = *packet;
    bool was_changed = model.changed;
    int expected;
    int code;

    switch (below(8)) {
    case 0:
        code = packet_change_check(change, packet);
        expected = change_model_check(&model);
        break;
    case 1:
        code = step_replace(change, packet, &expected);
        break;
    case 2:
    case 3:
    case 4:
        code = step_writable(change, packet, &expected);
        assert_int_equal(code, expected);
        return;
    default:
        code = step_splice(change, packet, &expected);
        break;
    }
    assert_int_equal(code, expected);
    assert_int_equal(change->is_changed, model.changed);
    if (model.changed && code == 0) {
        assert_shown(packet);
    } else if (!was_changed) {
        assert_memory_equal(packet, &before, sizeof(before));
    } else {
        assert_ptr_equal(packet->data, change->buffer);
        assert_int_equal(packet->len, model.len);
    }
}

static void begin(struct nfqe_packet *packet, const struct builder *builder, size_t len)
{
    *packet = builder_packet(builder, guarded_put(&memory[0], builder->bytes, len, 1), len);
    packet->wire_len = (uint32_t)len;
    packet_parse(packet);
    change_model_init(&model, builder->bytes, len);
    model.truncated = one_in(40);
    model.gso = one_in(20);
    model.pending = one_in(8);
    model.ip_hook = !one_in(40);
    packet->flags |= (uint16_t)((model.truncated ? NFQE_PACKET_TRUNCATED : 0) | (model.gso ? NFQE_PACKET_GSO : 0) |
                                (model.pending ? NFQE_PACKET_CHECKSUM_PENDING : 0));
    if (!model.ip_hook) {
        packet->family = AF_BRIDGE;
    }
}

static void assert_buffers_intact(void)
{
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < CANARY; k++) {
            assert_int_equal(canaries[i][k], 0x77);
        }
    }
}

static void run_case(void)
{
    struct builder builder;
    size_t len = build(&builder);
    struct packet_change change;
    struct nfqe_packet packet;
    const uint8_t *received;
    int code;

    begin(&packet, &builder, len);
    received = packet.data;
    packet_change_init(&change, spare == rooms[0] ? rooms[1] : rooms[0], &spare, CHANGE_RULES_ALL);
    for (unsigned steps = 1 + below(STEPS_MAX); steps > 0; steps--) {
        run_step(&change, &packet);
    }
    code = packet_change_finish(&change, &packet);
    assert_int_equal(code, change_model_check(&model));
    if (model.changed && code == 0) {
        const char *wrong = change_model_compare(&model, packet.data, packet.len);

        if (wrong != NULL) {
            fail_msg("%s", wrong);
        }
        assert_ptr_equal(packet.data, change.buffer);
    }
    assert_memory_equal(received, builder.bytes, len);
    assert_buffers_intact();
}

static void test_random_programs_do_what_the_model_does(void **state)
{
    unsigned cases = unit_cases(CASES, CASES_QUICK);

    (void)state;
    guarded_init(&memory[0], BUILDER_SIZE);
    guarded_init(&memory[3], CHANGE_MODEL_MAX + 10);
    for (unsigned i = 0; i < 2; i++) {
        guarded_init(&memory[1 + i], CANARY + PACKET_CHANGE_ROOM);
        canaries[i] = guarded_put(&memory[1 + i], NULL, CANARY + PACKET_CHANGE_ROOM, 1);
        memset(canaries[i], 0x77, CANARY);
        rooms[i] = canaries[i] + CANARY;
    }
    spare = rooms[1];
    for (unsigned i = 0; i < cases; i++) {
        uint64_t begun = random_state;

        run_case();
        if (random_state == begun) {
            fail();
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        guarded_done(&memory[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_programs_do_what_the_model_does),
    };

    return cmocka_run_group_tests_name("change_model", tests, NULL, NULL);
}
