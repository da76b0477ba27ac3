/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log's output: whatever standard error is, a line is written at once or waits in the buffer, and log_line()
 * returns.
 *
 * The output goes to a pipe, a terminal, a socket or a file of the test, and the test decides when somebody reads. An
 * alarm ends a test that waits. The test's own descriptor of a pipe or terminal is one that another program could have:
 * its flags must stay as they were.
 */
#include "unit.h"

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "base/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define BLOCKED_S 20
#define FILE_LIMIT 4096
#define NOBODY 65534
#define MANY 20000 /* lines: more than pipe and buffer hold */

enum place { PIPE, TERMINAL, SOCKET, PLACES };

static struct event_loop loop;
static int reader; /* where somebody can read what was written */
static int shared; /* what standard error is, as another program has it */
static char text[8 << 20];
static size_t text_len;

static void begin(enum place place)
{
    int ends[2];

    if (place == PIPE) {
        assert_int_equal(pipe(ends), 0);
    } else if (place == SOCKET) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    } else {
        assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, NULL), 0);
    }
    reader = ends[0];
    shared = ends[1];
    fcntl(reader, F_SETFL, fcntl(reader, F_GETFL) | O_NONBLOCK);
    text_len = 0;
    text[0] = '\0';
    assert_int_equal(log_output_begin(shared), 0);
    log_output_attach(&loop);
}

static void end(void)
{
    log_output_end();
    close(reader);
    close(shared);
}

static int set_up(void **state)
{
    (void)state;
    alarm(BLOCKED_S);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return event_loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    end();
    event_loop_done(&loop);
    alarm(0);
    return 0;
}

/* Appends what can be read to `text`, without the carriage returns of a terminal. */
static void read_all(void)
{
    char part[4096];
    ssize_t len;

    while ((len = read(reader, part, sizeof(part))) > 0) {
        for (ssize_t i = 0; i < len; i++) {
            if (part[i] != '\r') {
                assert_true(text_len < sizeof(text) - 1);
                text[text_len++] = part[i];
            }
        }
    }
    text[text_len] = '\0';
}

/* Turns the loop and reads until `line` was read. */
static void read_until(const char *line)
{
    while (read_all(), strstr(text, line) == NULL) {
        assert_int_equal(event_loop_turn(&loop), 0);
    }
}

static void log_numbers(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        log_line("number %u", i);
    }
}

/* What was read is these lines, each whole, from number `first` to number `count` - 1. Returns what follows. */
static const char *assert_numbers(const char *from, unsigned first, unsigned count)
{
    for (unsigned i = first; i < count; i++) {
        char expected[64];
        size_t len = (size_t)snprintf(expected, sizeof(expected), LOG_PREFIX "number %u\n", i);

        assert_memory_equal(from, expected, len);
        from += len;
    }
    return from;
}

static void test_line_is_there_at_once(void **state)
{
    (void)state;
    for (enum place place = 0; place < PLACES; place++) {
        begin(place);
        log_line("hello");
        read_all();
        assert_string_equal(text, LOG_PREFIX "hello\n");
        assert_false(log_output_waits());
        if (place < PLACES - 1) {
            end();
        }
    }
}

/* count: more lines than the place holds, and fewer than the buffer. */
static void check_unread(enum place place, unsigned count)
{
    int flags;

    begin(place);
    flags = fcntl(shared, F_GETFL);
    log_numbers(count);
    assert_true(log_output_waits());
    assert_int_equal(fcntl(shared, F_GETFL), flags);
    log_line("last");
    read_until("last\n");
    assert_string_equal(assert_numbers(text, 0, count), LOG_PREFIX "last\n");
    assert_false(log_output_waits());
    log_line("one more");
    read_all();
    assert_non_null(strstr(text, LOG_PREFIX "last\n" LOG_PREFIX "one more\n"));
}

static void test_unread_pipe_gets_all_lines_when_it_is_read_again(void **state)
{
    (void)state;
    check_unread(PIPE, 6000);
}

static void test_unread_terminal_gets_all_lines_when_it_is_read_again(void **state)
{
    (void)state;
    check_unread(TERMINAL, 1000);
}

static void test_unread_socket_gets_all_lines_when_it_is_read_again(void **state)
{
    (void)state;
    check_unread(SOCKET, 8000);
}

static void test_stopped_terminal_gets_all_lines_when_it_goes_on(void **state)
{
    (void)state;
    begin(TERMINAL);
    assert_int_equal(tcflow(shared, TCOOFF), 0); /* as ^S does */
    log_numbers(100);
    read_all();
    assert_true(log_output_waits());
    assert_string_equal(text, "");
    assert_int_equal(tcflow(shared, TCOON), 0);
    read_until("number 99\n");
    assert_string_equal(assert_numbers(text, 0, 100), "");
}

/* poll(2) may say that there is room, but it is less than a line. */
static void test_pipe_that_another_program_fills_makes_nothing_wait(void **state)
{
    static const char filling[64 * 1024];
    int flags;

    (void)state;
    begin(PIPE);
    flags = fcntl(shared, F_GETFL);
    fcntl(shared, F_SETFL, flags | O_NONBLOCK);
    while (write(shared, filling, sizeof(filling)) > 0) {
    }
    fcntl(shared, F_SETFL, flags);
    assert_int_equal(read(reader, text, 1), 1);
    log_numbers(3);
    assert_true(log_output_waits());
    while (read(reader, text, sizeof(filling)) == (ssize_t)sizeof(filling)) {
    }
    text[0] = '\0';
    read_until("number 2\n");
    assert_string_equal(assert_numbers(text, 0, 3), "");
}

static void test_full_buffer_drops_the_oldest_lines_and_says_how_many(void **state)
{
    unsigned lost = 0;
    unsigned last = 0;
    const char *report;

    (void)state;
    begin(PIPE);
    log_numbers(MANY);
    read_until("number 19999\n");
    report = strstr(text, "log lines lost");
    assert_non_null(report);
    while (report > text && report[-1] != '\n') {
        report--;
    }
    assert_int_equal(sscanf(report, LOG_PREFIX "%u log lines lost: standard error took no more\n", &lost), 1);
    assert_true(lost > 0 && lost < MANY);
    for (const char *line = text; line < report; last++) {
        line = strchr(line, '\n') + 1;
    }
    assert_ptr_equal(assert_numbers(text, 0, last), report);
    assert_string_equal(assert_numbers(strchr(report, '\n') + 1, last + lost, MANY), "");
    assert_true((MANY - last - lost) * strlen(LOG_PREFIX "number 19999\n") > LOG_OUTPUT_BUFFER_SIZE * 9 / 10);
}

static void test_closed_pipe_is_no_reason_to_wait(void **state)
{
    (void)state;
    begin(PIPE);
    close(reader);
    log_numbers(MANY);
    assert_false(log_output_waits());
    reader = -1;
}

/* The limit on file sizes is a disk that is full, and that later has room. */
static void test_full_disk_gets_the_lines_when_it_has_room(void **state)
{
    char name[] = "/tmp/test_log_output.XXXXXX";
    struct rlimit limit;
    struct rlimit low;

    (void)state;
    shared = mkstemp(name);
    reader = open(name, O_RDONLY | O_CLOEXEC);
    unlink(name);
    text_len = 0;
    assert_int_equal(log_output_begin(shared), 0);
    assert_int_equal(log_output_descriptor(), -1);
    log_output_attach(&loop);
    getrlimit(RLIMIT_FSIZE, &limit);
    low = (struct rlimit){FILE_LIMIT, limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    log_numbers(1000);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_false(log_output_waits()); /* an end of the engine does not wait for a disk */
    read_until("number 999\n");
    assert_string_equal(assert_numbers(text, 0, 1000), "");
}

static void test_descriptor_that_was_opened_is_told(void **state)
{
    struct stat ours;
    struct stat theirs;

    (void)state;
    begin(PIPE);
    assert_true(log_output_descriptor() > STDERR_FILENO);
    assert_int_not_equal(log_output_descriptor(), shared);
    fstat(log_output_descriptor(), &ours);
    fstat(shared, &theirs);
    assert_int_equal(ours.st_ino, theirs.st_ino);
    assert_true((fcntl(log_output_descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
    log_output_end();
    assert_int_equal(log_output_descriptor(), -1);
}

/* Opening the master of a terminal makes another terminal. */
static void test_master_of_a_terminal_is_written_to_itself(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, NULL), 0);
    reader = ends[1];
    shared = ends[0];
    assert_int_equal(log_output_begin(shared), -ENXIO);
    log_output_attach(&loop);
    log_line("hello");
    assert_int_equal(read(reader, text, sizeof(text)), strlen(LOG_PREFIX "hello\n"));
}

/* In a child, which is another user then. */
static void write_to_a_foreign_pipe(void)
{
    if (fchmod(shared, 0) < 0 || (geteuid() == 0 && seteuid(NOBODY) < 0) || log_output_begin(shared) != -EACCES) {
        _exit(1);
    }
    log_numbers(6000);
    _exit(log_output_waits() && log_output_descriptor() == -1 ? 0 : 2);
}

static void test_pipe_that_cannot_be_opened_again_makes_nothing_wait(void **state)
{
    int ends[2];
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    reader = ends[0];
    shared = ends[1];
    pid = fork();
    if (pid == 0) {
        alarm(BLOCKED_S);
        write_to_a_foreign_pipe();
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    fcntl(reader, F_SETFL, O_NONBLOCK);
    text_len = 0;
    read_all();
    assert_numbers(text, 0, 100);
}

static void test_retries_are_few_while_nothing_is_read(void **state)
{
    uint64_t start_ns = monotonic_ns();
    unsigned turns = 0;

    (void)state;
    begin(PIPE);
    log_numbers(6000);
    for (; monotonic_ns() - start_ns < 500 * NS_PER_MS; turns++) {
        assert_int_equal(event_loop_turn(&loop), 0);
    }
    assert_in_range(turns, 2, 10); /* 10, 20, 40, 80, 160, 200 ms */
}

/* A reader that takes a part of what waits is not one that takes nothing. */
static void test_retries_are_frequent_again_once_something_was_read(void **state)
{
    size_t before;

    (void)state;
    begin(PIPE);
    log_numbers(9000);
    while (loop.timers->due_ns < event_loop_now(&loop) + LOG_OUTPUT_RETRY_MAX_MS / 2 * NS_PER_MS) {
        assert_int_equal(event_loop_turn(&loop), 0);
    }
    read_all();
    before = text_len;
    while (read_all(), text_len == before) {
        assert_int_equal(event_loop_turn(&loop), 0);
    }
    assert_true(log_output_waits());
    assert_true(loop.timers->due_ns <= event_loop_now(&loop) + LOG_OUTPUT_RETRY_MIN_MS * NS_PER_MS);
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_line_is_there_at_once),
        WITH_LOOP(test_unread_pipe_gets_all_lines_when_it_is_read_again),
        WITH_LOOP(test_unread_terminal_gets_all_lines_when_it_is_read_again),
        WITH_LOOP(test_unread_socket_gets_all_lines_when_it_is_read_again),
        WITH_LOOP(test_stopped_terminal_gets_all_lines_when_it_goes_on),
        WITH_LOOP(test_pipe_that_another_program_fills_makes_nothing_wait),
        WITH_LOOP(test_full_buffer_drops_the_oldest_lines_and_says_how_many),
        WITH_LOOP(test_closed_pipe_is_no_reason_to_wait),
        WITH_LOOP(test_full_disk_gets_the_lines_when_it_has_room),
        WITH_LOOP(test_descriptor_that_was_opened_is_told),
        WITH_LOOP(test_master_of_a_terminal_is_written_to_itself),
        WITH_LOOP(test_pipe_that_cannot_be_opened_again_makes_nothing_wait),
        WITH_LOOP(test_retries_are_few_while_nothing_is_read),
        WITH_LOOP(test_retries_are_frequent_again_once_something_was_read),
    };

    return cmocka_run_group_tests_name("log_output", tests, NULL, NULL);
}
