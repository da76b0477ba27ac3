/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that try to get rights, and to use those of others. Each call must be refused.
 *
 *     rights             uids, capabilities, namespaces, limits, priorities
 *     siblings           signals, ptrace, memory, descriptors and limits of all other processes of the engine
 *     netlink:QUEUE      commands and verdicts for this queue, and for the firewall, on sockets of its own
 *
 * Runs in the worker.
 */
#include "zoo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIBLINGS_MAX 64
#define OTHER_UID 70005

/* ---- its own ------------------------------------------------------------------------------------------------- */

static void raise_limit(int resource, const char *what)
{
    struct rlimit limit;

    getrlimit((__rlimit_resource_t)resource, &limit);
    if (limit.rlim_max != RLIM_INFINITY) {
        limit.rlim_max++;
        zoo_refused(what, setrlimit((__rlimit_resource_t)resource, &limit));
    }
}

static void try_ids(void)
{
    const gid_t group = 0;

    zoo_refused("setuid(0)", setuid(0));
    zoo_refused("seteuid(0)", seteuid(0));
    zoo_refused("setresuid(0)", setresuid(0, 0, 0));
    zoo_refused("setuid of a sibling", setuid(OTHER_UID + (getuid() == OTHER_UID)));
    zoo_refused("setgid(0)", setgid(0));
    zoo_refused("setegid(0)", setegid(0));
    zoo_refused("setgroups(0)", setgroups(1, &group));
    zoo_refused("setgroups()", setgroups(0, NULL));
}

static void try_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{.effective = 0}};

        data[i / 32].permitted = data[i / 32].effective = 1u << (i % 32);
        zoo_refused("capset", syscall(SYS_capset, &header, data));
        zoo_refused("an ambient capability", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0));
    }
    zoo_refused("PR_SET_SECUREBITS", prctl(PR_SET_SECUREBITS, 0));
    zoo_refused("PR_SET_NO_NEW_PRIVS 0", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void try_namespaces(void)
{
    zoo_refused("unshare(CLONE_NEWUSER)", unshare(CLONE_NEWUSER));
    zoo_refused("unshare(CLONE_NEWUSER | CLONE_NEWNET)", unshare(CLONE_NEWUSER | CLONE_NEWNET));
    zoo_refused("unshare(CLONE_NEWNS)", unshare(CLONE_NEWNS));
    zoo_refused("unshare(CLONE_NEWNET)", unshare(CLONE_NEWNET));
    zoo_refused("unshare(CLONE_NEWPID)", unshare(CLONE_NEWPID));
    zoo_refused("max_user_namespaces", open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC));
    zoo_refused("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
    zoo_refused("chroot", chroot("/"));
}

static void try_priorities(void)
{
    const struct sched_param first = {.sched_priority = 1};

    zoo_refused("nice -1", setpriority(PRIO_PROCESS, 0, -1));
    zoo_refused("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &first));
    zoo_refused("SCHED_RR", sched_setscheduler(0, SCHED_RR, &first));
    raise_limit(RLIMIT_NPROC, "a higher RLIMIT_NPROC");
    raise_limit(RLIMIT_CORE, "a higher RLIMIT_CORE");
    raise_limit(RLIMIT_NICE, "a higher RLIMIT_NICE");
    raise_limit(RLIMIT_RTPRIO, "a higher RLIMIT_RTPRIO");
    raise_limit(RLIMIT_MEMLOCK, "a higher RLIMIT_MEMLOCK");
    raise_limit(RLIMIT_NOFILE, "a higher RLIMIT_NOFILE");
}

static void try_rights(const struct deed *deed)
{
    (void)deed;
    try_ids();
    try_capabilities();
    try_namespaces();
    try_priorities();
    zoo_refused("/etc/shadow", open("/etc/shadow", O_RDONLY | O_CLOEXEC));
    zoo_say_refused();
}

/* ---- siblings ------------------------------------------------------------------------------------------------ */

static pid_t parent_of(pid_t pid)
{
    char path[32];
    char line[512] = "";
    const char *end;
    int parent = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "re");
    if (file != NULL) {
        end = fgets(line, sizeof(line), file) != NULL ? strrchr(line, ')') : NULL;
        if (end != NULL && sscanf(end, ") %*c %d", &parent) != 1) {
            parent = -1;
        }
        fclose(file);
    }
    return parent;
}

void zoo_siblings(int *pids, unsigned max, unsigned *count)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;

    *count = 0;
    pids[(*count)++] = getppid();
    while (directory != NULL && *count < max && (entry = readdir(directory)) != NULL) {
        int pid = (int)strtol(entry->d_name, NULL, 10);

        if (pid > 0 && pid != getpid() && parent_of(pid) == getppid()) {
            pids[(*count)++] = pid;
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

static void try_memory(pid_t pid)
{
    static char own[8];
    const struct iovec local = {own, sizeof(own)};
    const struct iovec remote = {&own, sizeof(own)};
    char path[48];

    zoo_refused("ptrace attach", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
    zoo_refused("ptrace seize", ptrace(PTRACE_SEIZE, pid, NULL, NULL));
    zoo_refused("process_vm_readv", process_vm_readv(pid, &local, 1, &remote, 1, 0));
    zoo_refused("process_vm_writev", process_vm_writev(pid, &local, 1, &remote, 1, 0));
    snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    zoo_refused("mem", open(path, O_RDWR | O_CLOEXEC));
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    zoo_refused("maps", open(path, O_RDONLY | O_CLOEXEC));
    snprintf(path, sizeof(path), "/proc/%d/fd/3", pid);
    zoo_refused("fd/3", open(path, O_RDWR | O_CLOEXEC));
}

static void try_scheduling(pid_t pid)
{
    const struct sched_param none = {.sched_priority = 0};
    struct rlimit limit = {0, 0};
    cpu_set_t cpus;
    char path[48];

    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    zoo_refused("sched_setaffinity", sched_setaffinity(pid, sizeof(cpus), &cpus));
    zoo_refused("sched_setscheduler", sched_setscheduler(pid, SCHED_IDLE, &none));
    zoo_refused("setpriority", setpriority(PRIO_PROCESS, (id_t)pid, 19));
    zoo_refused("prlimit", prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
    zoo_refused("oom_score_adj", open(path, O_WRONLY | O_CLOEXEC));
}

static void try_siblings(const struct deed *deed)
{
    static const int signals[] = {SIGKILL, SIGSTOP, SIGTERM, SIGCONT, SIGUSR1, SIGINT};
    int pids[SIBLINGS_MAX];
    unsigned count;

    (void)deed;
    zoo_siblings(pids, SIBLINGS_MAX, &count);
    for (unsigned i = 0; i < count; i++) {
        int pidfd = (int)syscall(SYS_pidfd_open, pids[i], 0);

        try_memory(pids[i]);
        try_scheduling(pids[i]);
        for (int fd = 0; fd < 64; fd++) {
            zoo_refused("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, fd, 0));
        }
        for (size_t j = 0; j < sizeof(signals) / sizeof(signals[0]); j++) {
            if (signals[j] != SIGCONT || getsid(pids[i]) != getsid(0)) {
                zoo_refused("kill", kill(pids[i], signals[j]));
                zoo_refused("pidfd_send_signal", syscall(SYS_pidfd_send_signal, pidfd, signals[j], NULL, 0));
            }
        }
        close(pidfd);
    }
    dprintf(STDERR_FILENO, "%u processes\n", count);
    zoo_say_refused();
}

/* ---- netlink ------------------------------------------------------------------------------------------------- */

/* Sends one message with a payload. Returns 0 or more if the kernel acknowledged it, else a negative errno. */
static int send_netlink(int protocol, uint16_t type, uint16_t flags, const void *payload, size_t len)
{
    struct {
        struct nlmsghdr head;
        char payload[64];
    } message = {.head = {.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len),
                          .nlmsg_type = type,
                          .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)}};
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[256];
    } answer;
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    const struct timeval limit = {.tv_sec = 1};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    int code = 0;

    memcpy(message.payload, payload, len);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (sendto(fd, &message, message.head.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
        code = -errno;
    } else if (recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.error.error)) ||
               answer.head.nlmsg_type != NLMSG_ERROR) {
        code = -EIO;
    } else {
        code = answer.error.error;
    }
    close(fd);
    return code;
}

static void try_message(const char *what, int protocol, uint16_t type, uint16_t flags, const void *payload, size_t len)
{
    int code = send_netlink(protocol, type, flags, payload, len);

    zoo_refused(what, code);
    if (code < 0 && code != -EPERM) {
        dprintf(STDERR_FILENO, "breach: %s: %s, not for lack of a right\n", what, strerror(-code));
    }
}

static void try_netlink(const struct deed *deed)
{
    struct {
        struct nfgenmsg head;
        struct nlattr attribute;
        struct nfqnl_msg_config_cmd command;
    } config = {{AF_UNSPEC, NFNETLINK_V0, htons((uint16_t)deed->number)}, {8, NFQA_CFG_CMD}, {.command = 0}};
    struct {
        struct nfgenmsg head;
        struct nlattr attribute;
        struct nfqnl_msg_verdict_hdr verdict;
    } verdict = {
        {AF_UNSPEC, NFNETLINK_V0, htons((uint16_t)deed->number)}, {12, NFQA_VERDICT_HDR}, {.verdict = htonl(1)}};
    const struct nfgenmsg batch = {AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)};
    const struct ifinfomsg link = {.ifi_index = 1, .ifi_change = 1};

    for (unsigned i = NFQNL_CFG_CMD_BIND; i <= NFQNL_CFG_CMD_PF_UNBIND; i++) {
        config.command.command = (uint8_t)i;
        try_message("queue command", NETLINK_NETFILTER, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, 0, &config,
                    sizeof(config));
    }
    for (uint32_t id = 1; id < 64; id++) {
        verdict.verdict.id = htonl(id);
        try_message("verdict", NETLINK_NETFILTER, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT, 0, &verdict,
                    sizeof(verdict));
        try_message("verdicts", NETLINK_NETFILTER, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT_BATCH, 0, &verdict,
                    sizeof(verdict));
    }
    try_message("firewall", NETLINK_NETFILTER, NFNL_MSG_BATCH_BEGIN, 0, &batch, sizeof(batch));
    try_message("link down", NETLINK_ROUTE, RTM_NEWLINK, 0, &link, sizeof(link));
    zoo_say_refused();
}

const struct animal zoo_rights[] = {
    {"rights", try_rights}, {"siblings", try_siblings}, {"netlink", try_netlink}, {.name = NULL}};
