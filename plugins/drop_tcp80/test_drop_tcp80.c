/* SPDX-License-Identifier: MIT */
/*
 * drop_tcp80 drops TCP to port 80 and what hides its headers, and nothing that only resembles it: other protocols, other
 * directions, later fragments, bytes that happen to be 80 at that place.
 *
 * The test opens the built plugin, whose file is the first argument, as the engine does. The packets are parsed by
 * the engine's own parser, so the plugin sees cut and missing headers as in the engine.
 */
#include "packet/parse.h"

#include <nfqe/plugin.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IPV4_LEN 20
#define IPV6_LEN 40
#define TCP_LEN 20

static const struct nfqe_plugin *plugin;

struct sample {
    uint8_t data[1024];
    uint32_t len;
};

/* An IP packet whose transport header, 20 bytes, has these ports. */
static void make_ipv4(struct sample *sample, uint8_t protocol, uint8_t source, uint8_t dest)
{
    const uint8_t header[IPV4_LEN] = {0x45, 0, 0, IPV4_LEN + TCP_LEN, 0, 1, 0, 0, 64, protocol};

    memset(sample, 0, sizeof(*sample));
    memcpy(sample->data, header, sizeof(header));
    sample->data[IPV4_LEN + 1] = source;
    sample->data[IPV4_LEN + 3] = dest;
    sample->data[IPV4_LEN + 12] = 0x50;
    sample->len = IPV4_LEN + TCP_LEN;
}

static void make_ipv6(struct sample *sample, uint8_t protocol, uint8_t source, uint8_t dest)
{
    const uint8_t header[IPV6_LEN] = {0x60, 0, 0, 0, 0, TCP_LEN, protocol, 64};

    memset(sample, 0, sizeof(*sample));
    memcpy(sample->data, header, sizeof(header));
    sample->data[IPV6_LEN + 1] = source;
    sample->data[IPV6_LEN + 3] = dest;
    sample->data[IPV6_LEN + 12] = 0x50;
    sample->len = IPV6_LEN + TCP_LEN;
}

/* Puts 8 bytes of extension header between the IPv6 header and the rest. */
static void add_extension(struct sample *sample, uint8_t protocol, const uint8_t extension[8])
{
    memmove(sample->data + IPV6_LEN + 8, sample->data + IPV6_LEN, TCP_LEN);
    memcpy(sample->data + IPV6_LEN, extension, 8);
    sample->data[6] = protocol;
    sample->data[5] = TCP_LEN + 8;
    sample->len += 8;
}

/*
 * The plugin's verdict for the first `len` bytes. Their allocation has exactly that size, so that a sanitizer notices
 * a read beyond it.
 */
static nfqe_verdict answer_to(const struct sample *sample, uint32_t len)
{
    uint8_t *data = malloc(len > 0 ? len : 1);
    struct nfqe_packet packet = {.size = sizeof(packet), .data = len > 0 ? data : NULL, .len = len};
    nfqe_verdict verdict;

    assert_non_null(data);
    memcpy(data, sample->data, len);
    packet.wire_len = sample->len;
    packet.hw_protocol = sample->data[0] >> 4 == 4 ? 0x0800 : 0x86dd;
    packet_parse(&packet);
    verdict = plugin->handle(NULL, &packet);
    free(data);
    return verdict;
}

static void tcp_to_port_80_is_dropped(void **state)
{
    const uint8_t hop_by_hop[8] = {NFQE_PROTOCOL_TCP, 0};
    const uint8_t first_fragment[8] = {NFQE_PROTOCOL_TCP, 0, 0, 1};
    struct sample sample;

    (void)state;
    make_ipv4(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
    sample.data[6] = 0x20; /* the first of several fragments */
    assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
    make_ipv6(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
    add_extension(&sample, 0, hop_by_hop);
    assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
    make_ipv6(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    add_extension(&sample, 44, first_fragment);
    assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
}

/* A plugin that expects 20 bytes of IPv4 header would read the options as ports. */
static void ipv4_options_are_skipped(void **state)
{
    struct sample sample;

    (void)state;
    make_ipv4(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    memmove(sample.data + IPV4_LEN + 4, sample.data + IPV4_LEN, TCP_LEN);
    memcpy(sample.data + IPV4_LEN, "\x01\x01\x01\x00", 4);
    sample.data[0] = 0x46;
    sample.data[3] += 4;
    sample.len += 4;
    assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
}

static void tcp_to_other_ports_continues(void **state)
{
    struct sample sample;

    (void)state;
    for (unsigned port = 0; port <= 255; port++) {
        nfqe_verdict expected = port == 80 ? NFQE_DROP : NFQE_CONTINUE;

        make_ipv4(&sample, NFQE_PROTOCOL_TCP, 1, (uint8_t)port);
        assert_int_equal(answer_to(&sample, sample.len), expected);
        make_ipv6(&sample, NFQE_PROTOCOL_TCP, 1, (uint8_t)port);
        assert_int_equal(answer_to(&sample, sample.len), expected);
    }
    make_ipv4(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    sample.data[IPV4_LEN + 2] = 80; /* 80 * 256 + 80 */
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
    sample.data[IPV4_LEN + 3] = 0; /* 80, in the wrong byte order */
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
}

static void tcp_from_port_80_continues(void **state)
{
    struct sample sample;

    (void)state;
    make_ipv4(&sample, NFQE_PROTOCOL_TCP, 80, 1);
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
    make_ipv6(&sample, NFQE_PROTOCOL_TCP, 80, 1);
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
}

/* Makes the 20 bytes a complete header of whatever protocol: of an extension header with none after it, and of DCCP. */
static void complete(uint8_t *header)
{
    header[0] = 59; /* no next header */
    header[1] = 1; /* 16 bytes; of AH 12 */
    header[4] = 5; /* data offset, of DCCP */
}

static void other_protocols_to_port_80_continue(void **state)
{
    struct sample sample;

    (void)state;
    for (unsigned protocol = 0; protocol <= 255; protocol++) {
        if (protocol == NFQE_PROTOCOL_TCP) {
            continue;
        }
        make_ipv4(&sample, (uint8_t)protocol, 1, 80);
        complete(sample.data + IPV4_LEN);
        assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
        make_ipv6(&sample, (uint8_t)protocol, 1, 80);
        complete(sample.data + IPV6_LEN);
        assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
    }
}

/* A later fragment has payload where the first one has the ports. */
static void later_fragments_continue(void **state)
{
    const uint8_t later_fragment[8] = {NFQE_PROTOCOL_TCP, 0, 0, 8};
    struct sample sample;

    (void)state;
    make_ipv4(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    sample.data[7] = 1; /* offset 8 */
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
    sample.data[6] = 0x20;
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
    make_ipv6(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    add_extension(&sample, 44, later_fragment);
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
}

/* Whatever the port is: it may be 80. */
static void truncated_headers_are_dropped_at_every_length(void **state)
{
    struct sample sample;

    (void)state;
    make_ipv4(&sample, NFQE_PROTOCOL_TCP, 1, 81);
    for (uint32_t len = 0; len < sample.len; len++) {
        assert_int_equal(answer_to(&sample, len), NFQE_DROP);
    }
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
    make_ipv6(&sample, NFQE_PROTOCOL_TCP, 1, 81);
    for (uint32_t len = 0; len < sample.len; len++) {
        assert_int_equal(answer_to(&sample, len), NFQE_DROP);
    }
    assert_int_equal(answer_to(&sample, sample.len), NFQE_CONTINUE);
}

/* The first of several fragments has 8 bytes of the TCP header: the ports, but not all of it. */
static void a_syn_in_fragments_is_dropped(void **state)
{
    const uint8_t first_fragment[8] = {NFQE_PROTOCOL_TCP, 0, 0, 1};
    struct sample sample;

    (void)state;
    make_ipv4(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    sample.data[6] = 0x20;
    sample.data[3] = IPV4_LEN + 8;
    sample.len = IPV4_LEN + 8;
    assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
    make_ipv6(&sample, NFQE_PROTOCOL_TCP, 1, 80);
    add_extension(&sample, 44, first_fragment);
    sample.data[5] = 16;
    sample.len = IPV6_LEN + 16;
    assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
}

/* Puts `count` headers of `size` bytes between the IPv6 header and TCP. type: of a routing header. */
static void make_hidden(struct sample *sample, uint8_t number, unsigned count, unsigned size, uint8_t type,
                        uint8_t port)
{
    uint8_t *place = sample->data + IPV6_LEN;

    make_ipv6(sample, number, 1, port);
    memmove(place + count * size, place, TCP_LEN);
    memset(place, 0, count * size);
    for (unsigned i = 0; i < count; i++, place += size) {
        place[0] = i + 1 < count ? number : NFQE_PROTOCOL_TCP;
        place[1] = (uint8_t)(size / 8 - 1);
        place[2] = type;
    }
    sample->len += count * size;
    sample->data[4] = (uint8_t)((sample->len - IPV6_LEN) >> 8);
    sample->data[5] = (uint8_t)(sample->len - IPV6_LEN);
}

/* Among 512 captured bytes, the port decides; if fewer were captured than the headers take, the packet is dropped. */
static void extension_headers_hide_no_port(void **state)
{
    static const struct {
        uint8_t number;
        unsigned count;
        unsigned size;
        uint8_t type;
    } hidden[] = {{60, 1, 72, 1},   {60, 1, 80, 1},   {0, 1, 72, 1},   {60, 9, 8, 1},  {43, 1, 88, 0},  {43, 1, 88, 2},
                  {43, 1, 88, 200}, {43, 1, 88, 253}, {60, 1, 448, 1}, {60, 56, 8, 1}, {60, 1, 600, 1}, {60, 80, 8, 1}};
    struct sample sample;

    (void)state;
    for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        uint32_t headers = IPV6_LEN + hidden[i].count * hidden[i].size + TCP_LEN;

        make_hidden(&sample, hidden[i].number, hidden[i].count, hidden[i].size, hidden[i].type, 80);
        assert_int_equal(answer_to(&sample, sample.len < 128 ? sample.len : 128), NFQE_DROP);
        assert_int_equal(answer_to(&sample, sample.len < 512 ? sample.len : 512), NFQE_DROP);
        assert_int_equal(answer_to(&sample, sample.len), NFQE_DROP);
        make_hidden(&sample, hidden[i].number, hidden[i].count, hidden[i].size, hidden[i].type, 81);
        assert_int_equal(answer_to(&sample, sample.len < 512 ? sample.len : 512),
                         headers <= 512 ? NFQE_CONTINUE : NFQE_DROP);
    }
}

static void it_asks_for_headers_only(void **state)
{
    (void)state;
    assert_string_equal(plugin->id, "drop_tcp80");
    assert_int_equal(plugin->needs, NFQE_NEED_HEADERS);
    assert_null(plugin->options);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_to_port_80_is_dropped),
        cmocka_unit_test(ipv4_options_are_skipped),
        cmocka_unit_test(tcp_to_other_ports_continues),
        cmocka_unit_test(tcp_from_port_80_continues),
        cmocka_unit_test(other_protocols_to_port_80_continue),
        cmocka_unit_test(later_fragments_continue),
        cmocka_unit_test(truncated_headers_are_dropped_at_every_length),
        cmocka_unit_test(a_syn_in_fragments_is_dropped),
        cmocka_unit_test(extension_headers_hide_no_port),
        cmocka_unit_test(it_asks_for_headers_only),
    };
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int failures;

    plugin = library != NULL ? dlsym(library, NFQE_SYMBOL) : NULL;
    if (plugin == NULL) {
        print_error("the first argument must be the plugin's file\n");
        return 1;
    }
    failures = cmocka_run_group_tests(tests, NULL, NULL);
    dlclose(library);
    return failures;
}
