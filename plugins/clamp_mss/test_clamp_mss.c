/* SPDX-License-Identifier: MIT */
/*
 * clamp_mss lowers the segment size of segments with SYN, wherever the option is, and touches nothing else: smaller
 * sizes, segments without SYN, later fragments, other protocols, options that are damaged.
 *
 * The test opens the built plugin, whose file is the first argument, as the engine does. Packets are parsed and changed by
 * the engine's own code, so the bytes are what the kernel would get, with their checksums.
 */
#include "packet/checksum.h"
#include "packet/parse.h"
#include "plugin/packet_edits.h"

#include <nfqe/plugin.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define MSS 1360
#define TCP_LEN 20
#define ROOM 128

static const struct nfqe_plugin *plugin;
static void *self;
static struct packet_set set;
static struct packet_edits edits;
static struct packet_change changes[BURST_MAX];
static struct plugin_chain chain;
static _Atomic uint32_t position;
static uint8_t rooms[2][PACKET_CHANGE_ROOM];

static const struct nfqe_packet_operations operations = {.size = sizeof(operations), .writable = packet_edits_writable};

struct sample {
    uint8_t bytes[ROOM];
    uint32_t len;
    uint32_t tcp; /* offset */
};

/* A TCP segment with these options, which are a multiple of 4 bytes. */
static struct sample make(unsigned version, uint8_t flags, const void *tcp_options, uint32_t len)
{
    struct sample sample = {.tcp = version == 4 ? 20 : 40};

    sample.len = sample.tcp + TCP_LEN + len;
    if (version == 4) {
        memcpy(sample.bytes, (const uint8_t[]){0x45, 0, 0, (uint8_t)sample.len, 0, 1, 0x40, 0, 64, 6}, 10);
    } else {
        memcpy(sample.bytes, (const uint8_t[]){0x60, 0, 0, 0, 0, (uint8_t)(TCP_LEN + len), 6, 64}, 8);
    }
    sample.bytes[sample.tcp + 3] = 80;
    sample.bytes[sample.tcp + 12] = (uint8_t)((TCP_LEN + len) / 4 << 4);
    sample.bytes[sample.tcp + 13] = flags;
    memcpy(sample.bytes + sample.tcp + TCP_LEN, tcp_options, len);
    return sample;
}

/* What the plugin makes of it; the checksum was not computed yet. Returns whether it was changed. */
static bool is_changed(struct sample *sample)
{
    struct nfqe_packet *packet = &set.packets[0];
    struct plugin_answer answer = {.verdict = NFQE_CONTINUE};
    struct packet_edited edited;

    *packet = (struct nfqe_packet){.size = sizeof(*packet),
                                   .data = sample->bytes,
                                   .len = sample->len,
                                   .wire_len = sample->len,
                                   .flags = NFQE_PACKET_CHECKSUM_PENDING,
                                   .family = sample->tcp == 20 ? AF_INET : AF_INET6,
                                   .hw_protocol = sample->tcp == 20 ? 0x0800 : 0x86dd};
    packet_parse(packet);
    packet_set_fill(&set, 0);
    packet_edits_fill(&edits, 0);
    set.open = 1;
    assert_int_equal(plugin->handle(self, packet), NFQE_CONTINUE);
    set.open = 0;
    edited = packet_edits_finish(&edits, 0, &answer);
    assert_int_equal(answer.verdict, NFQE_CONTINUE);
    assert_int_equal(edited.refused, 0);
    if (edited.len == 0) {
        return false;
    }
    assert_int_equal(edited.len, sample->len);
    packet->flags &= (uint16_t)~NFQE_PACKET_CHECKSUM_PENDING;
    assert_false(packet_checksum_is_wrong(packet));
    memcpy(sample->bytes, edited.bytes, edited.len);
    return true;
}

static void the_size_of_a_new_connection_is_lowered(void **state)
{
    static const struct {
        const char *options;
        uint32_t len;
        uint32_t value; /* offset */
    } cases[] = {{"\2\4\x05\xb4", 4, 2},
                 {"\1\1\2\4\x05\xb4\1\0", 8, 4},
                 {"\4\2\1\1\x08\x0aTIMESTAM\2\4\xff\xff\0", 20, 16},
                 {"\3\3\7\2\4\x05\x51\0", 8, 5}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned version = 4; version <= 6; version += 2) {
            for (unsigned flags = NFQE_TCP_SYN; flags <= (NFQE_TCP_SYN | NFQE_TCP_ACK); flags += NFQE_TCP_ACK) {
                struct sample sample = make(version, (uint8_t)flags, cases[i].options, cases[i].len);
                const uint8_t *value = sample.bytes + sample.tcp + TCP_LEN + cases[i].value;
                struct sample before = sample;

                assert_true(is_changed(&sample));
                assert_int_equal(value[0] << 8 | value[1], MSS);
                memcpy(before.bytes + (value - sample.bytes), value, 2);
                memcpy(before.bytes + sample.tcp + 16, sample.bytes + sample.tcp + 16, 2); /* the checksums */
                memcpy(before.bytes + 10, sample.bytes + 10, version == 4 ? 2 : 0);
                assert_memory_equal(before.bytes, sample.bytes, sample.len);
            }
        }
    }
}

static void nothing_else_is_touched(void **state)
{
    static const struct {
        const char *options;
        uint32_t len;
        uint8_t flags;
    } cases[] = {{"\2\4\x05\x50", 4, NFQE_TCP_SYN}, /* 1360 */
                 {"\2\4\x02\x18", 4, NFQE_TCP_SYN},
                 {"\2\4\xff\xff", 4, NFQE_TCP_ACK},
                 {"\2\4\xff\xff", 4, NFQE_TCP_RST},
                 {"\0\0\2\4\xff\xff\0\0", 8, NFQE_TCP_SYN}, /* after the end */
                 {"\2\3\xff\xff", 4, NFQE_TCP_SYN},
                 {"\x08\0\2\4\xff\xff\0\0", 8, NFQE_TCP_SYN}, /* an option of no length */
                 {"\x08\x40\2\4\xff\xff\0\0", 8, NFQE_TCP_SYN}, /* or of more than there is */
                 {"\1\1\2\4", 4, NFQE_TCP_SYN}, /* its value is beyond the header */
                 {"", 0, NFQE_TCP_SYN}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned version = 4; version <= 6; version += 2) {
            struct sample sample = make(version, cases[i].flags, cases[i].options, cases[i].len);

            assert_false(is_changed(&sample));
        }
    }
}

static void other_packets_are_not_touched(void **state)
{
    struct sample sample = make(4, NFQE_TCP_SYN, "\2\4\xff\xff", 4);
    struct sample fragment = sample;

    (void)state;
    sample.bytes[9] = NFQE_PROTOCOL_UDP;
    sample.bytes[25] = 24; /* the length of the datagram */
    assert_false(is_changed(&sample));
    fragment.bytes[7] = 1; /* offset 8 */
    assert_false(is_changed(&fragment));
}

static int open_plugin(const char *path)
{
    static const struct {
        int64_t mss;
    } config = {MSS};
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    plugin = file != NULL ? dlsym(file, NFQE_SYMBOL) : NULL;
    if (plugin == NULL || plugin->open(NULL, &config, NULL, &self) != 0) {
        print_error("the first argument must be the plugin's file\n");
        return 1;
    }
    plugin_chain_add(&chain, &(struct plugin_chain_member){.handle = plugin->handle, .rights.needs = plugin->needs});
    changes[0].buffer = rooms[0];
    edits =
        (struct packet_edits){.set = &set, .chain = &chain, .plugin = &position, .changes = changes, .spare = rooms[1]};
    packet_set_begin(&set, &operations, 0);
    packet_edits_begin(&edits);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_size_of_a_new_connection_is_lowered),
        cmocka_unit_test(nothing_else_is_touched),
        cmocka_unit_test(other_packets_are_not_touched),
    };

    if (argc != 2 || open_plugin(argv[1]) != 0) {
        return 1;
    }
    return cmocka_run_group_tests_name("clamp_mss", tests, NULL, NULL);
}
