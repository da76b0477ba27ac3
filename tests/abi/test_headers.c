/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The public headers work in every language and way of building that they promise: C99, C11 and C++17, hidden
 * visibility, link-time optimisation with --gc-sections. Plugins of other minor versions load, and binaries that were
 * built with an earlier version of the headers.
 *
 * The build shows that they compile without warnings (-Werror). Here each built plugin is loaded as by the engine and
 * decides packets, with handle() and with handle_batch().
 */
#include "abi_main.h"
#include "attempt.h"
#include "packet/parse.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* An IPv4 packet with 20 bytes of transport header and 4 bytes of payload; the rest is set below. */
struct sample {
    uint8_t data[44];
    struct nfqe_packet packet;
};

static void make_sample(struct sample *sample, uint8_t protocol, uint16_t dest)
{
    static const uint8_t ipv4[20] = {0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 0, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2};

    memset(sample, 0, sizeof(*sample));
    memcpy(sample->data, ipv4, sizeof(ipv4));
    sample->data[9] = protocol;
    sample->data[22] = (uint8_t)(dest >> 8);
    sample->data[23] = (uint8_t)dest;
    sample->data[32] = 0x50;
    sample->packet = (struct nfqe_packet){
        .size = sizeof(sample->packet), .data = sample->data, .len = 44, .wire_len = 44, .hw_protocol = 0x0800};
    packet_parse(&sample->packet);
}

static void decides_packets(const struct plugin *plugin, uint16_t port)
{
    struct nfqe_packet *packets[3];
    nfqe_verdict out[3] = {NFQE_CONTINUE, NFQE_CONTINUE, NFQE_CONTINUE};
    struct sample samples[3];

    make_sample(&samples[0], NFQE_PROTOCOL_TCP, port);
    make_sample(&samples[1], NFQE_PROTOCOL_TCP, (uint16_t)(port + 1));
    make_sample(&samples[2], NFQE_PROTOCOL_UDP, port);
    for (unsigned i = 0; i < 3; i++) {
        packets[i] = &samples[i].packet;
    }
    assert_int_equal(plugin->table.handle(plugin->self, packets[0]), NFQE_DROP);
    assert_int_equal(plugin->table.handle(plugin->self, packets[1]), NFQE_CONTINUE);
    assert_int_equal(plugin->table.handle(plugin->self, packets[2]), NFQE_ACCEPT);
    assert_non_null(plugin->table.handle_batch);
    plugin->table.handle_batch(plugin->self, packets, 3, out);
    assert_int_equal(out[0], NFQE_DROP);
    assert_int_equal(out[1], NFQE_CONTINUE);
    assert_int_equal(out[2], NFQE_ACCEPT);
}

/* built: where the plugin is in the directory of built plugins */
static void load_and_decide_packets(const char *id, const char *built)
{
    struct attempt attempt;

    attempt_run(&attempt, scratch_copy(id, built), NULL);
    assert_string_equal(attempt.error.text, "");
    assert_int_equal(attempt.stage, ATTEMPT_ACCEPTED);
    assert_string_equal(attempt.plugin.id, id);
    assert_string_equal(attempt.plugin.version, "1.0.0");
    assert_int_equal(attempt.plugin.abi, NFQE_ABI(1, 1));
    assert_int_equal(attempt.plugin.needs, NFQE_NEED_HEADERS);
    assert_int_equal(attempt.plugin.header_bytes, 128);
    decides_packets(&attempt.plugin, 80);
    attempt_done(&attempt);

    attempt_run(&attempt, scratch_path(id), "port=8080");
    assert_string_equal(attempt.error.text, "");
    decides_packets(&attempt.plugin, 8080);
    attempt_done(&attempt);
}

/* state: the plugin's name */
static void loads_and_decides_packets(void **state)
{
    load_and_decide_packets(*state, *state);
}

/* Built once with the headers of ABI 1.1, on x86-64, and kept: see fixtures/1.1/README.md. */
static void a_kept_plugin_of_abi_1_1_loads_and_decides_packets(void **state)
{
#ifdef __x86_64__
    struct attempt attempt;
    struct sample sample;

    (void)state;
    load_and_decide_packets("header_c99", "1.1/header_c99");
    load_and_decide_packets("header_cxx17", "1.1/header_cxx17");
    attempt_run(&attempt, scratch_copy("drop_tcp80.so", "1.1/drop_tcp80"), NULL);
    assert_string_equal(attempt.error.text, "");
    assert_int_equal(attempt.stage, ATTEMPT_ACCEPTED);
    assert_string_equal(attempt.plugin.id, "drop_tcp80");
    assert_int_equal(attempt.plugin.abi, NFQE_ABI(1, 1));
    make_sample(&sample, NFQE_PROTOCOL_TCP, 80);
    assert_int_equal(attempt.plugin.table.handle(attempt.plugin.self, &sample.packet), NFQE_DROP);
    make_sample(&sample, NFQE_PROTOCOL_TCP, 81);
    assert_int_equal(attempt.plugin.table.handle(attempt.plugin.self, &sample.packet), NFQE_CONTINUE);
    sample.packet.flags |= NFQE_PACKET_HEADERS_CUT;
    assert_int_equal(attempt.plugin.table.handle(attempt.plugin.self, &sample.packet), NFQE_DROP);
    attempt_done(&attempt);
#else
    (void)state;
    skip();
#endif
}

static void a_plugin_of_a_later_minor_version_loads(void **state)
{
    struct attempt attempt;
    struct sample sample;

    (void)state;
    attempt_run(&attempt, scratch_copy("later_minor.so", "later_minor"), NULL);
    assert_string_equal(attempt.error.text, "");
    assert_int_equal(attempt.stage, ATTEMPT_ACCEPTED);
    assert_int_equal(attempt.plugin.abi, NFQE_ABI(1, 3));
    make_sample(&sample, NFQE_PROTOCOL_TCP, 80);
    assert_int_equal(attempt.plugin.table.handle(attempt.plugin.self, &sample.packet), NFQE_ACCEPT);
    attempt_done(&attempt);
}

/* It was compiled before any later version existed, so it includes none of the headers. */
static void a_plugin_of_the_first_minor_version_loads_and_decides_packets(void **state)
{
    struct attempt attempt;
    struct sample sample;

    (void)state;
    attempt_run(&attempt, scratch_copy("first_minor.so", "first_minor"), "port=443");
    assert_string_equal(attempt.error.text, "");
    assert_int_equal(attempt.stage, ATTEMPT_ACCEPTED);
    assert_string_equal(attempt.plugin.id, "first_minor");
    assert_int_equal(attempt.plugin.abi, 0x10000);
    assert_int_equal(attempt.plugin.needs, 1);
    make_sample(&sample, NFQE_PROTOCOL_TCP, 443);
    assert_int_equal(attempt.plugin.table.handle(attempt.plugin.self, &sample.packet), 2);
    make_sample(&sample, NFQE_PROTOCOL_TCP, 80);
    assert_int_equal(attempt.plugin.table.handle(attempt.plugin.self, &sample.packet), 0);
    make_sample(&sample, NFQE_PROTOCOL_UDP, 443);
    assert_int_equal(attempt.plugin.table.handle(attempt.plugin.self, &sample.packet), 1);
    attempt_done(&attempt);
}

static void header_bytes_default_to_128(void **state)
{
    struct attempt attempt;

    (void)state;
    attempt_run(&attempt, scratch_copy("good.so", "good"), NULL);
    assert_string_equal(attempt.error.text, "");
    assert_int_equal(attempt.plugin.header_bytes, 128);
    attempt_done(&attempt);
}

#define VARIANT(name)                                                                                                  \
    {                                                                                                                  \
        "loads_and_decides_packets: " name, loads_and_decides_packets, NULL, NULL, (char[])                            \
        {                                                                                                              \
            name                                                                                                       \
        }                                                                                                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        VARIANT("header_c99"),
        VARIANT("header_c99_lto"),
        VARIANT("header_c11"),
        VARIANT("header_c11_lto"),
        VARIANT("header_cxx17"),
        VARIANT("header_cxx17_lto"),
        cmocka_unit_test(a_plugin_of_a_later_minor_version_loads),
        cmocka_unit_test(a_plugin_of_the_first_minor_version_loads_and_decides_packets),
        cmocka_unit_test(a_kept_plugin_of_abi_1_1_loads_and_decides_packets),
        cmocka_unit_test(header_bytes_default_to_128),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
