/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Describes a plugin without trusting it.
 *
 * The head is read from the checked file. For the lists the plugin has to be mapped, since they are pointers, and mapping
 * runs its constructors. So a child does that which has what a fork server has, and sends text through a pipe. Whatever
 * comes is the plugin's word: at most TEXT_MAX bytes, without characters that a terminal obeys.
 *
 * Always: the child, and what it has started, are gone when the function returns. Runs in the program that prints the description.
 */
#include "process/plugin_info.h"

#include "base/arith.h"
#include "base/clock.h"
#include "base/close_fds.h"
#include "base/fd.h"
#include "config/plugin_path.h"
#include "plugin/plugin_describe.h"
#include "plugin/plugin_file.h"
#include "plugin/plugin_load.h"
#include "process/child_list.h"
#include "process/messages.h"
#include "process/privileges_plan.h"
#include "process/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEFT_OVER_ROUNDS_MAX 1000 /* of a millisecond */
#define TEXT_MAX (1024 * 1024) /* 128 options and 4,096 counters and reasons with a line of help each */

/* What the child has sent: the description; or, if it exited with PROCESS_EXIT_FAILED, why the plugin is refused. */
struct told {
    char *text;
    size_t len;
    bool in_time;
    int status;
};

/* ---- in the child ------------------------------------------------------------------------------------------------ */

static void describe(struct plugin *plugin, const struct privileges_plan *privileges, FILE *file)
{
    struct error error;
    int code = privileges_become_forkserver(privileges, 1, &error);

    if (code == 0) {
        code = plugin_map(plugin, &error);
    }
    if (code == 0) {
        char *text = NULL;
        size_t len = 0;
        FILE *lists = open_memstream(&text, &len);

        code = lists == NULL ? error_set(&error, EXIT_CODE_RUN_TIME, -ENOMEM, "out of memory")
                             : plugin_describe_lists(lists, plugin, &error);
        if (lists != NULL && fclose(lists) == 0 && code == 0) {
            fwrite(text, 1, len, file);
        }
    }
    if (code != 0) {
        fputs(error.text, file);
    }
    fflush(file);
    _exit(code == 0 ? 0 : PROCESS_EXIT_FAILED);
}

static void become_child(struct plugin *plugin, const struct privileges_plan *privileges, int to, pid_t parent)
    __attribute__((noreturn));

/* Standard output is the description's: what a constructor prints goes to standard error. */
static void become_child(struct plugin *plugin, const struct privileges_plan *privileges, int to, pid_t parent)
{
    const int kept[] = {to, plugin->memfd};
    FILE *file = fdopen(to, "w");

    process_tie_to_supervisor(parent);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    close_fds_but(kept, ARRAY_SIZE(kept));
    if (file != NULL) {
        describe(plugin, privileges, file);
    }
    _exit(PROCESS_EXIT_FAILED);
}

/* ---- what it says ------------------------------------------------------------------------------------------------ */

/* Returns whether there may be more. */
static bool read_some(int fd, struct told *told)
{
    ssize_t len = read(fd, told->text + told->len, TEXT_MAX - told->len);

    if (len < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    told->len += (size_t)len;
    return len > 0 && told->len < TEXT_MAX;
}

/* Until the child has ended: a process that a constructor has started may keep the pipe open. */
static void listen_to(int from, int pidfd, uint64_t timeout_ms, struct told *told)
{
    const uint64_t end_ns = monotonic_ns() + timeout_ms * NS_PER_MS;
    struct pollfd fds[] = {{.fd = from, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

    for (uint64_t now_ns = monotonic_ns(); now_ns < end_ns; now_ns = monotonic_ns()) {
        if (poll(fds, ARRAY_SIZE(fds), (int)((end_ns - now_ns) / NS_PER_MS) + 1) <= 0) {
            continue;
        }
        if (fds[0].revents != 0) {
            fds[0].fd = read_some(from, told) ? from : -1;
        } else { /* it has ended, and all that it sent was read */
            told->in_time = true;
            return;
        }
    }
}

static bool kill_one(void *context, pid_t pid)
{
    (void)context;
    kill(pid, SIGKILL);
    return true;
}

/* What a constructor has started is this process's since its own parent ended. */
static void end_left_over(void)
{
    for (unsigned i = 0; i < LEFT_OVER_ROUNDS_MAX && (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD); i++) {
        const struct timespec pause = {.tv_nsec = NS_PER_MS};

        child_list_each(getpid(), kill_one, NULL);
        nanosleep(&pause, NULL);
    }
}

/* Fills *told. */
static int ask_child(struct plugin *plugin, const struct privileges_plan *privileges, uint64_t timeout_ms,
                     struct told *told, struct error *error)
{
    pid_t parent = getpid();
    int ends[2];
    int pidfd = -1;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, -errno, "no pipe to a child: %s", strerror(errno));
    }
    pid = fork();
    if (pid == 0) {
        become_child(plugin, privileges, ends[1], parent);
    }
    close(ends[1]);
    if (pid > 0) {
        pidfd = pidfd_open(pid, 0);
    }
    if (pidfd < 0) {
        error_set(error, EXIT_CODE_RUN_TIME, -errno, "no child can be made: %s", strerror(errno));
    } else {
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        listen_to(ends[0], pidfd, timeout_ms, told);
    }
    close(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &told->status, 0);
        end_left_over();
    }
    if (pidfd < 0) {
        return error->code;
    }
    close(pidfd);
    return 0;
}

/* A control character would be an order to the terminal. */
static void clean(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        text[i] = text[i] != '\n' && iscntrl((unsigned char)text[i]) ? '?' : text[i];
    }
}

static int judge(const struct told *told, uint64_t timeout_ms, struct error *error)
{
    if (!told->in_time) {
        return error_set(error, EXIT_CODE_PLUGIN, -ETIMEDOUT, "its constructors did not return within %" PRIu64 " ms",
                         timeout_ms);
    }
    if (WIFSIGNALED(told->status)) {
        return error_set(error, EXIT_CODE_PLUGIN, -EFAULT, "its constructors crashed (SIG%s)",
                         sigabbrev_np(WTERMSIG(told->status)));
    }
    if (WEXITSTATUS(told->status) == PROCESS_EXIT_FAILED && told->len > 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL, "%.*s", (int)min_u64(told->len, ERROR_TEXT_MAX), told->text);
    }
    if (WEXITSTATUS(told->status) != 0 || told->len == 0) {
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL, "its constructors exited with status %d",
                         WEXITSTATUS(told->status));
    }
    return 0;
}

/* ---- the description --------------------------------------------------------------------------------------------- */

static int print_head(FILE *file, const struct plugin *plugin, struct error *error)
{
    char *text = NULL;
    size_t len = 0;
    FILE *head = open_memstream(&text, &len);

    if (head == NULL) {
        return error_set(error, EXIT_CODE_RUN_TIME, -ENOMEM, "out of memory");
    }
    plugin_describe_head(head, plugin);
    if (fclose(head) == 0) {
        clean(text, len);
        fwrite(text, 1, len, file);
    }
    free(text);
    fflush(file); /* what the child inherited would be printed twice */
    return 0;
}

static int print_lists(FILE *file, struct plugin *plugin, const struct options *options, struct error *error)
{
    const struct privileges_range range = {options->worker_uids.first, options->worker_uids.last};
    struct privileges_plan privileges;
    struct told told = {.text = malloc(TEXT_MAX)};
    int code = told.text != NULL ? privileges_plan_make(&range, 1, 1, &privileges, error)
                                 : error_set(error, EXIT_CODE_RUN_TIME, -ENOMEM, "out of memory");

    if (code == 0) {
        code = ask_child(plugin, &privileges, options->load_timeout_ms, &told, error);
    }
    if (code == 0) {
        clean(told.text, told.len);
        code = judge(&told, options->load_timeout_ms, error);
    }
    if (code == 0) {
        fwrite(told.text, 1, told.len, file);
    }
    free(told.text);
    return code;
}

int plugin_info_print(FILE *file, const struct options *options, struct error *error)
{
    char path[PATH_MAX];
    struct plugin plugin = {.path = path};
    int code;

    signal(SIGCHLD, SIG_DFL); /* else the child's status is lost */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (plugin_path_write(path, sizeof(path), options->plugin_directory, options->plugin_info) >= sizeof(path)) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENAMETOOLONG, "--plugin-info: the file name is too long");
    }
    code = plugin_file_check(&plugin, error);
    if (code == 0) {
        code = print_head(file, &plugin, error);
        code = code == 0 ? print_lists(file, &plugin, options, error) : code;
        plugin_file_close(&plugin);
    }
    if (code != 0) {
        error_set_source(error, path, 0);
    }
    return code;
}
