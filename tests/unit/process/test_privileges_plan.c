/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which uid each process gets, and what the engine says where it cannot have one of its own.
 *
 * A machine that lacks something is a real one: a user namespace with fewer uids, without nested ones, or with
 * /proc/sys mounted read-only. All of it runs in a PID namespace of its own, in which no other process has a uid of the
 * range.
 */
#include "rights.h"

#include "base/arith.h"
#include "base/limits.h"
#include "process/privileges_plan.h"
#include "process/user_namespace.h"

#include <cap-ng.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define FIRST (RIGHTS_UID + 4000)
#define QUEUES 3
#define SLOTS 2
#define NEEDED (QUEUES + 2 * (1 + QUEUES * SLOTS * 2))

static const struct privileges_range range = {FIRST, FIRST + NEEDED - 1};
static struct privileges_plan plan;
static struct error error;
static char text[ERROR_LINE_MAX];

/* ---- uids ------------------------------------------------------------------------------------------------------ */

static void mark(bool *taken, uid_t uid)
{
    assert_in_range(uid, range.first, range.last);
    assert_false(taken[uid - range.first]);
    taken[uid - range.first] = true;
}

static void test_each_process_has_a_uid_that_no_other_has(void **state)
{
    const struct privileges_plan own = {PRIVILEGES_NAMESPACE, range, QUEUES, SLOTS, false, 0, ""};
    bool taken[NEEDED] = {false};
    unsigned count = 0;

    (void)state;
    for (unsigned queue = 0; queue < QUEUES; queue++) {
        mark(taken, privileges_queue_uid(&own, queue));
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            for (uint32_t generation = 6; generation < 8; generation++) {
                mark(taken, privileges_worker_uid(&own, generation, queue, slot, 0));
                mark(taken, privileges_worker_uid(&own, generation, queue, slot, 1));
                assert_int_equal(privileges_worker_uid(&own, generation, queue, slot, 0),
                                 privileges_worker_uid(&own, generation + 2, queue, slot, 4));
            }
        }
    }
    for (unsigned i = 0; i < NEEDED; i++) {
        count += taken[i] ? 0 : 1;
    }
    assert_int_equal(count, 2); /* the fork servers' */
    assert_int_equal(privileges_worker_processes(&own), PRIVILEGES_WORKER_PROCESSES_MAX);
}

static void test_uids_that_cannot_be_given_are_not_named(void **state)
{
    const struct privileges_plan one = {PRIVILEGES_ONE_UID, range, QUEUES, SLOTS, false, 0, ""};
    const struct privileges_plan same = {PRIVILEGES_SAME, range, QUEUES, SLOTS, false, 0, ""};

    (void)state;
    assert_int_equal(privileges_queue_uid(&one, 2), FIRST + 2);
    assert_int_equal(privileges_worker_uid(&one, 0, 0, 0, 0), privileges_worker_uid(&one, 0, 2, 1, 1));
    assert_int_not_equal(privileges_worker_uid(&one, 0, 0, 0, 0), privileges_worker_uid(&one, 1, 0, 0, 0));
    assert_int_equal(privileges_worker_processes(&one), QUEUES * SLOTS * PRIVILEGES_WORKER_PROCESSES_MAX);
    assert_int_equal(privileges_queue_uid(&same, 2), PRIVILEGES_SAME_UID);
    assert_int_equal(privileges_worker_uid(&same, 1, 2, 1, 1), PRIVILEGES_SAME_UID);
    assert_int_equal(privileges_worker_processes(&same), 0);
}

/* ---- ranges that are refused ----------------------------------------------------------------------------------- */

static void test_range_that_is_not_one_is_refused(void **state)
{
    const struct privileges_range wrong[] = {
        {0, 1000},      {FIRST, FIRST - 1}, {60000, 70000},           {65534, 70000},
        {65535, 70000}, {60000, 65534},     {4294967000, 4294967295},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(privileges_plan_make(&wrong[i], 1, 1, &plan, &error), -EINVAL);
        assert_int_equal(error.exit_code, EXIT_CODE_CONFIGURATION);
    }
    assert_string_equal(error.text,
                        "uids 4294967000-4294967295: not a range of uids without 0, 65534, 65535 and 4294967295");
}

static void test_range_that_is_too_small_is_refused(void **state)
{
    const struct privileges_range small = {range.first, range.last - 1};

    (void)state;
    assert_int_equal(privileges_plan_make(&small, QUEUES, SLOTS, &plan, &error), -ERANGE);
    assert_string_equal(error.text,
                        "uids 95000-95027: 3 queues with 2 workers and spares each take 29 uids, these are 28");
}

static void test_without_a_range_all_have_the_uid_of_the_engine(void **state)
{
    static const struct privileges_range none = {0, 0};

    (void)state;
    memset(&plan, 0, sizeof(plan));
    assert_int_equal(privileges_plan_make(&none, QUEUES, SLOTS, &plan, &error), 0);
    assert_int_equal(plan.form, PRIVILEGES_SAME);
    assert_int_equal(privileges_queue_uid(&plan, 0), PRIVILEGES_SAME_UID);
    assert_int_equal(privileges_worker_uid(&plan, 0, 0, 0, 0), PRIVILEGES_SAME_UID);
    assert_int_equal(privileges_worker_processes(&plan), 0);
    assert_non_null(strstr(privileges_plan_warning(&plan, text), "(--worker-uids off)"));
}

static void test_default_range_is_large_enough_for_many_queues(void **state)
{
    (void)state;
    assert_true(WORKER_UIDS_LAST - WORKER_UIDS_FIRST + 1 >= 256 + 2 * (1 + 256 * 9 * 2));
}

/* ---- machines -------------------------------------------------------------------------------------------------- */

static void make(void)
{
    if (privileges_plan_make(&range, QUEUES, SLOTS, &plan, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        _exit(1);
    }
}

static void expect_warning(const char *warning)
{
    const char *said = privileges_plan_warning(&plan, text);

    if (said == NULL || strcmp(said, warning) != 0) {
        fprintf(stderr, "it says: %s\n", said == NULL ? "nothing" : said);
        _exit(1);
    }
}

static void make_as_root(void)
{
    make();
    EXPECT(plan.form == PRIVILEGES_NAMESPACE && !plan.nested);
    EXPECT(privileges_plan_warning(&plan, text) == NULL);
    EXPECT(wait(NULL) < 0 && errno == ECHILD); /* what was tried leaves no process */
}

static void test_root_gives_workers_their_uid_in_a_namespace(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(make_as_root), 0);
}

static void have_last_uid(void)
{
    EXPECT(setresuid(0, 0, range.last) == 0);
}

static void make_with_stranger(void)
{
    pid_t stranger = rights_start(have_last_uid);
    siginfo_t info;
    char expected[ERROR_LINE_MAX];

    make();
    EXPECT(plan.form == PRIVILEGES_NAMESPACE && plan.stranger == stranger);
    snprintf(
        expected, sizeof(expected),
        "process %d has a uid of the range 95000-95028: it and plugins can stop and kill each other; each engine of "
        "a machine needs a range of its own",
        (int)stranger);
    expect_warning(expected);
    kill(stranger, SIGKILL);
    EXPECT(waitid(P_PID, (id_t)stranger, &info, WEXITED | WNOWAIT) == 0);
    make();
    EXPECT(plan.stranger == 0); /* it has ended, though it was not reaped */
    EXPECT(waitpid(stranger, NULL, 0) == stranger);
    make();
    EXPECT(privileges_plan_warning(&plan, text) == NULL);
}

static void test_process_with_a_uid_of_the_range_is_named_and_hinders_no_start(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(make_with_stranger), 0);
}

static void make_without_waiting_for_children(void)
{
    signal(SIGCHLD, SIG_IGN);
    make_as_root();
}

static void test_it_also_works_where_sigchld_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(make_without_waiting_for_children), 0);
}

static void make_with_read_only_sysctls(void)
{
    EXPECT(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) == 0);
    EXPECT(mount(NULL, "/proc/sys", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
    make();
    EXPECT(plan.form == PRIVILEGES_NAMESPACE && plan.nested);
    expect_warning("plugins can make user namespaces, and reach more of the kernel in them");
}

static void test_namespaces_of_plugins_are_admitted(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(make_with_read_only_sysctls), 0);
}

static void make_without_user_namespaces(void)
{
    int lowest = dup(STDOUT_FILENO); /* descriptor that is free */

    close(lowest);
    EXPECT(user_namespace_enter(0, range.last + 1, &error) == 0);
    EXPECT(dup(STDOUT_FILENO) == lowest); /* it leaves none to plugins */
    EXPECT(user_namespace_close() == 0);
    make();
    EXPECT(plan.form == PRIVILEGES_ONE_UID && !plan.nested);
    expect_warning("workers share a uid: a plugin can stop, kill and slow down the workers of other queues (no user "
                   "namespace can be made: No space left on device)");
}

static void test_without_user_namespaces_workers_share_a_uid(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(make_without_user_namespaces), 0);
}

static void make_without_uids_of_range(void)
{
    EXPECT(user_namespace_enter(0, range.first - 1, &error) == 0);
    make(); /* where nested namespaces are allowed, more than one promise falls */
    EXPECT(plan.form == PRIVILEGES_SAME && plan.nested);
    expect_warning(
        "workers run as the user of the engine: a plugin can stop and kill all its processes, and use the "
        "files of that user (cannot change the gid: Invalid argument); plugins can make user namespaces, and "
        "reach more of the kernel in them");
}

static void test_uids_that_a_container_does_not_have_are_not_used(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(make_without_uids_of_range), 0);
}

/* A process that keeps the rights that the caller gives up, until it is told to hide /proc from all. */
static pid_t start_hider(int told[2])
{
    pid_t pid;
    char byte;

    EXPECT(pipe(told) == 0);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        EXPECT(read(told[0], &byte, 1) == 1);
        EXPECT(mount("none", "/proc", "tmpfs", 0, NULL) == 0);
        _exit(0);
    }
    return pid;
}

static void make_without_uids_and_proc(void)
{
    int told[2];
    pid_t hider = start_hider(told);
    int status;

    EXPECT(user_namespace_enter(0, range.first - 1, &error) == 0);
    EXPECT(write(told[1], "", 1) == 1);
    EXPECT(waitpid(hider, &status, 0) == hider && status == 0);
    make(); /* with the uid of the engine it fails, too: no process sees which rights it has left */
    EXPECT(plan.form == PRIVILEGES_SAME);
    EXPECT(strstr(privileges_plan_warning(&plan, text), "(cannot change the gid: Invalid argument)") != NULL);
}

/* That is what the user can change; what else is wrong ends the start. */
static void test_warning_says_why_workers_have_no_uids_of_their_own_whatever_else_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(make_without_uids_and_proc), 0);
}

#define NOT_ROOT                                                                                                       \
    "workers run as the user of the engine: a plugin can stop and kill all its processes, and use the files of that "  \
    "user (it needs CAP_SETUID, CAP_SETGID, CAP_SETPCAP and CAP_KILL; start nfq-engine as root)"

static void make_as_user(void)
{
    make();
    EXPECT(plan.form == PRIVILEGES_SAME);
    EXPECT(strncmp(privileges_plan_warning(&plan, text), NOT_ROOT, sizeof(NOT_ROOT) - 1) == 0);
}

static void test_ordinary_user_is_told_what_falls(void **state)
{
    (void)state;
    assert_int_equal(rights_run_as_user(make_as_user), 0);
}

static void make_without_cap_kill(void)
{
    capng_get_caps_process();
    capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_KILL);
    EXPECT(capng_apply(CAPNG_SELECT_CAPS) == 0);
    make_as_user();
}

static void test_supervisor_that_could_not_kill_a_worker_gives_it_no_uid(void **state)
{
    (void)state;
    assert_int_equal(rights_run_in_namespaces(make_without_cap_kill), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_process_has_a_uid_that_no_other_has),
        cmocka_unit_test(test_uids_that_cannot_be_given_are_not_named),
        cmocka_unit_test(test_range_that_is_not_one_is_refused),
        cmocka_unit_test(test_range_that_is_too_small_is_refused),
        cmocka_unit_test(test_without_a_range_all_have_the_uid_of_the_engine),
        cmocka_unit_test(test_default_range_is_large_enough_for_many_queues),
        cmocka_unit_test(test_root_gives_workers_their_uid_in_a_namespace),
        cmocka_unit_test(test_process_with_a_uid_of_the_range_is_named_and_hinders_no_start),
        cmocka_unit_test(test_it_also_works_where_sigchld_is_ignored),
        cmocka_unit_test(test_namespaces_of_plugins_are_admitted),
        cmocka_unit_test(test_without_user_namespaces_workers_share_a_uid),
        cmocka_unit_test(test_uids_that_a_container_does_not_have_are_not_used),
        cmocka_unit_test(test_warning_says_why_workers_have_no_uids_of_their_own_whatever_else_is_wrong),
        cmocka_unit_test(test_ordinary_user_is_told_what_falls),
        cmocka_unit_test(test_supervisor_that_could_not_kill_a_worker_gives_it_no_uid),
    };

    return cmocka_run_group_tests_name("privileges_plan", tests, NULL, NULL);
}
