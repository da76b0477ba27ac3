/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a journal that a dead process left, and that its plugins may have written to.
 *
 * A packet is guilty only in the phase HANDLING, since in every other phase no plugin has a packet; and only if it has
 * no verdict yet, since otherwise the process died between two packets. Every field is checked before it is used;
 * whatever the fields hold, each received packet gets a verdict. Process: [supervisor] after the death, then [worker].
 */
#include "burst/recovery.h"

#include "base/arith.h"

#include <nfqe/plugin.h>

/* Every packet of the burst that has no verdict yet gets this one. Returns how many. */
static uint32_t force_the_rest(struct burst *burst, uint32_t packets, uint32_t verdict)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < packets; i++) {
        if (!burst_is_decided(burst, i)) {
            burst_force_verdict(burst, i, verdict);
            count++;
        }
    }
    return count;
}

void burst_assign_guilt(struct burst *burst, uint32_t plugins, uint32_t verdict, struct burst_guilt *guilt)
{
    uint32_t cursor = burst->cursor;
    uint32_t plugin = burst->plugin;
    uint32_t packets = (uint32_t)min_u64(burst->packets, burst_received(burst));

    *guilt = (struct burst_guilt){.plugin = BURST_NONE};
    if (burst_phase(burst) != BURST_HANDLING) {
        return;
    }
    burst_set_cursor(burst, BURST_NONE, BURST_NONE);
    burst->one_by_one = 1;
    if (cursor < packets) {
        if (burst_is_decided(burst, cursor)) {
            return;
        }
        guilt->in_plugin = true;
        guilt->packet_known = true;
        guilt->packet_id = burst->entries[cursor].id;
        burst_force_verdict(burst, cursor, verdict);
        burst->crash_verdicts++;
    } else if (plugin != BURST_NONE) {
        guilt->in_plugin = true;
        if (++burst->attempts >= BURST_ATTEMPTS_MAX) {
            guilt->forced_count = force_the_rest(burst, packets, verdict);
            burst->crash_verdicts += guilt->forced_count;
        }
    }
    guilt->plugin = plugin < plugins ? plugin : BURST_NONE;
}

/* The verdicts in the journal are those of the burst before. */
static void forget_verdicts(struct burst *burst)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        burst->entries[i].flags = 0;
    }
}

/* A plugin has overwritten every verdict that is neither ACCEPT nor DROP. */
static void forget_damaged_verdicts(struct burst *burst)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        if (burst->entries[i].verdict != NFQE_ACCEPT && burst->entries[i].verdict != NFQE_DROP) {
            burst->entries[i].flags = 0;
        }
    }
}

enum burst_phase burst_recover(struct burst *burst)
{
    enum burst_phase phase = burst_phase(burst);

    burst_set_cursor(burst, BURST_NONE, BURST_NONE);
    if (phase == BURST_SENDING) {
        burst->resend = 1; /* whatever happens to this burst from here on */
    }
    if (phase != BURST_IDLE && phase != BURST_HANDLING && phase != BURST_SENDING) {
        forget_verdicts(burst);
        phase = BURST_RECEIVING;
    }
    forget_damaged_verdicts(burst);
    for (unsigned i = burst_received(burst); i < BURST_MAX; i++) {
        burst->messages[i].msg_len = 0;
    }
    burst->sequence &= BURST_SEQUENCE_MASK;
    burst->packets = (uint32_t)min_u64(burst->packets, burst_received(burst));
    if (burst_received(burst) == 0) {
        phase = BURST_IDLE;
    }
    burst_enter(burst, phase);
    return phase;
}

void burst_recover_outstanding(const struct burst *burst, struct outstanding *outstanding)
{
    const struct outstanding *committed = &burst_totals(burst)->outstanding;

    if (outstanding_is_sound(committed)) {
        outstanding_copy(outstanding, committed);
    } else {
        *outstanding = (struct outstanding){.last_id = committed->last_id};
    }
}

void burst_request_id_recovery(struct burst *burst, uint32_t last_kernel_id)
{
    burst->recover_to = last_kernel_id;
    burst->recover_ids = 1;
}

bool burst_lost_ids(const struct burst *burst, const struct outstanding *outstanding, bool has_next, uint32_t next_id,
                    struct outstanding_range *lost)
{
    return burst->recover_ids != 0 &&
           outstanding_missing(outstanding, has_next ? next_id : burst->recover_to + 1, lost);
}

void burst_end_id_recovery(struct burst *burst)
{
    burst->recover_ids = 0;
}
