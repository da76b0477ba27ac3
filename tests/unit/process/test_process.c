/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process of the engine: what process_begin() makes of a forked one, that it ends with its supervisor, where it runs,
 * and whether it still has what every worker needs.
 *
 * What changes a process is done in a child, which says by its exit status whether all was as it should be.
 */
#include "engine_fixture.h"
#include "in_child.h"

#include "base/arith.h"
#include "base/log.h"
#include "process/process.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXITED(code) ((code) << 8)
#define CLOSED "closed descriptors of the engine; a plugin must not close what it did not open"

static struct engine_fixture fixture;

static void check_begun_process(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    char name[16];
    int death_signal = 0;
    sigset_t blocked;

    sigfillset(&blocked);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    process_begin("nfqe-forkserver", getppid());
    prctl(PR_GET_NAME, name);
    EXPECT(strcmp(name, "nfqe-forkserver") == 0);
    prctl(PR_GET_PDEATHSIG, &death_signal);
    EXPECT(death_signal == SIGKILL);
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        struct sigaction action;

        sigaction(ignored[i], NULL, &action);
        EXPECT(action.sa_handler == SIG_IGN);
    }
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    EXPECT(sigisemptyset(&blocked));
}

static void test_begun_process_has_name_and_signals(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_begun_process), 0);
}

static void check_session(void)
{
    process_begin("nfqe-q1", getppid());
    EXPECT(getsid(0) == getpid() && getpgid(0) == getpid());
    signal(SIGUSR1, SIG_IGN);
    kill(0, SIGUSR1); /* the group is this process alone: our parent would die of it */
}

static void test_begun_process_has_a_session_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_session), 0);
}

static void check_reset_signals(void)
{
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_IGN);
    }
    process_reset_signals();
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;

        if (sigaction(number, NULL, &action) == 0) {
            EXPECT(action.sa_handler == (number == SIGPIPE ? SIG_IGN : SIG_DFL));
        }
    }
}

static void test_signals_that_the_supervisor_ignores_get_their_default_again(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_reset_signals), 0);
}

/* ---- what it prints -------------------------------------------------------------------------------------------- */

static int printed[2];

static void check_log(void)
{
    static char text[256];
    int log = printed[1];

    fcntl(log, F_SETFL, O_NONBLOCK); /* as a plugin of an earlier process may have done */
    process_enter_log(&log);
    EXPECT(log == -1);
    EXPECT(fcntl(printed[1], F_GETFD) == -1 && errno == EBADF);
    EXPECT((fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK) == 0);
    EXPECT(read(STDIN_FILENO, text, 1) == 0);
    printf("to standard output, ");
    fprintf(stderr, "to standard error");
    log_line("to the log");
    EXPECT(read(printed[0], text, sizeof(text) - 1) > 0); /* nothing is kept by the C library */
    EXPECT(strcmp(text, "to standard output, to standard error\1nfq-engine: to the log\n") == 0);
}

static void test_output_of_a_process_is_in_its_pipe_at_once(void **state)
{
    (void)state;
    assert_int_equal(pipe2(printed, O_CLOEXEC), 0);
    assert_int_equal(run_in_child(check_log), 0);
    close(printed[0]);
    close(printed[1]);
}

static void check_without_log(void)
{
    int none = -1;
    struct stat before;
    struct stat after;

    fstat(STDOUT_FILENO, &before);
    process_enter_log(&none);
    fstat(STDOUT_FILENO, &after);
    EXPECT(before.st_ino == after.st_ino && before.st_dev == after.st_dev);
}

static void test_without_a_pipe_nothing_is_changed(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_without_log), 0);
}

/* ---- its supervisor -------------------------------------------------------------------------------------------- */

static void begin_without_supervisor(void)
{
    process_begin("nfqe-q1", getppid() + 1);
}

static void tie_without_supervisor(void)
{
    process_tie_to_supervisor(getppid() + 1);
}

static void test_process_whose_supervisor_is_gone_exits(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(begin_without_supervisor), EXITED(PROCESS_EXIT_FAILED));
    assert_int_equal(run_in_child(tie_without_supervisor), EXITED(PROCESS_EXIT_FAILED));
}

/* ---- where it runs --------------------------------------------------------------------------------------------- */

static void check_pin(void)
{
    cpu_set_t before;
    cpu_set_t after;
    int last = -1;

    EXPECT(sched_getaffinity(0, sizeof(before), &before) == 0);
    EXPECT(process_pin(QUEUE_GROUP_NO_CPU) == 0);
    EXPECT(sched_getaffinity(0, sizeof(after), &after) == 0);
    EXPECT(CPU_EQUAL(&before, &after));
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        last = CPU_ISSET(cpu, &before) ? cpu : last;
    }
    EXPECT(process_pin(last) == 0);
    EXPECT(sched_getaffinity(0, sizeof(after), &after) == 0);
    EXPECT(CPU_COUNT(&after) == 1 && CPU_ISSET(last, &after));
    EXPECT(process_pin(CPUS_MAX - 1) == -EINVAL);
}

static void test_pinned_process_runs_on_one_cpu(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_pin), 0);
}

/* ---- what it must not lose ------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    engine_fixture_init(&fixture, 2, 1000);
    fixture.engine.channel = eventfd(0, EFD_CLOEXEC);
    fixture.generation.plugin_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        fixture.generation.plugins[i].memfd = eventfd(0, EFD_CLOEXEC);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(fixture.engine.channel);
    generation_done(&fixture.generation);
    engine_fixture_done(&fixture);
    return 0;
}

static void assert_says(const char *expected, const int *more, unsigned count)
{
    const char *said = process_check_intact(&fixture.engine, more, count);

    if (expected == NULL) {
        assert_null(said);
    } else {
        assert_non_null(said);
        assert_string_equal(said, expected);
    }
}

static void test_each_descriptor_that_was_closed_is_noticed(void **state)
{
    int more[] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
    int *descriptors[] = {
        &fixture.engine.channel,
        &fixture.generation.plugins[0].memfd,
        &fixture.generation.plugins[1].memfd,
        &more[0],
        &more[1],
    };

    (void)state;
    assert_says(NULL, more, ARRAY_SIZE(more));
    for (size_t i = 0; i < ARRAY_SIZE(descriptors); i++) {
        int fd = *descriptors[i];
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

        close(fd);
        assert_says(CLOSED, more, ARRAY_SIZE(more));
        *descriptors[i] = -1; /* closed by intention */
        assert_says(NULL, more, ARRAY_SIZE(more));
        *descriptors[i] = dup3(copy, fd, O_CLOEXEC);
        close(copy);
        assert_says(NULL, more, ARRAY_SIZE(more));
    }
    close(more[0]);
    assert_says(CLOSED, more, ARRAY_SIZE(more));
    assert_says(NULL, NULL, 0);
    close(more[1]);
}

/* The queues' descriptors are not in it, and it has no capability. */
static void test_what_the_process_never_had_is_not_missed(void **state)
{
    (void)state;
    close(fixture.engine.queues[0].kernel.socket);
    assert_says(NULL, NULL, 0);
    fixture.engine.queues[0].kernel.socket = eventfd(0, EFD_CLOEXEC);
}

static void check_capability(void)
{
    EXPECT(has_cap_net_admin());
    capng_clear(CAPNG_SELECT_CAPS);
    EXPECT(capng_apply(CAPNG_SELECT_CAPS) == 0);
    EXPECT(!has_cap_net_admin());
    EXPECT(process_check_intact(&fixture.engine, NULL, 0) == NULL);
}

static void test_capability_to_bind_a_queue_is_seen(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip(); /* it has none to give up */
    }
    assert_int_equal(run_in_child(check_capability), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begun_process_has_name_and_signals),
        cmocka_unit_test(test_begun_process_has_a_session_of_its_own),
        cmocka_unit_test(test_signals_that_the_supervisor_ignores_get_their_default_again),
        cmocka_unit_test(test_output_of_a_process_is_in_its_pipe_at_once),
        cmocka_unit_test(test_without_a_pipe_nothing_is_changed),
        cmocka_unit_test(test_process_whose_supervisor_is_gone_exits),
        cmocka_unit_test(test_pinned_process_runs_on_one_cpu),
        cmocka_unit_test_setup_teardown(test_each_descriptor_that_was_closed_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_the_process_never_had_is_not_missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_capability_to_bind_a_queue_is_seen, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
