/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a pointer that a plugin passes to what it changes.
 *
 * The operations get no more than the packet, so the set is the process's. A thread knows whether it is the worker's by a
 * word of its own, which costs less than a system call. Process: [worker].
 */
#include "plugin/packet_set.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static struct packet_set *current;
static _Thread_local bool has_set;

int packet_set_find(const struct nfqe_packet *packet)
{
    uintptr_t offset = (uintptr_t)packet - (uintptr_t)current->packets;
    uintptr_t index = offset / sizeof(*packet);

    return has_set && offset % sizeof(*packet) == 0 && index < BURST_MAX && (current->open >> index & 1) != 0
               ? (int)index
               : -EINVAL;
}

int packet_set_mark(struct nfqe_packet *packet, uint32_t bits, uint32_t mask)
{
    int index = packet_set_find(packet);
    struct packet_changes *changes;

    if (index < 0 || (bits & ~mask) != 0 || (mask & current->engine_mark) != 0) {
        return -EINVAL;
    }
    changes = &current->changes[index];
    changes->mark_bits = (changes->mark_bits & ~mask) | bits;
    changes->mark_mask |= mask;
    packet->mark = (packet->mark & ~mask) | bits;
    packet->present |= NFQE_HAS_MARK;
    return 0;
}

void packet_set_begin(struct packet_set *set, const struct nfqe_packet_operations *operations, uint32_t engine_mark)
{
    set->operations = operations;
    set->open = 0;
    set->engine_mark = engine_mark;
    current = set;
    has_set = true;
}

void packet_set_fill(struct packet_set *set, unsigned index)
{
    set->changes[index] = (struct packet_changes){0};
    set->packets[index].operations = set->operations;
}
