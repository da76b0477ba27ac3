/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pidfds: opening, waiting, signalling.
 *
 * A pid is safe to open as long as this process has not reaped it. So it is checked to be a child before the pidfd is
 * opened, and nothing is reaped in between: there is one thread. waitid(2) answers with siginfo_t; what the program says
 * of an end is made of a wait status, so that is put together from it. Process: [supervisor].
 */
#include "process/child.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

void child_init(struct child *child, void (*ended)(void *context, uint32_t events), void *context)
{
    *child = (struct child){.end = {.fd = -1, .ready = ended, .context = context}};
}

int child_open(struct child *child, pid_t pid, struct event_loop *loop)
{
    siginfo_t info;
    int code;

    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
        return -errno;
    }
    child->end.fd = pidfd_open(pid, 0);
    if (child->end.fd < 0) {
        return -errno;
    }
    code = event_loop_watch(loop, &child->end, EPOLLIN);
    if (code < 0) {
        close_fd(&child->end.fd);
        return code;
    }
    child->pid = pid;
    child->killed_ns = 0;
    child->overdue = false;
    return 0;
}

pid_t child_fork(struct child *child, struct event_loop *loop)
{
    pid_t pid = fork();
    int code;

    if (pid <= 0) {
        return pid < 0 ? -errno : 0;
    }
    code = child_open(child, pid, loop);
    if (code < 0) {
        kill(pid, SIGKILL);
        return code;
    }
    return pid;
}

static int wait_status(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED ? W_EXITCODE(info->si_status, 0) : W_EXITCODE(0, info->si_status);
}

bool child_reap(struct child *child, struct event_loop *loop, int *status)
{
    siginfo_t info = {.si_pid = 0};

    if (child->pid == 0 || waitid(P_PIDFD, (id_t)child->end.fd, &info, WEXITED | WNOHANG) < 0) {
        return false;
    }
    if (info.si_pid == 0) {
        return false;
    }
    child_done(child, loop);
    *status = wait_status(&info);
    return true;
}

bool child_has_ended(const struct child *child)
{
    siginfo_t info = {.si_pid = 0};

    return child->pid != 0 && waitid(P_PIDFD, (id_t)child->end.fd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

bool child_has_stopped(const struct child *child)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PIDFD, (id_t)child->end.fd, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

void child_signal(const struct child *child, int number)
{
    if (child->pid != 0) {
        pidfd_send_signal(child->end.fd, number, NULL, 0);
    }
}

void child_kill(struct child *child, uint64_t now_ns)
{
    child_signal(child, SIGKILL);
    if (child->killed_ns == 0) {
        child->killed_ns = now_ns;
    }
}

bool child_becomes_overdue(struct child *child, uint64_t now_ns)
{
    if (child->pid == 0 || child->killed_ns == 0 || child->overdue ||
        now_ns < child->killed_ns + CHILD_OVERDUE_MS * NS_PER_MS) {
        return false;
    }
    child->overdue = true;
    return true;
}

void child_done(struct child *child, struct event_loop *loop)
{
    event_loop_unwatch(loop, &child->end);
    close_fd(&child->end.fd);
    child->pid = 0;
    child->killed_ns = 0;
    child->overdue = false;
}
