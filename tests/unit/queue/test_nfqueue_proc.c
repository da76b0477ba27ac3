/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading what the kernel says of its queues. fopen() is replaced at link time: the file says what the test says, in
 * the kernel's format, and fails where the test says. fclose() is replaced to count the files that are left open.
 */
#include "unit.h"

#include "queue/nfqueue_proc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *file_text; /* NULL: the file cannot be opened, with file_errno */
static int file_errno;
static int files_open;
static size_t fail_at; /* the offset at which read(2) fails; 0: it does not */
static size_t offset;
static unsigned reads; /* that gave bytes */

FILE *__wrap_fopen(const char *path, const char *mode);
int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);

static ssize_t read_text(void *cookie, char *buffer, size_t size)
{
    size_t end = fail_at != 0 ? fail_at : strlen(file_text);
    size_t len = end - offset < size ? end - offset : size;

    (void)cookie;
    if (fail_at != 0 && len == 0) {
        errno = ENOMEM;
        return -1;
    }
    memcpy(buffer, file_text + offset, len);
    offset += len;
    reads += len > 0;
    return (ssize_t)len;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    assert_string_equal(path, "/proc/self/net/netfilter/nfnetlink_queue");
    assert_string_equal(mode, "re");
    if (file_text == NULL) {
        errno = file_errno;
        return NULL;
    }
    files_open++;
    offset = 0;
    reads = 0;
    return fopencookie(NULL, "r", (cookie_io_functions_t){.read = read_text});
}

int __wrap_fclose(FILE *file)
{
    files_open--;
    return __real_fclose(file);
}

/* As seq_show() of nfnetlink_queue.c prints them. */
static const char two_queues[] = "    1   4711    12 2   128     3     4       99  1\n"
                                 "65535 4294967295 4294967294 1 65531 4294967293 4294967292 4294967291  1\n";

static void test_every_field_of_a_line_is_read(void **state)
{
    struct nfqueue_status status;

    (void)state;
    file_text = two_queues;
    assert_int_equal(nfqueue_read_status(1, &status), 0);
    assert_int_equal(status.queue, 1);
    assert_int_equal(status.port_id, 4711);
    assert_int_equal(status.waiting, 12);
    assert_int_equal(status.copy_mode, 2);
    assert_int_equal(status.copy_range, 128);
    assert_int_equal(status.queue_dropped, 3);
    assert_int_equal(status.user_dropped, 4);
    assert_int_equal(status.last_id, 99);
    assert_int_equal(nfqueue_read_status(65535, &status), 0);
    assert_int_equal(status.queue, 65535);
    assert_true(status.port_id == UINT32_MAX && status.waiting == UINT32_MAX - 1);
    assert_int_equal(status.copy_mode, 1);
    assert_int_equal(status.copy_range, 65531);
    assert_true(status.queue_dropped == UINT32_MAX - 2 && status.user_dropped == UINT32_MAX - 3);
    assert_true(status.last_id == UINT32_MAX - 4);
}

static void test_queue_that_is_not_bound_has_no_status(void **state)
{
    struct nfqueue_status status;
    struct nfqueue_status before;

    (void)state;
    memset(&status, 0x5a, sizeof(status));
    before = status;
    file_text = two_queues;
    assert_int_equal(nfqueue_read_status(2, &status), -ENODEV);
    file_text = "\n";
    assert_int_equal(nfqueue_read_status(1, &status), -ENODEV);
    assert_memory_equal(&status, &before, sizeof(status));
}

static void test_file_that_cannot_be_opened_is_said_so(void **state)
{
    struct nfqueue_status status;

    (void)state;
    file_text = NULL;
    file_errno = EACCES;
    assert_int_equal(nfqueue_read_status(1, &status), -EACCES);
    file_errno = ENOENT; /* a kernel without the module */
    assert_int_equal(nfqueue_each_status(NULL, NULL), -ENOENT);
    assert_int_equal(nfqueue_read_status(1, &status), -ENOENT); /* which is not that there is no such queue */
}

static void note_queue(void *context, const struct nfqueue_status *status)
{
    char *seen = context;

    snprintf(seen + strlen(seen), 64 - strlen(seen), "%u ", status->queue);
}

static void test_no_file_is_left_open(void **state)
{
    struct nfqueue_status status;

    (void)state;
    files_open = 0; /* the run time of a build for coverage has closed one already */
    file_text = two_queues;
    assert_int_equal(nfqueue_read_status(1, &status), 0);
    assert_int_equal(files_open, 0);
    assert_int_equal(nfqueue_read_status(2, &status), -ENODEV);
    assert_int_equal(files_open, 0);
}

static void test_all_lines_are_visited_in_order_up_to_one_that_is_none(void **state)
{
    char seen[64] = "";

    (void)state;
    file_text = two_queues;
    assert_int_equal(nfqueue_each_status(note_queue, seen), 0);
    assert_string_equal(seen, "1 65535 ");
    seen[0] = '\0';
    file_text = "    7   4711    12 2   128     3     4       99  1\n"
                "    8   4711    12 2   128     3     4\n";
    assert_int_equal(nfqueue_each_status(note_queue, seen), 0);
    assert_string_equal(seen, "7 ");
}

/* Queues that come or go between two reads would shift the lines of the second. */
static void test_lines_that_the_kernel_gives_at_once_are_read_at_once(void **state)
{
    static char text[16000];
    char seen[64] = "";
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%5u 2147483647     0 2 65531     0     0        1  1\n", i);
    }
    assert_true(len < sizeof(text));
    file_text = text;
    assert_int_equal(nfqueue_each_status(note_queue, seen), 0);
    assert_int_equal(offset, len);
    assert_int_equal(reads, 1);
}

static void test_reading_that_fails_is_not_a_complete_one(void **state)
{
    struct nfqueue_status status;
    char seen[64] = "";

    (void)state;
    files_open = 0;
    file_text = two_queues;
    fail_at = strchr(two_queues, '\n') + 1 - two_queues;
    assert_int_equal(nfqueue_each_status(note_queue, seen), -EIO);
    assert_string_equal(seen, "1 ");
    assert_int_equal(nfqueue_read_status(65535, &status), -EIO); /* which is not that there is no such queue */
    assert_int_equal(files_open, 0);
    fail_at = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_of_a_line_is_read),
        cmocka_unit_test(test_queue_that_is_not_bound_has_no_status),
        cmocka_unit_test(test_file_that_cannot_be_opened_is_said_so),
        cmocka_unit_test(test_no_file_is_left_open),
        cmocka_unit_test(test_all_lines_are_visited_in_order_up_to_one_that_is_none),
        cmocka_unit_test(test_lines_that_the_kernel_gives_at_once_are_read_at_once),
        cmocka_unit_test(test_reading_that_fails_is_not_a_complete_one),
    };

    return cmocka_run_group_tests_name("nfqueue_proc", tests, NULL, NULL);
}
