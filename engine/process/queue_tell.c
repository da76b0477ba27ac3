/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the supervisor.
 *
 * The channel has room for some hundred messages, and this process must not wait for a supervisor that does not read
 * them. There are at most three about a worker: its ring, that it is open, that it is lost; and the supervisor makes no
 * further worker until it has read of the end of another. So at most 3 * QUEUE_WORKERS_MAX = 72 wait, and a send that
 * finds no room for one of these is an error. Of changed words there can be any number; but where one finds no room, the
 * supervisor has messages to read, and looks at the words after them. Process: [queue process].
 */
#include "process/queue_tell.h"

#include "base/channel.h"
#include "process/messages.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The supervisor has ended, so this process has no more to do. */
static void leave_without_supervisor(int code)
{
    if (code == -EPIPE || code == -ECONNRESET) {
        _exit(PROCESS_EXIT_FAILED);
    }
}

static void tell_change(const struct queue_tell *tell)
{
    const struct queue_message message = queue_message_make(QUEUE_CHANGED, 0);

    leave_without_supervisor(channel_send(tell->channel, &message, sizeof(message), NULL, 0));
}

void queue_tell_message(const struct queue_tell *tell, const struct queue_message *message, const int *fds,
                        unsigned count)
{
    int code = channel_send(tell->channel, message, sizeof(*message), fds, count);

    leave_without_supervisor(code);
    if (code < 0) {
        queue_tell_failure(tell, "the supervisor cannot be told of a worker: %s", strerror(-code));
    }
}

void queue_tell_word(const struct queue_tell *tell, _Atomic uint32_t *word, uint32_t value)
{
    if (atomic_load_explicit(word, memory_order_relaxed) != value) {
        atomic_store_explicit(word, value, memory_order_release);
        tell_change(tell);
    }
}

void queue_tell_failure(const struct queue_tell *tell, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(tell->control->text, sizeof(tell->control->text), format, arguments);
    va_end(arguments);
    queue_tell_word(tell, &tell->control->state, QUEUE_FAILED);
    _exit(PROCESS_EXIT_FAILED);
}
