/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * no_wait REPORT PROGRAM ARGUMENT... - runs a program under a seccomp filter that fails each call that could wait.
 *
 * The filter gives every call of a kind that can wait to a watcher, which decides by its arguments and by the flags and
 * kind of its descriptor. Such a call fails with EDEADLK, and the watcher writes a line about it into REPORT. The one
 * place to wait is epoll_wait(2). The calls of children are let through, and so are all until the file REPORT.armed is
 * there: a test makes it when the program has started.
 *
 * The program has the process id of no_wait itself. The watcher is a process that belongs to init, not to the program,
 * and ends with the last process that has the filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_LEN 4096
#define SKIPPED 77 /* exit status: this kernel or architecture has no such filter */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0
#endif

/* How a call can wait. */
enum kind {
    ALWAYS,     /* whatever its arguments are */
    ON_FILE,    /* unless its descriptor, args[0], is non-blocking or a regular file */
    ON_SOCKET,  /* the same, but for MSG_DONTWAIT in args[flags] */
    FOR_CHILD,  /* without WNOHANG in args[flags] */
    FOR_TIME,   /* with a time-out other than 0 in args[flags] */
    FOR_LOCK,   /* with these commands in args[flags] */
    ON_FUTEX,   /* but for FUTEX_WAKE in args[flags] */
};

/* clang-format off: one line each */
static const struct call {
    int number;
    const char *name;
    enum kind kind;
    unsigned flags;
} calls[] = {
    {SYS_read, "read", ON_FILE, 0},
    {SYS_readv, "readv", ON_FILE, 0},
    {SYS_write, "write", ON_FILE, 0},
    {SYS_writev, "writev", ON_FILE, 0},
    {SYS_sendto, "sendto", ON_SOCKET, 3},
    {SYS_sendmsg, "sendmsg", ON_SOCKET, 2},
    {SYS_sendmmsg, "sendmmsg", ON_SOCKET, 3},
    {SYS_recvfrom, "recvfrom", ON_SOCKET, 3},
    {SYS_recvmsg, "recvmsg", ON_SOCKET, 2},
    {SYS_recvmmsg, "recvmmsg", ON_SOCKET, 3},
    {SYS_accept, "accept", ON_FILE, 0},
    {SYS_accept4, "accept4", ON_FILE, 0},
    {SYS_connect, "connect", ON_FILE, 0},
    {SYS_splice, "splice", ALWAYS, 0},
    {SYS_wait4, "wait4", FOR_CHILD, 2},
    {SYS_waitid, "waitid", FOR_CHILD, 3},
    {SYS_ppoll, "ppoll", ALWAYS, 0},
    {SYS_pselect6, "pselect6", ALWAYS, 0},
#ifdef SYS_poll
    {SYS_poll, "poll", FOR_TIME, 2},
    {SYS_select, "select", ALWAYS, 0},
    {SYS_pause, "pause", ALWAYS, 0},
#endif
    {SYS_nanosleep, "nanosleep", ALWAYS, 0},
    {SYS_clock_nanosleep, "clock_nanosleep", ALWAYS, 0},
    {SYS_rt_sigsuspend, "rt_sigsuspend", ALWAYS, 0},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait", ALWAYS, 0},
    {SYS_futex, "futex", ON_FUTEX, 1},
    {SYS_flock, "flock", ALWAYS, 0},
    {SYS_fcntl, "fcntl", FOR_LOCK, 1},
    {SYS_fsync, "fsync", ALWAYS, 0},
    {SYS_fdatasync, "fdatasync", ALWAYS, 0},
};
/* clang-format on */

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static _Atomic int *listener_number; /* in the program, shared with the watcher; 0: none yet; -1: it has it */

static void fail(const char *what) __attribute__((noreturn));

static void fail(const char *what)
{
    fprintf(stderr, "no_wait: %s: %s\n", what, strerror(errno));
    _exit(1);
}

/* ---- the filter ------------------------------------------------------------------------------------------------ */

static int install_filter(void)
{
    struct sock_filter filter[CALLS + 6];
    struct sock_fprog program = {.filter = filter};
    unsigned short n = 0;

    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].number,
                                                   (unsigned char)(CALLS - i), 0);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    program.len = n;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

/* ---- the watcher ----------------------------------------------------------------------------------------------- */

static struct {
    pid_t program;
    int pidfd;
    int listener;
    int report;
    bool armed;
    char arm_path[PATH_LEN];
} watcher;

/* A request to the kernel's netlink families is answered before send() returns. */
static bool is_netlink(int number)
{
    int copy = pidfd_getfd(watcher.pidfd, number, 0);
    int domain = 0;
    socklen_t len = sizeof(domain);
    bool netlink = copy >= 0 && getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_NETLINK;

    if (copy >= 0) {
        close(copy);
    }
    return netlink;
}

static bool descriptor_waits(int number)
{
    char path[64];
    char line[256];
    struct stat status;
    unsigned flags = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", watcher.program, number);
    if (stat(path, &status) < 0 || S_ISREG(status.st_mode)) {
        return false;
    }
    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", watcher.program, number);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL && sscanf(line, "flags: %o", &flags) != 1) {
    }
    if (file != NULL) {
        fclose(file);
    }
    return (flags & O_NONBLOCK) == 0;
}

static bool can_wait(const struct call *call, const __u64 args[6])
{
    __u64 flags = args[call->flags];

    switch (call->kind) {
    case ALWAYS:
        return true;
    case ON_FILE:
        return descriptor_waits((int)args[0]);
    case ON_SOCKET:
        return (flags & MSG_DONTWAIT) == 0 && descriptor_waits((int)args[0]) && !is_netlink((int)args[0]);
    case FOR_CHILD:
        return (flags & WNOHANG) == 0;
    case FOR_TIME:
        return (int)flags != 0;
    case FOR_LOCK:
        return flags == F_SETLKW || flags == F_OFD_SETLKW;
    case ON_FUTEX:
        return (flags & FUTEX_CMD_MASK) != FUTEX_WAKE;
    }
    return true;
}

static bool is_armed(void)
{
    watcher.armed = watcher.armed || access(watcher.arm_path, F_OK) == 0;
    return watcher.armed;
}

/* The call that must fail; NULL: it may go on. */
static const struct call *judge(const struct seccomp_notif *request)
{
    if ((pid_t)request->pid != watcher.program || !is_armed()) {
        return NULL;
    }
    for (size_t i = 0; i < CALLS; i++) {
        if (calls[i].number == request->data.nr) {
            return can_wait(&calls[i], request->data.args) ? &calls[i] : NULL;
        }
    }
    return NULL;
}

static void answer(void)
{
    struct seccomp_notif request = {0};
    struct seccomp_notif_resp response = {0};
    const struct call *waits;

    if (ioctl(watcher.listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) {
        return; /* it was killed meanwhile */
    }
    waits = judge(&request);
    response.id = request.id;
    if (waits != NULL) {
        response.error = -EDEADLK;
        dprintf(watcher.report, "%s(%lld, %lld, %lld, %lld)\n", waits->name, (long long)request.data.args[0],
                (long long)request.data.args[1], (long long)request.data.args[2], (long long)request.data.args[3]);
    } else {
        response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
    ioctl(watcher.listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void watch(void)
{
    struct pollfd listener = {.fd = watcher.listener, .events = POLLIN};

    while (poll(&listener, 1, -1) >= 0 && (listener.revents & (POLLHUP | POLLERR)) == 0) {
        if ((listener.revents & POLLIN) != 0) {
            answer();
        }
    }
}

/* Takes the listener from the program and lets it go on. */
static void take_listener(void)
{
    int number;

    while ((number = *listener_number) == 0) {
        sched_yield();
    }
    if (number < 0) {
        _exit(0); /* it could not install the filter */
    }
    watcher.listener = pidfd_getfd(watcher.pidfd, number, 0);
    if (watcher.listener < 0) {
        fail("the filter's listener cannot be taken");
    }
    *listener_number = -1;
}

/* The descriptors of the program, its log among them, must not stay open here. */
static void leave_program(void)
{
    int nothing = open("/dev/null", O_RDWR);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        dup2(nothing, fd);
    }
    setsid();
}

static void start_watcher(void)
{
    pid_t between = fork();

    if (between == 0) {
        if (fork() == 0) {
            leave_program();
            take_listener();
            watch();
        }
        _exit(0);
    }
    waitpid(between, NULL, 0);
}

int main(int argc, char *argv[])
{
    int listener;

    if (argc < 3 || ARCHITECTURE == 0) {
        fprintf(stderr, "usage: no_wait REPORT PROGRAM ARGUMENT..., on x86_64 or aarch64\n");
        return argc < 3 ? 2 : SKIPPED;
    }
    listener_number = mmap(NULL, sizeof(*listener_number), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    watcher.program = getpid();
    watcher.pidfd = pidfd_open(watcher.program, 0);
    watcher.report = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    snprintf(watcher.arm_path, sizeof(watcher.arm_path), "%s.armed", argv[1]);
    if (listener_number == MAP_FAILED || watcher.pidfd < 0 || watcher.report < 0) {
        fail("it cannot start");
    }
    start_watcher();
    listener = install_filter();
    *listener_number = listener > 0 ? listener : -1;
    if (listener < 0) {
        fprintf(stderr, "no_wait: no seccomp filter: %s\n", strerror(errno));
        return SKIPPED;
    }
    while (*listener_number != -1) {
        sched_yield();
    }
    close(listener);
    close(watcher.report);
    close(watcher.pidfd);
    execv(argv[2], argv + 2);
    fail(argv[2]);
}
