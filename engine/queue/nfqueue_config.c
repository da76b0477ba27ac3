/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration requests, built with libnetfilter_queue and sent without asking for an acknowledgement.
 *
 * The kernel handles a request inside send(2), so an error answer, if there is one, is in the socket when send returns,
 * before any packet. A success leaves nothing there: the supervisor never has to read a stream that may hold packets.
 * Process: [supervisor]; a queue process stops the queueing.
 */
#include "queue/nfqueue_config.h"

#include "base/arith.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"
#include "queue/queue_shm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>

#define REQUEST_SIZE 256
#define ANSWER_SIZE 1024

/*
 * All attributes beside the payload: of Linux 6.18 about 230 bytes without these two, with a link-layer header that has
 * three tags. The rest is for those of later kernels. A byte more is a byte in each of 256 slots of a queue.
 */
#define SLOT_OVERHEAD 384
#define SLOT_CONNTRACK 1024 /* tuples, NAT, helper, labels */
#define SLOT_SECCTX 4096    /* a page is the longest that a security module makes */

/* Sends a request; returns the error that the kernel answered it with, or 0. Any other message stays in the socket. */
static int request(int fd, const struct nlmsghdr *message)
{
    char answer[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    const struct nlmsghdr *header = (const void *)answer;
    const struct nlmsgerr *error = (const void *)(answer + NLMSG_HDRLEN);
    int code = nfqueue_send(fd, message, message->nlmsg_len);
    ssize_t len;

    if (code < 0) {
        return code;
    }
    len = recv(fd, answer, sizeof(answer), MSG_PEEK | MSG_DONTWAIT);
    if (len < (ssize_t)(NLMSG_HDRLEN + sizeof(*error)) || header->nlmsg_type != NLMSG_ERROR ||
        header->nlmsg_seq != message->nlmsg_seq) {
        return 0;
    }
    code = error->error;
    recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
    return code;
}

_Static_assert(QUEUE_FAIL_OPEN == NFQA_CFG_F_FAIL_OPEN && QUEUE_CONNTRACK == NFQA_CFG_F_CONNTRACK &&
                   QUEUE_GSO == NFQA_CFG_F_GSO && QUEUE_UID_GID == NFQA_CFG_F_UID_GID &&
                   QUEUE_SECCTX == NFQA_CFG_F_SECCTX,
               "the kernel's numbers");

/* The kernel changes only the flags that are in the mask. */
static void put_flags(struct nlmsghdr *message, uint32_t flags, uint32_t mask)
{
    mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(flags));
    mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(mask));
}

static struct nlmsghdr *put_configuration(char *buffer, uint16_t queue)
{
    struct nlmsghdr *message = nfq_nlmsg_put(buffer, NFQNL_MSG_CONFIG, queue);

    message->nlmsg_seq = NFQUEUE_SEQUENCE_CONFIGURATION;
    return message;
}

static void put_settings(struct nlmsghdr *message, const struct queue_settings *settings)
{
    nfq_nlmsg_cfg_put_params(message, settings->copy_packet ? NFQNL_COPY_PACKET : NFQNL_COPY_META,
                             (int)settings->copy_range);
    nfq_nlmsg_cfg_put_qmaxlen(message, settings->max_len);
    /* Only what is set is in the mask: an old kernel refuses flags that it does not know. */
    put_flags(message, settings->flags, settings->flags);
}

int nfqueue_bind(int fd, uint16_t queue, const struct queue_settings *settings)
{
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = put_configuration(buffer, queue);

    nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
    put_settings(message, settings);
    return request(fd, message);
}

int nfqueue_configure(int fd, uint16_t queue, const struct queue_settings *settings)
{
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = put_configuration(buffer, queue);

    put_settings(message, settings);
    return nfqueue_send(fd, message, message->nlmsg_len);
}

int nfqueue_probe_flag(int fd, uint16_t queue, uint32_t flag)
{
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = put_configuration(buffer, queue);
    int code;

    /* The kernel looks at the flags, then at the owner, before it finds that there is no such queue, and does nothing. */
    put_flags(message, flag, flag);
    code = request(fd, message);
    return code == -EOPNOTSUPP || code == -EPERM ? code : 0;
}

int nfqueue_unbind(int fd, uint16_t queue)
{
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = put_configuration(buffer, queue);

    nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_UNBIND);
    return request(fd, message);
}

/*
 * Two messages in one send. Of one message with both, the kernel sets the length first and then, in another critical
 * section, the flags (nfnetlink_queue.c, nfqnl_recv_config()): a packet in between would get the verdict of the old
 * flag.
 */
int nfqueue_stop_queueing(int fd, uint16_t queue, bool accept)
{
    char buffer[2 * REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *flags = put_configuration(buffer, queue);
    struct nlmsghdr *length;
    size_t flags_len;

    put_flags(flags, accept ? QUEUE_FAIL_OPEN : 0, QUEUE_FAIL_OPEN);
    flags_len = NLMSG_ALIGN(flags->nlmsg_len);
    length = put_configuration(buffer + flags_len, queue);
    nfq_nlmsg_cfg_put_qmaxlen(length, 0);
    return nfqueue_send(fd, buffer, flags_len + length->nlmsg_len);
}

uint32_t nfqueue_slot_size(const struct queue_settings *settings)
{
    uint32_t size = settings->copy_range + SLOT_OVERHEAD;

    size += (settings->flags & QUEUE_CONNTRACK) != 0 ? SLOT_CONNTRACK : 0;
    size += (settings->flags & QUEUE_SECCTX) != 0 ? SLOT_SECCTX : 0;
    return (uint32_t)round_up(size, QUEUE_SHM_SLOT_ALIGN);
}
