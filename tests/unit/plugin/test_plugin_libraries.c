/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The libraries of a plugin: where the loader would search for them, a plugin is refused if others could put one there.
 *
 * The plugins and libraries are real ones; the place for the directories in their dynamic section is filled in here. What
 * is accepted is loaded, too, so the search is compared with the loader's own: a library that the loader finds, and
 * the check does not look for, would be loaded from a directory that the test has made unsafe.
 */
#include "unit.h"

#include "attempt.h"
#include "scratch.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEAR "libnfqe_near.so"
#define FAR "libnfqe_far.so"
#define PLACE_OF_PATH 'R'
#define PLACE_OF_NAME 'S'
#define PLACE_MIN 100

/* The built file, with this text in the place of the marks, written to `name`. */
static const char *fill(const char *name, const char *built, char mark, const char *text)
{
    char marks[PLACE_MIN];
    size_t len;
    char *data = scratch_read(scratch_built(built), &len);
    char *place;
    const char *path;

    memset(marks, mark, sizeof(marks));
    place = memmem(data, len, marks, sizeof(marks));
    assert_non_null(place);
    assert_true(strlen(text) < strlen(place));
    memset(place, 0, strlen(place));
    memcpy(place, text, strlen(text));
    path = scratch_write(name, data, len);
    free(data);
    return path;
}

static const char *format(const char *text, ...) __attribute__((format(printf, 1, 2)));

static const char *format(const char *text, ...)
{
    static char formatted[4][4 * PATH_MAX];
    static unsigned next;
    char *to = formatted[next++ % 4];
    va_list arguments;

    va_start(arguments, text);
    vsnprintf(to, sizeof(formatted[0]), text, arguments);
    va_end(arguments);
    return to;
}

/* A plugin that is linked with NEAR, which is searched for in these directories. */
static const char *plugin_with(const char *directories)
{
    return fill("plugin.so", "needs_runpath", PLACE_OF_PATH, directories);
}

/* NEAR in `directory`; where FAR, which it is linked with, is searched for. */
static void put_near(const char *directory, const char *directories)
{
    fill(format("%s/" NEAR, directory), "libnfqe_near", PLACE_OF_PATH, directories);
}

static void put_far(const char *directory)
{
    scratch_copy(format("%s/" FAR, directory), "libnfqe_far");
}

static void expect_unsafe(const char *path, const char *library, const char *directory, const char *fault)
{
    assert_true(attempt_is_refused(
        path, NULL, ATTEMPT_CHECK, -EACCES,
        format("its library %s is searched for in %s, and anybody may write to %s; run: chmod o-w %s", library,
               directory, fault, fault)));
}

static int set_up(void **state)
{
    const char *safe = scratch_directory("safe", 0755);

    (void)state;
    scratch_directory("above", 0755);
    scratch_directory("above/open", 0777);
    put_near("safe", safe);
    put_far("safe");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove();
    return 0;
}

static void test_libraries_in_a_safe_directory_are_loaded(void **state)
{
    const char *safe = scratch_path("safe");

    (void)state;
    attempt_expect_success(plugin_with(safe), NULL, "");
    attempt_expect_success(fill("rpath.so", "needs_rpath", PLACE_OF_PATH, safe), NULL, "");
}

/* With the library, and without it; others could make it. */
static void test_a_directory_that_anybody_may_write_to_is_refused(void **state)
{
    const char *open = scratch_path("above/open");

    (void)state;
    expect_unsafe(plugin_with(open), NEAR, open, open);
    expect_unsafe(fill("rpath.so", "needs_rpath", PLACE_OF_PATH, open), NEAR, open, open);
    put_near("above/open", scratch_path("safe"));
    expect_unsafe(plugin_with(open), NEAR, open, open);
    assert_int_equal(chmod(open, 01777), 0);
    expect_unsafe(plugin_with(open), NEAR, open, open);
    assert_int_equal(chmod(open, 0775), 0);
    attempt_expect_success(plugin_with(open), NULL, "");
}

static void test_every_directory_above_counts(void **state)
{
    const char *above = scratch_path("above");
    const char *open = scratch_path("above/open");

    (void)state;
    put_near("above/open", scratch_path("safe"));
    assert_int_equal(chmod(open, 0755), 0);
    assert_int_equal(chmod(above, 0777), 0);
    expect_unsafe(plugin_with(open), NEAR, open, above);
    assert_int_equal(chmod(above, 01777), 0); /* what is in it stays */
    attempt_expect_success(plugin_with(open), NULL, "");
}

static void test_a_directory_that_is_not_there_is_as_safe_as_where_it_could_be_made(void **state)
{
    const char *open = scratch_path("above/open");
    const char *missing = scratch_path("above/open/not/there");

    (void)state;
    expect_unsafe(plugin_with(format("%s:%s", missing, scratch_path("safe"))), NEAR, missing, open);
    assert_int_equal(chmod(open, 01777), 0);
    expect_unsafe(plugin_with(format("%s:%s", missing, scratch_path("safe"))), NEAR, missing, open);
    assert_int_equal(chmod(open, 0755), 0);
    attempt_expect_success(plugin_with(format("%s:%s", missing, scratch_path("safe"))), NULL, "");
}

/* The loader does not look there. */
static void test_directories_after_the_library_was_found_do_not_count(void **state)
{
    const char *safe = scratch_path("safe");
    const char *open = scratch_path("above/open");

    (void)state;
    attempt_expect_success(plugin_with(format("%s:%s", safe, open)), NULL, "");
    expect_unsafe(plugin_with(format("%s:%s", open, safe)), NEAR, open, open);
}

static void test_a_link_in_the_way_counts(void **state)
{
    const char *open = scratch_path("above/open");
    const char *link = scratch_path("above/open/link");

    (void)state;
    assert_int_equal(symlink(scratch_path("safe"), link), 0);
    expect_unsafe(plugin_with(link), NEAR, link, open);
    assert_int_equal(chmod(open, 0755), 0);
    attempt_expect_success(plugin_with(link), NULL, "");
}

/* The library's file, where it really is, and what it is. */
static void test_the_file_counts(void **state)
{
    const char *safe = scratch_path("safe");
    const char *near = scratch_path("safe/" NEAR);
    const char *open = scratch_path("above/open");

    (void)state;
    assert_int_equal(chmod(near, 0646), 0);
    assert_true(attempt_is_refused(plugin_with(safe), NULL, ATTEMPT_CHECK, -EACCES,
                                   format("anybody may write to its library %s; run: chmod o-w %s", near, near)));
    assert_int_equal(unlink(near), 0);
    put_near("above/open", safe);
    assert_int_equal(symlink(scratch_path("above/open/" NEAR), near), 0);
    expect_unsafe(plugin_with(safe), NEAR, open, open);
    assert_int_equal(unlink(near), 0);
    assert_int_equal(mkfifo(near, 0644), 0);
    assert_true(attempt_is_refused(plugin_with(safe), NULL, ATTEMPT_CHECK, -EINVAL,
                                   format("its library %s is not a regular file", near)));
    assert_int_equal(unlink(near), 0);
    scratch_write("safe/" NEAR, "no ELF", 6);
    assert_true(attempt_is_refused(plugin_with(safe), NULL, ATTEMPT_CHECK, -ENOEXEC,
                                   format("the list of libraries that %s needs cannot be read; build it again", near)));
}

/* NEAR in `directory`, with 0 in this byte of its ELF header: no class and no machine has it. */
static void put_foreign_near(const char *directory, size_t offset)
{
    size_t len;
    char *data;

    put_near(directory, scratch_path("safe"));
    data = scratch_read(scratch_path(format("%s/" NEAR, directory)), &len);
    data[offset] = 0;
    scratch_write(format("%s/" NEAR, directory), data, len);
    free(data);
}

/* The loader goes on in the next directory. What others can change is refused all the same: they could put one for us. */
static void test_a_library_for_another_machine_is_not_the_one_that_is_found(void **state)
{
    static const size_t foreign[] = {EI_CLASS, offsetof(ElfW(Ehdr), e_machine)};
    const char *safe = scratch_path("safe");
    const char *open = scratch_path("above/open");
    const char *other = scratch_directory("other", 0755);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        put_foreign_near("other", foreign[i]);
        attempt_expect_success(plugin_with(format("%s:%s", other, safe)), NULL, "");
        setenv("LD_LIBRARY_PATH", other, 1);
        attempt_expect_success(plugin_with(safe), NULL, "");
        expect_unsafe(plugin_with(open), NEAR, open, open);
        assert_int_equal(chmod(scratch_path("other/" NEAR), 0646), 0);
        assert_true(attempt_is_refused(
            plugin_with(safe), NULL, ATTEMPT_CHECK, -EACCES,
            format("anybody may write to its library %s/" NEAR "; run: chmod o-w %s/" NEAR, other, other)));
        unsetenv("LD_LIBRARY_PATH");
    }
}

/* FAR is found by the RUNPATH of NEAR alone; an RPATH counts for what the libraries need, too. */
static void test_libraries_of_libraries_count(void **state)
{
    const char *safe = scratch_path("safe");
    const char *open = scratch_path("above/open");

    (void)state;
    put_near("safe", open);
    expect_unsafe(plugin_with(safe), FAR, open, open);
    expect_unsafe(fill("rpath.so", "needs_rpath", PLACE_OF_PATH, safe), FAR, open, open);
    put_far("above/open");
    assert_int_equal(chmod(open, 0755), 0);
    attempt_expect_success(plugin_with(safe), NULL, "");
    assert_int_equal(chmod(scratch_path("above/open/" FAR), 0666), 0);
    assert_true(
        attempt_is_refused(plugin_with(safe), NULL, ATTEMPT_CHECK, -EACCES,
                           format("anybody may write to its library %s/" FAR "; run: chmod o-w %s/" FAR, open, open)));
    put_near("safe", ""); /* with no path of its own */
    scratch_directory("other", 0755);
    assert_int_equal(unlink(scratch_path("safe/" FAR)), 0);
    assert_int_equal(chmod(open, 0777), 0);
    expect_unsafe(fill("rpath.so", "needs_rpath", PLACE_OF_PATH, format("%s:%s", safe, open)), FAR, open, open);
}

/* $ORIGIN is the directory of the library; of the plugin the loader knows none. */
static void test_what_stands_for_a_directory_is_what_the_loader_makes_of_it(void **state)
{
    const char *safe = scratch_path("safe");
    const char *open = scratch_path("above/open");

    (void)state;
    put_near("safe", "$ORIGIN/../above/open");
    expect_unsafe(plugin_with(safe), FAR, format("%s/../above/open", safe), open);
    put_near("safe", "${ORIGIN}");
    attempt_expect_success(plugin_with(format("$ORIGIN:%s", safe)), NULL, "");
    assert_true(attempt_is_refused(plugin_with("/opt/$LIB"), NULL, ATTEMPT_CHECK, -ENOTSUP,
                                   "its library " NEAR " is searched for in \"/opt/$LIB\", which the engine cannot "
                                   "check; link with an absolute -rpath"));
}

static void test_directories_that_depend_on_the_working_directory_are_refused(void **state)
{
    static const char *const lists[] = {"lib", ":/nowhere", "/nowhere:", "/nowhere::/nowhere", "./lib"};
    static const char *const directories[] = {"lib", "", "", "", "./lib"};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        assert_true(attempt_is_refused(
            plugin_with(lists[i]), NULL, ATTEMPT_CHECK, -EACCES,
            format("its library " NEAR " is searched for in \"%s\", which depends on the working directory; link with "
                   "an absolute -rpath",
                   directories[i])));
    }
}

static void test_the_search_path_of_the_environment_counts(void **state)
{
    const char *open = scratch_path("above/open");
    const char *path = plugin_with(scratch_path("safe"));

    (void)state;
    setenv("LD_LIBRARY_PATH", open, 1);
    expect_unsafe(path, NEAR, open, open);
    unsetenv("LD_LIBRARY_PATH");
    attempt_expect_success(path, NULL, "");
}

static void test_a_library_that_is_named_by_its_path_counts(void **state)
{
    const char *safe = scratch_path("safe");
    const char *open = scratch_path("above/open");
    const char *path;

    (void)state;
    put_near("above/open", safe);
    path = fill("path.so", "needs_path", PLACE_OF_NAME, scratch_path("above/open/" NEAR));
    expect_unsafe(path, NEAR, open, open);
    assert_int_equal(chmod(open, 0755), 0);
    attempt_expect_success(path, NULL, "");
    path = fill("path.so", "needs_path", PLACE_OF_NAME, "lib/" NEAR);
    assert_true(attempt_is_refused(path, NULL, ATTEMPT_CHECK, -EACCES,
                                   "its library " NEAR " is searched for in \"lib\", which depends on the working "
                                   "directory; link with an absolute -rpath"));
}

/* They are found in the system's own directories, or are loaded already. */
static void test_what_the_system_has_is_not_searched_for(void **state)
{
    (void)state;
    assert_true(attempt_is_refused(plugin_with(scratch_path("nowhere")), NULL, ATTEMPT_LINK, -ENOEXEC,
                                   "cannot be loaded: " NEAR ": cannot open shared object file: No such file or "
                                   "directory"));
    attempt_expect_success(scratch_copy("good.so", "good"), NULL, "");
}

int main(void)
{
#define WITH_DIRECTORIES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORIES(test_libraries_in_a_safe_directory_are_loaded),
        WITH_DIRECTORIES(test_a_directory_that_anybody_may_write_to_is_refused),
        WITH_DIRECTORIES(test_every_directory_above_counts),
        WITH_DIRECTORIES(test_a_directory_that_is_not_there_is_as_safe_as_where_it_could_be_made),
        WITH_DIRECTORIES(test_directories_after_the_library_was_found_do_not_count),
        WITH_DIRECTORIES(test_a_link_in_the_way_counts),
        WITH_DIRECTORIES(test_the_file_counts),
        WITH_DIRECTORIES(test_a_library_for_another_machine_is_not_the_one_that_is_found),
        WITH_DIRECTORIES(test_libraries_of_libraries_count),
        WITH_DIRECTORIES(test_what_stands_for_a_directory_is_what_the_loader_makes_of_it),
        WITH_DIRECTORIES(test_directories_that_depend_on_the_working_directory_are_refused),
        WITH_DIRECTORIES(test_the_search_path_of_the_environment_counts),
        WITH_DIRECTORIES(test_a_library_that_is_named_by_its_path_counts),
        WITH_DIRECTORIES(test_what_the_system_has_is_not_searched_for),
    };

    return cmocka_run_group_tests_name("plugin_libraries", tests, NULL, NULL);
}
