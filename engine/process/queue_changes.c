/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One copy, then the rules, then the journal.
 *
 * The worker can change its memory at any time, so what was copied is checked, by the same rules that the worker has
 * applied, and sent. Each packet in flight has a place of its own in the queue's shared memory, where the bytes stay
 * until its verdict is sent: a successor of this process sends the same ones. They count from the moment at which the
 * packet is decided; before, a successor takes the packet as it was received, and asks another worker.
 *
 * Only the kernel's rules are checked. Whether checksums are right, and what is said in the packet, is the plugins'
 * business. Process: [queue process].
 */
#include "process/queue_changes.h"

#include "packet/change_rules.h"
#include "plugin/verdict.h"

/* refused: as in struct ring_bytes. */
static const char *text_of(uint32_t refused)
{
    return refused != 0 && refused <= CHANGE_RULES ? change_rule_text((enum change_rule)(refused - 1))
                                                   : "has a checksum that cannot be made";
}

static const char *copy_made(struct queue_loop *loop, const struct ring_submit *ring,
                             const struct ring_answered *answered)
{
    const struct nfqe_packet *received = &loop->flights[answered->origin.burst].packets[answered->origin.entry];
    uint8_t *place = queue_shm_change(loop->queue->shm.changes, answered->origin.burst, answered->origin.entry);
    enum change_rule rule;

    if (ring_copy_made(ring, answered, place) < 0) {
        return "cannot be copied";
    }
    rule = change_rules_check(received, place, answered->made.len, CHANGE_RULES_ALL);
    return rule < CHANGE_RULES ? change_rule_text(rule) : NULL;
}

const char *queue_changes_take(struct queue_loop *loop, const struct ring_submit *ring,
                               const struct ring_answered *answered)
{
    struct burst *burst = &loop->journal->bursts[answered->origin.burst];
    unsigned packet = answered->origin.entry;
    const char *wrong = NULL;

    if (answered->answer == VERDICT_FORBIDDEN_CHANGE) {
        wrong = text_of(answered->made.refused);
    } else if (answered->made.len > 0 && verdict_action(answered->answer) != NFQE_DROP) {
        wrong = copy_made(loop, ring, answered);
        if (wrong == NULL) {
            burst_set_payload(burst, packet, answered->made.len);
        }
    }
    if (wrong != NULL || answered->made.refused != 0) {
        burst_refuse_payload(burst, packet);
    }
    return wrong;
}
