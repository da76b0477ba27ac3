/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log_line(): a line is one write or goes to the writer, its text cannot imitate another line, and one that cannot be
 * written is reported later.
 *
 * Standard error is a pipe while lines are written. It is restored before an assertion, since cmocka writes there. A
 * test in which the writer could block sets an alarm, which ends it.
 */
#include "unit.h"

#include "base/log.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX LOG_PREFIX
#define BLOCKED_S 20

static int saved_stderr;
static int ends[2];

/* Standard error becomes a pipe. */
static void begin_capture(int flags)
{
    assert_int_equal(pipe2(ends, flags), 0);
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    alarm(BLOCKED_S);
}

static void end_capture(void)
{
    alarm(0);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
}

/* Returns all that was written, as a string, and closes the pipe. */
static size_t read_captured(char *text, size_t size)
{
    size_t len = 0;
    ssize_t part;

    while ((part = read(ends[0], text + len, size - 1 - len)) > 0) {
        len += (size_t)part;
    }
    close(ends[0]);
    text[len] = '\0';
    return len;
}

static void assert_line(const char *expected, const char *text)
{
    static char written[8192];

    begin_capture(0);
    log_line("%s", text);
    end_capture();
    read_captured(written, sizeof(written));
    assert_string_equal(written, expected);
}

static void test_line_has_the_program_in_front_and_one_newline_at_its_end(void **state)
{
    static char written[8192];

    (void)state;
    assert_line(PREFIX "hello\n", "hello");
    assert_line(PREFIX "\n", "");
    begin_capture(0);
    log_line("queue %u: %s", 7, "bound");
    log_line("100%%");
    end_capture();
    read_captured(written, sizeof(written));
    assert_string_equal(written, PREFIX "queue 7: bound\n" PREFIX "100%\n");
}

static void test_every_control_character_is_replaced(void **state)
{
    (void)state;
    for (int character = 1; character < 0x100; character++) {
        char text[] = {'a', (char)character, 'b', '\0'};
        char expected[32];

        snprintf(expected, sizeof(expected), PREFIX "a%cb\n", character < 0x20 || character == 0x7f ? '?' : character);
        assert_line(expected, text);
    }
    assert_line(PREFIX "plugin says?nfq-engine: forged\n", "plugin says\nnfq-engine: forged");
    assert_line(PREFIX "trailing?\n", "trailing\n");
}

static void test_long_line_is_cut_and_stays_one_line(void **state)
{
    static char text[3 * LOG_LINE_MAX];
    static char written[8192];

    (void)state;
    for (size_t len = LOG_LINE_MAX - 20; len < sizeof(text); len += len < LOG_LINE_MAX + 5 ? 1 : 500) {
        size_t written_len;

        memset(text, 'x', len);
        text[len] = '\0';
        begin_capture(0);
        log_line("%s", text);
        end_capture();
        written_len = read_captured(written, sizeof(written));
        assert_true(written_len <= LOG_LINE_MAX);
        assert_true(written_len == strlen(PREFIX) + len + 1 || written_len >= LOG_LINE_MAX - 1);
        assert_ptr_equal(strchr(written, '\n'), written + written_len - 1);
    }
}

/* Fills the pipe, logs `lines` lines, makes room, logs one more. Returns what arrived after the filling. */
static void log_into_a_full_pipe(int flags, unsigned lines, char *text, size_t size)
{
    static char filling[1 << 20];
    int pipe_size;
    ssize_t left;

    begin_capture(flags);
    pipe_size = fcntl(STDERR_FILENO, F_GETPIPE_SZ);
    memset(filling, '.', sizeof(filling));
    fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) | O_NONBLOCK);
    for (left = pipe_size; left > 0;) {
        ssize_t part = write(STDERR_FILENO, filling, (size_t)left);

        if (part < 0) {
            break;
        }
        left -= part;
    }
    fcntl(STDERR_FILENO, F_SETFL, (fcntl(STDERR_FILENO, F_GETFL) & ~O_NONBLOCK) | (flags & O_NONBLOCK));
    for (unsigned i = 0; i < lines; i++) {
        log_line("lost line %u", i);
    }
    for (ssize_t drained = 0; drained < pipe_size;) {
        ssize_t part = read(ends[0], filling, (size_t)(pipe_size - drained));

        if (part <= 0) {
            break;
        }
        drained += part;
    }
    log_line("next line");
    log_line("last line");
    end_capture();
    fcntl(ends[0], F_SETFL, 0);
    read_captured(text, size);
}

/* A plugin can set O_NONBLOCK on the pipe of its process. */
static void test_line_that_cannot_be_written_is_counted_and_the_count_is_said_later(void **state)
{
    char text[4096];

    (void)state;
    for (unsigned lost = 1; lost <= 3; lost += 2) {
        char expected[128];

        log_into_a_full_pipe(O_NONBLOCK, lost, text, sizeof(text));
        assert_null(strstr(text, "lost line "));
        snprintf(expected, sizeof(expected),
                 PREFIX "%u log lines lost: they could not be written\n" PREFIX "next line\n" PREFIX "last line\n",
                 lost);
        assert_string_equal(strstr(text, PREFIX), expected); /* said once */
    }
}

static char taken[4096];

static void take(const char *line, size_t len)
{
    size_t before = strlen(taken);

    assert_true(before + len < sizeof(taken));
    memcpy(taken + before, line, len);
}

static void test_writer_gets_whole_lines_in_place_of_standard_error(void **state)
{
    static char written[4096];
    char text[LOG_LINE_MAX + 10];

    (void)state;
    begin_capture(0);
    log_set_writer(take);
    log_line("one");
    log_line("two\n");
    assert_string_equal(taken, PREFIX "one\n" PREFIX "two?\n");
    memset(taken, 0, sizeof(taken));
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_line("%s", text);
    assert_int_equal(strlen(taken), LOG_LINE_MAX);
    assert_int_equal(taken[LOG_LINE_MAX - 1], '\n');
    log_set_writer(NULL);
    log_line("three");
    end_capture();
    read_captured(written, sizeof(written));
    assert_string_equal(written, PREFIX "three\n");
}

/* In a child, so that the mark is not in the lines of other tests. */
static void test_line_of_a_child_is_marked_and_no_other_can_be(void **state)
{
    static char written[4096];
    pid_t pid;

    (void)state;
    begin_capture(0);
    pid = fork();
    if (pid == 0) {
        log_set_writer(take);
        log_begin_child();
        log_line("one %c two", LOG_MARK);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    end_capture();
    read_captured(written, sizeof(written));
    assert_string_equal(written, "\1" PREFIX "one ? two\n");
}

static void test_closed_standard_error_does_no_harm(void **state)
{
    static char written[4096];
    int closed;

    (void)state;
    begin_capture(0);
    closed = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    log_line("this does not fit");
    dup2(closed, STDERR_FILENO);
    close(closed);
    log_line("again");
    end_capture();
    read_captured(written, sizeof(written));
    assert_null(strstr(written, "does not fit"));
    assert_non_null(strstr(written, PREFIX "again\n"));
}

/* Several processes share standard error: no line is mixed with another. */
static void test_lines_of_several_processes_do_not_mix(void **state)
{
    enum { WRITERS = 4, LINES = 60 };
    static char text[WRITERS * LINES * 256];
    unsigned count = 0;
    pid_t children[WRITERS];
    size_t longest = 0;

    (void)state;
    begin_capture(0);
    fcntl(STDERR_FILENO, F_SETPIPE_SZ, (int)sizeof(text));
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        children[writer] = fork();
        if (children[writer] == 0) {
            char line[200];

            memset(line, 'a' + (int)writer, sizeof(line));
            line[sizeof(line) - 1] = '\0';
            for (unsigned i = 0; i < LINES; i++) {
                log_line("%s", line);
            }
            _exit(0);
        }
    }
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        waitpid(children[writer], NULL, 0);
    }
    end_capture();
    read_captured(text, sizeof(text));
    for (char *line = text; *line != '\0'; count++) {
        size_t len = strcspn(line, "\n");

        assert_memory_equal(line, PREFIX, strlen(PREFIX));
        assert_int_equal(strspn(line + strlen(PREFIX), (const char[]){line[strlen(PREFIX)], '\0'}), 199);
        longest = len > longest ? len : longest;
        line += len + 1;
    }
    assert_int_equal(count, WRITERS * LINES);
    assert_int_equal(longest, strlen(PREFIX) + 199);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_has_the_program_in_front_and_one_newline_at_its_end),
        cmocka_unit_test(test_every_control_character_is_replaced),
        cmocka_unit_test(test_long_line_is_cut_and_stays_one_line),
        cmocka_unit_test(test_line_that_cannot_be_written_is_counted_and_the_count_is_said_later),
        cmocka_unit_test(test_writer_gets_whole_lines_in_place_of_standard_error),
        cmocka_unit_test(test_line_of_a_child_is_marked_and_no_other_can_be),
        cmocka_unit_test(test_closed_standard_error_does_no_harm),
        cmocka_unit_test(test_lines_of_several_processes_do_not_mix),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
