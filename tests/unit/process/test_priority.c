/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the scheduler is asked for, as the kernel has it afterwards. How soon it runs a process with that, live.zoo_load
 * measures.
 *
 * Kernels before 6.12 have no time slices that can be chosen.
 */
#include "rights.h"

#include "process/priority.h"
#include "process/privileges.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define SHORT_NS 100000
#define REFUSED 1 /* exit status */

static struct error error;

/* By sched_getattr(2): policy in the second word, nice value in the fifth, time slice in the seventh and eighth. */
static uint64_t slice_ns(void)
{
    uint64_t attributes[6] = {0};

    EXPECT(syscall(SYS_sched_getattr, 0, attributes, sizeof(attributes), 0) == 0);
    return attributes[3];
}

static bool has_slices(void)
{
    struct utsname name;
    char *rest;
    long major;

    EXPECT(uname(&name) == 0);
    major = strtol(name.release, &rest, 10);
    return major > 6 || (major == 6 && strtol(rest + 1, NULL, 10) >= 12);
}

static void check_queue_process(void)
{
    int nice_value = has_slices() ? getpriority(PRIO_PROCESS, 0) : -15;
    char text[64] = "";
    FILE *file;

    EXPECT(priority_take_queue() == 0);
    EXPECT(getsid(0) == getpid());
    EXPECT(has_slices() == (slice_ns() == SHORT_NS));
    EXPECT(getpriority(PRIO_PROCESS, 0) == nice_value);
    file = fopen("/proc/self/autogroup", "re"); /* "/autogroup-1234 nice -15" */
    if (!has_slices() && file != NULL && fgets(text, sizeof(text), file) != NULL) {
        EXPECT(strstr(text, " nice -15\n") != NULL);
    }
    EXPECT(privileges_drop_queue(RIGHTS_UID, &error) == 0);
    EXPECT(has_slices() == (slice_ns() == SHORT_NS));
    EXPECT(getpriority(PRIO_PROCESS, 0) == nice_value);
}

static void test_queue_process_has_a_short_slice_and_its_own_session(void **state)
{
    (void)state;
    rights_need_root();
    assert_int_equal(rights_run(check_queue_process), 0);
}

static void check_worker(void)
{
    EXPECT(setpriority(PRIO_PROCESS, 0, 15) == 0);
    EXPECT(priority_take_worker() == (has_slices() ? 0 : -ENOTSUP));
    EXPECT(has_slices() == (slice_ns() == SHORT_NS));
    EXPECT(getpriority(PRIO_PROCESS, 0) == 15); /* what the administrator gave the engine */
    EXPECT(sched_getscheduler(0) == (SCHED_OTHER | SCHED_RESET_ON_FORK));
}

static void test_worker_has_a_short_slice_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(rights_run_as_user(check_worker), 0);
}

/* What a plugin starts. */
static void check_child_of_worker(void)
{
    int status;
    pid_t pid;

    priority_take_worker();
    pid = fork();
    if (pid == 0) {
        _exit(slice_ns() == SHORT_NS);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_what_a_worker_starts_has_no_short_slice(void **state)
{
    (void)state;
    assert_int_equal(rights_run_as_user(check_child_of_worker), 0);
}

static void check_realtime(void)
{
    struct sched_param parameters;

    EXPECT(priority_take_queue() == 0 && priority_take_realtime() == 0);
    EXPECT(sched_getscheduler(0) == (SCHED_RR | SCHED_RESET_ON_FORK));
    EXPECT(sched_getparam(0, &parameters) == 0 && parameters.sched_priority == 1);
}

/* A control group of the version 1 controller "cpu" refuses it to all, unless it was given time for it. */
static void check_group(void)
{
    const struct sched_param parameters = {.sched_priority = 1};

    _exit(sched_setscheduler(0, SCHED_FIFO, &parameters) < 0 ? REFUSED : 0);
}

static void test_realtime_is_the_lowest_of_the_priorities(void **state)
{
    (void)state;
    rights_need_root();
    if (rights_run(check_group) != 0) {
        print_message("SKIPPED: no real-time priority in this control group\n");
        skip();
    }
    assert_int_equal(rights_run(check_realtime), 0);
}

static void check_user(void)
{
    EXPECT(priority_take_queue() == (has_slices() ? 0 : -EACCES));
    EXPECT(priority_take_realtime() == -EPERM);
}

static void test_ordinary_user_gets_no_nice_value_and_no_real_time(void **state)
{
    (void)state;
    assert_int_equal(rights_run_as_user(check_user), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_process_has_a_short_slice_and_its_own_session),
        cmocka_unit_test(test_worker_has_a_short_slice_and_no_more),
        cmocka_unit_test(test_what_a_worker_starts_has_no_short_slice),
        cmocka_unit_test(test_realtime_is_the_lowest_of_the_priorities),
        cmocka_unit_test(test_ordinary_user_gets_no_nice_value_and_no_real_time),
    };

    return cmocka_run_group_tests_name("priority", tests, NULL, NULL);
}
