/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the check of a file promises besides its messages, which the zoo holds: where a file has two flaws, which of
 * them is named; that nothing stays open after a refusal; that no length of a cut file is linked.
 *
 * The order of the checks is part of the promise, so that a person who repairs what a message says never goes backwards.
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

#define DAMAGED "a truncated or damaged ELF file; copy or build it again"

static void expect_check_refusal(const char *path, int code, const char *message)
{
    assert_true(attempt_is_refused(path, NULL, ATTEMPT_CHECK, code, message));
}

/* Of each way out of the check, one file. attempt_done() counts the descriptors. */
static void a_refused_file_leaves_no_descriptor(void **state)
{
    const char *writable = scratch_copy("writable-good.so", "good");
    const char *fifo = scratch_path("fifo.so");
    const struct {
        const char *path;
        int code;
    } files[] = {
        {scratch_path("missing.so"), -ENOENT},
        {scratch_directory("directory.so", 0755), -EINVAL},
        {fifo, -EINVAL},
        {writable, -EACCES},
        {scratch_write("empty.so", "", 0), -ENOEXEC},
        {scratch_write("text.so", "text", 4), -ENOEXEC},
        {scratch_copy("no_section.so", "no_section"), -ENOENT},
        {scratch_copy("short_section.so", "short_section"), -ENOEXEC},
    };

    (void)state;
    assert_int_equal(mkfifo(fifo, 0644), 0);
    assert_int_equal(chmod(writable, 0646), 0);
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct attempt attempt;

        attempt_run(&attempt, files[i].path, NULL);
        assert_int_equal(attempt.stage, ATTEMPT_CHECK);
        assert_int_equal(attempt.code, files[i].code);
        attempt_done(&attempt);
    }
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
        cmocka_unit_test(a_refused_file_leaves_no_descriptor),
        cmocka_unit_test(a_world_writable_file_is_refused_before_its_content_is_read),
        cmocka_unit_test(a_world_writable_directory_with_the_sticky_bit_is_accepted),
        cmocka_unit_test(the_file_is_named_before_its_directory),
        cmocka_unit_test(a_file_of_another_user_is_accepted_and_marked),
        cmocka_unit_test(a_truncated_file_is_refused_at_every_length),
        cmocka_unit_test(the_copy_that_was_checked_cannot_be_changed),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), NULL);
}
