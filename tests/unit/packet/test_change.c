/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a plugin may do to the bytes of a packet, what is refused, and what the packet is after it.
 *
 * Every length of a packet grows and shrinks here, of every protocol with a checksum; and each promise of
 * packet/change.h has a case that can be read. Checksums: test_change_checksum.c. Random programs: test_change_model.c.
 */
#include "unit.h"

#include "change_fixture.h"
#include "packet/change_rules.h"
#include "packet/parse.h"

#include <errno.h>

#define PAYLOAD 40
#define LENGTH_LAST 1500
#define GROWTH 64

/* ---- lengths ----------------------------------------------------------------------------------------------------- */

static void change_length(unsigned version, uint8_t protocol, size_t payload, int growth, uint32_t offset)
{
    static const char inserted[GROWTH] = "what is put in: sixty-four bytes that are all of them text, end";
    struct change_case this;
    uint32_t place;

    change_case_build(&this, version, protocol, payload);
    place = (uint32_t)(this.builder.len - payload) + (offset < payload ? offset : (uint32_t)payload);
    if (growth >= 0) {
        change_case_splice(&this, place, 0, inserted, (uint32_t)growth);
    } else {
        uint32_t left = (uint32_t)this.builder.len - place;

        change_case_splice(&this, place, (uint32_t)-growth < left ? (uint32_t)-growth : left, NULL, 0);
    }
    change_case_finish(&this);
}

static void test_every_length_grows_and_shrinks(void **state)
{
    static const uint8_t protocols[] = {NFQE_PROTOCOL_TCP, NFQE_PROTOCOL_UDP, NFQE_PROTOCOL_ICMP, NFQE_PROTOCOL_ICMPV6,
                                        PROTOCOL_UDP_LITE, PROTOCOL_DCCP,     PROTOCOL_SCTP,      47};
    unsigned step = unit_cases(1, 13);

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        for (size_t i = 0; i < sizeof(protocols); i++) {
            for (unsigned payload = 0; payload <= LENGTH_LAST; payload += step) {
                int growth = (int)(payload * 37 % (2 * GROWTH + 1)) - GROWTH;

                change_length(version, protocols[i], payload, growth, payload * 7 % (payload + 1));
            }
            for (int growth = -GROWTH; growth <= GROWTH; growth++) {
                change_length(version, protocols[i], 100, growth, 30);
                change_length(version, protocols[i], 101, growth, 31);
            }
        }
    }
}

static void test_packet_can_be_as_long_as_a_message_and_no_longer(void **state)
{
    static char bytes[PACKET_CHANGE_ROOM];
    struct change_case this;
    uint32_t most;

    (void)state;
    change_case_build(&this, 4, NFQE_PROTOCOL_TCP, PAYLOAD);
    most = PACKET_CHANGE_ROOM - this.packet.len;
    assert_int_equal(packet_change_splice(&this.change, &this.packet, this.packet.len, 0, (uint8_t *)bytes, most + 1),
                     -EMSGSIZE);
    assert_int_equal(packet_change_splice(&this.change, &this.packet, 0, 0, (uint8_t *)bytes, UINT32_MAX), -EMSGSIZE);
    assert_false(this.change.is_changed);
    change_case_splice(&this, this.packet.len, 0, bytes, most);
    assert_int_equal(this.packet.len, 65531);
    assert_int_equal(packet_change_splice(&this.change, &this.packet, 60, 0, (uint8_t *)bytes, 1), -EMSGSIZE);
    change_case_splice(&this, 60, 1, "x", 1);
    change_case_finish(&this);
}

static void test_padding_is_left_out_and_cannot_be_reached(void **state)
{
    struct change_case this;
    uint32_t len;
    uint8_t *bytes;

    (void)state;
    change_case_build(&this, 4, NFQE_PROTOCOL_TCP, 3);
    len = this.packet.len;
    builder_bytes(&this.builder, 6);
    change_case_begin(&this, 0);
    assert_int_equal(packet_change_writable(&this.change, &this.packet, len, 1, &bytes), -EINVAL);
    assert_int_equal(packet_change_splice(&this.change, &this.packet, len + 1, 0, NULL, 0), -EINVAL);
    assert_int_equal(this.packet.len, len + 6);
    change_case_write_byte(&this, len - 1, 0x5a);
    assert_int_equal(this.packet.len, len);
    assert_int_equal(this.packet.wire_len, len);
    change_case_finish(&this);
}

/* The bytes after the datagram stay after it. */
static void test_udp_length_follows_the_datagram_and_not_what_comes_after_it(void **state)
{
    struct change_case this;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        const struct nfqe_udp_header *udp;
        uint32_t end;

        change_case_build(&this, version, NFQE_PROTOCOL_UDP, 20);
        change_case_payload(&this.builder, 12);
        builder_finish(&this.builder);
        change_case_begin(&this, 0);
        end = this.packet.len - 12;
        assert_int_equal(this.packet.payload_len, 20);
        change_case_splice(&this, end, 0, "more", 4);
        assert_int_equal(this.packet.payload_len, 24);
        change_case_splice(&this, end + 4, 12, "rest", 4); /* nothing is after it now, so this grows the datagram */
        change_case_splice(&this, end + 8, 0, NULL, 0);
        udp = nfqe_udp(&this.packet);
        assert_int_equal(nfqe_be16(udp->len), 8 + 28);
        assert_int_equal(this.packet.payload_len, 28);
        change_case_finish(&this);

        change_case_begin(&this, 0);
        change_case_splice(&this, end + 1, 3, "12345", 5);
        assert_int_equal(this.packet.payload_len, 20);
        assert_int_equal(this.packet.len, end + 14);
        change_case_splice(&this, end - 2, 4, NULL, 0);
        assert_int_equal(this.packet.payload_len, 18);
        change_case_finish(&this);

        change_case_begin(&this, 0); /* less than a header is left of the datagram: now it is all that there is */
        change_case_splice(&this, this.packet.transport + 6u, 22, NULL, 0);
        udp = nfqe_udp(&this.packet);
        assert_int_equal(nfqe_be16(udp->len), 8 + 10);
        change_case_finish(&this);
    }
}

static void test_lengths_that_a_plugin_writes_are_not_believed(void **state)
{
    struct change_case this;

    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        uint32_t ip_length = version == 4 ? 2 : 4;

        change_case_build(&this, version, NFQE_PROTOCOL_UDP, PAYLOAD);
        change_case_write_byte(&this, ip_length + 1, 0x11);
        change_case_write_byte(&this, this.packet.transport + 4u, 0xff);
        assert_int_equal(packet_change_check(&this.change, &this.packet), 0);
        assert_int_equal(this.packet.payload_len, PAYLOAD);
        change_case_finish(&this);
        assert_memory_equal(this.packet.data + ip_length, this.builder.bytes + ip_length, 2);
    }
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void test_bytes_outside_the_packet_are_refused_and_nothing_is_changed(void **state)
{
    static const uint8_t bytes[4];
    struct change_case this;
    struct nfqe_packet before;
    uint32_t len;

    (void)state;
    change_case_build(&this, 6, NFQE_PROTOCOL_UDP, PAYLOAD);
    len = this.packet.len;
    for (unsigned changed = 0; changed < 2; changed++) {
        const uint32_t ranges[][2] = {
            {len + 1, 0},    {len, 1},        {len - 1, 2},  {0, len + 1}, {UINT32_MAX, UINT32_MAX},
            {1, UINT32_MAX}, {UINT32_MAX, 1}, {len / 2, len}};

        before = this.packet;
        for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
            uint8_t *place = NULL;

            assert_int_equal(packet_change_writable(&this.change, &this.packet, ranges[i][0], ranges[i][1], &place),
                             -EINVAL);
            assert_int_equal(packet_change_splice(&this.change, &this.packet, ranges[i][0], ranges[i][1], bytes, 4),
                             -EINVAL);
            assert_null(place);
        }
        assert_int_equal(packet_change_splice(&this.change, &this.packet, 0, 0, NULL, 1), -EINVAL);
        assert_int_equal(packet_change_replace(&this.change, &this.packet, NULL, 1), -EINVAL);
        assert_memory_equal(&this.packet, &before, sizeof(before));
        assert_int_equal(this.change.is_changed, changed);
        change_case_write_byte(&this, len - 1, 7);
    }
    change_case_finish(&this);
}

static void test_packet_that_was_not_received_whole_is_not_changed(void **state)
{
    struct change_case this;
    uint8_t *bytes;

    (void)state;
    change_case_build(&this, 4, NFQE_PROTOCOL_TCP, PAYLOAD);
    change_case_begin(&this, NFQE_PACKET_TRUNCATED);
    assert_int_equal(packet_change_writable(&this.change, &this.packet, 0, 1, &bytes), -EMSGSIZE);
    assert_int_equal(packet_change_splice(&this.change, &this.packet, 60, 1, NULL, 0), -EMSGSIZE);
    assert_int_equal(packet_change_replace(&this.change, &this.packet, this.packet.data, 60), -EMSGSIZE);
    assert_false(this.change.is_changed);
    assert_int_equal(packet_change_finish(&this.change, &this.packet), 0);
    assert_ptr_equal(this.packet.data, this.builder.bytes);
}

/* And the operation that is refused changes nothing, so the packet can still be sent. */
static void test_change_that_a_kernel_drops_is_refused(void **state)
{
    struct change_case this;

    (void)state;
    change_case_build(&this, 4, NFQE_PROTOCOL_UDP, PAYLOAD);
    assert_int_equal(packet_change_splice(&this.change, &this.packet, 20, 4, NULL, 0), -EOPNOTSUPP); /* an option */
    assert_int_equal(packet_change_splice(&this.change, &this.packet, 27, 42, NULL, 0), -EOPNOTSUPP);
    assert_int_equal(packet_change_replace(&this.change, &this.packet, (const uint8_t *)"", 0), -EOPNOTSUPP);
    assert_false(this.change.is_changed);
    change_case_write_byte(&this, this.packet.len - 1, 1);
    assert_int_equal(packet_change_replace(&this.change, &this.packet, (const uint8_t *)"", 1), -EOPNOTSUPP);
    change_case_finish(&this);
}

static void test_what_was_written_is_looked_at_later(void **state)
{
    struct change_case this;

    (void)state;
    change_case_build(&this, 4, NFQE_PROTOCOL_UDP, PAYLOAD);
    change_case_write_byte(&this, 0, 0x65);
    assert_int_equal(packet_change_check(&this.change, &this.packet), -EOPNOTSUPP);
    assert_int_equal(this.packet.network, NFQE_NONE);
    assert_int_equal(packet_change_finish(&this.change, &this.packet), -EOPNOTSUPP);
    assert_int_equal(packet_change_splice(&this.change, &this.packet, 40, 1, NULL, 0), -EOPNOTSUPP);
    change_case_write_byte(&this, 0, 0x47);
    assert_int_equal(packet_change_check(&this.change, &this.packet), 0);
    assert_int_equal(this.packet.network, 0);
    change_case_finish(&this);
}

/* ---- the copy ---------------------------------------------------------------------------------------------------- */

static void test_packet_that_is_not_changed_is_not_copied(void **state)
{
    struct change_case this;
    struct nfqe_packet before;

    (void)state;
    memset(change_case_rooms[0], 0x77, sizeof(change_case_rooms[0]));
    memset(change_case_rooms[1], 0x77, sizeof(change_case_rooms[1]));
    change_case_build(&this, 4, NFQE_PROTOCOL_TCP, PAYLOAD);
    before = this.packet;
    assert_int_equal(packet_change_check(&this.change, &this.packet), 0);
    assert_int_equal(packet_change_finish(&this.change, &this.packet), 0);
    assert_memory_equal(&this.packet, &before, sizeof(before));
    for (size_t i = 0; i < PACKET_CHANGE_ROOM; i++) {
        assert_int_equal(change_case_rooms[0][i] & change_case_rooms[1][i], 0x77);
    }
}

static void test_bytes_may_come_from_the_packet_itself(void **state)
{
    struct change_case this;
    char expected[16];
    const uint8_t *dead;

    (void)state;
    change_case_build(&this, 4, NFQE_PROTOCOL_TCP, PAYLOAD);
    change_case_write_byte(&this, 60, 9);
    memcpy(expected, this.packet.data + 60, sizeof(expected));
    dead = this.packet.data;
    assert_int_equal(packet_change_splice(&this.change, &this.packet, 64, 8, dead + 60, sizeof(expected)), 0);
    assert_int_equal(change_model_splice(&change_case_model, 64, 8, (const uint8_t *)expected, sizeof(expected)), 0);
    assert_memory_equal(this.packet.data, change_case_model.bytes, change_case_model.len);
    assert_int_equal(packet_change_replace(&this.change, &this.packet, this.packet.data, this.packet.len), 0);
    assert_memory_equal(this.packet.data, change_case_model.bytes, change_case_model.len);
    assert_int_equal(packet_change_splice(&this.change, &this.packet, 70, 0, dead + 60, 40), 0); /* any bytes */
    assert_int_equal(packet_change_finish(&this.change, &this.packet), 0);
    change_case_assert_right(&this);
}

/* Two packets share the change_case_spare buffer. */
static void test_packets_are_changed_in_turn(void **state)
{
    static uint8_t third_room[PACKET_CHANGE_ROOM];
    struct change_case one;
    struct change_case two;
    static struct change_model model_of_one;

    (void)state;
    change_case_build(&two, 6, NFQE_PROTOCOL_UDP, 300);
    change_case_build(&one, 4, NFQE_PROTOCOL_TCP, 200);
    packet_change_init(&two.change, third_room, &change_case_spare, CHANGE_RULES_ALL);
    change_case_splice(&one, 100, 3, "first", 5);
    model_of_one = change_case_model;
    change_model_init(&change_case_model, two.builder.bytes, two.builder.len);
    change_case_model.ip_hook = true;
    change_case_splice(&two, 110, 50, "second", 6);
    change_case_splice(&two, 90, 0, "third", 5);
    change_case_finish(&two);
    change_case_model = model_of_one;
    change_case_splice(&one, 99, 3, "fourth", 6);
    change_case_finish(&one);
    assert_true(one.change.buffer != two.change.buffer && one.change.buffer != change_case_spare &&
                two.change.buffer != change_case_spare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length_grows_and_shrinks),
        cmocka_unit_test(test_packet_can_be_as_long_as_a_message_and_no_longer),
        cmocka_unit_test(test_padding_is_left_out_and_cannot_be_reached),
        cmocka_unit_test(test_udp_length_follows_the_datagram_and_not_what_comes_after_it),
        cmocka_unit_test(test_lengths_that_a_plugin_writes_are_not_believed),
        cmocka_unit_test(test_bytes_outside_the_packet_are_refused_and_nothing_is_changed),
        cmocka_unit_test(test_packet_that_was_not_received_whole_is_not_changed),
        cmocka_unit_test(test_change_that_a_kernel_drops_is_refused),
        cmocka_unit_test(test_what_was_written_is_looked_at_later),
        cmocka_unit_test(test_packet_that_is_not_changed_is_not_copied),
        cmocka_unit_test(test_bytes_may_come_from_the_packet_itself),
        cmocka_unit_test(test_packets_are_changed_in_turn),
    };

    return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
