/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model of the kernel for workers that are stopped at each instruction.
 */
#include "step_kernel.h"

#include "kernel_messages.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"
#include "unit.h"

#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

struct step_kernel *step_kernel;
unsigned step_kernel_room;
uint32_t step_kernel_id_base;

int __wrap_nfqueue_receive(int fd, struct burst *burst);
int __wrap_nfqueue_send(int fd, const void *data, size_t len);

void step_kernel_enter(enum step_moment moment)
{
    atomic_signal_fence(memory_order_seq_cst);
    step_kernel->moment = moment;
    atomic_signal_fence(memory_order_seq_cst);
    if (step_kernel->traced && moment != STEP_IN_KERNEL) {
        raise(SIGTRAP);
    }
}

static void put(struct burst *burst, unsigned index, const struct message *message)
{
    memcpy(burst->iovecs[index].iov_base, message->bytes, message->len);
    burst->messages[index].msg_hdr.msg_flags = 0;
}

/* What a receive does for one message. */
static void give_message(struct burst *burst, unsigned index)
{
    struct message message;
    bool is_packet = step_kernel->read == step_kernel->answered;

    step_kernel_enter(STEP_IN_KERNEL);
    message_begin(&message);
    if (is_packet) {
        message_put_id(&message, step_kernel_id_base + step_kernel->next);
        step_kernel->next++;
    } else {
        message_answer(&message, -ENOENT, step_kernel->answers[step_kernel->read++]);
    }
    put(burst, index, &message);
    step_kernel_enter(is_packet ? STEP_LOSING : STEP_IN_KERNEL);
    step_kernel_enter(STEP_IN_KERNEL);
    step_kernel->receives += index == 0;
    burst->messages[index].msg_len = (unsigned)message.len;
    step_kernel_enter(STEP_IN_WORKER);
}

int __wrap_nfqueue_receive(int fd, struct burst *burst)
{
    unsigned count = 0;

    (void)fd;
    while (count < step_kernel_room && (step_kernel->read != step_kernel->answered || step_kernel->next <= STEP_IDS)) {
        give_message(burst, count++);
    }
    return count > 0 ? (int)count : -EAGAIN;
}

static void take_verdict(uint32_t id, uint32_t verdict, bool batch, uint32_t sequence)
{
    bool found = false;

    for (uint32_t i = batch ? 1 : id; i <= id && i <= STEP_IDS; i++) {
        if (i > 0 && step_kernel->times[i] == 0) {
            step_kernel->verdicts[i] = verdict;
            step_kernel->times[i]++;
            found = true;
        }
    }
    if (!found) {
        assert_true(step_kernel->answered < STEP_ANSWERS_MAX);
        step_kernel->answers[step_kernel->answered++] = sequence;
        step_kernel->fresh += (sequence & NFQUEUE_SEQUENCE_RESENT) == 0;
    }
}

int __wrap_nfqueue_send(int fd, const void *data, size_t len)
{
    const struct nlmsghdr *message = data;
    int left = (int)len;

    (void)fd;
    step_kernel_enter(STEP_IN_KERNEL);
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        const struct nlattr *attribute = mnl_nlmsg_get_payload_offset(message, sizeof(struct nfgenmsg));
        const struct nfqnl_msg_verdict_hdr *verdict = mnl_attr_get_payload(attribute);

        take_verdict(ntohl(verdict->id) - step_kernel_id_base,
                     ntohl(verdict->verdict) == NF_ACCEPT ? NFQE_ACCEPT : NFQE_DROP,
                     (message->nlmsg_type & 0xff) == NFQNL_MSG_VERDICT_BATCH, message->nlmsg_seq);
    }
    step_kernel_enter(STEP_IN_WORKER);
    return 0;
}
