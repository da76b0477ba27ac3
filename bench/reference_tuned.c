/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reference_tuned - the smallest fast loop: recvmmsg() of up to 64 packets, one batch verdict for a run of equal
 * verdicts, single messages otherwise, all verdicts of a burst in one send; 128 bytes of a packet copied, offload
 * packets whole.
 *
 * It does not have what the engine adds: plugins, crash containment, counters, a stop without loss, checks of messages.
 * It runs until it is killed; the kernel then drops queued packets.
 */
#include "policy.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>

#define BURST 64
#define COPY_RANGE 128
#define SLOT_SIZE 1024
#define SEND_SIZE (BURST * 64)

struct answer {
    uint32_t id;
    uint32_t verdict;
};

static char slots[BURST][SLOT_SIZE] __attribute__((aligned(64)));
static char send_buffer[SEND_SIZE] __attribute__((aligned(8)));

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_queue(uint16_t queue, bool whole)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    struct nlmsghdr *message;
    int size = POLICY_RECEIVE_BUFFER;
    int on = 1;
    int fd;

    if (socket == NULL || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        die("netlink socket");
    }
    fd = mnl_socket_get_fd(socket);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
    message = nfq_nlmsg_put(send_buffer, NFQNL_MSG_CONFIG, queue);
    message->nlmsg_flags |= NLM_F_ACK;
    nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
    nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, COPY_RANGE);
    nfq_nlmsg_cfg_put_qmaxlen(message, POLICY_MAX_LEN);
    mnl_attr_put_u32(message, NFQA_CFG_FLAGS, whole ? htonl(NFQA_CFG_F_GSO) : 0);
    mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
    if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0) {
        die("bind");
    }
    if (recv(fd, slots[0], SLOT_SIZE, 0) < 0) {
        die("bind");
    }
    message = (void *)slots[0];
    if (message->nlmsg_type == NLMSG_ERROR && ((struct nlmsgerr *)mnl_nlmsg_get_payload(message))->error != 0) {
        errno = -((struct nlmsgerr *)mnl_nlmsg_get_payload(message))->error;
        die("bind");
    }
    return fd;
}

/* Decides one packet. Returns whether the message was a packet. */
static bool decide(const struct nlmsghdr *message, enum policy_pattern pattern, struct answer *answer)
{
    struct nlattr *attribute; /* mnl_attr_for_each() casts const away */
    const uint8_t *data = NULL;
    size_t len = 0;

    if (message->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) {
        return false;
    }
    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(attribute) == NFQA_PACKET_HDR) {
            const struct nfqnl_msg_packet_hdr *header = mnl_attr_get_payload(attribute);

            answer->id = ntohl(header->packet_id);
        } else if (mnl_attr_get_type(attribute) == NFQA_PAYLOAD) {
            data = mnl_attr_get_payload(attribute);
            len = mnl_attr_get_payload_len(attribute);
        }
    }
    answer->verdict = policy_decide(pattern, answer->id, data, len);
    return true;
}

static void send_answers(int fd, uint16_t queue, const struct answer *answers, unsigned count)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    size_t len = 0;

    for (unsigned first = 0, next = 0; first < count; first = next) {
        struct nlmsghdr *message;

        while (next < count && answers[next].verdict == answers[first].verdict) {
            next++;
        }
        message =
            nfq_nlmsg_put(send_buffer + len, next - first > 1 ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT, queue);
        nfq_nlmsg_verdict_put(message, (int)answers[next - 1].id, (int)answers[next - 1].verdict);
        len += MNL_ALIGN(message->nlmsg_len);
    }
    if (len > 0 && sendto(fd, send_buffer, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
        perror("send");
    }
}

int main(int argc, char *argv[])
{
    struct mmsghdr messages[BURST] = {0};
    struct iovec vectors[BURST];
    struct answer answers[BURST];
    enum policy_pattern pattern;
    uint16_t queue;
    bool whole;
    int fd;

    policy_parse(argc, argv, &queue, &pattern, &whole);
    fd = open_queue(queue, whole);
    for (unsigned i = 0; i < BURST; i++) {
        vectors[i] = (struct iovec){.iov_base = slots[i], .iov_len = SLOT_SIZE};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    for (;;) {
        int received = recvmmsg(fd, messages, BURST, MSG_WAITFORONE, NULL);
        unsigned count = 0;

        if (received < 0 && errno != EINTR && errno != ENOBUFS) {
            die("recvmmsg");
        }
        for (int i = 0; i < received; i++) {
            count += decide((const void *)slots[i], pattern, &answers[count]);
        }
        send_answers(fd, queue, answers, count);
    }
}
