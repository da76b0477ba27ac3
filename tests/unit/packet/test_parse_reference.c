/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet_parse() and the accessors of nfqe/packet.h agree with the reference parser (reference.h), in all that they say
 * and above all in NFQE_PACKET_HEADERS_CUT: on packets of every kind, right and wrong, with padding, captured up to
 * every length.
 *
 * The data ends at a page that cannot be accessed, so a read beyond what was captured ends the test.
 */
#include "unit.h"

#include "guarded.h"
#include "packet/parse.h"
#include "reference.h"

#define PACKET_MAX 600
#define CASES 20000
#define CASES_QUICK 2000
#define LIE_ONE_IN 3 /* packets with a wrong field */

struct draft {
    uint8_t bytes[PACKET_MAX];
    size_t len;
    size_t next; /* offset of the byte that says which header comes next */
    bool ipv6;
};

static struct guarded memory;
static uint64_t random_state = UINT64_C(0x2545f4914f6cdd1d);

static uint32_t below(uint32_t limit)
{
    return unit_random_below(&random_state, limit);
}

static bool one_in(uint32_t count)
{
    return below(count) == 0;
}

/* Appends `len` random bytes and returns them. */
static uint8_t *append(struct draft *draft, size_t len)
{
    uint8_t *place = draft->bytes + draft->len;

    assert_true(draft->len + len <= sizeof(draft->bytes));
    for (size_t i = 0; i < len; i++) {
        place[i] = (uint8_t)below(256);
    }
    draft->len += len;
    return place;
}

static void put16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* ---- packets ------------------------------------------------------------------------------------------------- */

static void append_ipv4(struct draft *draft)
{
    static const uint16_t fragments[] = {0, 0, 0, 0x4000, 0x2000, 0x2001, 0x00b9, 0x1fff};
    size_t options = one_in(2) ? 0 : below(11) * 4;
    uint8_t *header = append(draft, 20 + options);

    header[0] = (uint8_t)(0x40 | (5 + options / 4));
    put16(header + 6, fragments[below(sizeof(fragments) / sizeof(fragments[0]))]);
    draft->next = 9;
    for (size_t i = 20; i < 20 + options; i++) {
        static const uint8_t likely[] = {1, 1, 131, 137, 7, 3, 4, 8, 0};

        header[i] = likely[below(sizeof(likely))];
    }
    while (one_in(4)) {
        size_t size = 12 + below(6) * 4;

        draft->bytes[draft->next] = 51;
        draft->next = draft->len;
        append(draft, size)[1] = (uint8_t)(size / 4 - 2);
    }
}

static void append_ipv6(struct draft *draft)
{
    static const uint8_t kinds[] = {0, 43, 44, 51, 60, 135, 139, 140};
    uint8_t *header = append(draft, 40);

    header[0] = 0x60;
    draft->next = 6;
    while (one_in(2)) {
        uint8_t kind = kinds[below(sizeof(kinds))];
        size_t size = kind == 44 ? 8 : kind == 51 ? 12 + below(6) * 4 : 8 + below(4) * 8;

        draft->bytes[draft->next] = kind;
        draft->next = draft->len;
        header = append(draft, size);
        header[1] = (uint8_t)(kind == 51 ? size / 4 - 2 : size / 8 - 1);
        header[3] = one_in(2) ? 0 : header[3];
        if (kind == 44 && !one_in(4)) {
            put16(header + 2, below(2)); /* the first fragment, or the only one */
        }
    }
}

static void append_transport(struct draft *draft)
{
    static const struct {
        uint8_t protocol;
        uint8_t size;
    } kinds[] = {{6, 20}, {6, 20}, {17, 8},  {1, 8},  {58, 8}, {132, 12}, {33, 12}, {136, 8}, {50, 8},  {47, 4},
                 {2, 8},  {4, 20}, {41, 40}, {59, 0}, {89, 4}, {253, 8},  {103, 0}, {47, 16}, {33, 16}, {0, 8}};
    unsigned kind = below(sizeof(kinds) / sizeof(kinds[0]));
    size_t payload = one_in(3) ? 0 : below(24);
    size_t at = draft->len;
    uint8_t *header = append(draft, kinds[kind].size);

    draft->bytes[draft->next] = kinds[kind].protocol;
    if (kinds[kind].protocol == 6) {
        size_t options = below(11) * 4;

        header[12] = (uint8_t)((20 + options) / 4 << 4 | below(16));
        append(draft, options);
    } else if (kinds[kind].protocol == 33) {
        size_t options = below(5) * 4;

        header[8] = (uint8_t)((header[8] & 0xfe) | (kinds[kind].size == 16));
        header[4] = (uint8_t)((kinds[kind].size + options) / 4);
        append(draft, options);
    } else if (kinds[kind].protocol == 17) {
        put16(header + 4, one_in(4) ? below(40) : 8 + payload);
    }
    append(draft, payload);
    if (one_in(20)) {
        draft->len = at + below((uint32_t)(draft->len - at) + 1); /* the IP packet ends inside its headers */
    }
}

/* Sets the IP length, makes one field wrong in some packets, and appends padding. */
static void finish(struct draft *draft)
{
    size_t ip_len = draft->ipv6 ? draft->len - 40 : draft->len;

    if (one_in(LIE_ONE_IN)) {
        switch (below(3)) {
        case 0:
            ip_len = one_in(4) ? 0 : below((uint32_t)ip_len + 20);
            break;
        case 1:
            draft->bytes[below((uint32_t)draft->len)] = (uint8_t)below(256);
            break;
        default: /* a length field, most likely */
            draft->bytes[draft->next + (draft->next > 9)] = (uint8_t)below(8);
            break;
        }
    }
    put16(draft->bytes + (draft->ipv6 ? 4 : 2), ip_len);
    if (one_in(2)) {
        append(draft, below(20));
    }
}

static void make(struct draft *draft)
{
    *draft = (struct draft){.ipv6 = one_in(2)};
    if (draft->ipv6) {
        append_ipv6(draft);
    } else {
        append_ipv4(draft);
    }
    append_transport(draft);
    finish(draft);
}

/* ---- comparing ----------------------------------------------------------------------------------------------- */

static bool flag(const struct nfqe_packet *packet, uint16_t bit)
{
    return (packet->flags & bit) != 0;
}

/* The accessor returns the transport header if it is of its protocol and its fixed part was captured; else NULL. */
static void compare_accessor(const struct nfqe_packet *packet, const struct reference *expected, const void *header,
                             unsigned protocol, size_t size)
{
    bool there = expected->protocol == protocol && expected->transport != REFERENCE_NONE &&
                 expected->transport + size <= packet->len;

    assert_ptr_equal(header, there ? packet->data + expected->transport : NULL);
}

static void compare(const struct draft *draft, size_t len, size_t wire_len, unsigned ether_type)
{
    const struct reference expected = reference_read(draft->bytes, len, wire_len, ether_type);
    struct nfqe_packet packet = {.size = sizeof(packet),
                                 .data = len > 0 ? guarded_put(&memory, draft->bytes, len, 1) : NULL,
                                 .len = (uint32_t)len,
                                 .wire_len = (uint32_t)wire_len,
                                 .hw_protocol = (uint16_t)ether_type,
                                 .payload_len = 1}; /* what is left of another packet does not count */
    uint32_t payload_len;
    const uint8_t *payload;

    packet_parse(&packet);
    assert_int_equal(flag(&packet, NFQE_PACKET_HEADERS_CUT), expected.cut);
    assert_int_equal(flag(&packet, NFQE_PACKET_FRAGMENT), expected.fragment);
    assert_int_equal(flag(&packet, NFQE_PACKET_SOURCE_ROUTE), expected.source_route);
    assert_int_equal(packet.network, expected.version != 0 ? 0 : REFERENCE_NONE);
    assert_int_equal(packet.protocol, expected.protocol);
    assert_int_equal(flag(&packet, NFQE_PACKET_PROTOCOL_KNOWN), expected.protocol_known);
    assert_int_equal(packet.transport, expected.transport);
    assert_int_equal(packet.payload, expected.payload);
    assert_ptr_equal(nfqe_ipv4(&packet), expected.version == 4 ? packet.data : NULL);
    assert_ptr_equal(nfqe_ipv6(&packet), expected.version == 6 ? packet.data : NULL);
    compare_accessor(&packet, &expected, nfqe_tcp(&packet), 6, 20);
    compare_accessor(&packet, &expected, nfqe_udp(&packet), 17, 8);
    compare_accessor(&packet, &expected, nfqe_icmp(&packet), 1, 8);
    compare_accessor(&packet, &expected, nfqe_icmpv6(&packet), 58, 8);
    payload = nfqe_payload(&packet, &payload_len);
    assert_int_equal(payload_len, expected.payload_len);
    assert_ptr_equal(payload, payload_len > 0 ? packet.data + expected.payload : NULL);
}

static void compare_every_length(const struct draft *draft)
{
    unsigned ether_type = draft->ipv6 ? 0x86dd : 0x0800;

    for (size_t len = 0; len <= draft->len; len++) {
        compare(draft, len, draft->len, ether_type);
    }
    for (size_t len = 0; len <= draft->len; len += 1 + below(8)) {
        compare(draft, len, 0, ether_type);
        compare(draft, len, draft->len, 0);
    }
    compare(draft, draft->len, draft->len, 0x0806);
    compare(draft, draft->len, draft->len, draft->ipv6 ? 0x0800 : 0x86dd);
}

static void test_parser_agrees_with_the_reference_on_packets_cut_at_every_length(void **state)
{
    unsigned cases = unit_cases(CASES, CASES_QUICK);
    unsigned cut = 0;
    unsigned routed = 0;
    struct draft draft;

    (void)state;
    for (unsigned i = 0; i < cases; i++) {
        struct reference whole;

        make(&draft);
        compare_every_length(&draft);
        whole = reference_read(draft.bytes, draft.len, draft.len, 0);
        cut += whole.cut;
        routed += whole.source_route;
    }
    /* It would prove little if nearly all packets were wrong, or right. */
    assert_in_range(cut, cases / 20, cases / 2);
    assert_in_range(routed, cases / 50, cases / 2);
}

static void test_parser_agrees_with_the_reference_on_random_bytes(void **state)
{
    unsigned cases = unit_cases(200 * 1000, 20 * 1000);
    struct draft draft;

    (void)state;
    for (unsigned i = 0; i < cases; i++) {
        draft = (struct draft){.ipv6 = one_in(2)};
        append(&draft, 1 + below(120));
        draft.bytes[0] = (uint8_t)(draft.ipv6 ? 0x60 : 0x40 | below(16));
        if (draft.len > 40 && !one_in(8)) {
            put16(draft.bytes + (draft.ipv6 ? 4 : 2), below(130));
        }
        compare(&draft, draft.len, draft.len, 0);
    }
}

/* ---- packets of which the answer is known ----------------------------------------------------------------------- */

static struct draft from_hex(const char *hex)
{
    struct draft draft = {.ipv6 = hex[0] == '6'};

    for (; hex[0] != '\0'; hex += 2) {
        const char digits[] = {hex[0], hex[1], '\0'};

        draft.bytes[draft.len++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return draft;
}

#define IPV6_ADDRESSES "20010db800000000000000000000000120010db8000000000000000000000002"

/* By the RFCs, so that a fault that reference and parser had in common would be seen. */
static void test_known_packets_are_cut_or_not_as_their_bytes_say(void **state)
{
    static const struct {
        const char *what;
        const char *hex;
        bool cut;
    } known[] = {
        {"IGMP without a message", "4500001401120000010216d4c0000201e0000001", false},
        {"TCP without a header", "4500001401120000010616d4c0000201e0000001", true},
        {"a later fragment", "450000180112000101060000c0000201c000020250505050", false},
        {"a later fragment without its options", "460000180112000101060000c0000201c0000202", true},
        {"a later fragment that ends in its header", "460000140112000101060000c0000201c000020250505050", true},
        {"a length below the header",
         "450000100112000001060000c0000201c0000202"
         "0000005000000000000000005002000000000000",
         true},
        {"AH, then UDP",
         "450000280112000001330000c0000201c0000202"
         "110100000000000100000001"
         "0035003500080000",
         false},
        {"AH cut",
         "450000280112000001330000c0000201c0000202"
         "1101000000000001",
         true},
        {"SCTP",
         "450000200112000001840000c0000201c0000202"
         "000100020000000100000000",
         false},
        {"SCTP cut",
         "450000200112000001840000c0000201c0000202"
         "0001000200000001",
         true},
        {"ESP",
         "4500001c0112000001320000c0000201c0000202"
         "0000000100000001",
         false},
        {"ESP cut",
         "4500001c0112000001320000c0000201c0000202"
         "00000001000000",
         true},
        {"GRE with a key",
         "4500001c01120000012f0000c0000201c0000202"
         "2000080000000001",
         false},
        {"GRE with a key that is cut",
         "4500001c01120000012f0000c0000201c0000202"
         "20000800000000",
         true},
        {"UDP-Lite cut",
         "4500001c0112000001880000c0000201c0000202"
         "00010002000800",
         true},
        {"DCCP",
         "450000240112000001210000c0000201c0000202"
         "00010002040000000500000000000000",
         false},
        {"DCCP, data offset too small",
         "450000240112000001210000c0000201c0000202"
         "00010002030000000500000000000000",
         true},
        {"a SYN of which 8 bytes are in the first fragment",
         "4500001c0112200001060000c0000201c0000202"
         "0001005000000000",
         true},
        {"the first fragment ends after an extension header",
         "6000000000102c40" IPV6_ADDRESSES "3c000001804403053c00010400000000", true},
        {"and its last fragment",
         "60000000004c2c40" IPV6_ADDRESSES "3c000008804403050600010400000000"
         "0001005000000000000000005002000000000000",
         false},
        {"an extension header in the padding",
         "6000000000083c40" IPV6_ADDRESSES "3c00010400000000"
         "0600010400000000"
         "00010050",
         true},
        {"no next header", "6000000000003b40" IPV6_ADDRESSES, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct draft draft = from_hex(known[i].hex);
        struct nfqe_packet packet = {.data = draft.bytes, .len = (uint32_t)draft.len};

        packet_parse(&packet);
        if (flag(&packet, NFQE_PACKET_HEADERS_CUT) != known[i].cut) {
            fail_msg("%s: %s", known[i].what, known[i].cut ? "not cut" : "cut");
        }
        compare_every_length(&draft);
    }
}

static int set_up(void **state)
{
    (void)state;
    guarded_init(&memory, PACKET_MAX);
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
        cmocka_unit_test(test_known_packets_are_cut_or_not_as_their_bytes_say),
        cmocka_unit_test(test_parser_agrees_with_the_reference_on_packets_cut_at_every_length),
        cmocka_unit_test(test_parser_agrees_with_the_reference_on_random_bytes),
    };

    return cmocka_run_group_tests_name("parse_reference", tests, set_up, tear_down);
}
