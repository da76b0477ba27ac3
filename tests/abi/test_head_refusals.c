/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The edges of the frozen head: what is just refused, what is just accepted, and which of two flaws is named first. Of
 * each kind of flaw the zoo has one animal, with its message.
 *
 * Every case is the good plugin with some bytes of its head changed in the file. The places are written as
 * numbers: the head is frozen, and a test that took them from the header would move along with a mistake
 * there.
 */
#include "abi_main.h"
#include "attempt.h"
#include "plugin/elf_file.h"
#include "scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENGINE "this engine (" NFQE_VERSION ")"
#define USE_MACRO "; it must use NFQE_PLUGIN(...)"
#define WRONG_MAGIC "its section .nfqe_plugin does not start with \"nfqe-so\": not a plugin of nfq-engine" USE_MACRO
#define OTHER_MAJOR(version)                                                                                           \
    "built for plugin ABI " version ", " ENGINE " offers 1.1; rebuild it against the headers of nfqe " NFQE_VERSION
#define TOO_NEW(version)                                                                                               \
    "needs plugin ABI " version ", " ENGINE " offers 1.1; rebuild it against the headers of nfqe " NFQE_VERSION        \
    " or upgrade the engine"
#define SIZES(size) "its struct nfqe_plugin has " size " bytes, its section 264, ABI 1.0 has 264" USE_MACRO
#define BAD_ID "its id must be 1 to 47 characters a-z 0-9 - _ . and end with NUL"
#define BAD_VERSION "its version must be 1 to 23 printable characters without spaces and end with NUL"
#define MISSING(needs) "needs " needs ", which " ENGINE " does not offer; upgrade the engine"

enum { MAGIC = 0, SIZE = 8, ABI = 12, ABI_MIN = 16, HEADER_BYTES = 20, NEEDS = 24, ID = 32, VERSION = 80 };

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

struct refusal {
    const char *name;
    struct patch patches[3];
    int code;
    const char *message;
};

#define A_12 "aaaaaaaaaaaa"

static const struct refusal refusals[] = {
    {"magic without its NUL", {AT(MAGIC + 7, 1, '2')}, -ENOEXEC, WRONG_MAGIC},
    {"magic before major", {AT(MAGIC, 1, 'N'), AT(ABI, 4, U32(0x20000))}, -ENOEXEC, WRONG_MAGIC},

    {"major 2 that claims to live with 1.0", {AT(ABI, 4, U32(0x20003))}, -ENOEXEC, OTHER_MAJOR("2.3")},
    {"major before minor", {AT(ABI, 4, U32(0x20007)), AT(ABI_MIN, 4, U32(0x20007))}, -ENOEXEC, OTHER_MAJOR("2.7")},

    {"minor 7", {AT(ABI, 4, U32(0x10007)), AT(ABI_MIN, 4, U32(0x10007))}, -ENOEXEC, TOO_NEW("1.7")},
    {"minor before size", {AT(ABI_MIN, 4, U32(0x10007)), AT(SIZE, 4, U32(0))}, -ENOEXEC, TOO_NEW("1.7")},

    {"size a byte too small", {AT(SIZE, 4, U32(263))}, -ENOEXEC, SIZES("263")},
    {"size before id", {AT(SIZE, 4, U32(143)), AT(ID, 1, 0)}, -ENOEXEC, SIZES("143")},

    {"id with a space", {TEXT_AT(ID, 4, "go d")}, -EINVAL, BAD_ID},
    {"id before version", {AT(ID, 1, 0), AT(VERSION, 1, 0)}, -EINVAL, BAD_ID},

    {"version with a newline", {TEXT_AT(VERSION, 5, "1\n0.0")}, -EINVAL, BAD_VERSION},
    {"version before header bytes", {AT(VERSION, 1, 0), AT(HEADER_BYTES, 4, U32(65532))}, -EINVAL, BAD_VERSION},

    {"header bytes before needs",
     {AT(HEADER_BYTES, 4, U32(0xffffffff)), AT(NEEDS, 8, U64(0x4))},
     -EINVAL,
     "its header_bytes is 4294967295, at most 65531 is possible"},

    {"needs an unknown bit", {AT(NEEDS, 8, U64(0x801))}, -ENOTSUP, MISSING("bits 0x800")},
    {"needs the last bit", {AT(NEEDS, 8, U64(0x8000000000000000))}, -ENOTSUP, MISSING("bits 0x8000000000000000")},
};

/* Heads that look odd and are fine. */
static const struct refusal acceptable[] = {
    {.name = "minor 0", .patches = {AT(ABI, 4, U32(0x10000))}},
    {.name = "later minor that lives with 1.0", .patches = {AT(ABI, 4, U32(0x10009))}},
    {.name = "later minor that lives with 1.1", .patches = {AT(ABI, 4, U32(0x10009)), AT(ABI_MIN, 4, U32(0x10001))}},
    {.name = "id of 47 characters", .patches = {TEXT_AT(ID, 47, A_12 A_12 A_12 "aaaaaaaaaaa")}},
    {.name = "id of all kinds of characters", .patches = {TEXT_AT(ID, 8, "a-z_0.9")}},
    {.name = "version of 23 characters", .patches = {TEXT_AT(VERSION, 23, A_12 "aaaaaaaaaaa")}},
    {.name = "header bytes 65531", .patches = {AT(HEADER_BYTES, 4, U32(65531))}},
    {.name = "needs nothing", .patches = {AT(NEEDS, 8, U64(0))}},
    {.name = "needs FLOW alone", .patches = {AT(NEEDS, 8, U64(0x10))}},
    {.name = "needs SEGMENTS alone", .patches = {AT(NEEDS, 8, U64(0x400))}},
    {.name = "needs what is offered", .patches = {AT(NEEDS, 8, U64(0x793))}},
};

static const char *patched(const struct refusal *refusal)
{
    struct error error;
    size_t section_size;
    size_t offset;
    size_t len;
    char *data = scratch_read(scratch_built("good"), &len);
    const char *path;

    assert_int_equal(elf_file_find_section(data, len, NFQE_SECTION, &offset, &section_size, &error), 0);
    assert_int_equal(section_size, 264);
    for (unsigned i = 0; i < sizeof(refusal->patches) / sizeof(refusal->patches[0]); i++) {
        memcpy(data + offset + refusal->patches[i].offset, refusal->patches[i].bytes, refusal->patches[i].len);
    }
    path = scratch_write("patched.so", data, len);
    free(data);
    return path;
}

static void each_flaw_of_the_head_is_named_the_first_one_first(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (!attempt_is_refused(patched(&refusals[i]), NULL, ATTEMPT_CHECK, refusals[i].code, refusals[i].message)) {
            print_error("  in the case: %s\n", refusals[i].name);
            failures++;
        }
    }
    assert_int_equal(failures, 0);
}

static void a_head_at_its_limits_is_accepted(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(acceptable) / sizeof(acceptable[0]); i++) {
        struct attempt attempt;

        attempt_run(&attempt, patched(&acceptable[i]), NULL);
        if (attempt.stage != ATTEMPT_ACCEPTED) {
            print_error("%s: %s\n", acceptable[i].name, attempt.error.text);
            failures++;
        }
        attempt_done(&attempt);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flaw_of_the_head_is_named_the_first_one_first),
        cmocka_unit_test(a_head_at_its_limits_is_accepted),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
