/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a dropped packet to an answer in the kernel.
 *
 * Made of what the kernel delivered: the packet's bytes, and the addresses of its connection from before a NAT. Nothing
 * of it comes from a worker but the request and its kind. The answer leaves through the OUTPUT hook of this machine, so its firewall
 * may drop it, and says so by EPERM.
 *
 * The limit is a bucket of time: an answer takes its share of a second from it, and it fills as time goes by, up to one
 * second. Process: [queue process].
 */
#include "process/queue_rejects.h"

#include "base/clock.h"
#include "base/log.h"
#include "packet/reject.h"
#include "queue/conntrack_entry.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_SOURCE_IPV4 12 /* offset */
#define LOG_BURST 1
#define LOG_PERIOD_NS (10 * NS_PER_S)

void queue_rejects_init(struct queue_rejects *rejects, const struct raw_sockets *raw,
                        const struct mark_setting *by_rule, uint32_t rate, unsigned queue)
{
    *rejects = (struct queue_rejects){.raw = raw,
                                      .probe = {-1, -1},
                                      .by_rule = by_rule,
                                      .queue = queue,
                                      .interval_ns = rate != 0 ? NS_PER_S / rate : NS_PER_S,
                                      .credit_ns = NS_PER_S,
                                      .log = {.burst = LOG_BURST, .period_ns = LOG_PERIOD_NS}};
    if (raw != NULL) {
        route_probe_open(&rejects->probe);
    }
}

bool queue_rejects_pass(struct queue_rejects *rejects, uint64_t now_ns)
{
    uint64_t passed_ns = rejects->since_ns != 0 ? now_ns - rejects->since_ns : 0;

    rejects->since_ns = now_ns;
    rejects->credit_ns = passed_ns < NS_PER_S - rejects->credit_ns ? rejects->credit_ns + passed_ns : NS_PER_S;
    if (rejects->credit_ns < rejects->interval_ns) {
        return false;
    }
    rejects->credit_ns -= rejects->interval_ns;
    return true;
}

/* Addresses and ports as the sender wrote them. NULL: the kernel does not say. */
static const struct nfqe_tuple *read_tuple(const struct nfqueue_conntrack *conntrack,
                                           struct nfqe_conntrack_entry *entry)
{
    if (conntrack->len == 0) {
        return NULL;
    }
    conntrack_entry_decode(conntrack->bytes, conntrack->len, conntrack->info, entry);
    if ((entry->present & NFQE_CONNTRACK_HAS_TUPLES) == 0) {
        return NULL;
    }
    return entry->is_reply != 0 ? &entry->reply : &entry->original;
}

/*
 * The address that a message comes from, in source[]; NULL: the one that the packet was sent to, since it is this machine's.
 */
static const uint8_t *find_own(const struct queue_rejects *rejects, const struct nfqe_packet *packet,
                               const uint8_t *answer, uint32_t ifindex, uint8_t source[16])
{
    bool is_ipv4 = answer[0] >> 4 == 4;

    if (packet->hook == NF_INET_LOCAL_IN) {
        return NULL;
    }
    return route_probe_source(&rejects->probe, is_ipv4 ? AF_INET : AF_INET6, answer + (is_ipv4 ? 16 : 24), ifindex,
                              source) == 0
               ? source
               : NULL;
}

static void log_error(struct queue_rejects *rejects, uint32_t id, int code)
{
    unsigned missed;

    if (rate_limit_pass(&rejects->log, monotonic_ns(), &missed)) {
        log_line("queue %u: the sender of packet %u cannot be told that it is dropped: %s%s", rejects->queue, id,
                 strerror(-code),
                 code == -EPERM ? "; a rule of this machine's firewall drops the answer: let packets with the mark of "
                                  "--reject-mark pass before it, as the rules of --print-rules do"
                                : "");
    }
}

bool queue_rejects_came_back(struct queue_rejects *rejects, const struct nfqe_packet *packet, struct queue_stats *stats)
{
    const struct mark_setting *mark = rejects->by_rule;
    unsigned missed;

    if (mark->mask == 0 || (packet->mark & mark->mask) != mark->bits) {
        return false;
    }
    stats->reject_errors++;
    if (rate_limit_pass(&rejects->log, monotonic_ns(), &missed)) {
        log_line("queue %u: packet %u has the mark of --reject-by-rule, but no rule has rejected it; it is dropped. "
                 "Load the "
                 "rules of --print-rules",
                 rejects->queue, packet->id);
    }
    return true;
}

void queue_rejects_tell(struct queue_rejects *rejects, const struct nfqe_packet *packet,
                        const struct nfqueue_conntrack *conntrack, uint32_t kind, uint64_t now_ns,
                        struct queue_stats *stats)
{
    uint32_t ifindex = packet->hook == NF_INET_LOCAL_OUT ? packet->out_ifindex : packet->in_ifindex;
    struct nfqe_conntrack_entry entry;
    const struct nfqe_tuple *tuple = read_tuple(conntrack, &entry);
    const uint8_t *own;
    uint8_t source[16];
    uint8_t answer[REJECT_ANSWER_MAX];
    int code;

    code = reject_answer(packet, tuple, NULL, kind, answer);
    if (code < 0) {
        stats->rejects_unfit++;
        return;
    }
    if (!queue_rejects_pass(rejects, now_ns)) { /* before any system call */
        stats->rejects_limited++;
        return;
    }
    if (nfqe_ipv4(packet) != NULL && route_probe_is_broadcast(&rejects->probe, answer + ANSWER_SOURCE_IPV4)) {
        stats->rejects_unfit++; /* the sender wrote to all hosts of a network */
        return;
    }
    own = find_own(rejects, packet, answer, ifindex, source);
    if (own != NULL) {
        code = reject_answer(packet, tuple, own, kind, answer);
    }
    code = rejects->raw == NULL ? -ENOTCONN : raw_sockets_send(rejects->raw, answer, (uint32_t)code, ifindex);
    if (code == -EACCES) {
        stats->rejects_unfit++;
    } else if (code < 0) {
        stats->reject_errors++;
        log_error(rejects, packet->id, code);
    } else {
        stats->rejects_sent++;
    }
}
