/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encodes verdicts as netlink messages, as few as possible.
 *
 * A run of packets with the same verdict and the same mark, and no new payload, becomes one batch message; everything
 * else is a message of its own; strictly in the order of the packets. A batch message applies to every packet still
 * queued whose id is not after its own. So a run is allowed one only where that answers nothing else: what came before
 * it was answered by an earlier message, and no outstanding id lies before its end.
 *
 * Only builds bytes: no system call, no allocation. Process: [queue process].
 */
#ifndef ENGINE_QUEUE_NFQUEUE_ENCODE_H
#define ENGINE_QUEUE_NFQUEUE_ENCODE_H

#include "burst/burst.h"
#include "burst/outstanding.h"

#include <stdbool.h>
#include <stddef.h>

/* One payload of 65,531 bytes with its message fits; so does a burst of messages without payload. */
#define NFQUEUE_ENCODER_SIZE (96 * 1024)

/* The new bytes of a changed packet. */
struct verdict_payload {
    const void *data; /* NULL: unchanged */
    uint32_t len;
};

struct nfqueue_encoder {
    uint16_t queue;
    uint32_t
        sequence; /* nlmsg_seq of every message, but for NFQUEUE_SEQUENCE_PACKETS: the kernel's error answers carry it */
    size_t len; /* bytes of messages in buffer */
    _Alignas(8) char buffer[NFQUEUE_ENCODER_SIZE];
};

/*
 * Encodes entries[from] to entries[count - 1] into the buffer, from its start, until it is full. Returns the index of
 * the first entry that did not fit: send, then call again from there. At least one entry is encoded if the payloads are
 * at most 65,531 bytes.
 *
 * payloads: one for each entry, or NULL if no packet was changed. outstanding: the unanswered ids that are not in
 * entries; NULL: they are not known, as after a crash, and every packet gets a message of its own.
 */
unsigned nfqueue_encode(struct nfqueue_encoder *encoder, const struct burst_entry *entries,
                        const struct verdict_payload *payloads, unsigned count, unsigned from,
                        const struct outstanding *outstanding);

/*
 * Encodes the same verdict for each id from *first to last, one message each, until the buffer is full; *first
 * becomes the first id that did not fit, or last + 1. Ids wrap.
 */
void nfqueue_encode_ids(struct nfqueue_encoder *encoder, uint32_t *first, uint32_t last, uint32_t verdict);

#endif
