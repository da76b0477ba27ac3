/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encodes a burst's verdicts into one buffer.
 *
 * The messages are built with libnetfilter_queue in place, one after the other, until the next might not fit. The only
 * decision is where a run of equal verdicts ends; it costs a comparison for each packet. Process: [queue process].
 */
#include "queue/nfqueue_encode.h"

#include "queue/nfqueue_sequence.h"

#include <nfqe/plugin.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

/* A message without payload: netlink header, nfnetlink header, verdict, mark. */
#define MESSAGE_SIZE                                                                                                   \
    (MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg) + MNL_ATTR_HDRLEN + sizeof(struct nfqnl_msg_verdict_hdr) +             \
     MNL_ATTR_HDRLEN + sizeof(uint32_t))

/* burst_knows_verdict() has all of them. */
static uint32_t kernel_verdict(nfqe_verdict verdict)
{
    switch (verdict_action(verdict)) {
    case NFQE_ACCEPT:
        return NF_ACCEPT;
    case NFQE_REPEAT:
        return NF_REPEAT;
    case NFQE_TO_QUEUE_ACTION:
        return NF_QUEUE_NR(verdict_argument(verdict)) |
               ((verdict & NFQE_QUEUE_BYPASS) != 0 ? NF_VERDICT_FLAG_QUEUE_BYPASS : 0U);
    default:
        return NF_DROP;
    }
}

static bool has_payload(const struct verdict_payload *payloads, unsigned index)
{
    return payloads != NULL && payloads[index].data != NULL;
}

static bool sets_mark(const struct burst_entry *entry)
{
    return (burst_entry_flags(entry) & BURST_SETS_MARK) != 0;
}

/* Where the run that starts at `from` ends: the first entry that the same message may not answer. */
static unsigned run_end(const struct burst_entry *entries, const struct verdict_payload *payloads, unsigned count,
                        unsigned from, const struct outstanding *outstanding)
{
    bool marked = sets_mark(&entries[from]);
    unsigned end = from + 1;

    if (outstanding == NULL || has_payload(payloads, from)) {
        return end;
    }
    while (end < count && !has_payload(payloads, end) && entries[end].verdict == entries[from].verdict &&
           sets_mark(&entries[end]) == marked && (!marked || entries[end].mark == entries[from].mark) &&
           outstanding_allows_batch(outstanding, entries[end].id)) {
        end++;
    }
    return end;
}

/* One verdict for so many packets, of which this is the last one. */
static struct nlmsghdr *put_verdict(struct nfqueue_encoder *encoder, unsigned packets, uint32_t id, uint32_t verdict)
{
    struct nlmsghdr *message = nfq_nlmsg_put(encoder->buffer + encoder->len,
                                             packets > 1 ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT, encoder->queue);

    message->nlmsg_seq = encoder->sequence | (packets - 1) * NFQUEUE_SEQUENCE_ONE_PACKET;
    nfq_nlmsg_verdict_put(message, (int)id, (int)kernel_verdict(verdict));
    return message;
}

static bool fits(const struct nfqueue_encoder *encoder, size_t attribute_size)
{
    return NFQUEUE_ENCODER_SIZE - encoder->len >= MESSAGE_SIZE + attribute_size;
}

/* What the new payload of an entry takes in its message. */
static size_t payload_size(const struct verdict_payload *payloads, unsigned index)
{
    return has_payload(payloads, index) ? MNL_ATTR_HDRLEN + MNL_ALIGN(payloads[index].len) : 0;
}

unsigned nfqueue_encode(struct nfqueue_encoder *encoder, const struct burst_entry *entries,
                        const struct verdict_payload *payloads, unsigned count, unsigned from,
                        const struct outstanding *outstanding)
{
    encoder->len = 0;
    while (from < count) {
        unsigned end = run_end(entries, payloads, count, from, outstanding);
        const struct burst_entry *last = &entries[end - 1];
        struct nlmsghdr *message;

        if (!fits(encoder, payload_size(payloads, from))) {
            break;
        }
        message = put_verdict(encoder, end - from, last->id, last->verdict);
        if (sets_mark(last)) {
            nfq_nlmsg_verdict_put_mark(message, last->mark);
        }
        if (has_payload(payloads, from)) {
            nfq_nlmsg_verdict_put_pkt(message, payloads[from].data, payloads[from].len);
        }
        encoder->len += MNL_ALIGN(message->nlmsg_len);
        from = end;
    }
    return from;
}

void nfqueue_encode_ids(struct nfqueue_encoder *encoder, uint32_t *first, uint32_t last, uint32_t verdict)
{
    encoder->len = 0;
    while (*first != last + 1 && fits(encoder, 0)) {
        const struct nlmsghdr *message = put_verdict(encoder, 1, *first, verdict);

        encoder->len += MNL_ALIGN(message->nlmsg_len);
        (*first)++;
    }
}
