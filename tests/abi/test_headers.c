/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The public headers work in every language and way of building that they promise: C99, C11 and C++17, hidden
 * visibility, link-time optimisation with --gc-sections. Plugins of later minor versions load; binaries that were built
 * for ABI 1 are refused.
 *
 * The build shows that they compile without warnings (-Werror). Here each built plugin is loaded as by the engine and
 * decides packets, with handle() and with handle_batch().
 */
#include "abi_main.h"
#include "attempt.h"
#include "packet/parse.h"
#include "scratch.h"

#include <errno.h>
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
    assert_int_equal(attempt.plugin.abi, NFQE_ABI(2, 0));
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

/* Built once with the headers of their version, on x86-64, and kept: see fixtures/1.0/README.md. */
static void a_kept_plugin_of_abi_1_is_refused(void **state)
{
#ifdef __x86_64__
    static const char *const built[] = {"1.1/drop_tcp80", "1.1/header_c99", "1.1/header_cxx17"};

    (void)state;
    for (size_t i = 0; i < sizeof(built) / sizeof(built[0]); i++) {
        assert_true(attempt_is_refused(
            scratch_copy("kept.so", built[i]), NULL, ATTEMPT_CHECK, -ENOEXEC,
            "built for plugin ABI 1.1, which this engine no longer loads; rebuild it against nfqe-dev 2.0"));
    }
    assert_true(attempt_is_refused(
        scratch_copy("kept.so", "1.0/drop_tcp80"), NULL, ATTEMPT_CHECK, -ENOEXEC,
        "built for plugin ABI 1.0, which this engine no longer loads; rebuild it against nfqe-dev 2.0"));
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
    assert_int_equal(attempt.plugin.abi, NFQE_ABI(2, 3));
    make_sample(&sample, NFQE_PROTOCOL_TCP, 80);
    assert_int_equal(attempt.plugin.table.handle(attempt.plugin.self, &sample.packet), NFQE_ACCEPT);
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
        cmocka_unit_test(a_kept_plugin_of_abi_1_is_refused),
        cmocka_unit_test(header_bytes_default_to_128),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
