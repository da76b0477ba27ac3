/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing every descriptor but those that are named, in a child that says what it found.
 */
#include "unit.h"

#include "base/close_fds.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HIGHEST 500 /* above it, nothing is opened here */

/* In a child: opens all numbers up to HIGHEST, closes all but `kept`, and says by its status whether those are left. */
static bool keeps_exactly(const int *kept, unsigned count)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit limit = {HIGHEST + 1, HIGHEST + 1};

        setrlimit(RLIMIT_NOFILE, &limit);
        while (dup(STDERR_FILENO) >= 0) {
        }
        close_fds_but(kept, count);
        for (int fd = 0; fd <= HIGHEST; fd++) {
            bool wanted = fd <= STDERR_FILENO;

            for (unsigned i = 0; i < count; i++) {
                wanted = wanted || kept[i] == fd;
            }
            if ((fcntl(fd, F_GETFD) >= 0) != wanted) {
                _exit(1);
            }
        }
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0;
}

static void test_all_but_the_standard_ones_are_closed(void **state)
{
    (void)state;
    assert_true(keeps_exactly(NULL, 0));
}

static void test_those_that_are_named_are_kept_in_any_order(void **state)
{
    static const int kept[] = {77, 3, 499, 4, 78, 500, 200};

    (void)state;
    assert_true(keeps_exactly(kept, sizeof(kept) / sizeof(kept[0])));
    assert_true(keeps_exactly(kept, 1));
}

/* One that is closed already, one that is standard, and one that is named twice. */
static void test_numbers_that_need_no_keeping_change_nothing(void **state)
{
    static const int kept[] = {-1, 10, STDIN_FILENO, 10, -1};

    (void)state;
    assert_true(keeps_exactly(kept, sizeof(kept) / sizeof(kept[0])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_but_the_standard_ones_are_closed),
        cmocka_unit_test(test_those_that_are_named_are_kept_in_any_order),
        cmocka_unit_test(test_numbers_that_need_no_keeping_change_nothing),
    };

    return cmocka_run_group_tests_name("close_fds", tests, NULL, NULL);
}
