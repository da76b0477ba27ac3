/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a netlink message of the kernel to a packet, or to the kernel's answer to a request. Pure: no system call.
 */
#ifndef ENGINE_QUEUE_NFQUEUE_DECODE_H
#define ENGINE_QUEUE_NFQUEUE_DECODE_H

#include <nfqe/packet.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nfqueue_kind {
    NFQUEUE_PACKET,
    NFQUEUE_TRUNCATED, /* a packet whose message did not fit its slot: only its id is known */
    NFQUEUE_ANSWER,    /* the kernel's answer to a verdict or a configuration request */
    NFQUEUE_MALFORMED, /* nothing that this queue's socket should receive */
};

/* What the kernel says of the packet's connection, for conntrack_entry_decode(). */
struct nfqueue_conntrack {
    const void *bytes; /* inside NFQA_CT, in the message; NULL: it says nothing */
    uint32_t len;
    uint32_t info; /* NFQA_CT_INFO */
};

struct nfqueue_answer {
    int error;         /* negative errno; 0: acknowledged */
    uint32_t sequence; /* nlmsg_seq of what it answers */
    bool verdict;      /* it answers a verdict, not a configuration request */
    bool resent;       /* it answers a verdict that the kernel may have had before */
    unsigned packets;  /* that the verdict was for, 1 to BURST_MAX; of another request 0 */
};

/*
 * Decodes one message. PACKET: *packet and *conntrack are filled, and point into the message. TRUNCATED: packet->id is.
 * ANSWER: *answer is filled. cut: the kernel said that the message was longer than the slot.
 * Never reads outside data[len].
 */
enum nfqueue_kind nfqueue_decode(const void *data, size_t len, bool cut, uint16_t queue, struct nfqe_packet *packet,
                                 struct nfqueue_conntrack *conntrack, struct nfqueue_answer *answer);

#endif
