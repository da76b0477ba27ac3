/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opens and binds one queue; for each refusal, the reason names the queue and says what to do.
 *
 * The kernel's answer to a bind does not say which flag it lacks, nor who owns the queue. So each flag is probed by
 * itself before, and the owner is looked up in /proc, by the socket that it holds. Process: [supervisor].
 */
#include "queue/queue.h"

#include "base/arith.h"
#include "base/fd.h"
#include "queue/nfqueue_config.h"
#include "queue/nfqueue_proc.h"
#include "queue/nfqueue_socket.h"
#include "queue/queue_owner.h"

#include <errno.h>
#include <string.h>

/*
 * What a queued message costs in the socket buffer: the kernel counts its buffers, not their contents. Linux 6.18 rounds
 * attributes, copied bytes and what it keeps at the end of a buffer up to a power of two, and adds the buffer's head: 1,280
 * bytes with 128 copied ones, 131,328 with 65,531. What is more than that in a small message is reserve.
 */
#define MESSAGE_COST 2048
#define MESSAGE_ATTRIBUTES 512
#define MESSAGE_CONNTRACK 1024
#define BUFFER_END 320
#define BUFFER_HEAD 256
/* The buffer is a limit, not an allocation; a larger one would only hide that the plugins are too slow. */
#define RECEIVE_BUFFER_AUTO_MAX (256 * 1024 * 1024)

void queue_init(struct queue *queue, uint16_t number)
{
    *queue = (struct queue){.number = number, .socket = -1};
}

/* What the kernel says with EPERM: another socket owns the queue, or the capability is one of a user namespace. */
static int refuse_owned(const struct queue *queue, struct error *error)
{
    struct nfqueue_status status;
    struct queue_owner owner;
    int code = nfqueue_read_status(queue->number, &status);

    if (code == 0 && queue_owner_find(status.port_id, &owner) == 0) {
        return error_set(error, EXIT_CODE_QUEUE, -EPERM,
                         "queue %u: is owned by process %d (%s), netlink port id %u; stop it or choose another "
                         "queue",
                         queue->number, owner.pid, owner.name, status.port_id);
    }
    if (code == 0) {
        return error_set(error, EXIT_CODE_QUEUE, -EPERM,
                         "queue %u: is owned by netlink port id %u, which no process has that can be seen from here; "
                         "perhaps one in a container: stop it or choose another queue",
                         queue->number, status.port_id);
    }
    if (code == -ENODEV) {
        return error_set(error, EXIT_CODE_QUEUE, -EPERM, "queue %u: cannot be bound: %s", queue->number,
                         strerror(EPERM));
    }
    return error_set(
        error, EXIT_CODE_QUEUE, -EPERM,
        "queue %u: cannot be bound: %s; another program owns it (root sees its netlink port id in "
        "/proc/net/netfilter/nfnetlink_queue, which cannot be read here: %s), or CAP_NET_ADMIN is that of a "
        "user namespace to which this network does not belong",
        queue->number, strerror(EPERM), strerror(-code));
}

static int refuse_bind(const struct queue *queue, int code, struct error *error)
{
    if (code == -EPERM) {
        return refuse_owned(queue, error);
    }
    return error_set(error, EXIT_CODE_QUEUE, code, "queue %u: cannot be bound: %s", queue->number, strerror(-code));
}

static int refuse_flag(const struct queue_flag *flag, const struct plan *plan, struct error *error)
{
    const struct plan_plugin *plugin = plan_who_needs(plan, flag->need);

    if (plugin != NULL) {
        return error_set(error, EXIT_CODE_PLUGIN, -EOPNOTSUPP,
                         "%s: needs the queue flag %s, which this kernel lacks; it takes %s", plugin->path, flag->name,
                         flag->kernel);
    }
    return error_set(error, EXIT_CODE_CONFIGURATION, -EOPNOTSUPP,
                     "--%s: this kernel lacks that queue flag; it takes %s", flag->name, flag->kernel);
}

static int probe_flags(struct queue *queue, const struct plan *plan, struct error *error)
{
    for (size_t i = 0; i < QUEUE_FLAG_COUNT; i++) {
        const struct queue_flag *flag = &queue_flags[i];

        if ((queue->settings.flags & flag->bit) == 0 ||
            nfqueue_probe_flag(queue->socket, queue->number, flag->bit) == 0) {
            continue;
        }
        if ((plan->optional_flags & flag->bit) == 0) {
            return refuse_flag(flag, plan, error);
        }
        queue->settings.flags &= ~flag->bit;
    }
    return 0;
}

uint64_t queue_message_cost(const struct queue_settings *settings)
{
    uint64_t bytes = (uint64_t)settings->copy_range + MESSAGE_ATTRIBUTES + BUFFER_END +
                     ((settings->flags & QUEUE_CONNTRACK) != 0 ? MESSAGE_CONNTRACK : 0);
    uint64_t rounded = 1;

    while (rounded < bytes) {
        rounded *= 2;
    }
    return max_u64(rounded + BUFFER_HEAD, MESSAGE_COST + (uint64_t)settings->copy_range);
}

/* Enough for a full queue, up to the limit, unless the user says how much. */
static uint64_t wanted_receive_buffer(const struct plan *plan)
{
    if (plan->receive_buffer != 0) {
        return plan->receive_buffer;
    }
    return min_u64(plan->settings.max_len * queue_message_cost(&plan->settings), RECEIVE_BUFFER_AUTO_MAX);
}

int queue_open(struct queue *queue, const struct plan *plan, struct error *error)
{
    struct nfqueue_status owner;
    int code = nfqueue_open(plan->no_enobufs, &queue->socket, &queue->port_id);

    if (code < 0) {
        return error_set(error, EXIT_CODE_QUEUE, code,
                         "queue %u: no netlink socket: %s; is the kernel built with CONFIG_NETFILTER_NETLINK_QUEUE?",
                         queue->number, strerror(-code));
    }
    if (nfqueue_read_status(queue->number, &owner) == 0 ||
        nfqueue_probe_flag(queue->socket, queue->number, 0) == -EPERM) {
        return refuse_owned(queue, error);
    }
    queue->settings = plan->settings;
    code = probe_flags(queue, plan, error);
    if (code < 0) {
        return code;
    }
    queue->wanted_receive_buffer = wanted_receive_buffer(plan);
    queue->limited_receive_buffer = plan->receive_buffer == 0;
    code = nfqueue_set_receive_buffer(queue->socket, queue->wanted_receive_buffer, &queue->receive_buffer);
    if (code < 0) {
        return error_set(error, EXIT_CODE_QUEUE, code, "queue %u: its receive buffer cannot be set: %s", queue->number,
                         strerror(-code));
    }
    return 0;
}

int queue_bind(struct queue *queue, struct error *error)
{
    int code = nfqueue_bind(queue->socket, queue->number, &queue->settings);

    if (code < 0) {
        return refuse_bind(queue, code, error);
    }
    queue->bound = true;
    return 0;
}

static int read_own_status(const struct queue *queue, struct nfqueue_status *status)
{
    struct nfqueue_status read;
    int code = nfqueue_read_status(queue->number, &read);

    if (code == 0 && !nfqueue_is_owned(&read, queue->number, queue->port_id)) {
        return -ENODEV;
    }
    if (code == 0) {
        *status = read;
    }
    return code;
}

int queue_read_status(const struct queue *queue, struct nfqueue_status *status)
{
    if (!queue->unbound) {
        return read_own_status(queue, status);
    }
    if (queue->last_code == 0) {
        *status = queue->last;
    }
    return queue->last_code;
}

void queue_unbind_after(struct queue *queue, int code, const struct nfqueue_status *last)
{
    if (!queue->bound) {
        return;
    }
    queue->last_code = code;
    if (code == 0) {
        queue->last = *last;
    }
    nfqueue_unbind(queue->socket, queue->number);
    queue->bound = false;
    queue->unbound = true;
}

void queue_unbind(struct queue *queue)
{
    if (queue->bound) {
        struct nfqueue_status last;
        int code = read_own_status(queue, &last);

        queue_unbind_after(queue, code, &last);
    }
}

void queue_close(struct queue *queue)
{
    queue_unbind(queue);
    close_fd(&queue->socket);
}
