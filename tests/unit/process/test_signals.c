/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's signals: none ends it, each does what its row in the table says or is named in the log.
 *
 * Signals are blocked for the life of a process, so each test runs in a child, which says by its exit status whether all
 * was as it should be.
 */
#include "in_child.h"
#include "log_lines.h"

#include "base/clock.h"
#include "process/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_SIGNAL 64
#define BURST_MS 200 /* in which a second signal is the same stop */

static struct signals signals;
static struct event_loop loop;
static unsigned stops;
static unsigned ends;
static char stop_name[16];

static void count_stop(void *context, const char *name)
{
    EXPECT(context == &stops);
    stops++;
    snprintf(stop_name, sizeof(stop_name), "%s", name);
}

static void count_end(void *context)
{
    EXPECT(context == &stops);
    ends++;
}

static void begin(void)
{
    signals_block();
    EXPECT(event_loop_init(&loop) == 0);
    signals.context = &stops;
    signals.stop = count_stop;
    signals.child_ended = count_end;
    EXPECT(signals_open(&signals, &loop) == 0);
    log_lines_clear();
}

static void turn(void)
{
    struct event_timer now = {.expired = count_end, .context = &stops};

    event_loop_start_timer(&loop, &now, 1); /* the turn does not wait */
    EXPECT(event_loop_turn(&loop) == 0);
    ends--;
}

/* By the system call, since the C library does not send signals 32 and 33. */
static void send(int number)
{
    EXPECT(syscall(SYS_kill, getpid(), number) == 0);
    turn();
}

static bool has_meaning(int number)
{
    static const int quiet[] = {SIGKILL, SIGSTOP, SIGTERM, SIGINT,   SIGCHLD, SIGHUP,
                                SIGPIPE, SIGXFSZ, SIGCONT, SIGWINCH, SIGURG};

    for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++) {
        if (quiet[i] == number) {
            return true;
        }
    }
    return false;
}

static void name_signal(int number, char *name, size_t size)
{
    const char *known = sigabbrev_np(number);

    if (known != NULL) {
        snprintf(name, size, "SIG%s", known);
    } else {
        snprintf(name, size, "signal %d", number);
    }
}

static void check_unexpected(void)
{
    char name[32];
    char expected[128];

    begin();
    for (int number = 1; number <= LAST_SIGNAL; number++) {
        if (has_meaning(number)) {
            continue;
        }
        log_lines_clear();
        signals.log.period_start_ns = 0; /* the limit is another test's */
        send(number);
        EXPECT(log_lines.count == 1);
        name_signal(number, name, sizeof(name));
        snprintf(expected, sizeof(expected),
                 "%s from process %d: it has no meaning here and is ignored; SIGTERM stops the engine", name, getpid());
        EXPECT(strcmp(log_lines.text[0], expected) == 0);
    }
    EXPECT(stops == 0 && ends == 0);
}

static void test_unexpected_signal_is_named_and_ignored(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_unexpected), 0);
}

static void check_meanings(void)
{
    begin();
    send(SIGCHLD);
    EXPECT(ends == 1);
    send(SIGCONT);
    send(SIGWINCH);
    send(SIGURG);
    send(SIGPIPE);
    send(SIGXFSZ);
    EXPECT(log_lines.count == 0 && stops == 0 && ends == 1);
    send(SIGHUP);
    EXPECT(log_lines.count == 1 && strncmp(log_lines.text[0], "SIGHUP: nothing to do, ", 23) == 0);
    send(SIGINT);
    EXPECT(stops == 1 && strcmp(stop_name, "INT") == 0);
    EXPECT(log_lines.count == 1);
}

static void test_signals_with_a_meaning_do_what_it_is(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_meanings), 0);
}

static void check_burst(void)
{
    begin();
    send(SIGTERM);
    send(SIGTERM);
    send(SIGINT);
    EXPECT(stops == 1 && strcmp(stop_name, "TERM") == 0);
    signals.stop_ns = monotonic_ns() - BURST_MS / 2 * NS_PER_MS; /* in place of a wait */
    send(SIGTERM);
    EXPECT(stops == 1);
    signals.stop_ns = monotonic_ns() - BURST_MS * NS_PER_MS;
    send(SIGTERM);
    EXPECT(stops == 2);
    send(SIGTERM);
    EXPECT(stops == 2);
}

static void test_signals_of_a_burst_are_one_stop(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_burst), 0);
}

static void check_limit(void)
{
    begin();
    for (unsigned i = 0; i < 50; i++) {
        send(i % 2 == 0 ? SIGUSR1 : SIGHUP);
    }
    EXPECT(log_lines.count == 5);
    log_lines_clear();
    signals.log.period_start_ns -= 10 * NS_PER_S;
    send(SIGUSR2);
    EXPECT(log_lines.count == 2);
    EXPECT(strcmp(log_lines.text[0], "... 45 more signals not shown") == 0);
}

static void test_lines_about_signals_are_limited(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_limit), 0);
}

/* Real-time signals are queued: a turn must end although there are more of them. */
static void check_flood(void)
{
    begin();
    for (unsigned i = 0; i < 1000; i++) {
        EXPECT(syscall(SYS_kill, getpid(), SIGRTMIN) == 0);
    }
    turn();
    EXPECT(signals.log.passed + signals.log.suppressed < 1000);
    while (signals.log.passed + signals.log.suppressed < 1000) {
        turn();
    }
}

static void test_flood_of_signals_takes_turns_with_other_events(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(check_flood), 0);
}

static void write_beyond_limits(void)
{
    int ends_of_pipe[2];

    begin();
    EXPECT(pipe(ends_of_pipe) == 0);
    close(ends_of_pipe[0]);
    EXPECT(write(ends_of_pipe[1], "", 1) == -1 && errno == EPIPE);
    turn();
    EXPECT(log_lines.count == 0);
}

static void test_write_to_a_closed_pipe_is_an_error_of_the_write(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(write_beyond_limits), 0);
}

static void close_signals(void)
{
    signals_close(&signals); /* it was not opened */
    begin();
    EXPECT(syscall(SYS_kill, getpid(), SIGTERM) == 0); /* waits to be read */
    signals_close(&signals);
    turn();
    send(SIGCHLD);
    send(SIGINT);
    send(SIGHUP);
    EXPECT(stops == 0 && ends == 0 && log_lines.count == 0);
}

static void test_no_signal_means_anything_once_they_are_closed(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(close_signals), 0);
}

static void fault(void)
{
    volatile char *page =
        mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* NULL: a sanitizer sees that */

    begin();
    syscall(SYS_tgkill, getpid(), gettid(), SIGSEGV);
    turn();
    EXPECT(log_lines.count == 1);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer has a handler */
    *page = 1;
}

static void test_fault_of_its_own_code_ends_it(void **state)
{
    int status = run_in_child(fault);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void begin_with_ignored_children(void)
{
    siginfo_t info = {0};

    signal(SIGCHLD, SIG_IGN);
    begin();
    if (fork() == 0) {
        _exit(3);
    }
    EXPECT(waitid(P_ALL, 0, &info, WEXITED) == 0 && info.si_status == 3);
}

static void test_children_can_be_reaped_although_our_parent_ignored_sigchld(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(begin_with_ignored_children), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unexpected_signal_is_named_and_ignored),
        cmocka_unit_test(test_signals_with_a_meaning_do_what_it_is),
        cmocka_unit_test(test_signals_of_a_burst_are_one_stop),
        cmocka_unit_test(test_lines_about_signals_are_limited),
        cmocka_unit_test(test_flood_of_signals_takes_turns_with_other_events),
        cmocka_unit_test(test_write_to_a_closed_pipe_is_an_error_of_the_write),
        cmocka_unit_test(test_no_signal_means_anything_once_they_are_closed),
        cmocka_unit_test(test_fault_of_its_own_code_ends_it),
        cmocka_unit_test(test_children_can_be_reaped_although_our_parent_ignored_sigchld),
    };

    return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
