/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files and directories that the user named in options: only those, only of the kind that is asked for, and none once a
 * fork server is ready.
 */
#include "unit.h"

#include "process/option_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX (80 * (OPTION_FILES_MAX + 1))

static struct {
    struct generation generation;
    struct option_files files;
    char directory[64];
    char path[80];
    char text[TEXT_MAX];
} fixture;

static void write_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    strcpy(fixture.directory, "/tmp/nfqe-option-files-XXXXXX");
    assert_non_null(mkdtemp(fixture.directory));
    snprintf(fixture.path, sizeof(fixture.path), "%s/a,b", fixture.directory);
    write_file(fixture.path, "what is in it");
    fixture.generation.plugin_count = 2;
    snprintf(fixture.text, sizeof(fixture.text), "mode=strict,keys=%s/a,,b", fixture.directory);
    fixture.generation.plugins[1].values_text = fixture.text;
    option_files_init(&fixture.files);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    option_files_done(&fixture.files);
    unlink(fixture.path);
    rmdir(fixture.directory);
    return 0;
}

static int get_as(unsigned plugin, unsigned item, enum path_access access)
{
    return option_files_get(&fixture.files, &fixture.generation, plugin, item, access);
}

static int get(unsigned plugin, unsigned item)
{
    return get_as(plugin, item, PATH_FILE);
}

static void test_named_file_is_opened_for_reading_and_once(void **state)
{
    char content[32] = "";
    int fd = get(1, 1);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, content, sizeof(content), 0), strlen("what is in it"));
    assert_string_equal(content, "what is in it");
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(get(1, 1), fd);
}

static void test_what_the_user_did_not_name_is_not_opened(void **state)
{
    (void)state;
    assert_int_equal(get(0, 0), -ENOENT); /* it has no options */
    assert_int_equal(get(1, 2), -ENOENT);
    assert_int_equal(get(1, UINT32_MAX), -ENOENT);
    assert_int_equal(get(2, 0), -ENOENT); /* there is no such plugin */
    assert_int_equal(get(1, 0), -ENOENT); /* an option that is no path */
    fixture.generation.plugins[0].values_text = "keys";
    assert_int_equal(get(0, 0), -EINVAL);
}

/* It is neither created nor cut. */
static void test_file_is_opened_for_writing_only_if_that_is_asked_for(void **state)
{
    char content[32] = "";
    char text[256];
    int fd = get_as(1, 1, PATH_WRITABLE_FILE);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    assert_int_equal(fcntl(fd, F_GETFL) & O_APPEND, 0);
    assert_int_equal(pwrite(fd, "WHAT", 4, 0), 4);
    assert_int_equal(pread(fd, content, sizeof(content), 0), strlen("what is in it"));
    assert_string_equal(content, "WHAT is in it");
    assert_int_equal(get_as(1, 1, PATH_WRITABLE_FILE), fd);
    assert_int_not_equal(get(1, 1), fd); /* one that is not writable */
    assert_int_equal(fcntl(get(1, 1), F_GETFL) & O_ACCMODE, O_RDONLY);
    snprintf(text, sizeof(text), "out=%s/new", fixture.directory);
    fixture.generation.plugins[0].values_text = text;
    assert_int_equal(get_as(0, 0, PATH_WRITABLE_FILE), -ENOENT);
}

static void test_named_directory_is_opened_for_what_is_in_it(void **state)
{
    char text[256];
    int file;
    int fd;

    (void)state;
    snprintf(text, sizeof(text), "rules=%s,file=%s/a,,b", fixture.directory, fixture.directory);
    fixture.generation.plugins[0].values_text = text;
    fd = get_as(0, 0, PATH_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    file = openat(fd, "a,b", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(get_as(0, 1, PATH_DIRECTORY), -EINVAL);
    assert_int_equal(get_as(0, 0, PATH_WRITABLE_FILE), -EINVAL);
}

/* What has no effect when it is opened, and cannot make the opener wait. */
static void test_only_a_regular_file_is_opened(void **state)
{
    char text[256];

    (void)state;
    snprintf(text, sizeof(text), "keys=%s,keys=/dev/null,keys=%s/fifo", fixture.directory, fixture.directory);
    fixture.generation.plugins[0].values_text = text;
    snprintf(fixture.path + strlen(fixture.directory), sizeof(fixture.path) - strlen(fixture.directory), "/fifo");
    assert_int_equal(mkfifo(fixture.path, 0600), 0);
    for (unsigned item = 0; item < 3; item++) {
        assert_int_equal(get(0, item), -EINVAL);
        assert_int_equal(get_as(0, item, PATH_WRITABLE_FILE), -EINVAL);
    }
    assert_int_equal(get_as(0, 1, PATH_DIRECTORY), -EINVAL);
    assert_int_equal(get_as(0, 2, PATH_DIRECTORY), -EINVAL);
    unlink(fixture.path);
    snprintf(fixture.path + strlen(fixture.directory), sizeof(fixture.path) - strlen(fixture.directory), "/a,b");
}

static void test_after_the_seal_only_what_is_open_is_given(void **state)
{
    int fd = get(1, 1);

    (void)state;
    fixture.generation.plugins[0].values_text = strchr(fixture.text, ',') + 1;
    option_files_seal(&fixture.files);
    assert_int_equal(get(0, 0), -EPERM);
    assert_int_equal(get(1, 1), fd);
    assert_int_equal(get_as(1, 1, PATH_WRITABLE_FILE), -EPERM);
}

static void test_there_is_a_limit(void **state)
{
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i <= OPTION_FILES_MAX; i++) {
        len += (size_t)snprintf(fixture.text + len, sizeof(fixture.text) - len, "%sk=%s/a,,b", i > 0 ? "," : "",
                                fixture.directory);
    }
    for (unsigned i = 0; i < OPTION_FILES_MAX; i++) {
        assert_true(get(1, i) >= 0);
    }
    assert_int_equal(get(1, OPTION_FILES_MAX), -EMFILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_named_file_is_opened_for_reading_and_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_is_opened_for_writing_only_if_that_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_named_directory_is_opened_for_what_is_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_the_user_did_not_name_is_not_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_a_regular_file_is_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_after_the_seal_only_what_is_open_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_there_is_a_limit, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("option_files", tests, NULL, NULL);
}
