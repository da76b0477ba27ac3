/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin_head_read() on the file of a real plugin with changed bytes in its head: the limits of what is accepted, the
 * exact messages, and which of two flaws is reported.
 *
 * Always: the file ends at a page that cannot be accessed, so a read beyond it ends the test. The offsets in the head
 * are numbers here: the head is frozen, and offsets taken from the header would follow a mistake in it.
 */
#include "unit.h"

#include "guarded.h"
#include "plugin/elf_file.h"
#include "plugin/plugin_head.h"
#include "scratch.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENGINE "this engine (" NFQE_VERSION ")"
#define USE_MACRO "; it must use NFQE_PLUGIN(...)"
#define WRONG_MAGIC "its section .nfqe_plugin does not start with \"nfqe-so\": not a plugin of nfq-engine" USE_MACRO
#define OLD_MAJOR(version)                                                                                             \
    "built for plugin ABI " version ", which this engine no longer loads; rebuild it against nfqe-dev 2.0"
#define OTHER_MAJOR(version)                                                                                           \
    "built for plugin ABI " version ", " ENGINE " offers 2.0; rebuild it against the headers of nfqe " NFQE_VERSION
#define TOO_NEW(version)                                                                                               \
    "needs plugin ABI " version ", " ENGINE " offers 2.0; rebuild it against the headers of nfqe " NFQE_VERSION        \
    " or upgrade the engine"
#define SIZES(size, section)                                                                                           \
    "its struct nfqe_plugin has " size " bytes, its section " section ", ABI 2.0 has 312" USE_MACRO
#define SHORT_SECTION(size) "its section .nfqe_plugin has " size " bytes, too short for the head of 192" USE_MACRO
#define BAD_ID "its id must be 1 to 47 characters a-z 0-9 - _ . and end with NUL"
#define BAD_VERSION "its version must be 1 to 23 printable characters without spaces and end with NUL"
#define BAD_HEADER_BYTES(bytes) "its header_bytes is " bytes ", at most 65531 is possible"
#define BAD_FLOW_DATA(size) "its flow_data_size is " size ", which no release of nfq-engine offers yet; leave it out"
#define METADATA_TOO                                                                                                   \
    "needs METADATA, which means no bytes of packets, beside others that mean some; leave METADATA out of .needs"
#define RESERVED(needs) "needs " needs ", which no release of nfq-engine offers yet; leave it out of .needs"
#define MISSING(needs) "needs " needs ", which " ENGINE " does not offer; leave it out of .needs, or use a later engine"

enum {
    MAGIC = 0,
    SIZE = 8,
    ABI = 12,
    ABI_MIN = 16,
    HEADER_BYTES = 20,
    NEEDS = 24,
    ID = 40,
    VERSION = 88,
    FLOW_DATA = 156
};
enum { HEAD_SIZE = 192, ID_SIZE = 48, VERSION_SIZE = 24, PLUGIN_SIZE = 312 };

/* Little-endian numbers as bytes. */
#define U32(number) (number) & 0xff, ((number) >> 8) & 0xff, ((number) >> 16) & 0xff, ((number) >> 24) & 0xff
#define U64(number) U32((uint32_t)(UINT64_C(number) & UINT32_MAX)), U32((uint32_t)(UINT64_C(number) >> 32))

struct patch {
    size_t offset; /* in the head */
    size_t len;
    uint8_t bytes[49]; /* one more than the longest text, for its NUL */
};

#define AT(place, count, ...)                                                                                          \
    {                                                                                                                  \
        .offset = (place), .len = (count), .bytes = { __VA_ARGS__ }                                                    \
    }
#define TEXT_AT(place, count, text)                                                                                    \
    {                                                                                                                  \
        .offset = (place), .len = (count), /* NOLINTNEXTLINE(bugprone-macro-parentheses): an initialiser */            \
            .bytes = text                                                                                              \
    }
#define A_12 "aaaaaaaaaaaa"

static uint8_t *original; /* the file as the build made it */
static size_t file_size;
static uint8_t *file; /* the same, with the changes of the test */
static uint8_t *head; /* in `file` */
static ElfW(Shdr) section;
static size_t section_place; /* of its header in the file */
static struct guarded memory;
static struct plugin plugin;
static struct error error;

static void restore(void)
{
    memcpy(file, original, file_size);
}

static void patch(const struct patch *change)
{
    memcpy(head + change->offset, change->bytes, change->len);
}

static void set_u32(size_t offset, uint32_t number)
{
    memcpy(head + offset, &number, sizeof(number));
}

static void set_section_size(size_t size)
{
    ElfW(Shdr) changed = section;

    changed.sh_size = size;
    memcpy(file + section_place, &changed, sizeof(changed));
}

static int read_head_of(size_t size)
{
    memset(&plugin, 0xa5, sizeof(plugin));
    memset(&error, 0, sizeof(error));
    return plugin_head_read(&plugin, guarded_put(&memory, file, size, 1), size, &error);
}

static int read_head(void)
{
    return read_head_of(file_size);
}

/* Reads the changed head, and then restores the file. */
static void expect_refusal(int code, const char *message)
{
    assert_int_equal(read_head(), code);
    assert_string_equal(error.text, message);
    assert_int_equal(error.code, code);
    assert_int_equal(error.exit_code, EXIT_CODE_PLUGIN);
    restore();
}

static void expect_acceptance(void)
{
    if (read_head() != 0) {
        fail_msg("refused: %s", error.text);
    }
    restore();
}

static void expect(bool accepted, int code, const char *message)
{
    if (accepted) {
        expect_acceptance();
    } else {
        expect_refusal(code, message);
    }
}

/* ---- what is read ---------------------------------------------------------------------------------- */

static void test_every_field_comes_from_the_head(void **state)
{
    (void)state;
    patch(&(struct patch)AT(HEADER_BYTES, 4, U32(200)));
    patch(&(struct patch)AT(NEEDS, 8, U64(0x791)));
    patch(&(struct patch)AT(ABI, 4, U32(0x20009)));
    patch(&(struct patch)TEXT_AT(VERSION, 6, "2.3.4"));
    assert_int_equal(read_head(), 0);
    assert_memory_equal(plugin.head, head, HEAD_SIZE);
    assert_string_equal(plugin.id, "good");
    assert_string_equal(plugin.version, "2.3.4");
    assert_int_equal(plugin.abi, 0x20009);
    assert_int_equal(plugin.needs, 0x791);
    assert_int_equal(plugin.header_bytes, 200);
    restore();
}

static void test_header_bytes_left_0_are_the_default(void **state)
{
    (void)state;
    patch(&(struct patch)AT(HEADER_BYTES, 4, U32(0)));
    assert_int_equal(read_head(), 0);
    assert_int_equal(plugin.header_bytes, 128);
    patch(&(struct patch)AT(HEADER_BYTES, 4, U32(1)));
    assert_int_equal(read_head(), 0);
    assert_int_equal(plugin.header_bytes, 1);
    restore();
}

/* ---- what is refused ------------------------------------------------------------------------------- */

static const struct {
    struct patch patches[2];
    int code;
    const char *message;
} refusals[] = {
    {{AT(MAGIC + 7, 1, '2')}, -ENOEXEC, WRONG_MAGIC}, /* its NUL */
    {{AT(ABI, 4, U32(0x9)), AT(ABI_MIN, 4, U32(0))}, -ENOEXEC, OTHER_MAJOR("0.9")},
    {{AT(ABI, 4, U32(0x10001))}, -ENOEXEC, OLD_MAJOR("1.1")},
    {{AT(ABI, 4, U32(0x10000)), AT(ABI_MIN, 4, U32(0x10000))}, -ENOEXEC, OLD_MAJOR("1.0")},
    {{AT(ABI, 4, U32(0x30003))}, -ENOEXEC, OTHER_MAJOR("3.3")},
    {{AT(ABI_MIN, 4, U32(0))}, -ENOEXEC, TOO_NEW("0.0")},
    {{AT(ABI_MIN, 4, U32(0x30000))}, -ENOEXEC, TOO_NEW("3.0")},
    {{AT(ABI, 4, U32(0x20007)), AT(ABI_MIN, 4, U32(0x20001))}, -ENOEXEC, TOO_NEW("2.1")},
    {{AT(SIZE, 4, U32(0))}, -ENOEXEC, SIZES("0", "312")},
    {{AT(SIZE, 4, U32(HEAD_SIZE))}, -ENOEXEC, SIZES("192", "312")},
    {{AT(SIZE, 4, U32(PLUGIN_SIZE - 1))}, -ENOEXEC, SIZES("311", "312")},
    {{AT(SIZE, 4, U32(PLUGIN_SIZE + 1))}, -ENOEXEC, SIZES("313", "312")},
    {{AT(SIZE, 4, U32(0xffffffff))}, -ENOEXEC, SIZES("4294967295", "312")},
    {{AT(HEADER_BYTES, 4, U32(65532))}, -EINVAL, BAD_HEADER_BYTES("65532")},
    {{AT(HEADER_BYTES, 4, U32(0xffffffff))}, -EINVAL, BAD_HEADER_BYTES("4294967295")},
    {{AT(FLOW_DATA, 4, U32(8))}, -ENOTSUP, BAD_FLOW_DATA("8")},
    {{AT(NEEDS, 8, U64(0x801))}, -EINVAL, METADATA_TOO},
    {{AT(NEEDS, 8, U64(0x810))}, -EINVAL, METADATA_TOO},
    {{AT(NEEDS, 8, U64(0x1800))}, -EINVAL, METADATA_TOO},
    {{AT(NEEDS, 8, U64(0x2008))}, -ENOTSUP, RESERVED("HOLD, EVERY_PACKET")},
    {{AT(NEEDS, 8, U64(0x8041))}, -ENOTSUP, MISSING("bits 0x8040")},
    {{AT(NEEDS, 8, U64(0x8028))}, -ENOTSUP, MISSING("HOLD, bits 0x8000")},
    {{AT(NEEDS, 8, U64(0xfffffffffffff7ff))},
     -ENOTSUP,
     MISSING("HOLD, EVERY_PACKET, PRIORITY, bits 0xffffffffffff8040")},

    /* Of two flaws, the one that is checked first is reported. */
    {{AT(MAGIC, 1, 'N'), AT(ABI, 4, U32(0x30000))}, -ENOEXEC, WRONG_MAGIC},
    {{AT(ABI, 4, U32(0x30007)), AT(ABI_MIN, 4, U32(0x30007))}, -ENOEXEC, OTHER_MAJOR("3.7")},
    {{AT(ABI_MIN, 4, U32(0x20007)), AT(SIZE, 4, U32(0))}, -ENOEXEC, TOO_NEW("2.7")},
    {{AT(SIZE, 4, U32(191)), AT(ID, 1, 0)}, -ENOEXEC, SIZES("191", "312")},
    {{AT(ID, 1, 0), AT(VERSION, 1, 0)}, -EINVAL, BAD_ID},
    {{AT(VERSION, 1, 0), AT(HEADER_BYTES, 4, U32(65532))}, -EINVAL, BAD_VERSION},
    {{AT(HEADER_BYTES, 4, U32(65532)), AT(NEEDS, 8, U64(0x8))}, -EINVAL, BAD_HEADER_BYTES("65532")},
};

static void test_each_flaw_is_named_the_first_one_first(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        patch(&refusals[i].patches[0]);
        patch(&refusals[i].patches[1]);
        expect_refusal(refusals[i].code, refusals[i].message);
    }
}

static const struct patch acceptable[] = {
    AT(ABI, 4, U32(0x20001)), AT(ABI, 4, U32(0x2ffff)), AT(ABI_MIN, 4, U32(0x20000)), AT(HEADER_BYTES, 4, U32(65531)),
    AT(NEEDS, 8, U64(0)),     AT(NEEDS, 8, U64(0x793)), TEXT_AT(ID, 8, "a-z_0.9"),
};

static void test_a_head_at_its_limits_is_accepted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(acceptable) / sizeof(acceptable[0]); i++) {
        patch(&acceptable[i]);
        expect_acceptance();
    }
}

/* Puts `len` times 'a' at `offset`, then a NUL if there is room for it. */
static void put_text(size_t offset, size_t len, size_t size)
{
    memset(head + offset, 'a', len);
    if (len < size) {
        head[offset + len] = '\0';
    }
}

static void test_id_and_version_may_have_every_length_but_0_and_need_a_nul(void **state)
{
    (void)state;
    for (size_t len = 0; len <= ID_SIZE; len++) {
        put_text(ID, len, ID_SIZE);
        expect(len > 0 && len < ID_SIZE, -EINVAL, BAD_ID);
    }
    for (size_t len = 0; len <= VERSION_SIZE; len++) {
        put_text(VERSION, len, VERSION_SIZE);
        expect(len > 0 && len < VERSION_SIZE, -EINVAL, BAD_VERSION);
    }
}

/* The character is the first, the middle and the last one of 5. */
static void test_id_and_version_have_the_allowed_characters_alone(void **state)
{
    (void)state;
    for (unsigned character = 1; character <= UINT8_MAX; character++) {
        bool in_id = (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') ||
                     character == '-' || character == '_' || character == '.';
        bool in_version = character > ' ' && character < 0x7f;

        for (unsigned place = 0; place < 5; place += 2) {
            put_text(ID, 5, ID_SIZE);
            head[ID + place] = (uint8_t)character;
            expect(in_id, -EINVAL, BAD_ID);
            put_text(VERSION, 5, VERSION_SIZE);
            head[VERSION + place] = (uint8_t)character;
            expect(in_version, -EINVAL, BAD_VERSION);
        }
    }
}

static void test_each_need_is_offered_or_named(void **state)
{
    static const char *const names[64] = {[3] = "HOLD", [13] = "EVERY_PACKET", [14] = "PRIORITY"};
    const uint64_t offered = 0x1fb7;

    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t needs = UINT64_C(1) << bit;
        char number[32];
        char message[256];

        memcpy(head + NEEDS, &needs, sizeof(needs));
        snprintf(number, sizeof(number), "bits 0x%" PRIx64, needs);
        if (names[bit] != NULL) {
            snprintf(message, sizeof(message), RESERVED("%s"), names[bit]);
        } else {
            snprintf(message, sizeof(message), MISSING("%s"), number);
        }
        expect((offered & needs) != 0, -ENOTSUP, message);
    }
}

static void test_the_struct_must_lie_in_the_section(void **state)
{
    (void)state;
    set_section_size(HEAD_SIZE - 1);
    expect_refusal(-ENOEXEC, SHORT_SECTION("191"));
    set_section_size(0);
    expect_refusal(-ENOEXEC, SHORT_SECTION("0"));
    set_section_size(HEAD_SIZE);
    expect_refusal(-ENOEXEC, SIZES("312", "192"));
    set_section_size(144); /* the head of ABI 1 */
    set_u32(ABI, 0x10000);
    expect_refusal(-ENOEXEC, OLD_MAJOR("1.0"));
    set_section_size(14); /* not all of the version */
    set_u32(ABI, 0x10000);
    expect_refusal(-ENOEXEC, SHORT_SECTION("14"));
    set_section_size(PLUGIN_SIZE + 8);
    expect_acceptance();
    set_section_size(PLUGIN_SIZE + 8);
    set_u32(SIZE, PLUGIN_SIZE + 8);
    expect_acceptance();
    set_section_size(PLUGIN_SIZE + 8);
    set_u32(SIZE, PLUGIN_SIZE + 9);
    expect_refusal(-ENOEXEC, SIZES("321", "320"));
}

static void test_a_file_that_is_cut_or_has_no_section_is_refused_for_that(void **state)
{
    ElfW(Shdr) changed = section;

    (void)state;
    file[0] = 'x';
    expect_refusal(-ENOEXEC, "not an ELF file; a plugin is a shared object (.so)");
    changed.sh_type = SHT_NOBITS;
    assert_int_equal(read_head_of(file_size - 1), -ENOEXEC);
    memcpy(file + section_place, &changed, sizeof(changed));
    expect_refusal(-ENOENT, "no section .nfqe_plugin: not a plugin of nfq-engine" USE_MACRO);
}

/* ---- the file -------------------------------------------------------------------------------------- */

/* Finds the header of the section at `offset`. */
static void find_section(size_t offset)
{
    ElfW(Ehdr) header;

    memcpy(&header, file, sizeof(header));
    for (unsigned i = 0; i < header.e_shnum; i++) {
        section_place = header.e_shoff + i * sizeof(section);
        memcpy(&section, file + section_place, sizeof(section));
        if (section.sh_type == SHT_PROGBITS && section.sh_offset == offset) {
            return;
        }
    }
    fail_msg("no section at %zu", offset);
}

static int set_up(void **state)
{
    size_t offset;
    size_t size;

    (void)state;
    original = (uint8_t *)scratch_read(TEST_PLUGIN, &file_size);
    file = malloc(file_size);
    assert_non_null(file);
    restore();
    guarded_init(&memory, file_size);
    assert_int_equal(elf_file_find_section(file, file_size, NFQE_SECTION, &offset, &size, &error), 0);
    assert_int_equal(size, PLUGIN_SIZE);
    head = file + offset;
    find_section(offset);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_done(&memory);
    free(file);
    free(original);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_comes_from_the_head),
        cmocka_unit_test(test_header_bytes_left_0_are_the_default),
        cmocka_unit_test(test_each_flaw_is_named_the_first_one_first),
        cmocka_unit_test(test_a_head_at_its_limits_is_accepted),
        cmocka_unit_test(test_id_and_version_may_have_every_length_but_0_and_need_a_nul),
        cmocka_unit_test(test_id_and_version_have_the_allowed_characters_alone),
        cmocka_unit_test(test_each_need_is_offered_or_named),
        cmocka_unit_test(test_the_struct_must_lie_in_the_section),
        cmocka_unit_test(test_a_file_that_is_cut_or_has_no_section_is_refused_for_that),
    };

    return cmocka_run_group_tests_name("plugin_head", tests, set_up, tear_down);
}
