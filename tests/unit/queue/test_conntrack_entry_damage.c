/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conntrack_entry_decode() on attributes that are cut at every byte, or damaged at random.
 *
 * Always: they end at a page that cannot be accessed, so a read beyond it ends the test; and a member that is not
 * present is 0, whatever the bytes say.
 */
#include "unit.h"

#include "conntrack_messages.h"
#include "guarded.h"
#include "queue/conntrack_entry.h"

#include <string.h>

#define CASES 200000
#define CASES_QUICK 20000

static struct guarded memory;
static struct conntrack_message message;

static bool is_zero(const void *member, size_t size)
{
    const uint8_t *bytes = member;

    while (size > 0 && bytes[size - 1] == 0) {
        size--;
    }
    return size == 0;
}

static void decode(size_t len, struct nfqe_conntrack_entry *entry)
{
    conntrack_entry_decode(guarded_put(&memory, message.attributes, len, 4), len, 1, entry);
    assert_int_equal(entry->size, sizeof(*entry));
    assert_int_equal(entry->present & ~(NFQE_CONNTRACK_HAS_START * 2U - 1), 0);
    assert_int_equal(entry->helper[NFQE_HELPER_SIZE - 1], '\0');
#define ABSENT_IS_ZERO(bit, member)                                                                                    \
    assert_true((entry->present & (bit)) != 0 || is_zero(&entry->member, sizeof(entry->member)))
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_TUPLES, original);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_TUPLES, reply);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_MARK, mark);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_ID, id);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_STATUS, status);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_TIMEOUT, timeout_s);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_COUNTERS, original_packets);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_COUNTERS, original_bytes);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_COUNTERS, reply_packets);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_COUNTERS, reply_bytes);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_TCP_STATE, tcp_state);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_HELPER, helper);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_ZONE, zone);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_LABELS, labels);
    ABSENT_IS_ZERO(NFQE_CONNTRACK_HAS_START, start_ns);
#undef ABSENT_IS_ZERO
    assert_true(is_zero(entry->reserved, sizeof(entry->reserved)));
    assert_true(is_zero(entry->reserved_too, sizeof(entry->reserved_too)));
}

static void test_attributes_cut_at_every_byte_only_lose_the_last_ones(void **state)
{
    struct nfqe_conntrack_entry entry;
    uint32_t present = 0;

    (void)state;
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        conntrack_message_make(&message, ipv6, 0);
        present = 0;
        for (size_t len = 0; len <= message.len; len++) {
            decode(len, &entry);
            assert_int_equal(entry.present & present, present);
            present = entry.present;
        }
        assert_int_equal(present, NFQE_CONNTRACK_HAS_START * 2 - 1);
    }
}

static void test_random_damage_never_leads_outside(void **state)
{
    unsigned cases = unit_cases(CASES, CASES_QUICK);
    uint64_t random = 11;

    (void)state;
    for (unsigned i = 0; i < cases; i++) {
        struct nfqe_conntrack_entry entry;
        uint8_t *bytes;

        conntrack_message_make(&message, i % 2 == 0, 0);
        bytes = message.bytes + (message.attributes - message.bytes);
        for (unsigned damage = 1 + unit_random_below(&random, 4); damage > 0; damage--) {
            bytes[unit_random_below(&random, (uint32_t)message.len)] = (uint8_t)unit_random_below(&random, 256);
        }
        decode(message.len - unit_random_below(&random, 8), &entry);
    }
}

static int set_up(void **state)
{
    (void)state;
    guarded_init(&memory, CONNTRACK_SIZE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_done(&memory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes_cut_at_every_byte_only_lose_the_last_ones),
        cmocka_unit_test(test_random_damage_never_leads_outside),
    };

    return cmocka_run_group_tests_name("conntrack_entry_damage", tests, set_up, tear_down);
}
