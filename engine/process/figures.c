/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What follows from a look at the figures, and the lines.
 *
 * If /proc cannot be read, a full socket is still known with --no-enobufs off, since receives fail with ENOBUFS then; a
 * full queue is not.
 *
 * That no packet comes is said once, with the commands that list the rules. They are not run: the supervisor starts no
 * other program, least of all one that it finds in a PATH; rules are in two back ends, whose dump can take seconds and
 * megabytes; and a rule that is there may still be one that no packet gets to. Process: [supervisor].
 */
#include "process/figures.h"

#include "base/arith.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

#define PERIOD_NS (10 * NS_PER_S)
#define LINES 5
#define UNANSWERED_MIN 5 /* packets of a period: each of a few crashes has its own line */

static const struct queue_stats *stats_of(const struct figures *figures, unsigned index)
{
    return &journal_totals(figures->engine->queues[index].shm.journal)->stats;
}

static unsigned number_of(const struct figures *figures, unsigned index)
{
    return figures->engine->queues[index].kernel.number;
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

static void log_loss(const struct figures *figures, unsigned index, enum figures_cause cause, uint64_t packets)
{
    const struct queue *queue = &figures->engine->queues[index].kernel;

    if (cause == FIGURES_QUEUE_FULL) {
        log_line("queue %u: the kernel dropped %" PRIu64 " packets, since %" PRIu32
                 " waited already: plugins are slower than the traffic, or a worker was missing; more --workers, more "
                 "queues, a larger --max-len, or --fail-open",
                 queue->number, packets, queue->settings.max_len);
    } else {
        log_line("queue %u: the kernel dropped %" PRIu64 " packets, since those that wait filled the receive buffer of "
                 "%" PRIu64 " bytes; raise --receive-buffer",
                 queue->number, packets, queue->receive_buffer);
    }
}

/* Whether a line may be written now, after what was suppressed. */
static bool may_log(struct figures *figures, uint64_t now_ns)
{
    unsigned missed;

    if (!rate_limit_pass(&figures->limit, now_ns, &missed)) {
        return false;
    }
    if (missed > 0) {
        log_line("... %u more lines about packets of queues not shown", missed);
    }
    return true;
}

static void note_loss(struct figures *figures, unsigned index, enum figures_cause cause, uint32_t value)
{
    struct figures_loss *loss = &figures->queues[index].losses[cause];
    uint64_t now_ns = event_loop_now(figures->loop);

    loss->unsaid += value - loss->seen;
    loss->seen = value;
    if (loss->unsaid == 0 || (loss->said_ns != 0 && now_ns - loss->said_ns < PERIOD_NS)) {
        return;
    }
    loss->said_ns = now_ns;
    if (may_log(figures, now_ns)) {
        log_loss(figures, index, cause, loss->unsaid);
    }
    loss->unsaid = 0;
}

void figures_note(struct figures *figures, unsigned index, const struct nfqueue_status *status)
{
    note_loss(figures, index, FIGURES_QUEUE_FULL, status->queue_dropped);
    note_loss(figures, index, FIGURES_SOCKET_FULL, status->user_dropped);
}

/* Of how many packets were dropped, the engine knows nothing then. */
static void note_receive_errors(struct figures *figures, unsigned index)
{
    struct figures_queue *queue = &figures->queues[index];
    uint64_t errors = stats_of(figures, index)->receive_errors;
    struct figures_loss *loss = &queue->losses[FIGURES_SOCKET_FULL];
    uint64_t now_ns = event_loop_now(figures->loop);

    if (errors == queue->receive_errors || (loss->said_ns != 0 && now_ns - loss->said_ns < PERIOD_NS)) {
        return;
    }
    queue->receive_errors = errors;
    loss->said_ns = now_ns;
    if (may_log(figures, now_ns)) {
        log_line("queue %u: receives fail, %" PRIu64
                 " so far: the kernel drops packets, since those that wait fill the "
                 "receive buffer of %" PRIu64 " bytes; raise --receive-buffer",
                 number_of(figures, index), errors, figures->engine->queues[index].kernel.receive_buffer);
    }
}

/* Once: it is no loss of a packet, and with such a link there are always some. */
static void check_cut(struct figures *figures, unsigned index)
{
    if (figures->queues[index].cut_said || stats_of(figures, index)->truncated == 0) {
        return;
    }
    figures->queues[index].cut_said = true;
    if (may_log(figures, event_loop_now(figures->loop))) {
        log_line(
            "queue %u: a packet came without its last bytes: the kernel copies %u at most; plugins see the beginning "
            "(NFQE_PACKET_TRUNCATED), and the final counter truncated has the number of such packets; see --gso",
            number_of(figures, index), COPY_RANGE_MAX);
    }
}

/* ---- periods ----------------------------------------------------------------------------------------------------- */

/* Whether any queue has had one; also one that was dropped. */
static bool has_had_packets(const struct figures *figures)
{
    bool any = false;

    for (unsigned i = 0; i < figures->engine->queue_count; i++) {
        const struct figures_loss *losses = figures->queues[i].losses;

        any = any || stats_of(figures, i)->packets > 0 || losses[FIGURES_QUEUE_FULL].seen > 0 ||
              losses[FIGURES_SOCKET_FULL].seen > 0;
    }
    return any;
}

static void log_silence(const struct figures *figures)
{
    char which[64];

    snprintf(which, sizeof(which), "queue %u", number_of(figures, 0));
    if (figures->engine->queue_count > 1) {
        snprintf(which, sizeof(which), "any of the %u queues", figures->engine->queue_count);
    }
    log_line(
        "no packet has come to %s within %u s; if there should be some, look for the rules that send them there, in "
        "this network namespace: iptables-save | grep NFQUEUE; ip6tables-save | grep NFQUEUE; nft list ruleset | "
        "grep queue",
        which, (unsigned)(PERIOD_NS / NS_PER_S));
}

/* Crash lines are limited, and a crash limit may be off. */
static void check_answers(struct figures *figures, unsigned index)
{
    struct figures_queue *queue = &figures->queues[index];
    const struct queue_stats *stats = stats_of(figures, index);
    uint64_t answered = stats->accepted + stats->dropped + stats->repeated + stats->requeued - queue->answered;
    uint64_t crashed = stats->crash_verdicts - queue->crash_verdicts;

    if (answered >= UNANSWERED_MIN && crashed == answered && may_log(figures, event_loop_now(figures->loop))) {
        log_line("queue %u: no plugin answers any more: in the last %u s, each of %" PRIu64
                 " packets got the --on-crash verdict, since a plugin crashed or hung on it",
                 number_of(figures, index), (unsigned)(PERIOD_NS / NS_PER_S), answered);
    }
    queue->answered += answered;
    queue->crash_verdicts += crashed;
}

static void end_period(struct figures *figures)
{
    if (figures->first_period && !has_had_packets(figures)) {
        log_silence(figures);
    }
    figures->first_period = false;
    for (unsigned i = 0; i < figures->engine->queue_count; i++) {
        check_answers(figures, i);
    }
}

/* ---- looks ------------------------------------------------------------------------------------------------------- */

void figures_look(struct figures *figures, bool known)
{
    uint64_t now_ns = event_loop_now(figures->loop);

    for (unsigned i = 0; i < figures->engine->queue_count; i++) {
        check_cut(figures, i);
        if (known) {
            figures->queues[i].receive_errors = stats_of(figures, i)->receive_errors; /* their packets were noted */
        } else {
            note_receive_errors(figures, i);
        }
    }
    if (now_ns - figures->period_ns >= PERIOD_NS) {
        figures->period_ns = now_ns;
        end_period(figures);
    }
}

void figures_begin(struct figures *figures, const struct engine *engine, struct event_loop *loop)
{
    *figures = (struct figures){
        .engine = engine,
        .loop = loop,
        .period_ns = event_loop_now(loop),
        .first_period = true,
        .limit = {.burst = LINES, .period_ns = PERIOD_NS},
    };
}
