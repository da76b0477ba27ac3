/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refusals that need no plugin: of the file, of its directory, and of what the ELF header says.
 *
 * Each test holds one message, and where a file has two flaws, which of them is named: the order of the
 * checks is part of the promise, so that a person who repairs what a message says never goes backwards.
 */
#include "abi_main.h"
#include "attempt.h"

#include "plugin/plugin_file.h"
#include "scratch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOT_ELF "not an ELF file; a plugin is a shared object (.so)"
#define DAMAGED "a truncated or damaged ELF file; copy or build it again"

static void expect_check_refusal(const char *path, int code, const char *message)
{
    assert_true(attempt_is_refused(path, NULL, ATTEMPT_CHECK, code, message));
}

static void a_missing_file_is_refused(void **state)
{
    (void)state;
    expect_check_refusal(scratch_path("missing.so"), -ENOENT, "cannot be opened: No such file or directory");
}

static void a_directory_is_refused(void **state)
{
    (void)state;
    expect_check_refusal(scratch_directory("directory.so", 0755), -EINVAL,
                         "not a regular file; a plugin is a shared object (.so)");
}

static void a_fifo_is_refused_without_waiting_for_a_writer(void **state)
{
    const char *path = scratch_path("fifo.so");

    (void)state;
    assert_int_equal(mkfifo(path, 0644), 0);
    expect_check_refusal(path, -EINVAL, "not a regular file; a plugin is a shared object (.so)");
}

static void an_empty_file_is_refused(void **state)
{
    (void)state;
    expect_check_refusal(scratch_write("empty.so", "", 0), -ENOEXEC, "the file is empty");
}

static void a_file_that_is_not_elf_is_refused(void **state)
{
    static const char script[] = "#!/bin/sh\necho this is a shell script, longer than an ELF header has bytes\n";

    (void)state;
    expect_check_refusal(scratch_write("script.so", script, sizeof(script)), -ENOEXEC, NOT_ELF);
    expect_check_refusal(scratch_write("three-bytes.so", "abc", 3), -ENOEXEC, NOT_ELF);
}

static void a_world_writable_file_is_refused_before_its_content_is_read(void **state)
{
    const char *path = scratch_write("writable.so", "no ELF", 6);
    char message[512];

    (void)state;
    assert_int_equal(chmod(path, 0666), 0);
    snprintf(message, sizeof(message), "anybody may write to it; run: chmod o-w %s", path);
    expect_check_refusal(path, -EACCES, message);
}

static void a_file_in_a_world_writable_directory_is_refused(void **state)
{
    const char *directory = scratch_directory("open-directory", 0777);
    const char *path = scratch_copy("open-directory/good.so", "good");
    char message[512];

    (void)state;
    snprintf(message, sizeof(message), "anybody may write to its directory %s; run: chmod o-w %s", directory,
             directory);
    expect_check_refusal(path, -EACCES, message);
}

static void a_world_writable_directory_with_the_sticky_bit_is_accepted(void **state)
{
    (void)state;
    scratch_directory("sticky-directory", 01777);
    attempt_expect_success(scratch_copy("sticky-directory/good.so", "good"), NULL, "");
}

static void the_file_is_named_before_its_directory(void **state)
{
    const char *path;
    char message[512];

    (void)state;
    scratch_directory("both", 0777);
    path = scratch_copy("both/good.so", "good");
    assert_int_equal(chmod(path, 0646), 0);
    snprintf(message, sizeof(message), "anybody may write to it; run: chmod o-w %s", path);
    expect_check_refusal(path, -EACCES, message);
}

/* A link leads to the file; what counts is who may replace the file it leads to. */
static void a_link_is_followed_to_the_directory_of_the_file(void **state)
{
    const char *directory = scratch_directory("target-directory", 0777);
    const char *target = scratch_copy("target-directory/good.so", "good");
    const char *path = scratch_path("link.so");
    char message[512];

    (void)state;
    assert_int_equal(symlink(target, path), 0);
    snprintf(message, sizeof(message), "anybody may write to its directory %s; run: chmod o-w %s", directory,
             directory);
    expect_check_refusal(path, -EACCES, message);
}

/* Whoever may write to the directory of the link can make it lead to a file of theirs. */
static void a_link_in_a_world_writable_directory_is_refused(void **state)
{
    const char *target = scratch_copy("link-target.so", "good");
    const char *directory = scratch_directory("link-directory", 0777);
    const char *path = scratch_path("link-directory/link.so");
    char message[512];

    (void)state;
    assert_int_equal(symlink(target, path), 0);
    snprintf(message, sizeof(message), "anybody may write to its directory %s; run: chmod o-w %s", directory,
             directory);
    expect_check_refusal(path, -EACCES, message);
}

static void a_file_of_another_user_is_accepted_and_marked(void **state)
{
    const char *path = scratch_copy("foreign.so", "good");
    struct attempt attempt;

    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: needs root to give a file away\n");
        skip();
    }
    assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
    attempt_run(&attempt, path, NULL);
    assert_string_equal(attempt.error.text, "");
    assert_true(attempt.plugin.foreign_owner);
    assert_int_equal(attempt.plugin.owner, 12345);
    attempt_done(&attempt);
    attempt_run(&attempt, scratch_copy("own.so", "good"), NULL);
    assert_false(attempt.plugin.foreign_owner);
    attempt_done(&attempt);
}

/* ---- the ELF header ---------------------------------------------------------------------------------- */

/* A copy of the good plugin with one byte of its ELF header changed. */
static const char *with_elf_byte(size_t offset, unsigned char byte)
{
    size_t len;
    char *data = scratch_read(scratch_built("good"), &len);
    const char *path;

    data[offset] = (char)byte;
    path = scratch_write("elf.so", data, len);
    free(data);
    return path;
}

static void an_elf_file_of_another_machine_is_refused(void **state)
{
    (void)state;
    expect_check_refusal(with_elf_byte(EI_CLASS, ELFCLASS32), -ENOEXEC,
                         "a 32-bit ELF file, this engine is 64-bit; rebuild the plugin");
    expect_check_refusal(with_elf_byte(EI_DATA, ELFDATA2MSB), -ENOEXEC,
                         "an ELF file of the other byte order; rebuild the plugin for this machine");
    expect_check_refusal(with_elf_byte(offsetof(Elf64_Ehdr, e_machine), EM_SPARC), -ENOEXEC,
                         "an ELF file of another kind of machine; rebuild the plugin for this one");
}

static void an_object_file_is_refused(void **state)
{
    (void)state;
    expect_check_refusal(with_elf_byte(offsetof(Elf64_Ehdr, e_type), ET_REL), -ENOEXEC,
                         "an ELF file, but not a shared object; link the plugin with -shared");
}

/* Every length up to a header beyond the ELF header, then a sample: a copy that was cut is never linked. */
static void a_truncated_file_is_refused_at_every_length(void **state)
{
    size_t len;
    char *data = scratch_read(scratch_built("good"), &len);

    (void)state;
    for (size_t cut = 4; cut < len; cut += cut < 256 ? 1 : len / 64) {
        expect_check_refusal(scratch_write("cut.so", data, cut), -ENOEXEC, DAMAGED);
    }
    free(data);
}

static void a_shared_object_that_is_no_plugin_is_refused(void **state)
{
    (void)state;
    expect_check_refusal(scratch_copy("no_section.so", "no_section"), -ENOENT,
                         "no section .nfqe_plugin: not a plugin of nfq-engine; it must use NFQE_PLUGIN(...)");
}

/* What was checked is what runs: nobody can change the copy, not even whoever made it. */
static void the_copy_that_was_checked_cannot_be_changed(void **state)
{
    struct plugin plugin = {.path = scratch_copy("plugin.so", "good")};
    struct error error;
    int seals;

    (void)state;
    assert_int_equal(plugin_file_check(&plugin, &error), 0);
    seals = fcntl(plugin.memfd, F_GET_SEALS);
    assert_int_equal(seals & (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
                     F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    assert_int_equal(pwrite(plugin.memfd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(plugin.memfd, 0), -1);
    plugin_file_close(&plugin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_is_refused),
        cmocka_unit_test(a_directory_is_refused),
        cmocka_unit_test(a_fifo_is_refused_without_waiting_for_a_writer),
        cmocka_unit_test(an_empty_file_is_refused),
        cmocka_unit_test(a_file_that_is_not_elf_is_refused),
        cmocka_unit_test(a_world_writable_file_is_refused_before_its_content_is_read),
        cmocka_unit_test(a_file_in_a_world_writable_directory_is_refused),
        cmocka_unit_test(a_world_writable_directory_with_the_sticky_bit_is_accepted),
        cmocka_unit_test(the_file_is_named_before_its_directory),
        cmocka_unit_test(a_link_is_followed_to_the_directory_of_the_file),
        cmocka_unit_test(a_link_in_a_world_writable_directory_is_refused),
        cmocka_unit_test(a_file_of_another_user_is_accepted_and_marked),
        cmocka_unit_test(an_elf_file_of_another_machine_is_refused),
        cmocka_unit_test(an_object_file_is_refused),
        cmocka_unit_test(a_truncated_file_is_refused_at_every_length),
        cmocka_unit_test(a_shared_object_that_is_no_plugin_is_refused),
        cmocka_unit_test(the_copy_that_was_checked_cannot_be_changed),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
