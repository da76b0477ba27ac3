/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the plugin misbehave can do wrong: a function for each, and the table of them, the list of values of do=.
 *
 * Real plugins and their libraries do each of these: dereference NULL, loop, call exit(), close descriptors that are
 * not theirs, give up rights, write beyond the end of a packet. The list in misbehave.c explains them. Runs in the
 * fork server or in a worker, wherever misbehave.c says.
 */
#include "misbehave.h"

#include "crash.h"
#include "marked.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534
#define NOT_A_VERDICT UINT32_C(0x7)
#define SHARED_MEMORY "/memfd:"
#define DESCRIPTORS_MAX 1024
#define LINE_MAX_BYTES 512
#define MIB (1024 * 1024)
#define PRINTED_LINE 64 /* divides MIB */
#define POLL_NS 1000000
#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)

/* ---- the end of the process, or no end of the call ------------------------------------------------------- */

static int do_crash(struct occasion *occasion)
{
    (void)occasion;
    crash();
    return 0;
}

static void *run_crash(void *argument)
{
    crash();
    return argument;
}

/* It waits for the thread, so that it is certain which packet was in handle() when the process died. */
static int do_crash_thread(struct occasion *occasion)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run_crash, NULL);

    (void)occasion;
    return error != 0 ? -error : -pthread_join(thread, NULL);
}

static int do_abort(struct occasion *occasion)
{
    (void)occasion;
    abort();
}

static int do_exit(struct occasion *occasion)
{
    exit((int)occasion->number);
}

static int do_exit_at_once(struct occasion *occasion)
{
    _exit((int)occasion->number);
}

/* To all processes of its group, as a shell script does that wants to end what it has started. */
static int do_kill_group(struct occasion *occasion)
{
    return kill(0, (int)occasion->number) < 0 ? -errno : 0;
}

static int do_hang(struct occasion *occasion)
{
    static volatile int for_ever = 1;

    (void)occasion;
    while (for_ever) {
    }
    return 0;
}

/* ---- time ------------------------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

/* Until a point in time: it takes that long, and hardly longer on a busy machine. */
static int do_sleep(struct occasion *occasion)
{
    int64_t end_ns = now_ns() + occasion->number * NS_PER_MS;
    const struct timespec end = {.tv_sec = end_ns / NS_PER_SECOND, .tv_nsec = end_ns % NS_PER_SECOND};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) {
    }
    return 0;
}

static int do_work(struct occasion *occasion)
{
    int64_t end_ns = now_ns() + occasion->number * NS_PER_US;

    while (now_ns() < end_ns) {
    }
    return 0;
}

static int do_wait_for_file(struct occasion *occasion)
{
    const struct timespec pause = {.tv_nsec = POLL_NS};

    while (access(occasion->file, F_OK) != 0) {
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* ---- output ------------------------------------------------------------------------------------------------ */

/* Lines on standard output, and a last one without an end. */
static int do_print(struct occasion *occasion)
{
    for (long i = 0; i < occasion->number; i++) {
        printf("printed line %ld\n", i);
    }
    printf("printed last words");
    return 0;
}

static int do_print_and_crash(struct occasion *occasion)
{
    do_print(occasion);
    crash();
    return 0;
}

/* Millions of bytes in lines of 64 on standard error. */
static int do_print_mib(struct occasion *occasion)
{
    static char text[MIB];

    memset(text, '.', sizeof(text));
    for (size_t i = PRINTED_LINE - 1; i < sizeof(text); i += PRINTED_LINE) {
        text[i] = '\n';
    }
    for (long i = 0; i < occasion->number; i++) {
        fwrite(text, 1, sizeof(text), stderr);
    }
    return 0;
}

/* ---- load() and open() that fail, or leave something ----------------------------------------------- */

static int do_fail(struct occasion *occasion)
{
    return occasion->host->fail(occasion->host, -ENOENT, "the list %s cannot be read", "/etc/list");
}

/* The longest text that host->fail() keeps has 200 bytes; this one has 260. */
static int do_fail_at_length(struct occasion *occasion)
{
    return occasion->host->fail(occasion->host, -EINVAL, "%0260d", 0);
}

static int do_fail_silently(struct occasion *occasion)
{
    (void)occasion;
    return -EIO;
}

static void *run_idle(void *argument)
{
    pause();
    return argument;
}

static int do_start_thread(struct occasion *occasion)
{
    pthread_t thread;

    (void)occasion;
    return -pthread_create(&thread, NULL, run_idle, NULL);
}

/* ---- answers and memory ----------------------------------------------------------------------------------- */

/* By the datagram's mark: no verdict at all, then a verdict and a flag whose needs the plugin did not declare. */
static int do_invalid(struct occasion *occasion)
{
    static const nfqe_verdict answers[] = {NFQE_ACCEPT, NOT_A_VERDICT, NFQE_HELD, NFQE_ACCEPT | NFQE_FLOW};
    unsigned mark = mark_of(occasion->packet);

    occasion->verdict = mark < sizeof(answers) / sizeof(answers[0]) ? answers[mark] : NOT_A_VERDICT;
    return 0;
}

/* The bytes are const: casting that away is what a careless plugin does. */
static int do_overrun(struct occasion *occasion)
{
    volatile uint8_t *to = (uint8_t *)(uintptr_t)occasion->packet->data;

    for (long i = 0; i < occasion->number; i++) {
        to[i] = 0xff;
    }
    return 0;
}

/* Shared memory of the engine, as /proc/self/maps names it: where it can be written to, or can be made so. */
static int do_overwrite_memory(struct occasion *occasion)
{
    char line[LINE_MAX_BYTES];
    FILE *maps = fopen("/proc/self/maps", "re");

    (void)occasion;
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        uintptr_t begin;
        uintptr_t end;
        char rights[8];

        if (strstr(line, SHARED_MEMORY) != NULL &&
            sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &begin, &end, rights) == 3 && rights[3] == 's' &&
            mprotect((void *)begin, end - begin, PROT_READ | PROT_WRITE) == 0) {
            memset((void *)begin, 0xff, end - begin);
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return 0;
}

/* ---- descriptors and rights ------------------------------------------------------------------------------- */

static int close_from(struct occasion *occasion, unsigned first)
{
    return syscall(SYS_close_range, first, UINT_MAX, 0U) < 0
               ? occasion->host->fail(occasion->host, -errno, "no descriptor could be closed")
               : 0;
}

static int do_close_descriptors(struct occasion *occasion)
{
    return close_from(occasion, STDERR_FILENO + 1);
}

static int do_close_all_descriptors(struct occasion *occasion)
{
    return close_from(occasion, STDIN_FILENO);
}

/* Each that is open becomes standard error. */
static int do_replace_descriptors(struct occasion *occasion)
{
    (void)occasion;
    for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS_MAX; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            dup2(STDERR_FILENO, fd);
        }
    }
    return 0;
}

/* Flags of the file, which every process that has it shares, are turned over. */
static int do_change_descriptors(struct occasion *occasion)
{
    (void)occasion;
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        int flags = fcntl(fd, F_GETFL);

        if (flags >= 0) {
            fcntl(fd, F_SETFL, flags ^ O_NONBLOCK);
            fcntl(fd, F_SETOWN, getpid());
        }
    }
    return 0;
}

/* The call returns in four processes, each of which goes on as if it were the worker. */
static int do_fork_twice(struct occasion *occasion)
{
    (void)occasion;
    for (unsigned i = 0; i < 2; i++) {
        if (fork() < 0) {
            return -errno;
        }
    }
    return 0;
}

static void say_result(const char *what, int result)
{
    printf("%s: %s\n", what, result < 0 ? strerror(errno) : "done");
}

/* Unbinds the queue, as its owner may, and reaches for the supervisor. Not for others: this may be run without isolation. */
static int do_attack(struct occasion *occasion)
{
    struct {
        struct nlmsghdr head;
        struct nfgenmsg family;
        struct nlattr attribute;
        struct nfqnl_msg_config_cmd command;
    } unbind = {
        .head = {.nlmsg_len = sizeof(unbind),
                 .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .family = {.res_id = htons(1)},
        .attribute = {.nla_len = sizeof(unbind.attribute) + sizeof(unbind.command), .nla_type = NFQA_CFG_CMD},
        .command = {.command = NFQNL_CFG_CMD_UNBIND},
    };
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
    } answer = {.error.error = 0};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    (void)occasion;
    if (fd < 0 || send(fd, &unbind, sizeof(unbind), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0) {
        say_result("netlink", -1);
    } else {
        errno = -answer.error.error;
        say_result("netlink", answer.error.error);
    }
    if (fd >= 0) {
        close(fd);
    }
    say_result("parent", kill(getppid(), SIGKILL));
    say_result("priority", setpriority(PRIO_PROCESS, 0, -20));
    say_result("trace", (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
    return 0;
}

/* wanted: a bit for each capability that the process keeps; those below 32. */
static int set_capabilities(uint32_t wanted)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{.effective = wanted, .permitted = wanted}};

    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int do_drop_capabilities(struct occasion *occasion)
{
    (void)occasion;
    return set_capabilities(0);
}

static int do_change_user(struct occasion *occasion)
{
    (void)occasion;
    return setuid(NOBODY) < 0 ? -errno : 0;
}

/* A change of user also clears the signal that a process asked to get when its parent dies. */
static int do_change_user_keep_capability(struct occasion *occasion)
{
    (void)occasion;
    return prctl(PR_SET_KEEPCAPS, 1) < 0 || setuid(NOBODY) < 0 ? -errno : set_capabilities(1u << CAP_NET_ADMIN);
}

/* clang-format off: one line each */
const struct way misbehave_ways[] = {
    {"crash", ANYWHERE, false, do_crash},
    {"crash-thread", ANYWHERE, false, do_crash_thread},
    {"abort", ANYWHERE, false, do_abort},
    {"exit", ANYWHERE, true, do_exit},
    {"_exit", ANYWHERE, true, do_exit_at_once},
    {"kill-group", ANYWHERE, true, do_kill_group},
    {"hang", ANYWHERE, false, do_hang},
    {"sleep", ANYWHERE, true, do_sleep},
    {"work", ANYWHERE, true, do_work},
    {"print", ANYWHERE, true, do_print},
    {"print-and-crash", ANYWHERE, true, do_print_and_crash},
    {"print-mib", ANYWHERE, true, do_print_mib},
    {"wait-for-file", IN_START, false, do_wait_for_file},
    {"fail", IN_START, false, do_fail},
    {"fail-at-length", IN_START, false, do_fail_at_length},
    {"fail-silently", IN_START, false, do_fail_silently},
    {"start-thread", IN_START, false, do_start_thread},
    {"invalid", IN_PACKET, false, do_invalid},
    {"overrun", IN_PACKET, true, do_overrun},
    {"overwrite-memory", IN_PACKET, false, do_overwrite_memory},
    {"close-descriptors", ANYWHERE, false, do_close_descriptors},
    {"close-all-descriptors", ANYWHERE, false, do_close_all_descriptors},
    {"replace-descriptors", IN_PACKET, false, do_replace_descriptors},
    {"change-descriptors", IN_PACKET, false, do_change_descriptors},
    {"fork-twice", IN_PACKET, false, do_fork_twice},
    {"attack", ANYWHERE, false, do_attack},
    {"drop-capabilities", ANYWHERE, false, do_drop_capabilities},
    {"change-user", ANYWHERE, false, do_change_user},
    {"change-user-keep-capability", ANYWHERE, false, do_change_user_keep_capability},
    {.name = NULL},
};
/* clang-format on */
