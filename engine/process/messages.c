/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and checking the messages of the fork server's channel.
 *
 * A plugin that runs in the fork server has the channel's descriptor, so a message may be false. The checks here
 * make sure that a receiver can use it without harm to itself. Whether a pid is that of a child, the kernel is asked.
 * Process: [supervisor] [fork server].
 */
#include "process/messages.h"

#include "base/arith.h"

#include <errno.h>
#include <stdbool.h>

static const struct {
    enum forkserver_message_sender from;
    bool has_queue;
    bool has_pid;
} kinds[] = {
    [FORKSERVER_READY] = {.from = FROM_FORKSERVER},
    [FORKSERVER_FORK] = {.from = FROM_SUPERVISOR, .has_queue = true},
    [FORKSERVER_FORKED] = {.from = FROM_FORKSERVER, .has_queue = true, .has_pid = true},
    [FORKSERVER_LEAVE] = {.from = FROM_SUPERVISOR},
};

struct forkserver_message forkserver_message_make(enum forkserver_message_kind kind, uint32_t queue, int32_t pid)
{
    return (struct forkserver_message){FORKSERVER_MESSAGE_VERSION, kind, queue, pid};
}

int forkserver_message_check(const struct forkserver_message *message, size_t len, enum forkserver_message_sender from,
                             uint32_t queues)
{
    if (len != sizeof(*message)) {
        return -EMSGSIZE;
    }
    if (message->version != FORKSERVER_MESSAGE_VERSION) {
        return -EPROTO;
    }
    if (message->kind < FORKSERVER_READY || message->kind >= ARRAY_SIZE(kinds) || kinds[message->kind].from != from) {
        return -EBADMSG;
    }
    if (kinds[message->kind].has_queue ? message->queue >= queues : message->queue != 0) {
        return -EBADMSG;
    }
    return kinds[message->kind].has_pid == (message->pid != 0) ? 0 : -EBADMSG;
}
