/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * steer - answers each packet with the verdict that the packet itself contains, as a number.
 *
 * It is the 32-bit word after the head that marked.h describes, in this machine's byte order; two more are bits and mask
 * of the mark that it sets before (tests/live/test_answers.py). So a test can have any answer, also one that no plugin
 * may give. Two orders differ: ONCE accepts a packet that has the mark already, NEXT sets a mark that is one higher.
 * Packets without them are left undecided. A mark that is refused is a drop with the reason `refused`.
 */
#include "marked.h"

#define VERDICT_OFFSET (MARKED_OFFSET + 1)
#define ORDER_ONCE 8
#define ORDER_NEXT 9

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    uint32_t words[3]; /* verdict, bits, mask */
    uint32_t len = 0;
    const uint8_t *payload = nfqe_payload(packet, &len);

    (void)self;
    if (!is_marked(packet) || len < VERDICT_OFFSET + sizeof(words)) {
        return NFQE_CONTINUE;
    }
    memcpy(words, payload + VERDICT_OFFSET, sizeof(words));
    if (mark_of(packet) == ORDER_ONCE && packet->mark == words[1]) {
        return NFQE_ACCEPT;
    }
    if (mark_of(packet) == ORDER_NEXT) {
        words[1] = (packet->mark + 1) & words[2];
    }
    return nfqe_set_mark(packet, words[1], words[2]) == 0 ? words[0] : NFQE_DROP | NFQE_REASON(2);
}

/* As in tests/live/test_answers.py. */
static const struct nfqe_reason reasons[] = {{.name = "first"}, {.name = "second"}, {.name = "refused"}};

NFQE_PLUGIN(.id = "steer", .version = "1.0.0", .needs = NFQE_NEED_HEADERS | NFQE_NEED_REQUEUE, .handle = handle,
            .reasons = NFQE_REASONS(reasons))
