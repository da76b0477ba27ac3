/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a queue process tells the supervisor: its control words, each followed by a message, and messages about workers.
 *
 * These functions do not return if the supervisor is gone, or cannot be told. Process: [queue process].
 */
#ifndef ENGINE_PROCESS_QUEUE_TELL_H
#define ENGINE_PROCESS_QUEUE_TELL_H

#include "process/queue_messages.h"

#include <stdatomic.h>
#include <stdint.h>

struct queue_tell {
    int channel;
    struct queue_control *control;
};

/* Sends a message about a worker, with copies of fds[count]. */
void queue_tell_message(const struct queue_tell *tell, const struct queue_message *message, const int *fds,
                        unsigned count);

/* Changes a control word, and says so. One that has the value already is left alone. */
void queue_tell_word(const struct queue_tell *tell, _Atomic uint32_t *word, uint32_t value);

/* Leaves the reason where the supervisor finds it, and exits. */
void queue_tell_failure(const struct queue_tell *tell, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

#endif
