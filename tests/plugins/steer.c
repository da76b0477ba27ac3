/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * steer - answers each packet with the verdict that the packet itself contains, as a number.
 *
 * It is the 32-bit word after the head that marked.h describes, in this machine's byte order (tests/live/orders.py). So
 * a test can have any answer, also one that no plugin may give. Packets without it are left undecided.
 */
#include "marked.h"

#define VERDICT_OFFSET (MARKED_OFFSET + 1)

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    nfqe_verdict verdict;
    uint32_t len = 0;
    const uint8_t *payload = nfqe_payload(packet, &len);

    (void)self;
    if (!is_marked(packet) || len < VERDICT_OFFSET + sizeof(verdict)) {
        return NFQE_CONTINUE;
    }
    memcpy(&verdict, payload + VERDICT_OFFSET, sizeof(verdict));
    return verdict;
}

/* As in tests/live/test_answers.py. */
static const struct nfqe_reason reasons[] = {{.name = "first"}, {.name = "second"}, {.name = "never"}};

NFQE_PLUGIN(.id = "steer", .version = "1.0.0", .needs = NFQE_NEED_HEADERS | NFQE_NEED_REQUEUE, .handle = handle,
            .reasons = NFQE_REASONS(reasons))
