/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What children print: line by line, with the name of its process, within a limit, and whole when the process ends.
 *
 * The test writes to the pipes as children do, and reads the log as it is kept by log_lines.c.
 */
/* Longer than 500 lines: all promises of one module, over one fixture */
#include "engine_fixture.h"
#include "log_lines.h"

#include "base/arith.h"
#include "base/clock.h"
#include "process/child_log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUES 2
#define BLOCKED_S 20
#define MARKED "\1" LOG_PREFIX
#define LONG 5000
#define DESCRIPTORS_MAX 64
#define WAIT_MS 50

static bool is_endless; /* a read always finds as much as it asks for */
static unsigned endless_reads;

ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
    if (!is_endless) {
        return __real_read(fd, buffer, size);
    }
    endless_reads++;
    memset(buffer, 'x', size);
    return (ssize_t)size;
}

static struct engine_fixture base;
static struct child_logs logs;
static struct child_log workers[QUEUES];
static struct child_log forkserver;
static int write_ends[QUEUES]; /* of the workers */
static int forkserver_end;

static void begin_worker(unsigned queue)
{
    char name[32];

    close(write_ends[queue]);
    snprintf(name, sizeof(name), "worker queue %u", 7 + queue);
    assert_int_equal(child_log_open(&workers[queue], &logs, name, &write_ends[queue]), 0);
}

static int set_up(void **state)
{
    (void)state;
    alarm(BLOCKED_S);
    engine_fixture_init(&base, QUEUES, 1000);
    memset(&logs, 0, sizeof(logs));
    log_lines_clear();
    memset(workers, 0, sizeof(workers));
    memset(&forkserver, 0, sizeof(forkserver));
    child_logs_init(&logs, &base.loop);
    assert_int_equal(child_log_open(&forkserver, &logs, "the fork server", &forkserver_end), 0);
    for (unsigned i = 0; i < QUEUES; i++) {
        write_ends[i] = -1;
        begin_worker(i);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    child_logs_done(&logs);
    close(forkserver_end);
    for (unsigned i = 0; i < QUEUES; i++) {
        close(write_ends[i]);
    }
    engine_fixture_done(&base);
    alarm(0);
    return 0;
}

static void print(int log, const char *text)
{
    assert_int_equal(write(log, text, strlen(text)), strlen(text));
}

static void worker_prints(unsigned queue, const char *text)
{
    print(write_ends[queue], text);
}

static void do_nothing(void *context)
{
    (void)context;
}

/* Reads what is there, without waiting for more. */
static void turn(void)
{
    struct event_timer now = {.expired = do_nothing};

    event_loop_start_timer(&base.loop, &now, 1);
    assert_int_equal(event_loop_turn(&base.loop), 0);
}

static void test_line_of_the_engines_code_is_shown_as_it_is(void **state)
{
    static const char *const lines[] = {"queue 7: something", "plugin x: hello", NULL};

    (void)state;
    worker_prints(0, MARKED "queue 7: something\n" MARKED "plugin x: hello\n");
    turn();
    log_lines_assert_all(lines);
}

static void test_what_a_plugin_prints_has_the_name_of_its_process(void **state)
{
    static const char *const lines[] = {"output of worker queue 7: one", "output of worker queue 7: two", NULL};

    (void)state;
    worker_prints(0, "one\n\ntwo\n");
    turn();
    log_lines_assert_all(lines);
    log_lines_clear();
    worker_prints(1, "nfq-engine: queue 7: final: packets=0\n");
    turn();
    log_lines_assert("output of worker queue 8: nfq-engine: queue 7: final: packets=0");
    log_lines_clear();
    worker_prints(1, "x" LOG_PREFIX "queue 7: final: packets=0\n");
    turn();
    log_lines_assert("output of worker queue 8: x" LOG_PREFIX "queue 7: final: packets=0");
    log_lines_clear();
    print(forkserver_end, "three\n");
    turn();
    log_lines_assert("output of the fork server: three");
}

static void test_line_is_shown_when_it_has_ended(void **state)
{
    (void)state;
    worker_prints(0, "one ");
    turn();
    worker_prints(1, "another\n");
    worker_prints(0, "line");
    turn();
    log_lines_assert("output of worker queue 8: another");
    log_lines_clear();
    worker_prints(0, "\n");
    turn();
    log_lines_assert("output of worker queue 7: one line");
}

static void test_line_without_an_end_is_shown_when_its_process_has_ended(void **state)
{
    static const char *const lines[] = {"output of worker queue 7: last", "output of worker queue 7: words",
                                        "output of worker queue 7: successor", NULL};

    (void)state;
    worker_prints(0, "last\nwords");
    child_log_close(&workers[0]); /* the loop has not read it yet */
    begin_worker(0);
    worker_prints(0, "successor\n");
    worker_prints(1, "of another");
    turn();
    child_log_close(&workers[0]);
    log_lines_assert_all(lines);
    child_log_close(&workers[0]); /* one that is not there has nothing to show */
    assert_int_equal(log_lines.count, 3);
    print(forkserver_end, "fork server");
    child_log_drain(&forkserver);
    print(forkserver_end, "successor\n"); /* all fork servers have the same pipe */
    turn();
    assert_string_equal(log_lines.text[3], "output of the fork server: fork server");
    assert_string_equal(log_lines.text[4], "output of the fork server: successor");
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* A process that the worker has started has the other end: no end-of-file comes. */
static void test_end_of_a_worker_does_not_wait_for_those_that_have_its_pipe(void **state)
{
    static const char *const lines[] = {"output of worker queue 7: last words", "output of worker queue 7: successor",
                                        NULL};
    unsigned before = count_descriptors();
    int grandchild = dup(write_ends[0]);

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    worker_prints(0, "last words");
    child_log_close(&workers[0]);
    assert_int_equal(write(grandchild, "lost\n", 5), -1);
    assert_int_equal(errno, EPIPE);
    begin_worker(0);
    assert_int_equal(write(grandchild, "lost\n", 5), -1);
    worker_prints(0, "successor\n");
    turn();
    log_lines_assert_all(lines);
    close(grandchild);
    assert_int_equal(count_descriptors(), before);
}

/* Otherwise it would be an event of each turn, until the worker ends. */
static void test_output_that_a_plugin_closes_is_no_event_any_more(void **state)
{
    uint64_t start_ns = monotonic_ns();
    struct event_timer wait = {.expired = do_nothing};

    (void)state;
    worker_prints(0, "last\n");
    close(write_ends[0]);
    write_ends[0] = -1;
    turn();
    turn();
    log_lines_assert("output of worker queue 7: last");
    event_loop_start_timer(&base.loop, &wait, start_ns + WAIT_MS * NS_PER_MS);
    assert_int_equal(event_loop_turn(&base.loop), 0);
    assert_true(monotonic_ns() >= start_ns + WAIT_MS * NS_PER_MS);
}

static void test_pipe_that_cannot_be_watched_leaves_nothing(void **state)
{
    int epoll = base.loop.epoll;
    int write_end = -1;
    unsigned before;

    (void)state;
    child_log_close(&workers[0]);
    before = count_descriptors();
    base.loop.epoll = -1;
    assert_int_equal(child_log_open(&workers[0], &logs, "worker queue 7", &write_end), -EBADF);
    base.loop.epoll = epoll;
    assert_int_equal(write_end, -1);
    assert_null(workers[0].logs);
    assert_int_equal(count_descriptors(), before);
}

/* As in a supervisor whose children print where it does. */
static void test_without_logs_there_is_no_pipe(void **state)
{
    struct child_log log = {.logs = NULL};
    unsigned before = count_descriptors();
    int write_end = -1;

    (void)state;
    assert_int_equal(child_log_open(&log, NULL, "x", &write_end), 0);
    assert_int_equal(write_end, -1);
    child_log_drain(&log);
    child_log_close(&log);
    assert_int_equal(count_descriptors(), before);
}

/* In whatever order they end. */
static void test_process_that_ends_leaves_those_of_the_others(void **state)
{
    static const char *const lines[] = {"output of worker queue 8: two", "output of the fork server: three", NULL};

    (void)state;
    child_log_close(&workers[0]); /* the one between */
    worker_prints(1, "two\n");
    print(forkserver_end, "three\n");
    child_logs_read(&logs);
    log_lines_assert_all(lines);
    child_log_close(&workers[1]);
    child_log_close(&forkserver);
    assert_null(logs.first);
    begin_worker(0);
    log_lines_clear();
    worker_prints(0, "one\n");
    child_logs_read(&logs);
    log_lines_assert("output of worker queue 7: one");
}

static void test_lines_of_all_can_be_read_before_their_turn(void **state)
{
    static const char *const lines[] = {"plugin x: two", "output of worker queue 7: one",
                                        "output of the fork server: three", NULL};

    (void)state;
    print(forkserver_end, "three\n");
    worker_prints(0, "one\nnot ended");
    worker_prints(1, MARKED "plugin x: two\n");
    child_logs_read(&logs);
    log_lines_assert_all(lines);
}

static void test_line_of_the_engines_code_ends_that_of_a_plugin(void **state)
{
    static const char *const lines[] = {"output of worker queue 7: half a ", "plugin x: hello",
                                        "output of worker queue 7: line", NULL};

    (void)state;
    worker_prints(0, "half a " MARKED "plugin x: hello\nline\n");
    turn();
    log_lines_assert_all(lines);
}

static void test_mark_alone_does_not_make_a_line_of_the_engines_code(void **state)
{
    static const char *const lines[] = {"output of worker queue 7: a", "output of worker queue 7: \1b", NULL};

    (void)state;
    worker_prints(0, "a\1b\n");
    turn();
    log_lines_assert_all(lines);
}

/* A line that may be shown says what was held back before it, if that was not said yet. */
static void test_what_was_held_back_is_said_before_the_next_line(void **state)
{
    static const char *const lines[] = {"output of worker queue 7: one",
                                        "... 2 more lines of plugins' output not shown",
                                        "output of worker queue 7: four", NULL};

    (void)state;
    logs.output_lines = (struct rate_limit){.burst = 1, .period_ns = WAIT_MS * NS_PER_MS};
    worker_prints(0, "one\ntwo\nthree\n");
    turn();
    usleep(2 * WAIT_MS * 1000); /* so long that the period is over */
    worker_prints(0, "four\n");
    turn();
    log_lines_assert_all(lines);
}

static void test_nul_does_not_end_a_line(void **state)
{
    (void)state;
    assert_int_equal(write(write_ends[0], "a\0b\n", 4), 4);
    turn();
    log_lines_assert("output of worker queue 7: a?b");
}

static void print_long(size_t len)
{
    static char text[LONG];

    memset(text, 'x', len);
    assert_int_equal(write(write_ends[0], text, len), len);
}

static void test_long_line_is_cut(void **state)
{
    static const size_t lens[] = {CHILD_LOG_OUTPUT_MAX, CHILD_LOG_OUTPUT_MAX + 1, LOG_LINE_MAX, LOG_LINE_MAX + 1, LONG};
    static const char *const begin = "output of worker queue 7: ";

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
        bool cut = lens[i] > CHILD_LOG_OUTPUT_MAX;

        log_lines_clear();
        print_long(lens[i]);
        worker_prints(0, "\nnext\n");
        turn();
        assert_int_equal(log_lines.count, 2);
        assert_memory_equal(log_lines.text[0], begin, strlen(begin));
        assert_int_equal(strspn(log_lines.text[0] + strlen(begin), "x"), CHILD_LOG_OUTPUT_MAX);
        assert_string_equal(log_lines.text[0] + strlen(begin) + CHILD_LOG_OUTPUT_MAX, cut ? "..." : "");
        assert_string_equal(log_lines.text[1], "output of worker queue 7: next");
    }
}

static void test_longest_line_of_the_engines_code_is_whole(void **state)
{
    static const int digits = LOG_LINE_MAX - (int)sizeof(MARKED) + 1;
    char text[2 + LOG_LINE_MAX];

    (void)state;
    snprintf(text, sizeof(text), MARKED "%0*d\n", digits, 0);
    assert_int_equal(strlen(text), 1 + LOG_LINE_MAX); /* as log_line() writes it: LOG_LINE_MAX bytes after the mark */
    worker_prints(0, text);
    turn();
    assert_int_equal(log_lines.count, 1);
    assert_int_equal(strspn(log_lines.text[0], "0"), digits);
    assert_int_equal(strlen(log_lines.text[0]), digits);
}

/* Prints so many lines, and counts those that are shown. */
static unsigned count_shown(unsigned lines, const char *begin)
{
    unsigned shown = 0;

    for (unsigned i = 0; i < lines; i++) {
        log_lines_clear();
        worker_prints(i % QUEUES, begin);
        worker_prints(i % QUEUES, "text\n");
        turn();
        shown += log_lines.count;
    }
    log_lines_clear();
    return shown;
}

static void test_lines_of_all_children_are_limited_together(void **state)
{
    (void)state;
    assert_int_equal(count_shown(CHILD_LOG_LINES + 20, ""), CHILD_LOG_LINES);
    assert_int_equal(count_shown(CHILD_LOG_LINES + 7, MARKED), CHILD_LOG_LINES);
    child_logs_done(&logs);
    assert_int_equal(log_lines.count, 2);
    assert_string_equal(log_lines.text[0], "... 7 more lines of the workers' log not shown");
    assert_string_equal(log_lines.text[1], "... 20 more lines of plugins' output not shown");
}

static void test_lines_held_back_are_said_when_the_period_is_over(void **state)
{
    (void)state;
    count_shown(CHILD_LOG_LINES + 3, "");
    assert_non_null(logs.period.link);
    assert_true(logs.period.due_ns > monotonic_ns() + (CHILD_LOG_PERIOD_MS - 1000) * NS_PER_MS);
    logs.output_lines.period_start_ns -= CHILD_LOG_PERIOD_MS * NS_PER_MS;
    event_loop_start_timer(&base.loop, &logs.period, 1);
    assert_int_equal(event_loop_turn(&base.loop), 0);
    log_lines_assert("... 3 more lines of plugins' output not shown");
    log_lines_clear();
    worker_prints(0, "goes on\n");
    turn();
    log_lines_assert("output of worker queue 7: goes on");
}

/* A child in which a plugin prints without end. */
static pid_t start_flood(const char *text)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            if (write(write_ends[0], text, strlen(text)) < 0) {
                _exit(1);
            }
        }
    }
    return pid;
}

static void end_flood(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void test_endless_output_does_not_keep_the_loop(void **state)
{
    pid_t lines = start_flood("line\nline\nline\nline\nline\nline\nline\n");
    pid_t no_line = start_flood("no end of a line, ");
    unsigned others = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        log_lines_clear();
        worker_prints(1, MARKED "other\n");
        for (unsigned j = 0; j < 2; j++) {
            logs.output_lines.passed = CHILD_LOG_LINES; /* the flood has used up its limit */
            logs.output_lines.period_start_ns = monotonic_ns();
            assert_int_equal(event_loop_turn(&base.loop), 0);
        }
        for (unsigned j = 0; j < log_lines.count; j++) {
            others += strcmp(log_lines.text[j], "other") == 0;
        }
    }
    assert_true(others >= 99);
    child_log_close(&workers[0]); /* they still write */
    end_flood(lines);
    end_flood(no_line);
}

static void test_full_pipe_is_shown_to_its_end(void **state)
{
    static char text[64 * 1024];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\n';
    fcntl(write_ends[0], F_SETPIPE_SZ, 1 << 20);
    for (unsigned i = 0; i < 15; i++) {
        assert_int_equal(write(write_ends[0], text, sizeof(text)), sizeof(text));
    }
    worker_prints(0, "last");
    child_log_close(&workers[0]);
    assert_int_equal(log_lines.count, 16);
    assert_string_equal(log_lines.text[15], "output of worker queue 7: last");
}

/* A process that the child has started may write faster than the supervisor reads, for ever. */
static void test_what_is_read_at_an_end_has_a_bound(void **state)
{
    (void)state;
    endless_reads = 0;
    is_endless = true;
    child_log_close(&workers[0]);
    is_endless = false;
    assert_in_range(endless_reads, 1, 100);
    assert_int_equal(log_lines.count, 1);
}

/* A plugin has both the number and the file; only the supervisor's end counts. */
static void test_flags_that_a_plugin_sets_do_not_make_the_supervisor_wait(void **state)
{
    char path[32];
    int read_end;

    (void)state;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", write_ends[0]);
    read_end = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read_end >= 0);
    fcntl(read_end, F_SETFL, 0);
    fcntl(write_ends[0], F_SETFL, O_NONBLOCK);
    child_logs_read(&logs);
    worker_prints(0, "line\n");
    turn();
    log_lines_assert("output of worker queue 7: line");
    close(read_end);
}

int main(void)
{
#define WITH_LOGS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LOGS(test_line_of_the_engines_code_is_shown_as_it_is),
        WITH_LOGS(test_what_a_plugin_prints_has_the_name_of_its_process),
        WITH_LOGS(test_line_is_shown_when_it_has_ended),
        WITH_LOGS(test_line_without_an_end_is_shown_when_its_process_has_ended),
        WITH_LOGS(test_end_of_a_worker_does_not_wait_for_those_that_have_its_pipe),
        WITH_LOGS(test_output_that_a_plugin_closes_is_no_event_any_more),
        WITH_LOGS(test_pipe_that_cannot_be_watched_leaves_nothing),
        WITH_LOGS(test_without_logs_there_is_no_pipe),
        WITH_LOGS(test_process_that_ends_leaves_those_of_the_others),
        WITH_LOGS(test_lines_of_all_can_be_read_before_their_turn),
        WITH_LOGS(test_line_of_the_engines_code_ends_that_of_a_plugin),
        WITH_LOGS(test_mark_alone_does_not_make_a_line_of_the_engines_code),
        WITH_LOGS(test_what_was_held_back_is_said_before_the_next_line),
        WITH_LOGS(test_nul_does_not_end_a_line),
        WITH_LOGS(test_long_line_is_cut),
        WITH_LOGS(test_longest_line_of_the_engines_code_is_whole),
        WITH_LOGS(test_lines_of_all_children_are_limited_together),
        WITH_LOGS(test_lines_held_back_are_said_when_the_period_is_over),
        WITH_LOGS(test_endless_output_does_not_keep_the_loop),
        WITH_LOGS(test_full_pipe_is_shown_to_its_end),
        WITH_LOGS(test_what_is_read_at_an_end_has_a_bound),
        WITH_LOGS(test_flags_that_a_plugin_sets_do_not_make_the_supervisor_wait),
    };

    return cmocka_run_group_tests_name("child_log", tests, NULL, NULL);
}
