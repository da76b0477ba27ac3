/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children with fewer rights.
 *
 * In a PID namespace of their own, a signal to all processes reaches none of the machine's; and when process 1 ends, the
 * kernel ends the others. The netlink messages are built here, so that nothing of the engine decides what is refused.
 */
#include "rights.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define NOT_HERE 77 /* exit status: the machine does not allow the test */

void rights_need_root(void)
{
    if (geteuid() != 0) {
        print_message("SKIPPED: needs root\n");
        skip();
    }
}

int rights_run(void (*run)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void (*inner)(void);

static void become_user(void)
{
    if (geteuid() == 0) {
        EXPECT(setgroups(0, NULL) == 0);
        EXPECT(setresgid(RIGHTS_UID, RIGHTS_UID, RIGHTS_UID) == 0);
        EXPECT(setresuid(RIGHTS_UID, RIGHTS_UID, RIGHTS_UID) == 0);
    }
    inner();
}

int rights_run_as_user(void (*run)(void))
{
    inner = run;
    return rights_run(become_user);
}

static void enter_namespaces(void)
{
    int status;
    pid_t pid;

    if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) < 0) {
        _exit(NOT_HERE);
    }
    pid = fork();
    if (pid == 0) {
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0) {
            _exit(NOT_HERE);
        }
        inner();
        _exit(0);
    }
    EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid);
    EXPECT(WIFEXITED(status));
    _exit(WEXITSTATUS(status));
}

int rights_run_in_namespaces(void (*run)(void))
{
    int status;

    rights_need_root();
    inner = run;
    status = rights_run(enter_namespaces);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE) {
        print_message("SKIPPED: no namespaces can be made here\n");
        skip();
    }
    return status;
}

pid_t rights_start(void (*become)(void))
{
    int ready[2];
    char byte;
    pid_t pid;

    EXPECT(pipe(ready) == 0);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        become();
        EXPECT(write(ready[1], "", 1) == 1);
        for (;;) {
            pause();
        }
    }
    close(ready[1]);
    EXPECT(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return pid;
}

int rights_open_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
}

/* Sends a request with one attribute, and returns the kernel's answer. */
static int ask_kernel(int fd, uint16_t type, uint16_t attribute, const void *value, uint16_t len)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg family;
        struct nlattr attribute;
        uint8_t value[16];
    } request = {
        .header = {.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .family = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(RIGHTS_QUEUE)},
        .attribute = {.nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = attribute},
    };
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[256];
    } answer;

    memcpy(request.value, value, len);
    request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.family)) + NLA_HDRLEN + NLA_ALIGN(len);
    if (sendto(fd, &request, request.header.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
        recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.error))) {
        return -errno;
    }
    return answer.error.error;
}

int rights_bind_queue(int socket)
{
    const struct nfqnl_msg_config_cmd bind = {.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET)};

    return ask_kernel(socket, NFQNL_MSG_CONFIG, NFQA_CFG_CMD, &bind, sizeof(bind));
}

int rights_send_verdict(int socket)
{
    const struct nfqnl_msg_verdict_hdr verdict = {.verdict = htonl(NF_ACCEPT), .id = htonl(1)};

    return ask_kernel(socket, NFQNL_MSG_VERDICT, NFQA_VERDICT_HDR, &verdict, sizeof(verdict));
}
