/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and checking the messages of the channels.
 *
 * Plugins run in fork server and workers and can write to the channels there, so a message may be false. The checks here
 * make sure that a receiver can use it without harm to itself. Who sent it, the kernel is asked. Process: any.
 */
#include "process/messages.h"

#include "base/arith.h"
#include "base/limits.h"
#include "plugin/plugin_config.h"

#include <errno.h>

#define ERRNO_MAX 4095 /* of the kernel's error numbers */

enum value { NO_VALUE, QUEUE, ERROR_NUMBER, NO_VALUE_OR_ERROR_NUMBER, PLUGIN, BITS };

/* Each kind has one sender. */
static const struct {
    unsigned from; /* bits of enum message_sender */
    enum value value;
} kinds[] = {
    [FORKSERVER_READY] = {1u << FROM_FORKSERVER, NO_VALUE},
    [FORKSERVER_FORK] = {1u << FROM_SUPERVISOR, QUEUE},
    [FORKSERVER_LEAVE] = {1u << FROM_SUPERVISOR, NO_VALUE},
    [FORKSERVER_OPEN] = {1u << FROM_FORKSERVER, PLUGIN},
    [FORKSERVER_AREA] = {1u << FROM_FORKSERVER, PLUGIN},
    [FORKSERVER_FILE] = {1u << FROM_SUPERVISOR, NO_VALUE_OR_ERROR_NUMBER},
    [WORKER_NOT_FORKED] = {1u << FROM_BIRTH, ERROR_NUMBER},
    [WORKER_HELLO] = {1u << FROM_BIRTH, NO_VALUE},
    [WORKER_DESCRIPTORS] = {1u << FROM_SUPERVISOR, BITS},
};

struct process_message process_message_make(enum message_kind kind, uint32_t value)
{
    return (struct process_message){.version = MESSAGE_VERSION, .kind = kind, .value = value};
}

static int check_value(uint32_t value, enum value wanted, uint32_t queues)
{
    switch (wanted) {
    case QUEUE:
        return value < queues ? 0 : -EBADMSG;
    case ERROR_NUMBER:
        return value > 0 && value <= ERRNO_MAX ? 0 : -EBADMSG;
    case NO_VALUE_OR_ERROR_NUMBER:
        return value <= ERRNO_MAX ? 0 : -EBADMSG;
    case PLUGIN:
        return value < PLUGINS_MAX ? 0 : -EBADMSG;
    case BITS:
        return 0;
    case NO_VALUE:
        break;
    }
    return value == 0 ? 0 : -EBADMSG;
}

int process_message_check(const struct process_message *message, size_t len, enum message_sender from, uint32_t queues)
{
    if (len != sizeof(*message)) {
        return -EMSGSIZE;
    }
    if (message->version != MESSAGE_VERSION) {
        return -EPROTO;
    }
    if (message->kind < FORKSERVER_READY || message->kind >= ARRAY_SIZE(kinds) ||
        (kinds[message->kind].from & 1u << from) == 0) {
        return -EBADMSG;
    }
    if (message->kind != FORKSERVER_FORK && (message->uid != 0 || message->skipped != 0)) {
        return -EBADMSG;
    }
    if (message->kind != FORKSERVER_FORK && message->kind != FORKSERVER_OPEN && message->slot != 0) {
        return -EBADMSG;
    }
    if (message->access >= (message->kind == FORKSERVER_OPEN ? PATH_ACCESSES : 1)) {
        return -EBADMSG;
    }
    return check_value(message->value, kinds[message->kind].value, queues);
}
