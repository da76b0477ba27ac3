/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and checking the messages between supervisor and queue process.
 *
 * Neither lies, but one of them may be of another version of the engine one day, and a field that is used as an index is
 * checked where it enters. Process: [supervisor] [queue process].
 */
#include "process/queue_messages.h"

#include "base/arith.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Each kind has one sender, but each side wakes the other up. */
static const unsigned senders[] = {
    [QUEUE_CHANGED] = 1u << QUEUE_FROM_SUPERVISOR | 1u << QUEUE_FROM_PROCESS,
    [QUEUE_NEW_WORKER] = 1u << QUEUE_FROM_SUPERVISOR,
    [QUEUE_RING] = 1u << QUEUE_FROM_PROCESS,
    [QUEUE_WORKER_OPENED] = 1u << QUEUE_FROM_PROCESS,
    [QUEUE_WORKER_LOST] = 1u << QUEUE_FROM_PROCESS,
};

_Static_assert(ARRAY_SIZE(senders) == QUEUE_KINDS_END, "each kind has a sender");

struct queue_message queue_message_make(enum queue_message_kind kind, uint32_t worker)
{
    return (struct queue_message){.version = QUEUE_MESSAGE_VERSION, .kind = kind, .worker = worker};
}

static bool is_loss(const struct queue_message *message)
{
    return message->loss >= QUEUE_LOSS_ENDED && message->loss < QUEUE_LOSSES_END && message->plugin <= PLUGINS_MAX &&
           memchr(message->text, '\0', sizeof(message->text)) != NULL;
}

int queue_message_check(const struct queue_message *message, size_t len, enum queue_message_sender from)
{
    if (len != sizeof(*message)) {
        return -EMSGSIZE;
    }
    if (message->version != QUEUE_MESSAGE_VERSION) {
        return -EPROTO;
    }
    if (message->kind < QUEUE_CHANGED || message->kind >= QUEUE_KINDS_END ||
        (senders[message->kind] & 1u << from) == 0 || (message->worker == 0) != (message->kind == QUEUE_CHANGED)) {
        return -EBADMSG;
    }
    return message->kind != QUEUE_WORKER_LOST || is_loss(message) ? 0 : -EBADMSG;
}
