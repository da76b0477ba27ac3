/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * elf_file_find_section() on a plugin as the build makes it: complete, truncated at every length, and with its headers
 * overwritten.
 *
 * Always: the file ends at a page that cannot be accessed, so a read beyond it ends the test. A section that is found
 * lies inside the file; an error is one line.
 */
#include "unit.h"

#include "guarded.h"
#include "plugin/elf_file.h"
#include "scratch.h"

#include <nfqe/plugin.h>

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

static struct guarded memory;
static uint8_t *file; /* the plugin's bytes */
static size_t file_size;
static ElfW(Ehdr) header; /* its header, to be changed */
static size_t section_offset;
static size_t section_size;
static struct error error;

static int find(const void *data, size_t size)
{
    int code;

    memset(&error, 0, sizeof(error));
    section_offset = section_size = SIZE_MAX;
    code = elf_file_find_section(guarded_put(&memory, data, size, 1), size, NFQE_SECTION, &section_offset,
                                 &section_size, &error);
    if (code == 0) {
        assert_true(section_offset <= size && section_size <= size - section_offset);
    } else {
        assert_true(code == -ENOEXEC || code == -ENOENT);
        assert_true(error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
        assert_true(section_offset == SIZE_MAX && section_size == SIZE_MAX); /* untouched */
    }
    return code;
}

/* Searches the plugin with `header` in place of its own ELF header. */
static int find_with_header(void)
{
    static uint8_t *changed;

    // cppcheck-suppress memleakOnRealloc; without memory the test fails, and its process ends
    changed = realloc(changed, file_size);
    assert_non_null(changed);
    memcpy(changed, file, file_size);
    memcpy(changed, &header, sizeof(header));
    return find(changed, file_size);
}

static void restore_header(void)
{
    memcpy(&header, file, sizeof(header));
}

static void test_section_of_a_real_plugin_is_found_where_its_head_is(void **state)
{
    struct nfqe_plugin head;

    (void)state;
    assert_int_equal(find(file, file_size), 0);
    assert_true(section_size >= NFQE_HEAD_SIZE);
    memcpy(&head, file + section_offset, NFQE_HEAD_SIZE);
    assert_string_equal(head.magic, NFQE_MAGIC);
    assert_string_equal(head.id, "drop_tcp80");
    assert_int_equal(head.size, sizeof(struct nfqe_plugin));
}

static void test_section_that_is_not_there_is_refused_by_its_name(void **state)
{
    static const char *const absent[] = {".nfqe_plugi", ".nfqe_pluginx", ".no_such_section", "nfqe_plugin"};

    (void)state;
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        assert_int_equal(elf_file_find_section(file, file_size, absent[i], &section_offset, &section_size, &error),
                         -ENOENT);
        assert_non_null(strstr(error.text, absent[i]));
    }
}

static void test_file_truncated_at_any_length_is_refused(void **state)
{
    size_t needed = 0; /* the end of all that the headers refer to; only padding may follow */

    (void)state;
    restore_header();
    needed = header.e_shoff + (size_t)header.e_shnum * sizeof(ElfW(Shdr));
    for (size_t i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;

        memcpy(&segment, file + header.e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_type == PT_LOAD && segment.p_offset + segment.p_filesz > needed) {
            needed = segment.p_offset + segment.p_filesz;
        }
    }
    assert_true(needed <= file_size);
    for (size_t size = 0; size < needed; size += size < 512 || needed - size < 4500 ? 1 : 61) {
        assert_int_equal(find(file, size), -ENOEXEC);
        if (size >= SELFMAG) {
            assert_non_null(strstr(error.text, "truncated"));
        }
    }
    assert_int_equal(find(file, needed), 0);
}

static void test_what_is_no_elf_file_is_refused_as_such(void **state)
{
    static const char script[] = "#!/bin/sh\nexit 0\n# long enough to hold a header, if it were one: ................";

    (void)state;
    assert_int_equal(find("", 0), -ENOEXEC);
    assert_int_equal(find("\x7f", 1), -ENOEXEC);
    assert_int_equal(find("abc", 3), -ENOEXEC);
    assert_int_equal(find(script, sizeof(script)), -ENOEXEC);
    assert_non_null(strstr(error.text, "not an ELF"));
    for (unsigned i = 0; i < SELFMAG; i++) {
        restore_header();
        header.e_ident[i] ^= 1;
        assert_int_equal(find_with_header(), -ENOEXEC);
        assert_non_null(strstr(error.text, "not an ELF"));
    }
}

static void test_file_for_another_machine_is_refused_with_the_reason(void **state)
{
    (void)state;
    restore_header();
    header.e_ident[EI_CLASS] = header.e_ident[EI_CLASS] == ELFCLASS64 ? ELFCLASS32 : ELFCLASS64;
    assert_int_equal(find_with_header(), -ENOEXEC);
    assert_non_null(strstr(error.text, "-bit"));
    restore_header();
    header.e_ident[EI_DATA] = header.e_ident[EI_DATA] == ELFDATA2LSB ? ELFDATA2MSB : ELFDATA2LSB;
    assert_int_equal(find_with_header(), -ENOEXEC);
    assert_non_null(strstr(error.text, "byte order"));
    restore_header();
    header.e_machine = EM_S390;
    assert_int_equal(find_with_header(), -ENOEXEC);
    assert_non_null(strstr(error.text, "machine"));
}

static void test_file_that_is_no_shared_object_is_refused(void **state)
{
    static const ElfW(Half) types[] = {ET_NONE, ET_REL, ET_EXEC, ET_CORE, 0xffff};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        restore_header();
        header.e_type = types[i];
        assert_int_equal(find_with_header(), -ENOEXEC);
        assert_non_null(strstr(error.text, "shared object"));
    }
}

static void test_tables_outside_the_file_are_refused(void **state)
{
    const ElfW(Off) outside[] = {file_size,          file_size - 1, file_size + 1,
                                 (ElfW(Off))1 << 40, (ElfW(Off))-1, (ElfW(Off))-64};

    (void)state;
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        restore_header();
        header.e_phoff = outside[i];
        assert_int_equal(find_with_header(), -ENOEXEC);
        restore_header();
        header.e_shoff = outside[i];
        assert_int_equal(find_with_header(), -ENOEXEC);
    }
    restore_header();
    header.e_shnum = 0xffff;
    assert_int_equal(find_with_header(), -ENOEXEC);
    restore_header();
    header.e_phentsize++;
    assert_int_equal(find_with_header(), -ENOEXEC);
    restore_header();
    header.e_shentsize = 0;
    assert_int_equal(find_with_header(), -ENOEXEC);
}

/* The dynamic loader maps segments without a check of the file's size; an access beyond it is SIGBUS. */
static void test_segment_outside_the_file_is_refused(void **state)
{
    unsigned loaded = 0;

    (void)state;
    restore_header();
    for (size_t i = 0; i < header.e_phnum; i++) {
        uint8_t *place = file + header.e_phoff + i * sizeof(ElfW(Phdr));
        ElfW(Phdr) segment;
        ElfW(Phdr) changed;

        memcpy(&segment, place, sizeof(segment));
        if (segment.p_type != PT_LOAD) {
            continue;
        }
        loaded++;
        changed = segment;
        changed.p_filesz = file_size - segment.p_offset + 1;
        memcpy(place, &changed, sizeof(changed));
        assert_int_equal(find(file, file_size), -ENOEXEC);
        changed = segment;
        changed.p_offset = (ElfW(Off))-1;
        memcpy(place, &changed, sizeof(changed));
        assert_int_equal(find(file, file_size), -ENOEXEC);
        memcpy(place, &segment, sizeof(segment));
    }
    assert_true(loaded > 0);
    assert_int_equal(find(file, file_size), 0);
}

static void test_file_without_section_names_has_no_section(void **state)
{
    (void)state;
    restore_header();
    header.e_shstrndx = header.e_shnum;
    assert_int_equal(find_with_header(), -ENOENT);
    header.e_shstrndx = 0xffff;
    assert_int_equal(find_with_header(), -ENOENT);
    header.e_shstrndx = SHN_UNDEF;
    assert_int_equal(find_with_header(), -ENOENT);
    restore_header();
    header.e_shnum = 0;
    assert_int_equal(find_with_header(), -ENOENT);
}

/* Writes each value at every fourth byte of a table. Any result is right, if nothing is read outside of the file. */
static void overwrite_table(size_t offset, size_t size)
{
    static const uint64_t values[] = {0, 1, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 63, UINT64_C(0x7fffffff)};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (size_t at = offset; at + 8 <= offset + size; at += 4) {
            uint64_t saved;

            memcpy(&saved, file + at, 8);
            memcpy(file + at, &values[i], 8);
            find(file, file_size);
            memcpy(file + at, &saved, 8);
        }
    }
    assert_int_equal(find(file, file_size), 0);
}

static void test_overwritten_header_never_leads_outside(void **state)
{
    (void)state;
    overwrite_table(0, sizeof(header));
}

static void test_overwritten_segment_table_never_leads_outside(void **state)
{
    (void)state;
    restore_header();
    overwrite_table(header.e_phoff, (size_t)header.e_phnum * sizeof(ElfW(Phdr)));
}

static void test_overwritten_section_table_never_leads_outside(void **state)
{
    (void)state;
    restore_header();
    overwrite_table(header.e_shoff, (size_t)header.e_shnum * sizeof(ElfW(Shdr)));
}

static int set_up(void **state)
{
    (void)state;
    file = (uint8_t *)scratch_read(TEST_PLUGIN, &file_size);
    guarded_init(&memory, file_size);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guarded_done(&memory);
    free(file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_section_of_a_real_plugin_is_found_where_its_head_is),
        cmocka_unit_test(test_section_that_is_not_there_is_refused_by_its_name),
        cmocka_unit_test(test_file_truncated_at_any_length_is_refused),
        cmocka_unit_test(test_what_is_no_elf_file_is_refused_as_such),
        cmocka_unit_test(test_file_for_another_machine_is_refused_with_the_reason),
        cmocka_unit_test(test_file_that_is_no_shared_object_is_refused),
        cmocka_unit_test(test_tables_outside_the_file_are_refused),
        cmocka_unit_test(test_segment_outside_the_file_is_refused),
        cmocka_unit_test(test_file_without_section_names_has_no_section),
        cmocka_unit_test(test_overwritten_header_never_leads_outside),
        cmocka_unit_test(test_overwritten_segment_table_never_leads_outside),
        cmocka_unit_test(test_overwritten_section_table_never_leads_outside),
    };

    return cmocka_run_group_tests_name("elf_file", tests, set_up, tear_down);
}
