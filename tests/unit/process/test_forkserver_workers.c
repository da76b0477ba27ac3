/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workers that a fork server makes: whose children they are, what they have, and what may become of their rights.
 */
#include "forkserver_fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENDS_MAX_S 20 /* far longer than a process that was killed takes */

/* ---- workers --------------------------------------------------------------------------------------------------- */

static void test_worker_is_the_supervisors_child_and_has_the_plugins(void **state)
{
    unsigned before = served_count_descriptors();

    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    for (uint32_t queue = SERVED_QUEUES; queue-- > 0;) {
        int channel = served_request(queue);

        assert_int_equal(served_wait_worker(), EXITED(WORKER_STATUS + (int)queue));
        assert_int_equal(served.seen->parent, getpid());
        assert_true(served.seen->channel_closed);
        assert_int_equal(served.seen->descriptors, before + 3); /* two copies of plugins and its channel */
        assert_false(served.seen->has_status);
        assert_true(served.seen->loaded);
        assert_int_equal(served_refusal(channel), 0); /* the fork server has closed its copy */
    }
    assert_int_equal(served.seen->runs, SERVED_QUEUES);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* the fork server, and no process between */
}

static void test_worker_is_told_all_of_its_birth(void **state)
{
    const struct worker_birth birth = {.queue = 2, .slot = 17, .skipped = UINT64_C(0x8000000000000002)};

    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    close(served_request_birth(&birth));
    assert_int_equal(served_wait_worker(), EXITED(WORKER_STATUS + 2));
    assert_int_equal(served.seen->birth.queue, birth.queue);
    assert_int_equal(served.seen->birth.slot, birth.slot);
    assert_int_equal(served.seen->birth.skipped, birth.skipped);
}

/* ---- what it may do -------------------------------------------------------------------------------------------- */

static void test_fork_server_has_no_right_and_gives_none(void **state)
{
    struct error error;

    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    assert_int_equal(privileges_check(served.pid, PRIVILEGES_SAME_UID, 0, &error), 0);
    close(served_request_birth(&(struct worker_birth){.uid = PRIVILEGES_SAME_UID}));
    assert_int_equal(served_wait_worker(), EXITED(WORKER_STATUS));
    assert_true(served.seen->dropped);
}

/* The plugins are loaded by a process that is not root's, and a worker gets a uid of the generation's. */
static void test_workers_get_the_uids_of_their_generation(void **state)
{
    static const struct privileges_range range = {WORKER_UIDS_FIRST, WORKER_UIDS_LAST};
    struct privileges_plan *plan = &served.base.engine.privileges;
    struct error error;
    uid_t uid;

    (void)state;
    if (geteuid() != 0 || privileges_plan_make(&range, SERVED_QUEUES, 2, plan, &error) != 0 ||
        plan->form != PRIVILEGES_NAMESPACE) {
        skip();
    }
    served_start_with(HARMLESS);
    served_wait_ready();
    uid = privileges_worker_uid(plan, ENGINE_FIXTURE_GENERATION, 1, 1, 0);
    close(served_request_birth(&(struct worker_birth){.queue = 1, .slot = 1, .uid = uid}));
    assert_int_equal(served_wait_worker(), EXITED(WORKER_STATUS + 1));
    assert_true(served.seen->dropped);
    served_assert_proc("status", "CapEff:", "CapEff:\t00000000000000c0\n"); /* CAP_SETGID, CAP_SETUID */
    uid = privileges_worker_uid(plan, ENGINE_FIXTURE_GENERATION + 1, 1, 1, 0);
    close(served_request_birth(&(struct worker_birth){.queue = 1, .slot = 1, .uid = uid}));
    assert_int_equal(served_wait_worker(), EXITED(WORKER_STATUS + 1));
    assert_false(served.seen->dropped);
}

/* An ordinary user can give no uids. Nothing is loaded, and the status says what went wrong; no plugin is meant. */
static void test_fork_server_that_cannot_change_its_rights_is_refused(void **state)
{
    const struct forkserver_status *left = served.base.engine.status;

    (void)state;
    served.base.engine.privileges = (struct privileges_plan){.form = PRIVILEGES_NAMESPACE,
                                                             .range = {WORKER_UIDS_FIRST, WORKER_UIDS_LAST},
                                                             .queues = SERVED_QUEUES,
                                                             .slots = 1};
    served.as_user = true;
    served_start_with(HARMLESS);
    assert_int_equal(served_wait_status(), EXITED(PROCESS_EXIT_FAILED));
    assert_true(plugin_ref_equal(left->plugin, PLUGIN_REF_NONE));
    assert_string_not_equal(left->error, "");
}

/* The first or the second of its two forks fails; then it goes on. */
static void test_worker_that_cannot_be_made_is_told_with_the_reason(void **state)
{
    (void)state;
    for (unsigned failing = 1; failing <= 2; failing++) {
        served.forks_until_failure = failing;
        served_start();
        served_wait_ready();
        assert_int_equal(served_refusal(served_request(1)), EAGAIN);
        assert_int_equal(served.seen->runs, 0);
        kill(served.pid, SIGKILL);
        served_wait_status();
        close(served.channel);
    }
    served.forks_until_failure = 1;
    served_start();
    served_wait_ready();
    assert_int_equal(served_refusal(served_request(1)), EAGAIN);
    close(served_request(2));
    assert_int_equal(served_wait_worker(), EXITED(WORKER_STATUS + 2));
}

/* Then its channel cannot arrive, either. It goes on when there are descriptors again. */
static void test_fork_server_without_descriptors_closes_the_workers_channel(void **state)
{
    struct rlimit before;
    struct rlimit none;

    (void)state;
    served_start_with(HARMLESS);
    served_wait_ready();
    assert_int_equal(prlimit(served.pid, RLIMIT_NOFILE, NULL, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(prlimit(served.pid, RLIMIT_NOFILE, &none, NULL), 0);
    assert_int_equal(served_refusal(served_request(1)), 0);
    assert_int_equal(prlimit(served.pid, RLIMIT_NOFILE, &before, NULL), 0);
    close(served_request(1));
    assert_int_equal(served_wait_worker(), EXITED(WORKER_STATUS + 1));
}

/* Reaps all that have ended, until none is left. Returns how many had this status. */
static unsigned count_ends(int status)
{
    unsigned count = 0;
    int ended;

    alarm(ENDS_MAX_S); /* the wait has no other end if a process is left */
    while (waitpid(-1, &ended, 0) > 0) {
        count += ended == status;
    }
    alarm(0);
    served.pid = 0;
    return count;
}

/* It has been forked, but is not the supervisor's child yet, who would never hear of its end. */
static void test_worker_whose_fork_server_dies_before_it_is_let_go_exits(void **state)
{
    (void)state;
    served.forking = FORKSERVER_DIES_AFTER_FORKS;
    served_start();
    served_wait_ready();
    assert_int_equal(served_refusal(served_request(1)), 0);
    assert_int_equal(count_ends(EXITED(PROCESS_EXIT_FAILED)), 1);
    assert_int_equal(served.seen->runs, 0);
}

/* Fork handlers are code of plugins. */
static void test_fork_handler_that_hangs_ends_with_the_fork_server(void **state)
{
    int channel;

    (void)state;
    served.forking = SECOND_FORK_HANGS;
    served_start();
    served_wait_ready();
    channel = served_request(1);
    while (!served.seen->hangs) {
        poll(NULL, 0, 1);
    }
    kill(served.pid, SIGKILL);
    assert_int_equal(count_ends(SIGKILL), 2);
    assert_int_equal(served_refusal(channel), 0);
}

int main(void)
{
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, served_set_up, served_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_worker_is_the_supervisors_child_and_has_the_plugins),
        WITH_ENGINE(test_worker_is_told_all_of_its_birth),
        WITH_ENGINE(test_fork_server_has_no_right_and_gives_none),
        WITH_ENGINE(test_workers_get_the_uids_of_their_generation),
        WITH_ENGINE(test_fork_server_that_cannot_change_its_rights_is_refused),
        WITH_ENGINE(test_worker_that_cannot_be_made_is_told_with_the_reason),
        WITH_ENGINE(test_fork_server_without_descriptors_closes_the_workers_channel),
        WITH_ENGINE(test_worker_whose_fork_server_dies_before_it_is_let_go_exits),
        WITH_ENGINE(test_fork_handler_that_hangs_ends_with_the_fork_server),
    };

    return cmocka_run_group_tests_name("forkserver_workers", tests, NULL, NULL);
}
