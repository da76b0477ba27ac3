/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fork server and options that name files and directories: it asks the supervisor for each, and load() gets what came.
 */
#include "forkserver_fixture.h"

#include "base/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OPTIONS "file=/no/such/file" /* the test is the supervisor, and opens something else */

/* The fork server asks for item `item` of plugin `plugin`. */
static void expect_request(unsigned plugin, unsigned item, enum path_access access)
{
    struct process_message message;

    assert_int_equal(channel_wait(served.channel, &message, sizeof(message), NULL, 0), sizeof(message));
    assert_int_equal(process_message_check(&message, sizeof(message), FROM_FORKSERVER, SERVED_QUEUES), 0);
    assert_int_equal(message.kind, FORKSERVER_OPEN);
    assert_int_equal(message.value, plugin);
    assert_int_equal(message.slot, item);
    assert_int_equal(message.access, access);
}

static void answer(uint32_t error, const int *fd)
{
    const struct process_message message = process_message_make(FORKSERVER_FILE, error);

    assert_int_equal(channel_send(served.channel, &message, sizeof(message), fd, fd != NULL), 0);
}

static void start_with(const char *plugin, const char *options)
{
    served_add_plugin(MISBEHAVE, HARMLESS);
    served_add_plugin(plugin, options);
    served_start();
}

static void start(void)
{
    start_with(READ_FILE, OPTIONS);
    expect_request(1, 0, PATH_FILE);
}

static void test_plugin_gets_the_descriptor_that_the_supervisor_sends(void **state)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    (void)state;
    assert_int_equal(write(fd, "content\n", 8), 8);
    start();
    answer(0, &fd);
    close(fd);
    served_wait_ready(); /* load() fails if it cannot read it */
}

/* In the order of the text, and nothing of what is between them. */
static void test_each_path_is_asked_for_with_its_access(void **state)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    (void)state;
    start_with(OPTION_TYPES, "files=/a,word=x,directory=/b,where=/c,out=/d,files=/e,,f");
    expect_request(1, 0, PATH_FILE);
    answer(0, &fd);
    expect_request(1, 2, PATH_DIRECTORY);
    answer(0, &fd);
    expect_request(1, 4, PATH_WRITABLE_FILE);
    answer(0, &fd);
    expect_request(1, 5, PATH_FILE);
    answer(0, &fd);
    close(fd);
    served_wait_ready();
}

static void test_file_that_cannot_be_opened_refuses_the_plugin(void **state)
{
    (void)state;
    start();
    answer(EACCES, NULL);
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LINKING, 1,
                        "option file=/no/such/file: cannot be opened: Permission denied");
}

static void test_path_of_another_access_is_refused_in_its_words(void **state)
{
    (void)state;
    start_with(OPTION_TYPES, "out=/no/such/file");
    expect_request(1, 0, PATH_WRITABLE_FILE);
    answer(EROFS, NULL);
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LINKING, 1,
                        "option out=/no/such/file: cannot be opened for writing: Read-only file system");
}

static void test_what_is_no_directory_is_said_to_be_none(void **state)
{
    (void)state;
    start_with(OPTION_TYPES, "directory=/no/such");
    expect_request(1, 0, PATH_DIRECTORY);
    answer(EINVAL, NULL);
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LINKING, 1,
                        "option directory=/no/such: must be a directory");
}

static void test_what_is_no_file_is_said_to_be_none(void **state)
{
    (void)state;
    start();
    answer(EINVAL, NULL);
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LINKING, 1,
                        "option file=/no/such/file: must be a regular file");
}

static void test_another_answer_ends_it(void **state)
{
    (void)state;
    start();
    served_tell_to_leave();
    served_assert_ended(EXITED(PROCESS_EXIT_FAILED), FORKSERVER_LINKING, 1, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plugin_gets_the_descriptor_that_the_supervisor_sends, served_set_up,
                                        served_tear_down),
        cmocka_unit_test_setup_teardown(test_each_path_is_asked_for_with_its_access, served_set_up, served_tear_down),
        cmocka_unit_test_setup_teardown(test_path_of_another_access_is_refused_in_its_words, served_set_up,
                                        served_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_directory_is_said_to_be_none, served_set_up, served_tear_down),
        cmocka_unit_test_setup_teardown(test_file_that_cannot_be_opened_refuses_the_plugin, served_set_up,
                                        served_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_file_is_said_to_be_none, served_set_up, served_tear_down),
        cmocka_unit_test_setup_teardown(test_another_answer_ends_it, served_set_up, served_tear_down),
    };

    return cmocka_run_group_tests_name("forkserver_files", tests, NULL, NULL);
}
