/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the journal of a burst, from the receive to the commit.
 *
 * The word `phase` says, beside the phase, which of the two totals are valid. burst_commit() writes the next totals to
 * the other place, and the store that makes the phase IDLE also makes them valid. So a burst is counted exactly once,
 * wherever its process dies. Process: [worker]; the supervisor reads phase and totals.
 */
#include "burst/burst.h"

#include "base/arith.h"

#define PHASE_MASK UINT32_C(0xff)
#define PHASE_TOTALS UINT32_C(0x100)

void burst_init(struct burst *burst)
{
    burst_set_cursor(burst, BURST_NONE, BURST_NONE);
}

void burst_attach_slots(struct burst *burst, void *slots, size_t slot_size)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        struct msghdr *header = &burst->messages[i].msg_hdr;

        burst->iovecs[i] = (struct iovec){.iov_base = (char *)slots + i * slot_size, .iov_len = slot_size};
        *header = (struct msghdr){.msg_iov = &burst->iovecs[i], .msg_iovlen = 1, .msg_flags = header->msg_flags};
    }
}

enum burst_phase burst_phase(const struct burst *burst)
{
    return (enum burst_phase)(atomic_load_explicit(&burst->phase, memory_order_acquire) & PHASE_MASK);
}

void burst_enter(struct burst *burst, enum burst_phase phase)
{
    uint32_t totals = atomic_load_explicit(&burst->phase, memory_order_relaxed) & PHASE_TOTALS;

    atomic_store_explicit(&burst->phase, totals | (uint32_t)phase, memory_order_release);
}

void burst_begin_receive(struct burst *burst)
{
    for (unsigned i = 0; i < BURST_MAX && burst->messages[i].msg_len != 0; i++) {
        burst->messages[i].msg_len = 0; /* all after the first zero are zero: burst_recover() makes sure of it */
    }
    burst->attempts = 0;
    atomic_store_explicit(&burst->resend, 0, memory_order_relaxed);
    atomic_store_explicit(&burst->one_by_one, 0, memory_order_relaxed);
    atomic_store_explicit(&burst->cursor, BURST_NONE, memory_order_relaxed);
    atomic_store_explicit(&burst->plugin, BURST_NONE, memory_order_relaxed);
    burst_enter(burst, BURST_RECEIVING);
}

unsigned burst_received(const struct burst *burst)
{
    unsigned count = 0;

    while (count < BURST_MAX && burst->messages[count].msg_len != 0) {
        count++;
    }
    return count;
}

size_t burst_message_len(const struct burst *burst, unsigned index, size_t slot_size)
{
    return (size_t)min_u64(burst->messages[index].msg_len, slot_size);
}

unsigned burst_id_run(const struct burst *burst, unsigned first, unsigned count, struct outstanding_range *run)
{
    uint32_t id = burst->entries[first].id;
    unsigned end = first + 1;

    while (end < count && burst->entries[end].id == id + (end - first)) {
        end++;
    }
    *run = (struct outstanding_range){.first = id, .last = id + (end - first) - 1};
    return end;
}

static unsigned valid_totals(const struct burst *burst)
{
    return (atomic_load_explicit(&burst->phase, memory_order_acquire) & PHASE_TOTALS) != 0;
}

const struct burst_totals *burst_totals(const struct burst *burst)
{
    return &burst->totals[valid_totals(burst)];
}

void burst_commit(struct burst *burst, const struct queue_stats *delta, const struct outstanding *outstanding)
{
    unsigned valid = valid_totals(burst);
    const uint64_t *from = (const uint64_t *)&burst->totals[valid].stats;
    const uint64_t *add = (const uint64_t *)delta;
    uint64_t *to = (uint64_t *)&burst->totals[!valid].stats;

    for (size_t i = 0; i < QUEUE_STATS_COUNT; i++) {
        to[i] = from[i] + add[i];
    }
    outstanding_copy(&burst->totals[!valid].outstanding, outstanding);
    atomic_store_explicit(&burst->phase, (valid ? 0 : PHASE_TOTALS) | BURST_IDLE, memory_order_release);
}
