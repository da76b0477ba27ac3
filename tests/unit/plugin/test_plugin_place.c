/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a plugin's file may be: every directory on the way to it counts, through links and up to the root, and so does the
 * file system.
 */
#include "rights.h"

#include "attempt.h"
#include "scratch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void expect_writable_directory(const char *path, const char *directory)
{
    char message[2 * PATH_MAX + 64];

    snprintf(message, sizeof(message), "anybody may write to its directory %s; run: chmod o-w %s", directory,
             directory);
    assert_true(attempt_is_refused(path, NULL, ATTEMPT_CHECK, -EACCES, message));
}

/* A link to the directory; also where the path begins at the working directory. */
static void test_of_a_link_on_the_way_the_directory_counts(void **state)
{
    const char *open_directory = scratch_directory("shared", 0777);
    const char *link = scratch_path("shared/link");
    char *before = getcwd(NULL, 0);

    (void)state;
    assert_non_null(before);
    scratch_directory("real", 0755);
    scratch_copy("real/good.so", "good");
    assert_int_equal(symlink(scratch_path("real"), link), 0);
    expect_writable_directory(scratch_path("shared/link/good.so"), open_directory);
    assert_int_equal(chdir(open_directory), 0);
    expect_writable_directory("link/good.so", open_directory);
    assert_int_equal(chmod(open_directory, 0755), 0);
    attempt_expect_success("link/good.so", NULL, "");
    attempt_expect_success(scratch_path("shared/link/good.so"), NULL, "");
    assert_int_equal(chdir(before), 0);
    free(before);
}

/* The way leads through a link to a directory that is below an open one, and from there to a safe file. */
static void test_every_directory_on_the_way_of_links_counts(void **state)
{
    const char *open_directory = scratch_directory("open_above", 0777);
    const char *way = scratch_path("way");

    (void)state;
    assert_int_equal(symlink(scratch_directory("open_above/below", 0755), way), 0);
    assert_int_equal(symlink(scratch_copy("safe.so", "good"), scratch_path("open_above/below/good.so")), 0);
    expect_writable_directory(scratch_path("way/good.so"), open_directory);
    assert_int_equal(chmod(open_directory, 0755), 0);
    attempt_expect_success(scratch_path("way/good.so"), NULL, "");
}

static const char *mounted;

static void check_noexec(void)
{
    struct attempt attempt;

    EXPECT(mount("none", mounted, "tmpfs", 0, "mode=755") == 0);
    scratch_copy("mounted/good.so", "good");
    attempt_run(&attempt, scratch_path("mounted/good.so"), NULL);
    EXPECT(attempt.stage == ATTEMPT_ACCEPTED);
    attempt_done(&attempt);
    EXPECT(mount("none", mounted, "tmpfs", MS_REMOUNT | MS_NOEXEC, "mode=755") == 0);
    attempt_run(&attempt, scratch_path("mounted/good.so"), NULL);
    EXPECT(attempt.stage == ATTEMPT_CHECK && attempt.code == -EACCES);
    EXPECT(strcmp(attempt.error.text,
                  "is on a file system that is mounted noexec, so nothing on it may run; copy it to "
                  "another one") == 0);
}

static void test_a_file_system_from_which_nothing_may_run_is_refused(void **state)
{
    (void)state;
    mounted = scratch_directory("mounted", 0755);
    assert_int_equal(rights_run_in_namespaces(check_noexec), 0);
}

static void check_root_directory(void)
{
    const char *root = scratch_path("root");
    struct attempt attempt;

    EXPECT(chroot(root) == 0 && chdir("/") == 0);
    EXPECT(mkdir("/proc", 0755) == 0 && mount("none", "/proc", "proc", 0, NULL) == 0);
    attempt_run(&attempt, "/good.so", NULL);
    EXPECT(attempt.stage == ATTEMPT_ACCEPTED);
    attempt_done(&attempt);
    EXPECT(chmod("/", 0777) == 0 && mkdir("/lib", 0755) == 0 && rename("/good.so", "/lib/good.so") == 0);
    attempt_run(&attempt, "/lib/good.so", NULL);
    EXPECT(attempt.stage == ATTEMPT_CHECK && attempt.code == -EACCES);
    EXPECT(strcmp(attempt.error.text, "anybody may write to its directory /; run: chmod o-w /") == 0);
}

static void test_the_root_directory_counts(void **state)
{
    (void)state;
    scratch_directory("root", 0755);
    scratch_copy("root/good.so", "good");
    assert_int_equal(rights_run_in_namespaces(check_root_directory), 0);
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_of_a_link_on_the_way_the_directory_counts, tear_down),
        cmocka_unit_test_teardown(test_every_directory_on_the_way_of_links_counts, tear_down),
        cmocka_unit_test_teardown(test_a_file_system_from_which_nothing_may_run_is_refused, tear_down),
        cmocka_unit_test_teardown(test_the_root_directory_counts, tear_down),
    };

    return cmocka_run_group_tests_name("plugin_place", tests, NULL, NULL);
}
