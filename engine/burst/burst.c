/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages and packets of a burst.
 *
 * All lengths after the first that is 0 are 0: a receive fills them in order, journal_recover() sees to it after a
 * death. So the count of the messages is found without storing one, and clearing them costs what the burst had.
 * Process: [queue process].
 */
#include "burst/burst.h"

#include "base/arith.h"

void burst_attach_slots(struct burst *burst, void *slots, size_t slot_size)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        struct msghdr *header = &burst->messages[i].msg_hdr;

        burst->iovecs[i] = (struct iovec){.iov_base = (char *)slots + i * slot_size, .iov_len = slot_size};
        *header = (struct msghdr){.msg_iov = &burst->iovecs[i], .msg_iovlen = 1, .msg_flags = header->msg_flags};
    }
}

void burst_begin_receive(struct burst *burst)
{
    for (unsigned i = 0; i < BURST_MAX && burst->messages[i].msg_len != 0; i++) {
        burst->messages[i].msg_len = 0;
    }
    burst->packets = 0;
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
