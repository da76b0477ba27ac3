/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the routes of this machine say of its loopback addresses, which it has wherever the tests run.
 */
#include "unit.h"

#include "queue/route_probe.h"

#include <sys/socket.h>

static const uint8_t host[4] = {127, 0, 0, 1};
static const uint8_t all_hosts[4] = {127, 255, 255, 255};

static void test_broadcast_addresses_are_known(void **state)
{
    const uint8_t multicast[4] = {224, 0, 0, 1};
    struct route_probe probe;

    (void)state;
    route_probe_open(&probe);
    for (unsigned i = 0; i < 3; i++) { /* an answer leaves nothing for the next question */
        assert_true(route_probe_is_broadcast(&probe, all_hosts));
        assert_false(route_probe_is_broadcast(&probe, host));
        assert_false(route_probe_is_broadcast(&probe, multicast));
    }
    route_probe_close(&probe);
}

static void test_source_address_is_that_of_each_route(void **state)
{
    const uint8_t second[4] = {127, 0, 0, 2};
    struct route_probe probe;
    uint8_t source[16];

    (void)state;
    route_probe_open(&probe);
    assert_int_equal(route_probe_source(&probe, AF_INET, host, 0, source), 0);
    assert_memory_equal(source, host, 4);
    assert_int_equal(route_probe_source(&probe, AF_INET, second, 0, source), 0);
    assert_true(source[0] == 127 && source[3] != 0);
    memset(source, 0x5a, sizeof(source));
    assert_true(route_probe_source(&probe, AF_INET, all_hosts, 0, source) < 0);
    assert_int_equal(source[0], 0x5a);
    route_probe_close(&probe);
}

static void test_without_sockets_nothing_is_known(void **state)
{
    const struct route_probe none = {-1, -1};
    uint8_t source[16];

    (void)state;
    assert_false(route_probe_is_broadcast(&none, all_hosts));
    assert_true(route_probe_source(&none, AF_INET, host, 0, source) < 0);
    assert_true(route_probe_source(&none, AF_INET6, (const uint8_t[16]){[15] = 1}, 0, source) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broadcast_addresses_are_known),
        cmocka_unit_test(test_source_address_is_that_of_each_route),
        cmocka_unit_test(test_without_sockets_nothing_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
