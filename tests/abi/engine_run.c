/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts the engine in a new network namespace, reads its standard error from a pipe, and waits for it by a pidfd.
 *
 * Every wait is a poll() with a deadline. The test program is a subreaper, so the engine and every process that
 * outlives it are children of the test program. Runs in the test program.
 */
#include "engine_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define UIDS_FIRST 1000000
#define UIDS_RANGES 2000
#define UIDS_PER_RANGE 2000 /* 256 queues need 1,282 */
#define WAIT_LIMIT_MS 10000 /* for a line of output; long, since the machine may be loaded */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static unsigned ms_since(uint64_t start_ns)
{
    return (unsigned)((now_ns() - start_ns) / 1000000);
}

int engine_run_possible(void)
{
    const char *ci = getenv("CI");
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        _exit(unshare(CLONE_NEWNET) < 0 ? errno : 0);
    }
    waitpid(pid, &status, 0);
    if (getenv("NFQE_ENGINE") == NULL) {
        printf("NFQE_ENGINE is not set; run the tests by ctest\n");
        return 1;
    }
    if (status == 0) {
        return 0;
    }
    printf("skipped: no network namespace of our own: %s; run the tests as root\n", strerror(WEXITSTATUS(status)));
    return ci != NULL && strcmp(ci, "true") == 0 ? 1 : 77;
}

/*
 * A crash must end a sanitized process by the signal, as without sanitizers, not by a report. The settings are
 * appended, since the last one counts.
 */
static void leave_signals_alone(void)
{
    const char *given = getenv("ASAN_OPTIONS");
    char options[1024];

    snprintf(options, sizeof(options),
             "%s:handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:"
             "allow_user_segv_handler=1",
             given != NULL ? given : "");
    setenv("ASAN_OPTIONS", options, 1);
}

/*
 * No spare, which would call open() and close() once more; and uids that no other engine has which runs meanwhile, about
 * which it would warn.
 */
static unsigned add_workers(char *argv[], unsigned count, const char *const arguments[])
{
    static char uids[64];
    unsigned first = UIDS_FIRST + (unsigned)getpid() % UIDS_RANGES * UIDS_PER_RANGE;

    snprintf(uids, sizeof(uids), "%u-%u", first, first + UIDS_PER_RANGE - 1);
    argv[count++] = strdup("--spares");
    argv[count++] = strdup("0");
    for (unsigned i = 0; arguments[i] != NULL; i++) {
        if (strcmp(arguments[i], "--worker-uids") == 0) {
            return count;
        }
    }
    argv[count++] = strdup("--worker-uids");
    argv[count++] = uids;
    return count;
}

static _Noreturn void become_engine(const char *const arguments[], int error_output)
{
    char *argv[ENGINE_ARGUMENTS_MAX + 6] = {getenv("NFQE_ENGINE")};
    unsigned count = add_workers(argv, 1, arguments);
    int nothing = open("/dev/null", O_RDWR);

    for (unsigned i = 0; i < ENGINE_ARGUMENTS_MAX && arguments[i] != NULL; i++) {
        argv[count++] = strdup(arguments[i]);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    leave_signals_alone();
    if (unshare(CLONE_NEWNET) < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 ||
        dup2(error_output, 2) < 0) {
        _exit(127);
    }
    execv(argv[0], argv);
    _exit(127);
}

void engine_start(struct engine_run *run, const char *const arguments[])
{
    int ends[2];

    run->len = 0;
    run->output[0] = '\0';
    run->status = -1;
    run->left_behind = false;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    run->started_ns = now_ns();
    run->pid = fork();
    if (run->pid == 0) {
        become_engine(arguments, ends[1]);
    }
    close(ends[1]);
    assert_true(run->pid > 0);
    run->error_output = ends[0];
    run->pidfd = pidfd_open(run->pid, 0);
    assert_true(run->pidfd >= 0);
}

/* Reads the output that is available. False: end of file. */
static bool read_some(struct engine_run *run)
{
    ssize_t part = read(run->error_output, run->output + run->len, sizeof(run->output) - 1 - run->len);

    run->len += part > 0 ? (size_t)part : 0;
    run->output[run->len] = '\0';
    return part > 0;
}

const char *engine_wait_for(struct engine_run *run, const char *text, const char *from)
{
    uint64_t start_ns = now_ns();

    for (;;) {
        const char *found = strstr(from, text);
        struct pollfd output = {.fd = run->error_output, .events = POLLIN};

        if (found != NULL) {
            return found + strlen(text);
        }
        if (ms_since(start_ns) > WAIT_LIMIT_MS || (poll(&output, 1, 100) > 0 && !read_some(run))) {
            engine_kill(run);
            fail_msg("never said \"%s\", but:\n%s", text, run->output);
        }
    }
}

void engine_wait_end(struct engine_run *run, unsigned limit_ms)
{
    uint64_t start_ns = now_ns();
    struct pollfd descriptors[2] = {{.fd = run->pidfd, .events = POLLIN}, {.fd = run->error_output, .events = POLLIN}};
    int status;

    while ((descriptors[0].revents & POLLIN) == 0) {
        if (ms_since(start_ns) > limit_ms) {
            engine_kill(run);
            fail_msg("still running after %u ms; it said:\n%s", limit_ms, run->output);
        }
        if (poll(descriptors, 2, 100) > 0 && descriptors[1].revents != 0 && !read_some(run)) {
            descriptors[1].fd = -1;
        }
    }
    run->took_ms = ms_since(run->started_ns);
    assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
    run->pid = 0;
    run->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    /* A process that outlived the engine is our child now, even if it is about to end. */
    run->left_behind = waitpid(-1, &status, WNOHANG) >= 0 || errno != ECHILD;
    engine_kill(run);
}

bool engine_ended(struct engine_run *run, int status, const char *expected, unsigned limit_ms)
{
    bool good;

    engine_wait_end(run, ENGINE_END_LIMIT_MS);
    limit_ms += ENGINE_EXTRA_MS;
    good = run->status == status && !run->left_behind && strcmp(run->output, expected) == 0 && run->took_ms <= limit_ms;
    if (!good) {
        print_error("exit status %d (%d), took %u ms (at most %u), processes left: %s (none)\n"
                    "expected: %s     got: %s\n",
                    run->status, status, run->took_ms, limit_ms, run->left_behind ? "some" : "none", expected,
                    run->output);
    }
    return good;
}

void engine_signal(const struct engine_run *run, int number)
{
    assert_int_equal(pidfd_send_signal(run->pidfd, number, NULL, 0), 0);
}

static bool is_child(pid_t pid, pid_t parent, const char *name)
{
    char path[64];
    char text[256] = "";
    char *behind_name;
    FILE *file;
    int ppid = 0;
    size_t len;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    behind_name = strrchr(text, ')');
    if (behind_name == NULL || sscanf(behind_name, ") %*c %d", &ppid) != 1 || ppid != parent) {
        return false;
    }
    *behind_name = '\0';
    return strcmp(strchr(text, '(') + 1, name) == 0;
}

pid_t engine_child(const struct engine_run *run, const char *name)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    pid_t found = 0;

    assert_non_null(directory);
    while (found == 0 && (entry = readdir(directory)) != NULL) {
        pid_t pid = (pid_t)atoi(entry->d_name);

        if (pid > 0 && is_child(pid, run->pid, name)) {
            found = pid;
        }
    }
    closedir(directory);
    if (found == 0) {
        fail_msg("the engine has no child named %s", name);
    }
    return found;
}

unsigned engine_count_lines(const struct engine_run *run, const char *text)
{
    unsigned count = 0;

    for (const char *line = run->output; *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        const char *found = strstr(line, text);

        count += found != NULL && found < end;
        line = *end != '\0' ? end + 1 : end;
    }
    return count;
}

void engine_kill(struct engine_run *run)
{
    if (run->pid > 0) {
        pidfd_send_signal(run->pidfd, SIGKILL, NULL, 0);
        waitpid(run->pid, NULL, 0);
        run->pid = 0;
    }
    if (run->pidfd >= 0) {
        /* Waits for the other processes of the engine, so that they cannot disturb the next test. */
        while (waitpid(-1, NULL, 0) > 0) {
        }
        while (read_some(run)) {
        }
        close(run->pidfd);
        close(run->error_output);
        run->pidfd = -1;
    }
}
