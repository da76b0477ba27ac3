/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layout of the ABI. Most of it is checked when abi_layout.h is compiled, as C here and as C++ in
 * abi_layout_cxx.cpp: if a field moves or a number changes, the build fails.
 *
 * At run time the texts are checked, and that the head can be read from a plugin's file, at fixed offsets in its
 * section.
 */
#include "abi_layout.h"
#include "abi_main.h"

#include "plugin/elf_file.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void texts_of_the_abi_are_unchanged(void **state)
{
    (void)state;
    assert_string_equal(NFQE_MAGIC, "nfqe-so");
    assert_string_equal(NFQE_SYMBOL, "nfqe_plugin_v2");
    assert_string_equal(NFQE_SECTION, ".nfqe_plugin");
}

static uint64_t number_at(const char *data, size_t offset, size_t size)
{
    uint64_t number = 0;

    memcpy(&number, data + offset, size);
    return number;
}

static void the_frozen_head_can_be_read_from_the_file(void **state)
{
    struct error error;
    size_t offset;
    size_t section_size;
    size_t len;
    char *file = scratch_read(scratch_built("good"), &len);
    const char *head;

    (void)state;
    assert_int_equal(elf_file_find_section(file, len, ".nfqe_plugin", &offset, &section_size, &error), 0);
    assert_int_equal(section_size, 312);
    head = file + offset;
    assert_memory_equal(head, "nfqe-so", 8);
    assert_int_equal(number_at(head, 8, 4), 312);         /* size */
    assert_int_equal(number_at(head, 12, 4), 0x00020000); /* abi */
    assert_int_equal(number_at(head, 16, 4), 0x00020000); /* abi_min */
    assert_int_equal(number_at(head, 20, 4), 0);          /* header_bytes */
    assert_int_equal(number_at(head, 24, 8), 1);          /* needs */
    assert_string_equal(head + 40, "good");
    assert_string_equal(head + 88, "1.0.0");
    assert_memory_equal(head + 112, "nfqe ", 5); /* built_with */
    assert_non_null(memchr(head + 112, '\0', 40));
    free(file);
}

/* Bytes after the last member of a struct. */
#define PADDING(type, last) (sizeof(struct type) - offsetof(struct type, last) - sizeof(((struct type *)0)->last))

/*
 * A member that is appended where padding was does not make the struct larger. Then `size` is the same as before, and a
 * plugin cannot know whether the engine filled the new member. So no struct may end with padding.
 */
static void no_struct_ends_in_padding(void **state)
{
    (void)state;
    assert_int_equal(PADDING(nfqe_plugin, ext), 0);
    assert_int_equal(PADDING(nfqe_host, ext), 0);
    assert_int_equal(PADDING(nfqe_option, help), 0);
    assert_int_equal(PADDING(nfqe_address, reserved), 0);
    assert_int_equal(PADDING(nfqe_list, count), 0);
    assert_int_equal(PADDING(nfqe_packet, operations), 0); /* NOLINT(bugprone-sizeof-expression): of the pointer */
    assert_int_equal(PADDING(nfqe_packet_operations, check_change), 0);
    assert_int_equal(PADDING(nfqe_conntrack_entry, reply_bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_the_abi_are_unchanged),
        cmocka_unit_test(the_frozen_head_can_be_read_from_the_file),
        cmocka_unit_test(no_struct_ends_in_padding),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
