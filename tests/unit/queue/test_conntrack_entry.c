/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conntrack_entry_decode() on what the kernel sends: each attribute present, absent, too short or twice as long.
 */
#include "unit.h"

#include "conntrack_messages.h"
#include "queue/conntrack_entry.h"

#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

static struct conntrack_message message;

static void decode(uint32_t info, struct nfqe_conntrack_entry *entry)
{
    memset(entry, 0xee, sizeof(*entry)); /* what an earlier packet left */
    conntrack_entry_decode(message.attributes, message.len, info, entry);
}

static void test_entry_of_all_attributes_is_decoded_completely(void **state)
{
    (void)state;
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct nfqe_conntrack_entry expected;
        struct nfqe_conntrack_entry entry;

        conntrack_message_make(&message, ipv6, 0);
        conntrack_message_expected(&expected, ipv6, 0, 2);
        decode(2, &entry);
        assert_memory_equal(&entry, &expected, sizeof(entry));
        assert_int_equal(entry.present, NFQE_CONNTRACK_HAS_START * 2 - 1);
    }
}

static void test_absent_attribute_leaves_its_members_zero_and_the_others_alone(void **state)
{
    (void)state;
    for (size_t i = 0; conntrack_message_types[i] != 0; i++) {
        for (int ipv6 = 0; ipv6 < 2; ipv6++) {
            struct nfqe_conntrack_entry expected;
            struct nfqe_conntrack_entry entry;

            conntrack_message_make(&message, ipv6, conntrack_message_types[i]);
            conntrack_message_expected(&expected, ipv6, conntrack_message_types[i], 0);
            decode(0, &entry);
            assert_memory_equal(&entry, &expected, sizeof(entry));
        }
    }
}

/* Of attributes with parts: none of these, or one of a length that the kernel does not send. */
static void test_too_short_attribute_counts_as_absent(void **state)
{
    static const uint8_t value[16] = {1};

    (void)state;
    for (size_t i = 0; conntrack_message_types[i] != 0; i++) {
        uint16_t type = conntrack_message_types[i];
        size_t needed = type == CTA_ZONE ? 2 : type == CTA_LABELS ? 16 : 4;

        for (size_t len = 0; len < needed; len++) {
            struct nfqe_conntrack_entry expected;
            struct nfqe_conntrack_entry entry;

            conntrack_message_make(&message, 0, type);
            conntrack_message_put(&message, type, value, len);
            conntrack_message_expected(&expected, 0, type, 0);
            decode(0, &entry);
            assert_memory_equal(&entry, &expected, sizeof(entry));
        }
    }
    for (size_t len = 0; len < 8; len++) {
        struct nfqe_conntrack_entry entry;

        conntrack_message_begin(&message);
        conntrack_message_nest(&message, CTA_TIMESTAMP, CTA_TIMESTAMP_START, value, len);
        conntrack_message_nest(&message, CTA_COUNTERS_ORIG, CTA_COUNTERS_PACKETS, value, 8);
        conntrack_message_nest(&message, CTA_COUNTERS_REPLY, CTA_COUNTERS_BYTES, value, len);
        decode(0, &entry);
        assert_int_equal(entry.present, 0);
        assert_int_equal(entry.start_ns + entry.original_packets + entry.reply_bytes, 0);
    }
}

/* Both addresses and the protocol, in both directions. */
static void test_tuple_without_one_of_its_parts_counts_as_absent(void **state)
{
    static const size_t parts[] = {8, 16, 28}; /* where source, destination and protocol of the first tuple begin */

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct nfqe_conntrack_entry expected;
        struct nfqe_conntrack_entry entry;

        conntrack_message_make(&message, 0, 0);
        message.bytes[message.attributes - message.bytes + parts[i] + 2] = 99; /* the type */
        conntrack_message_expected(&expected, 0, CTA_TUPLE_ORIG, 0);
        decode(0, &entry);
        assert_memory_equal(&entry, &expected, sizeof(entry));
    }
}

static void test_every_value_of_the_info_is_a_state_and_a_direction(void **state)
{
    static const struct {
        uint32_t state;
        uint32_t is_reply;
    } expected[] = {{NFQE_CONNTRACK_ESTABLISHED, 0},
                    {NFQE_CONNTRACK_RELATED, 0},
                    {NFQE_CONNTRACK_NEW, 0},
                    {NFQE_CONNTRACK_ESTABLISHED, 1},
                    {NFQE_CONNTRACK_RELATED, 1}};

    (void)state;
    conntrack_message_make(&message, 0, 0);
    for (uint32_t info = 0; info < 5; info++) { /* as in nf_conntrack_common.h */
        struct nfqe_conntrack_entry entry;

        decode(info, &entry);
        assert_int_equal(entry.state, expected[info].state);
        assert_int_equal(entry.is_reply, expected[info].is_reply);
    }
}

/* A member of NFQE_HELPER_SIZE bytes, with a NUL in any case. */
static void test_helper_has_a_name_that_fits(void **state)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz";

    (void)state;
    for (size_t len = 0; len < sizeof(name); len++) {
        for (size_t nul = 0; nul < 2; nul++) { /* without a NUL at its end, and with one */
            char value[sizeof(name) + 1] = "";
            bool fits = len > 0 && len < NFQE_HELPER_SIZE;
            struct nfqe_conntrack_entry entry;

            memcpy(value, name, len);
            conntrack_message_begin(&message);
            conntrack_message_nest(&message, CTA_HELP, CTA_HELP_NAME, value, len + nul);
            decode(0, &entry);
            assert_int_equal(entry.present, fits ? NFQE_CONNTRACK_HAS_HELPER : 0);
            assert_int_equal(strnlen(entry.helper, sizeof(entry.helper)), fits ? len : 0);
            assert_memory_equal(entry.helper, name, fits ? len : 0);
        }
    }
}

static void test_nothing_at_all_is_an_entry_without_anything(void **state)
{
    const struct nfqe_conntrack_entry expected = {.size = sizeof(expected), .state = NFQE_CONNTRACK_NEW};
    struct nfqe_conntrack_entry entry;

    (void)state;
    conntrack_message_begin(&message);
    decode(2, &entry);
    assert_memory_equal(&entry, &expected, sizeof(entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_of_all_attributes_is_decoded_completely),
        cmocka_unit_test(test_absent_attribute_leaves_its_members_zero_and_the_others_alone),
        cmocka_unit_test(test_too_short_attribute_counts_as_absent),
        cmocka_unit_test(test_tuple_without_one_of_its_parts_counts_as_absent),
        cmocka_unit_test(test_every_value_of_the_info_is_a_state_and_a_direction),
        cmocka_unit_test(test_helper_has_a_name_that_fits),
        cmocka_unit_test(test_nothing_at_all_is_an_entry_without_anything),
    };

    return cmocka_run_group_tests_name("conntrack_entry", tests, NULL, NULL);
}
