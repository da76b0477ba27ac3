/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A turn waits for events, unless there is work; takes what workers have answered; sends verdicts; receives; sends what
 * was decided at once.
 *
 * Between two turns everything that matters is in the journal, and its word of progress changes in each. Nothing here waits
 * for a worker: it rings, or is looked at. Process: [queue process].
 */
#include "process/queue_turns.h"

#include "base/arith.h"
#include "base/channel.h"
#include "base/fd.h"
#include "process/queue_recovery.h"

#include <errno.h>
#include <string.h>

#define MESSAGES_A_TURN 16
#define BUSY_TURNS 4 /* of those that have work, until one looks for events */

/* ---- events ---------------------------------------------------------------------------------------------- */

/* What control words say is looked at in each turn. */
static void take_message(struct queue_turns *turns, const struct queue_message *message, int fd)
{
    if (message->kind == QUEUE_NEW_WORKER) {
        queue_lives_add(&turns->lives, message->worker, (pid_t)message->pid, fd);
    } else {
        close_fd(&fd);
    }
}

static void channel_ready(void *context, uint32_t events)
{
    struct queue_turns *turns = context;

    (void)events;
    for (unsigned i = 0; i < MESSAGES_A_TURN; i++) {
        struct queue_message message;
        int fd = -1;
        ssize_t len = channel_take(turns->channel.fd, &message, sizeof(message), &fd, 1);

        if (len == -EAGAIN) {
            return;
        }
        if (len <= 0) {
            _exit(PROCESS_EXIT_FAILED); /* the supervisor is gone */
        }
        if (queue_message_check(&message, (size_t)len, QUEUE_FROM_SUPERVISOR) < 0) {
            queue_tell_failure(&turns->tell, "the supervisor sent a message that is none");
        }
        take_message(turns, &message, fd);
    }
}

static void packets_ready(void *context, uint32_t events)
{
    struct queue_turns *turns = context;

    (void)events;
    turns->readable = true;
}

/* Each turn looks; this one came for nothing else. */
static void look_due(void *context)
{
    (void)context;
}

/*
 * Packets in the socket end a wait at once, so it is watched only if one can be received. This is asked before a wait alone:
 * under load there is always something to receive, or never room when it waits, and the watch stays as it is.
 */
static void watch_packets(struct queue_turns *turns, bool wanted)
{
    int code = 0;

    if (!wanted) {
        event_loop_unwatch(&turns->events, &turns->packets);
    } else if (!turns->packets.watched) {
        code = event_loop_watch(&turns->events, &turns->packets, EPOLLIN);
    }
    if (code < 0) {
        queue_tell_failure(&turns->tell, "its socket cannot be watched: %s", strerror(-code));
    }
}

/* ---- a turn ---------------------------------------------------------------------------------------------- */

/* Events that come while there is work, and workers that sleep, can wait for some turns: both take system calls. */
static int turn_busy(struct queue_turns *turns)
{
    if (++turns->busy < BUSY_TURNS) {
        event_loop_turn_timers(&turns->events);
        return 0;
    }
    turns->busy = 0;
    queue_lives_wake(&turns->lives);
    return event_loop_turn_now(&turns->events);
}

/* Waits for events if there is nothing to do, and makes the callbacks of those that are there. */
static void wait_for_events(struct queue_turns *turns)
{
    bool room = queue_loop_has_room(&turns->loop);
    bool wait = !(turns->readable && room);
    int code;

    if (wait) {
        watch_packets(turns, turns->serving && room);
        wait = queue_lives_sleep(&turns->lives);
    }
    code = wait ? event_loop_turn(&turns->events) : turn_busy(turns);
    if (code < 0) {
        queue_tell_failure(&turns->tell, "it cannot wait for events: %s", strerror(-code));
    }
    queue_lives_awake(&turns->lives);
}

/* Bursts that have all their verdicts are answered at once; what is decided in front of a slow packet, in a look. */
static void send_verdicts(struct queue_turns *turns, bool look)
{
    struct error error;

    if ((look || queue_loop_should_send(&turns->loop)) && queue_loop_send(&turns->loop, &error) < 0) {
        queue_tell_failure(&turns->tell, "%s", error.text);
    }
}

static void receive(struct queue_turns *turns, uint64_t now_ns)
{
    struct error error;
    int more;

    if (!turns->readable || !queue_loop_has_room(&turns->loop)) {
        return;
    }
    more = queue_loop_receive(&turns->loop, now_ns, &error);
    if (more < 0) {
        queue_tell_failure(&turns->tell, "%s", error.text);
    }
    if (turns->loop.flows != NULL && flow_table_damaged(turns->loop.flows)) {
        queue_tell_failure(&turns->tell, "its flow table contradicts itself; a successor repairs it");
    }
    turns->readable = more == 1;
}

static bool look_at_places(struct queue_turns *turns, uint64_t now_ns)
{
    uint64_t passed_ns = now_ns - turns->looked_ns;

    turns->looked_ns = now_ns;
    return queue_outage_look(&turns->outage, min_u64(passed_ns, QUEUE_STEP_MAX_NS), now_ns);
}

/* soon: something that does not ring has to be looked at again. */
static void time_next_look(struct queue_turns *turns, bool soon, uint64_t now_ns)
{
    if (!soon) {
        event_loop_stop_timer(&turns->events, &turns->look);
    } else if (turns->look.link == NULL) {
        event_loop_start_timer(&turns->events, &turns->look, now_ns + QUEUE_LOOK_NS);
    }
}

/* Workers that cannot leave the CPU by themselves, since they get no time there, are taken from it by the supervisor. */
static void look_at_cpu(struct queue_turns *turns, uint64_t now_ns)
{
    struct queue_control *control = turns->tell.control;
    bool starved = turns->lives.starved && turns->affinity.cpu != RING_CPU_ANY;
    bool moved;

    if (starved) {
        queue_tell_word(&turns->tell, &control->starved, turns->affinity.cpu + 1);
    }
    turns->lives.starved = false;
    moved = starved ? queue_affinity_leave(&turns->affinity, now_ns) : queue_affinity_look(&turns->affinity, now_ns);
    if (moved) {
        control->cpu = turns->affinity.cpu;
        queue_lives_name_cpu(&turns->lives, turns->affinity.cpu);
    }
}

void queue_turns_next(struct queue_turns *turns)
{
    bool look = turns->look.link != NULL;
    uint64_t now_ns;
    bool soon;

    wait_for_events(turns);
    look = look && turns->look.link == NULL; /* the timer has expired */
    now_ns = event_loop_now(&turns->events);
    soon = queue_lives_look(&turns->lives, now_ns);
    look_at_cpu(turns, now_ns);
    if (turns->serving) {
        soon |= look_at_places(turns, now_ns);
        send_verdicts(turns, look);
        receive(turns, now_ns);
        send_verdicts(turns, false);
        journal_make_progress(turns->loop.journal);
    }
    time_next_look(turns, soon || turns->loop.order_count > 0, now_ns);
}

/* ---- begin and end ---------------------------------------------------------------------------------------- */

static void open_events(struct queue_turns *turns)
{
    int code = event_loop_init(&turns->events);

    if (code < 0) {
        queue_tell_failure(&turns->tell, "no epoll descriptor: %s", strerror(-code));
    }
    turns->packets =
        (struct event_watch){.fd = turns->loop.queue->kernel.socket, .ready = packets_ready, .context = turns};
    turns->channel = (struct event_watch){.fd = turns->engine->channel, .ready = channel_ready, .context = turns};
    turns->look = (struct event_timer){.expired = look_due};
    code = event_loop_watch(&turns->events, &turns->channel, EPOLLIN);
    if (code < 0) {
        queue_tell_failure(&turns->tell, "its channel cannot be watched: %s", strerror(-code));
    }
}

void queue_turns_keep_cpu(struct queue_turns *turns)
{
    queue_affinity_init(&turns->affinity, false);
}

void queue_turns_init(struct queue_turns *turns, const struct engine *engine, const struct engine_queue *queue)
{
    turns->engine = engine;
    turns->tell = (struct queue_tell){.channel = engine->channel, .control = queue->control};
    queue_loop_init(&turns->loop, engine, queue);
    open_events(turns);
    queue_lives_init(&turns->lives, &turns->loop, &turns->events, &turns->tell);
    turns->affinity = (struct queue_affinity){.fixed = true};
    queue->control->cpu = RING_CPU_ANY;
    queue_outage_init(&turns->outage, &turns->loop, &turns->tell, engine->generation->group->outage_timeout_ms);
}

void queue_turns_begin(struct queue_turns *turns)
{
    uint64_t now_ns = event_loop_now(&turns->events);
    struct error error;

    queue_outage_begin(&turns->outage);
    if (queue_recover(&turns->loop, now_ns, &error) < 0) {
        queue_tell_failure(&turns->tell, "%s", error.text);
    }
    turns->looked_ns = now_ns;
    turns->serving = true;
    turns->readable = true;
}

bool queue_turns_are_done(const struct queue_turns *turns)
{
    return !turns->readable && turns->loop.order_count == 0;
}

void queue_turns_end(struct queue_turns *turns)
{
    turns->serving = false;
    turns->readable = false;
    queue_lives_leave(&turns->lives);
    event_loop_start_timer(&turns->events, &turns->look, event_loop_now(&turns->events));
}
