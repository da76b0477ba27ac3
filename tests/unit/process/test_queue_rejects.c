/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many senders are told, and how those that are not are counted. What is sent, and to whom, is in the live test.
 */
#include "unit.h"

#include "base/clock.h"
#include "builder.h"
#include "checksums.h"
#include "packet/parse.h"
#include "process/queue_rejects.h"

#include <errno.h>

#define START_NS UINT64_C(1000000000000)

static struct queue_rejects rejects;
static struct mark_setting by_rule;
static struct queue_stats stats;
static int send_code;
static uint64_t now_ns;
static unsigned sent;
static unsigned logged;

int __wrap_raw_sockets_send(const struct raw_sockets *raw, const uint8_t *packet, uint32_t len, uint32_t ifindex);
void __wrap_log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_raw_sockets_send(const struct raw_sockets *raw, const uint8_t *packet, uint32_t len, uint32_t ifindex)
{
    (void)raw;
    (void)ifindex;
    sent++;
    assert_true(checksums_are_right(packet, len));
    return send_code;
}

void __wrap_log_line(const char *format, ...)
{
    (void)format;
    logged++;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    *time = (struct timespec){.tv_sec = (time_t)(now_ns / NS_PER_S), .tv_nsec = (long)(now_ns % NS_PER_S)};
    return 0;
}

static int set_up(void **state)
{
    static const struct raw_sockets raw; /* not open */

    (void)state;
    now_ns = START_NS;
    send_code = 0;
    sent = logged = 0;
    stats = (struct queue_stats){0};
    by_rule = (struct mark_setting){0};
    queue_rejects_init(&rejects, &raw, &by_rule, 10, 1);
    return 0;
}

static void test_a_second_is_the_most_that_is_saved(void **state)
{
    unsigned passed = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        passed += queue_rejects_pass(&rejects, START_NS);
    }
    assert_int_equal(passed, 10);
    assert_false(queue_rejects_pass(&rejects, START_NS + NS_PER_S / 10 - 1));
    assert_true(queue_rejects_pass(&rejects, START_NS + NS_PER_S / 10));
    assert_false(queue_rejects_pass(&rejects, START_NS + NS_PER_S / 10));
    passed = 0;
    for (unsigned i = 0; i < 1000; i++) {
        passed += queue_rejects_pass(&rejects, START_NS + 3600 * NS_PER_S);
    }
    assert_int_equal(passed, 10);
}

static void test_in_the_long_run_it_is_the_rate(void **state)
{
    static const struct raw_sockets raw;

    (void)state;
    for (uint32_t rate = 1; rate <= 1000000; rate *= 10) {
        unsigned passed = 0;

        queue_rejects_init(&rejects, &raw, &by_rule, rate, 1);
        for (uint64_t i = 0; i < 200000; i++) { /* 20 seconds */
            passed += queue_rejects_pass(&rejects, START_NS + i * NS_PER_S / 10000);
        }
        assert_in_range(passed, rate < 10000 ? 20 * rate : 200000, rate < 10000 ? 21 * rate : 200000);
    }
}

static void tell(uint8_t protocol, uint32_t kind)
{
    const struct nfqueue_conntrack conntrack = {.len = 0};
    struct builder builder;
    struct nfqe_packet packet;

    builder_ipv4(&builder, 0, 0);
    if (protocol == NFQE_PROTOCOL_TCP) {
        builder_tcp(&builder, 0);
    } else {
        builder_udp(&builder);
    }
    builder_finish(&builder);
    checksums_put(&builder);
    packet = builder_packet(&builder, builder.bytes, builder.len);
    packet_parse(&packet);
    queue_rejects_tell(&rejects, &packet, &conntrack, kind, START_NS, &stats);
}

static void assert_counted(uint64_t told, uint64_t limited, uint64_t unfit, uint64_t errors)
{
    assert_int_equal(stats.rejects_sent, told);
    assert_int_equal(stats.rejects_limited, limited);
    assert_int_equal(stats.rejects_unfit, unfit);
    assert_int_equal(stats.reject_errors, errors);
}

static void test_each_request_is_counted_once(void **state)
{
    (void)state;
    tell(NFQE_PROTOCOL_TCP, 0);
    assert_counted(1, 0, 0, 0);
    for (unsigned i = 0; i < 100; i++) {
        tell(NFQE_PROTOCOL_UDP, 1); /* a reset: does not count against the rate */
    }
    assert_counted(1, 0, 100, 0);
    for (unsigned i = 0; i < 20; i++) {
        tell(NFQE_PROTOCOL_UDP, 0);
    }
    assert_counted(10, 11, 100, 0);
    assert_int_equal(sent, 10);
}

static void test_what_the_kernel_refuses_is_counted_and_logged_now_and_then(void **state)
{
    (void)state;
    send_code = -EPERM;
    for (unsigned i = 0; i < 5; i++) {
        tell(NFQE_PROTOCOL_TCP, 0);
    }
    assert_counted(0, 0, 0, 5);
    assert_int_equal(logged, 1);
    send_code = -EACCES; /* to a broadcast address */
    tell(NFQE_PROTOCOL_TCP, 0);
    assert_counted(0, 0, 1, 5);
    now_ns += 60 * NS_PER_S;
    send_code = -ENETUNREACH;
    tell(NFQE_PROTOCOL_TCP, 0);
    assert_counted(0, 0, 1, 6);
    assert_int_equal(logged, 2);
}

/* Its rule is missing. Marks of other packets are whatever they are. */
static void test_packet_that_was_left_to_a_rule_is_known_if_it_comes_back(void **state)
{
    struct nfqe_packet packet = {.mark = 0x35};

    (void)state;
    assert_false(queue_rejects_came_back(&rejects, &packet, &stats)); /* none is left to rules */
    by_rule = (struct mark_setting){0x30, 0x70};
    assert_true(queue_rejects_came_back(&rejects, &packet, &stats));
    assert_true(queue_rejects_came_back(&rejects, &packet, &stats));
    packet.mark = 0x75;
    assert_false(queue_rejects_came_back(&rejects, &packet, &stats));
    packet.mark = 0x25;
    assert_false(queue_rejects_came_back(&rejects, &packet, &stats));
    assert_counted(0, 0, 0, 2);
    assert_int_equal(logged, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_second_is_the_most_that_is_saved, set_up),
        cmocka_unit_test_setup(test_in_the_long_run_it_is_the_rate, set_up),
        cmocka_unit_test_setup(test_packet_that_was_left_to_a_rule_is_known_if_it_comes_back, set_up),
        cmocka_unit_test_setup(test_each_request_is_counted_once, set_up),
        cmocka_unit_test_setup(test_what_the_kernel_refuses_is_counted_and_logged_now_and_then, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
