/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads verdict messages as the kernel does.
 *
 * It follows net/netfilter/nfnetlink_queue.c and nfnetlink.c: what they ignore or refuse is a broken promise here.
 */
#include "verdict_messages.h"

#include "promise.h"
#include "queue/nfqueue_sequence.h"

#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>
#include <sys/socket.h>

struct reader {
    struct verdict_message *message;
    bool has_verdict;
};

static int read_attribute(const struct nlattr *attribute, void *data)
{
    const struct nfqnl_msg_verdict_hdr *verdict = mnl_attr_get_payload(attribute);
    struct reader *reader = data;
    struct verdict_message *message = reader->message;

    switch (mnl_attr_get_type(attribute)) {
    case NFQA_VERDICT_HDR:
        PROMISE(!reader->has_verdict && mnl_attr_get_payload_len(attribute) == sizeof(*verdict));
        reader->has_verdict = true;
        message->id = ntohl(verdict->id);
        message->verdict = ntohl(verdict->verdict);
        break;
    case NFQA_MARK:
        PROMISE(!message->has_mark && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t));
        message->has_mark = true;
        message->mark = ntohl(mnl_attr_get_u32(attribute));
        break;
    case NFQA_PAYLOAD:
        PROMISE(message->payload == NULL && !message->batch); /* in a batch the kernel ignores it */
        message->payload = mnl_attr_get_payload(attribute);
        message->payload_len = mnl_attr_get_payload_len(attribute);
        break;
    default:
        PROMISE(!"an attribute that belongs in a verdict");
    }
    return MNL_CB_OK;
}

/* Accepted, dropped, to the rules again, or in another queue, with or without the flag that accepts it if nothing listens there. */
static bool is_known(uint32_t verdict)
{
    return verdict == NF_ACCEPT || verdict == NF_DROP || verdict == NF_REPEAT ||
           (verdict & 0xffff & ~UINT32_C(0x8000)) == NF_QUEUE;
}

uint32_t verdict_for_kernel(uint32_t verdict)
{
    if (verdict == NFQE_ACCEPT) {
        return NF_ACCEPT;
    }
    if (verdict == NFQE_REPEAT) {
        return NF_REPEAT;
    }
    if ((verdict & 0xff) == NFQE_TO_QUEUE_ACTION) {
        return (verdict & 0xffff0000) | ((verdict & NFQE_QUEUE_BYPASS) != 0 ? 0x8000 : 0) | NF_QUEUE;
    }
    return NF_DROP;
}

bool verdict_message_next(const struct nfqueue_encoder *verdicts, size_t *offset, struct verdict_message *message)
{
    const struct nlmsghdr *header = (const void *)(verdicts->buffer + *offset);
    const struct nfgenmsg *family;
    struct reader reader = {.message = message};
    unsigned type;

    PROMISE(verdicts->len <= sizeof(verdicts->buffer) && *offset <= verdicts->len);
    if (*offset == verdicts->len) {
        return false;
    }
    PROMISE(mnl_nlmsg_ok(header, (int)(verdicts->len - *offset)));
    PROMISE(header->nlmsg_type >> 8 == NFNL_SUBSYS_QUEUE);
    PROMISE(header->nlmsg_flags == NLM_F_REQUEST); /* without it the kernel skips the message; ACK would be answered */
    PROMISE((header->nlmsg_seq & ~NFQUEUE_SEQUENCE_PACKETS) == verdicts->sequence);
    PROMISE(mnl_nlmsg_get_payload_len(header) >= sizeof(*family));
    family = mnl_nlmsg_get_payload(header);
    PROMISE(family->version == NFNETLINK_V0 && ntohs(family->res_id) == verdicts->queue);
    type = header->nlmsg_type & 0xff;
    PROMISE(type == NFQNL_MSG_VERDICT || type == NFQNL_MSG_VERDICT_BATCH);
    PROMISE(((header->nlmsg_seq & NFQUEUE_SEQUENCE_PACKETS) != 0) == (type == NFQNL_MSG_VERDICT_BATCH));
    *message = (struct verdict_message){.batch = type == NFQNL_MSG_VERDICT_BATCH};
    PROMISE(mnl_attr_parse(header, sizeof(*family), read_attribute, &reader) == MNL_CB_OK);
    PROMISE(reader.has_verdict && is_known(message->verdict));
    *offset += MNL_ALIGN(header->nlmsg_len);
    return true;
}
