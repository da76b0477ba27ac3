/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process has left after it gave up its rights, and what is said when it cannot.
 *
 * What is left is read from the kernel in other ways than the module reads it. Everything is done in children.
 */
#include "rights.h"

#include "base/arith.h"
#include "process/privileges.h"
#include "process/process.h"
#include "process/user_namespace.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define NO_CAPABILITY 0

static struct error error;

static void expect_sets(uint64_t permitted, bool bounding_empty)
{
    capng_get_caps_process();
    for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
        int has = (permitted & PRIVILEGES_CAPABILITY(i)) != 0;

        EXPECT(capng_have_capability(CAPNG_PERMITTED, i) == has);
        EXPECT(capng_have_capability(CAPNG_EFFECTIVE, i) == has);
        EXPECT(capng_have_capability(CAPNG_INHERITABLE, i) == 0);
        EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 0);
        EXPECT(!bounding_empty || prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 0);
    }
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

static void expect_id(uid_t id)
{
    uid_t uid[3];
    gid_t gid[3];

    getresuid(&uid[0], &uid[1], &uid[2]);
    getresgid(&gid[0], &gid[1], &gid[2]);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT(uid[i] == id && gid[i] == id);
    }
    EXPECT(getgroups(0, NULL) == 0);
}

static void expect_no_core(void)
{
    struct rlimit limit;

    EXPECT(prctl(PR_GET_DUMPABLE) == 0);
    EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0);
}

/* Root as a service manager may start it: with groups, and capabilities that an exec would pass on. */
static void have_more_rights(void)
{
    const gid_t groups[] = {4, RIGHTS_UID + 1};

    EXPECT(setgroups(ARRAY_SIZE(groups), groups) == 0);
    capng_get_caps_process();
    capng_updatev(CAPNG_ADD, CAPNG_INHERITABLE, CAP_NET_RAW, CAP_KILL, -1);
    EXPECT(capng_apply(CAPNG_SELECT_CAPS) == 0);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == 0);
}

/* ---- worker ---------------------------------------------------------------------------------------------------- */

static void check_worker(void)
{
    struct rlimit limit;

    have_more_rights();
    EXPECT(privileges_drop_worker(RIGHTS_UID, 7, &error) == 0);
    expect_id(RIGHTS_UID);
    expect_sets(NO_CAPABILITY, true);
    expect_no_core();
    EXPECT(getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur == 7 && limit.rlim_max == 7);
    EXPECT(prctl(PR_SET_SECUREBITS, 0) < 0 && errno == EPERM);
    EXPECT(prctl(PR_GET_SECUREBITS) == 0xef); /* all bits but KEEP_CAPS, all locked */
    EXPECT(privileges_drop_worker(RIGHTS_UID, 7, &error) == 0); /* there is nothing more to give up */
}

static void test_worker_has_no_right_left(void **state)
{
    (void)state;
    rights_need_root();
    assert_int_equal(rights_run(check_worker), 0);
}

static void check_worker_of_user(void)
{
    uid_t uid = getuid();

    EXPECT(prctl(PR_SET_DUMPABLE, 1) == 0); /* the change to this user has undone it */
    EXPECT(privileges_drop_worker(PRIVILEGES_SAME_UID, 0, &error) == 0);
    EXPECT(getuid() == uid && geteuid() == uid);
    expect_sets(NO_CAPABILITY, false);
    expect_no_core();
    EXPECT(privileges_drop_worker(uid + 1, 0, &error) == -EPERM);
    EXPECT(strcmp(error.text, "cannot lock the securebits: Operation not permitted") == 0);
}

static void test_worker_of_an_ordinary_user_keeps_its_uid_alone(void **state)
{
    (void)state;
    assert_int_equal(rights_run_as_user(check_worker_of_user), 0);
}

static void crash_as_worker(void)
{
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

    EXPECT(setrlimit(RLIMIT_CORE, &unlimited) == 0);
    EXPECT(privileges_drop_worker(RIGHTS_UID, 7, &error) == 0);
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void test_worker_that_crashes_leaves_no_core(void **state)
{
    int status;

    (void)state;
    rights_need_root();
    status = rights_run(crash_as_worker);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_false(WCOREDUMP(status));
}

/* The workers get it with their fork, and a uid of their own after it. */
static void check_core_dumps(void)
{
    struct rlimit limit = {4096, 8192};

    EXPECT(setrlimit(RLIMIT_CORE, &limit) == 0);
    privileges_allow_core_dumps();
    for (unsigned i = 0; i < 2; i++) {
        EXPECT(privileges_drop_worker(RIGHTS_UID, 7, &error) == 0);
        EXPECT(prctl(PR_GET_DUMPABLE) == 1);
        EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 8192 && limit.rlim_max == 8192);
    }
    expect_id(RIGHTS_UID);
    expect_sets(NO_CAPABILITY, true);
}

static void test_worker_may_leave_a_core_where_that_is_allowed(void **state)
{
    (void)state;
    rights_need_root();
    assert_int_equal(rights_run(check_core_dumps), 0);
}

static void check_process_limit(void)
{
    unsigned made = 0;
    pid_t pid;

    EXPECT(privileges_drop_worker(RIGHTS_UID, 5, &error) == 0);
    do {
        pid = fork();
        made += pid > 0 ? 1 : 0;
    } while (pid > 0 && made < 10);
    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    EXPECT(errno == EAGAIN && made == 4); /* and this one */
    EXPECT(kill(0, SIGTERM) == 0);
}

static void check_limit_of_each_uid(void)
{
    pid_t pid;
    int status;

    EXPECT(user_namespace_enter(RIGHTS_UID, RIGHTS_UID + 1, &error) ==
           0); /* counts apart from the rest of the machine */
    pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_IGN); /* inherited, too: they end with the namespace */
        check_process_limit();
        _exit(0);
    }
    EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    EXPECT(privileges_drop_worker(RIGHTS_UID + 1, 5, &error) == 0);
    pid = fork(); /* the other uid has used up its own limit only */
    EXPECT(pid >= 0);
    if (pid == 0) {
        _exit(0);
    }
}

static void test_processes_are_counted_for_each_uid(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(check_limit_of_each_uid), 0);
}

/* ---- what cannot be given up ----------------------------------------------------------------------------------- */

static unsigned lacking;

static void drop_without_a_capability(void)
{
    have_more_rights();
    capng_get_caps_process();
    capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, lacking);
    EXPECT(capng_apply(CAPNG_SELECT_CAPS) == 0);
    EXPECT(privileges_drop_worker(RIGHTS_UID, 7, &error) == -EPERM);
    switch (lacking) {
    case CAP_SETPCAP:
        EXPECT(strcmp(error.text, "cannot lock the securebits: Operation not permitted") == 0);
        break;
    case CAP_SETGID:
        EXPECT(strcmp(error.text, "cannot leave the supplementary groups: Operation not permitted") == 0);
        break;
    default:
        EXPECT(strcmp(error.text, "cannot change the uid: Operation not permitted") == 0);
    }
}

static void drop_without_proc(void)
{
    EXPECT(umount2("/proc", MNT_DETACH) == 0 && mount("none", "/proc", "tmpfs", 0, NULL) == 0);
    EXPECT(privileges_drop_worker(RIGHTS_UID, 7, &error) == -ENOENT);
    EXPECT(strcmp(error.text, "/proc/thread-self/status: No such file or directory") == 0);
}

static void test_rights_that_cannot_be_read_back_are_an_error(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(drop_without_proc), 0);
}

static void test_error_names_what_could_not_be_given_up(void **state)
{
    static const unsigned capabilities[] = {CAP_SETPCAP, CAP_SETGID, CAP_SETUID};

    (void)state;
    rights_need_root();
    for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
        lacking = capabilities[i];
        assert_int_equal(rights_run(drop_without_a_capability), 0);
    }
}

static void drop_queue_without_capability(void)
{
    EXPECT(privileges_drop_queue(PRIVILEGES_SAME_UID, &error) == -EPERM);
    EXPECT(strcmp(error.text, "cannot reduce the capabilities: Operation not permitted") == 0);
}

static void test_queue_process_without_its_capability_is_refused(void **state)
{
    (void)state;
    assert_int_equal(rights_run_as_user(drop_queue_without_capability), 0);
}

/* ---- queue process --------------------------------------------------------------------------------------------- */

static void check_queue_process(void)
{
    int opened_before = rights_open_netlink();

    have_more_rights();
    EXPECT(privileges_drop_queue(RIGHTS_UID, &error) == 0);
    expect_id(RIGHTS_UID);
    expect_sets(PRIVILEGES_CAPABILITY(CAP_NET_ADMIN), true);
    expect_no_core();
    EXPECT(rights_bind_queue(opened_before) == 0);
    EXPECT(rights_send_verdict(opened_before) == -ENOENT); /* there is no such packet, but it may answer */
    EXPECT(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES);
    EXPECT(setresuid(0, 0, 0) < 0);
}

static void test_queue_process_may_use_its_queue_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(check_queue_process), 0);
}

static void check_queue_process_of_user(void)
{
    int opened_before = rights_open_netlink();

    EXPECT(prctl(PR_SET_KEEPCAPS, 1) == 0 && setresuid(RIGHTS_UID, RIGHTS_UID, RIGHTS_UID) == 0);
    capng_clear(CAPNG_SELECT_CAPS);
    capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, CAP_NET_ADMIN, CAP_NET_RAW, -1);
    EXPECT(capng_apply(CAPNG_SELECT_CAPS) == 0);
    EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0);
    EXPECT(privileges_drop_queue(PRIVILEGES_SAME_UID, &error) == 0);
    expect_sets(PRIVILEGES_CAPABILITY(CAP_NET_ADMIN), false);
    EXPECT(rights_bind_queue(opened_before) == 0);
}

static void test_queue_process_of_an_ordinary_user_keeps_its_capability_alone(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(check_queue_process_of_user), 0);
}

/* ---- another process ------------------------------------------------------------------------------------------- */

static void become_worker(void)
{
    EXPECT(privileges_drop_worker(RIGHTS_UID, 7, &error) == 0);
}

static void become_queue_process(void)
{
    EXPECT(privileges_drop_queue(RIGHTS_UID, &error) == 0);
}

static void keep_saved_uid(void)
{
    EXPECT(setgroups(0, NULL) == 0 && setresgid(RIGHTS_UID, RIGHTS_UID, RIGHTS_UID) == 0);
    EXPECT(setresuid(RIGHTS_UID, RIGHTS_UID, 0) == 0);
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

static void keep_gid(void)
{
    EXPECT(setgroups(0, NULL) == 0 && setresgid(RIGHTS_UID, 0, RIGHTS_UID) == 0);
    EXPECT(setresuid(RIGHTS_UID, RIGHTS_UID, RIGHTS_UID) == 0);
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

static void check_others(void)
{
    pid_t worker = rights_start(become_worker);
    pid_t queue = rights_start(become_queue_process);
    pid_t saved_uid = rights_start(keep_saved_uid);
    pid_t gid = rights_start(keep_gid);

    EXPECT(privileges_check(worker, RIGHTS_UID, 0, &error) == 0);
    EXPECT(privileges_check(worker, PRIVILEGES_SAME_UID, 0, &error) == 0);
    EXPECT(privileges_check(worker, RIGHTS_UID + 1, 0, &error) == -EPERM);
    EXPECT(strcmp(error.text, "Uid is \"91000\t91000\t91000\t91000\", not \"91001\t91001\t91001\t91001\"") == 0);
    EXPECT(privileges_check(queue, RIGHTS_UID, PRIVILEGES_CAPABILITY(CAP_NET_ADMIN), &error) == 0);
    EXPECT(privileges_check(queue, RIGHTS_UID, 0, &error) == -EPERM);
    EXPECT(strcmp(error.text, "CapPrm is \"0000000000001000\", not \"0000000000000000\"") == 0);
    EXPECT(privileges_check(saved_uid, RIGHTS_UID, 0, &error) == -EPERM);
    EXPECT(strcmp(error.text, "Uid is \"91000\t91000\t0\t91000\", not \"91000\t91000\t91000\t91000\"") == 0);
    EXPECT(privileges_check(gid, RIGHTS_UID, 0, &error) == -EPERM);
    EXPECT(strcmp(error.text, "Gid is \"91000\t0\t91000\t0\", not \"91000\t91000\t91000\t91000\"") == 0);
    EXPECT(privileges_check(gid, PRIVILEGES_SAME_UID, 0, &error) == 0);
    EXPECT(privileges_check(saved_uid, PRIVILEGES_SAME_UID, 0, &error) == -EPERM);
    EXPECT(strncmp(error.text, "CapPrm is ", 10) == 0);
    EXPECT(kill(worker, SIGKILL) == 0 && waitpid(worker, NULL, 0) == worker);
    EXPECT(privileges_check(worker, RIGHTS_UID, 0, &error) == -ENOENT);
}

static void test_supervisor_sees_what_another_process_has(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(check_others), 0);
}

/* As with hidepid: the processes are there, and /proc does not show them. */
static void check_unseen(void)
{
    pid_t worker = rights_start(become_worker);
    pid_t queue = rights_start(become_queue_process);

    EXPECT(mount("none", "/proc", "tmpfs", 0, NULL) == 0);
    EXPECT(privileges_check(worker, PRIVILEGES_SAME_UID, 0, &error) == 0);
    EXPECT(privileges_check(worker, RIGHTS_UID, 0, &error) == -ENOENT);
    EXPECT(privileges_check(queue, PRIVILEGES_SAME_UID, 0, &error) == -ENOENT);
    EXPECT(kill(worker, SIGKILL) == 0 && waitpid(worker, NULL, 0) == worker);
    EXPECT(privileges_check(worker, PRIVILEGES_SAME_UID, 0, &error) == -ENOENT);
}

static void test_worker_that_proc_does_not_show_is_seen_to_have_no_capability(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(check_unseen), 0);
}

static void check_old_kernel(void)
{
    FILE *file;

    EXPECT(mount("none", "/proc", "tmpfs", 0, NULL) == 0 && mkdir("/proc/7", 0755) == 0);
    file = fopen("/proc/7/status", "we");
    EXPECT(file != NULL && fputs("Name:\tx\nno colon\nCapPrm:\t0000000000000000\n", file) >= 0 && fclose(file) == 0);
    EXPECT(privileges_check(7, RIGHTS_UID, 0, &error) == -ENODATA);
    EXPECT(strcmp(error.text, "/proc does not say its NoNewPrivs") == 0);
}

static void test_what_the_kernel_does_not_say_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(check_old_kernel), 0);
}

static void check_tie(void)
{
    int death_signal = 0;

    process_tie_to_supervisor(getppid());
    EXPECT(privileges_drop_worker(RIGHTS_UID, 7, &error) == 0);
    prctl(PR_GET_PDEATHSIG, &death_signal);
    EXPECT(death_signal == 0); /* so it has to be set again */
}

static void test_change_of_uid_unties_from_the_supervisor(void **state)
{
    (void)state;
    rights_need_root();
    assert_int_equal(rights_run(check_tie), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_has_no_right_left),
        cmocka_unit_test(test_worker_of_an_ordinary_user_keeps_its_uid_alone),
        cmocka_unit_test(test_worker_that_crashes_leaves_no_core),
        cmocka_unit_test(test_worker_may_leave_a_core_where_that_is_allowed),
        cmocka_unit_test(test_processes_are_counted_for_each_uid),
        cmocka_unit_test(test_error_names_what_could_not_be_given_up),
        cmocka_unit_test(test_rights_that_cannot_be_read_back_are_an_error),
        cmocka_unit_test(test_queue_process_without_its_capability_is_refused),
        cmocka_unit_test(test_queue_process_may_use_its_queue_and_nothing_else),
        cmocka_unit_test(test_queue_process_of_an_ordinary_user_keeps_its_capability_alone),
        cmocka_unit_test(test_supervisor_sees_what_another_process_has),
        cmocka_unit_test(test_worker_that_proc_does_not_show_is_seen_to_have_no_capability),
        cmocka_unit_test(test_what_the_kernel_does_not_say_is_an_error),
        cmocka_unit_test(test_change_of_uid_unties_from_the_supervisor),
    };

    return cmocka_run_group_tests_name("privileges", tests, NULL, NULL);
}
