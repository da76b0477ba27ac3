/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The coalescing encoder; see nfqueue_encode.h.
 */
#include "queue/nfqueue_encode.h"

#include <nfqe/plugin.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdbool.h>

/* A message without payload: netlink header, nfnetlink header, verdict, mark. */
#define MESSAGE_SIZE                                                                                                   \
    (MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg) + MNL_ATTR_HDRLEN + sizeof(struct nfqnl_msg_verdict_hdr) +             \
     MNL_ATTR_HDRLEN + sizeof(uint32_t))

static int kernel_verdict(uint32_t verdict)
{
    return verdict == NFQE_ACCEPT ? NF_ACCEPT : NF_DROP;
}

static bool has_payload(const struct verdict_payload *payloads, unsigned index)
{
    return payloads != NULL && payloads[index].data != NULL;
}

static bool sets_mark(const struct arena_verdict *entry)
{
    return (atomic_load_explicit(&entry->flags, memory_order_relaxed) & ARENA_SETS_MARK) != 0;
}

/* Where the run that starts at `from` ends: the first entry that needs a message of its own. */
static unsigned run_end(const struct arena_verdict *entries, const struct verdict_payload *payloads, unsigned count,
                        unsigned from)
{
    bool marked = sets_mark(&entries[from]);
    unsigned end = from + 1;

    if (has_payload(payloads, from)) {
        return end;
    }
    while (end < count && !has_payload(payloads, end) && entries[end].verdict == entries[from].verdict &&
           sets_mark(&entries[end]) == marked && (!marked || entries[end].mark == entries[from].mark)) {
        end++;
    }
    return end;
}

static struct nlmsghdr *put_verdict(struct nfqueue_encoder *verdicts, int type, uint32_t id, uint32_t verdict)
{
    struct nlmsghdr *message = nfq_nlmsg_put(verdicts->buffer + verdicts->len, type, verdicts->queue);

    message->nlmsg_seq = verdicts->sequence;
    nfq_nlmsg_verdict_put(message, (int)id, kernel_verdict(verdict));
    return message;
}

static bool fits(const struct nfqueue_encoder *verdicts, size_t attribute_size)
{
    return NFQUEUE_ENCODER_SIZE - verdicts->len >= MESSAGE_SIZE + attribute_size;
}

/* What the new payload of an entry takes in its message. */
static size_t payload_size(const struct verdict_payload *payloads, unsigned index)
{
    return has_payload(payloads, index) ? MNL_ATTR_HDRLEN + MNL_ALIGN(payloads[index].len) : 0;
}

unsigned nfqueue_encode(struct nfqueue_encoder *verdicts, const struct arena_verdict *entries,
                        const struct verdict_payload *payloads, unsigned count, unsigned from)
{
    verdicts->len = 0;
    while (from < count) {
        unsigned end = verdicts->no_batches ? from + 1 : run_end(entries, payloads, count, from);
        const struct arena_verdict *last = &entries[end - 1];
        struct nlmsghdr *message;

        if (!fits(verdicts, payload_size(payloads, from))) {
            break;
        }
        message = put_verdict(verdicts, end - from > 1 ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT, last->id,
                              last->verdict);
        if (sets_mark(last)) {
            nfq_nlmsg_verdict_put_mark(message, last->mark);
        }
        if (has_payload(payloads, from)) {
            nfq_nlmsg_verdict_put_pkt(message, payloads[from].data, payloads[from].len);
        }
        verdicts->len += MNL_ALIGN(message->nlmsg_len);
        from = end;
    }
    return from;
}

void nfqueue_encode_ids(struct nfqueue_encoder *verdicts, uint32_t *first, uint32_t last, uint32_t verdict)
{
    verdicts->len = 0;
    while (*first != last + 1 && fits(verdicts, 0)) {
        const struct nlmsghdr *message = put_verdict(verdicts, NFQNL_MSG_VERDICT, *first, verdict);

        verdicts->len += MNL_ALIGN(message->nlmsg_len);
        (*first)++;
    }
}
