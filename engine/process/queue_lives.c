/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the birth of a worker to its loss.
 *
 * What a worker says of itself is a claim, and none of it can make this process wait for it longer than its time-outs:
 * how far it is in open() and close() counts as often as there are plugins, an answer counts only if the ring takes it.
 * That it has ended its pidfd alone says. Process: [queue process].
 */
#include "process/queue_lives.h"

#include "base/arith.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOKS_MIN 4 /* in a time-out */

void queue_lives_init(struct queue_lives *lives, struct queue_loop *loop, struct event_loop *events,
                      const struct queue_tell *tell)
{
    const struct queue_group *group = loop->engine->generation->group;

    *lives = (struct queue_lives){.loop = loop,
                                  .events = events,
                                  .tell = tell,
                                  .cpu = RING_CPU_ANY,
                                  .open_timeout_ns = group->load_timeout_ms * NS_PER_MS,
                                  .handle_timeout_ns = group->handle_timeout_ms * NS_PER_MS};
    lives->retry_timeout_ns = lives->handle_timeout_ns / QUEUE_RETRY_SHARE;
    if (lives->retry_timeout_ns < QUEUE_RETRY_MIN_NS) {
        lives->retry_timeout_ns = min_u64(lives->handle_timeout_ns, QUEUE_RETRY_MIN_NS);
    }
}

bool queue_lives_any(const struct queue_lives *lives)
{
    return lives->loop->workers.end > 0;
}

/* ---- loss ---------------------------------------------------------------------------------------------- */

/* Its packets go to another worker. The supervisor adds to the message how the process ended. timeout_ns: or 0. */
static void lose(struct queue_lives *lives, struct queue_worker *worker, enum queue_loss loss, uint64_t timeout_ns)
{
    struct queue_message message = queue_message_make(QUEUE_WORKER_LOST, worker->number);
    struct queue_guilt guilt;

    message.loss = loss;
    message.timeout_ms = timeout_ns / NS_PER_MS;
    message.stage = ring_state(&worker->ring);
    ring_copy_text(&worker->ring, message.text, sizeof(message.text));
    event_loop_unwatch(lives->events, &worker->bell);
    event_loop_unwatch(lives->events, &worker->end);
    close_fd(&worker->end.fd);
    worker->hung = loss == QUEUE_LOSS_HUNG;
    queue_loop_lose_worker(lives->loop, worker, event_loop_now(lives->events), &guilt);
    message.plugin = guilt.plugin;
    message.in_plugin = guilt.in_plugin;
    message.packet_known = guilt.packet_known;
    message.packet_id = guilt.packet_id;
    queue_tell_message(lives->tell, &message, NULL, 0);
}

static void worker_ended(void *context, uint32_t events)
{
    struct queue_worker *worker = context;

    (void)events;
    lose(worker->lives, worker, QUEUE_LOSS_ENDED, 0);
}

/* ---- birth --------------------------------------------------------------------------------------------- */

/* What it rings for is found by the look of this turn. */
static void worker_rang(void *context, uint32_t events)
{
    struct queue_worker *worker = context;

    (void)events;
    worker->rung = true;
}

static int watch(struct queue_lives *lives, struct queue_worker *worker, int pidfd)
{
    int code;

    worker->bell = (struct event_watch){.fd = worker->ring.answered, .ready = worker_rang, .context = worker};
    worker->end = (struct event_watch){.fd = pidfd, .ready = worker_ended, .context = worker};
    code = event_loop_watch(lives->events, &worker->bell, EPOLLIN | EPOLLET);
    if (code == 0) {
        code = event_loop_watch(lives->events, &worker->end, EPOLLIN);
    }
    if (code < 0) {
        event_loop_unwatch(lives->events, &worker->bell);
    }
    return code;
}

/* The worker has an entry, a ring, and is watched; or none of these. */
static int begin(struct queue_lives *lives, uint32_t number, pid_t pid, int pidfd, struct queue_worker **added)
{
    const struct queue_shm_layout *layout = &lives->loop->queue->shm.layout;
    struct queue_worker *worker = queue_workers_add(&lives->loop->workers, number);
    int code;

    if (worker == NULL) {
        return -ENOSPC;
    }
    code = layout->changes ? ring_submit_new_changing(&worker->ring, layout->slot_size)
                           : ring_submit_new(&worker->ring, layout->slot_size);
    if (code == 0) {
        code = watch(lives, worker, pidfd);
    }
    if (code < 0) {
        queue_workers_remove(&lives->loop->workers, worker);
        return code;
    }
    ring_name_cpu(&worker->ring, lives->cpu);
    worker->lives = lives;
    worker->pid = pid;
    worker->since_ns = event_loop_now(lives->events);
    *added = worker;
    return 0;
}

static void refuse(const struct queue_lives *lives, uint32_t number, const char *what, const char *why)
{
    struct queue_message message = queue_message_make(QUEUE_WORKER_LOST, number);

    message.loss = QUEUE_LOSS_REFUSED;
    message.plugin = PLUGINS_MAX;
    snprintf(message.text, sizeof(message.text), "%s: %s", what, why);
    queue_tell_message(lives->tell, &message, NULL, 0);
}

void queue_lives_add(struct queue_lives *lives, uint32_t number, pid_t pid, int pidfd)
{
    const struct queue_message message = queue_message_make(QUEUE_RING, number);
    struct queue_worker *worker;
    int fds[RING_FDS];
    int code;

    if (lives->leaving || pidfd < 0) {
        refuse(lives, number, "it gets no ring",
               lives->leaving ? "the queue process leaves" : "its pidfd did not come");
        close_fd(&pidfd);
        return;
    }
    code = begin(lives, number, pid, pidfd, &worker);
    if (code < 0) {
        refuse(lives, number, "its ring cannot be made", strerror(-code));
        close_fd(&pidfd);
        return;
    }
    ring_worker_fds(&worker->ring, fds);
    queue_tell_message(lives->tell, &message, fds, RING_FDS);
    ring_submit_passed(&worker->ring);
}

/* ---- looks --------------------------------------------------------------------------------------------- */

/*
 * Whether it was ready to run and did not: the first time, for half of the second half of its time-out; after that, for nine
 * tenths of one. A worker that computes and has a quarter of a CPU is excused once.
 */
static bool was_kept_from_running(struct queue_lives *lives, struct queue_worker *worker, uint64_t timeout_ns)
{
    const uint64_t limit_ns = worker->excuses == 0 ? timeout_ns / 4 : timeout_ns / 10 * 9;
    const uint64_t last_ns = max_u64(2 * timeout_ns, QUEUE_EXCUSED_NS); /* that a wait can take */
    struct run_delay now;

    if (worker->delay.read_ns == 0 || (worker->excuses + 2) * timeout_ns > last_ns ||
        !run_delay_read(worker->pid, &now) || run_delay_between(&worker->delay, &now) < limit_ns) {
        return false;
    }
    worker->delay = now;
    worker->excuses++;
    lives->starved = true;
    return true;
}

/* Whether the worker, which is waited for, has taken all of the time-out since it last did something. */
static bool takes_too_long(struct queue_lives *lives, struct queue_worker *worker, uint64_t timeout_ns, uint64_t now_ns)
{
    bool new_wait = worker->since_ns >= lives->looked_ns;
    uint64_t passed_ns = now_ns - (new_wait ? worker->since_ns : lives->looked_ns);
    uint64_t step_ns = min_u64(passed_ns, min_u64(QUEUE_STEP_MAX_NS, timeout_ns / LOOKS_MIN));

    if (new_wait) {
        worker->waited_ns = 0;
        worker->delay_begun = false;
        worker->delay.read_ns = worker->slow_delay.read_ns = 0;
        worker->slow_begun = worker->slow_judged = false;
        worker->excuses = 0;
    }
    worker->waited_ns += step_ns;
    if (worker->waited_ns >= timeout_ns / 2 && !worker->delay_begun) {
        worker->delay_begun = true;
        run_delay_read(worker->pid, &worker->delay);
    }
    return worker->waited_ns >= (1 + worker->excuses) * timeout_ns && !was_kept_from_running(lives, worker, timeout_ns);
}

/* How far it is in open() or close(), as it says. Each plugin, and each state, is said once: what comes after is a lie. */
static void note_step(const struct queue_lives *lives, struct queue_worker *worker, uint32_t worker_state,
                      uint64_t now_ns)
{
    uint32_t said = worker_state * (PLUGINS_MAX + 1) + ring_plugin(&worker->ring);

    if (said != worker->said && worker->steps <= lives->loop->engine->generation->plugin_count + RING_FAILED) {
        worker->said = said;
        worker->steps++;
        worker->since_ns = now_ns;
    }
}

static void look_at_opening(struct queue_lives *lives, struct queue_worker *worker, uint64_t now_ns)
{
    const struct queue_message message = queue_message_make(QUEUE_WORKER_OPENED, worker->number);
    uint32_t said = ring_state(&worker->ring);

    if (said == RING_OPENED || said == RING_OPENED_BATCH) {
        worker->opened = true;
        queue_loop_learn_reasons(lives->loop);
        worker->has_batch = said == RING_OPENED_BATCH;
        queue_tell_message(lives->tell, &message, NULL, 0);
        return;
    }
    note_step(lives, worker, said, now_ns);
    if (takes_too_long(lives, worker, lives->open_timeout_ns, now_ns)) {
        lose(lives, worker, QUEUE_LOSS_HUNG, lives->open_timeout_ns);
    }
}

/* A frame is of one burst. */
static uint64_t packet_timeout(const struct queue_lives *lives, const struct queue_worker *worker)
{
    unsigned burst = ring_oldest(&worker->ring)->origins[0].burst;

    return lives->loop->flights[burst].hung ? lives->retry_timeout_ns : lives->handle_timeout_ns;
}

static bool is_named(const struct queue_lives *lives, uint32_t plugin)
{
    return plugin < PLUGINS_MAX && (lives->slow_plugins >> plugin & 1) != 0;
}

/* It has answered what it was slow with. Each plugin is named once. */
static void tell_slow(struct queue_lives *lives, struct queue_worker *worker)
{
    const struct plugin *plugin = &lives->loop->engine->generation->plugins[worker->slow_plugin];

    worker->slow_since_ns = 0;
    if (!is_named(lives, worker->slow_plugin)) {
        lives->slow_plugins |= UINT64_C(1) << worker->slow_plugin;
        log_line("queue %u: plugin %s %s is slow: it took more than %u ms over a packet%s, and those after it waited",
                 lives->loop->queue->kernel.number, plugin->id, plugin->version, (unsigned)(QUEUE_SLOW_NS / NS_PER_MS),
                 worker->has_batch ? " or a burst" : "");
    }
}

/* 0: the kernel does not say. */
static uint64_t slow_delay(const struct run_delay *from, const struct run_delay *to)
{
    return from->read_ns != 0 && to->read_ns != 0 ? run_delay_between(from, to) : 0;
}

/*
 * A worker that had no CPU is not slow, nor one that does not say which plugin has the packet. A wait is judged once, from
 * two readings of the delay, however long it is; none is made while a plugin has the packet that was named before.
 */
static void look_for_slow(struct queue_lives *lives, struct queue_worker *worker)
{
    struct run_delay delay = {0};
    uint64_t kept_ns;
    uint32_t plugin;

    if (worker->slow_judged || worker->waited_ns < (worker->slow_begun ? QUEUE_SLOW_NS : QUEUE_SLOW_NS / 2)) {
        return;
    }
    plugin = ring_plugin(&worker->ring); /* read once: a thread of a plugin may change it at any time */
    worker->slow_judged = worker->slow_begun || is_named(lives, plugin);
    if (!is_named(lives, plugin)) {
        run_delay_read(worker->pid, &delay);
    }
    if (!worker->slow_begun) {
        worker->slow_begun = true;
        worker->slow_delay = delay;
        return;
    }
    kept_ns = slow_delay(&worker->slow_delay, &delay);
    lives->starved |= kept_ns >= QUEUE_SLOW_NS / 4;
    if (kept_ns < QUEUE_SLOW_NS / 8 && plugin < lives->loop->engine->generation->plugin_count) {
        worker->slow_plugin = plugin;
        worker->slow_since_ns = worker->since_ns;
    }
}

static void look_at_packets(struct queue_lives *lives, struct queue_worker *worker, uint64_t now_ns)
{
    uint64_t timeout_ns;

    if (worker->slow_since_ns != 0 && worker->slow_since_ns != worker->since_ns) {
        tell_slow(lives, worker);
    }
    if (!ring_in_flight(&worker->ring)) {
        return;
    }
    timeout_ns = packet_timeout(lives, worker);
    if (takes_too_long(lives, worker, timeout_ns, now_ns)) {
        lose(lives, worker, QUEUE_LOSS_HUNG, timeout_ns);
    } else {
        look_for_slow(lives, worker);
    }
}

/* *closing: the plugin in its close(). */
static void look_at_leaving(struct queue_lives *lives, struct queue_worker *worker, uint64_t now_ns, uint32_t *closing)
{
    uint32_t said = ring_state(&worker->ring);

    note_step(lives, worker, said, now_ns);
    if (takes_too_long(lives, worker, lives->open_timeout_ns, now_ns)) {
        lose(lives, worker, QUEUE_LOSS_HUNG, lives->open_timeout_ns);
    } else if (worker->said / (PLUGINS_MAX + 1) == RING_CLOSING && worker->said % (PLUGINS_MAX + 1) != PLUGINS_MAX) {
        *closing = worker->said % (PLUGINS_MAX + 1); /* of what was noted, so that it changes as seldom */
    }
}

/* Only a worker without packets can be asked: it stops at once. */
static void ask_to_leave(struct queue_lives *lives, struct queue_worker *worker, uint64_t now_ns)
{
    queue_workers_leave_place(&lives->loop->workers, worker);
    worker->leaving = true;
    worker->steps = 0;
    worker->since_ns = now_ns;
    ring_request_leave(&worker->ring);
}

/* Returns whether it has to be looked at again soon, though it may have no packets. */
static bool look_at_worker(struct queue_lives *lives, struct queue_worker *worker, uint64_t now_ns, uint32_t *closing)
{
    if (queue_loop_take_answers(lives->loop, worker, now_ns) < 0) {
        lose(lives, worker, QUEUE_LOSS_BROKEN, 0);
        return false;
    }
    worker->retired = worker->number <= atomic_load_explicit(&lives->tell->control->retired, memory_order_acquire);
    if ((worker->retired || lives->leaving) && !worker->leaving && !ring_in_flight(&worker->ring)) {
        ask_to_leave(lives, worker, now_ns);
    }
    if (worker->leaving) {
        look_at_leaving(lives, worker, now_ns, closing);
    } else if (worker->opened) {
        look_at_packets(lives, worker, now_ns);
    } else {
        look_at_opening(lives, worker, now_ns);
    }
    return worker->number != 0 && (worker->leaving || !worker->opened);
}

bool queue_lives_look(struct queue_lives *lives, uint64_t now_ns)
{
    uint32_t closing = PLUGINS_MAX;
    bool soon = false;

    for (unsigned i = 0; i < lives->loop->workers.end; i++) {
        struct queue_worker *worker = &lives->loop->workers.all[i];

        if (worker->number != 0) {
            soon |= look_at_worker(lives, worker, now_ns, &closing);
        }
    }
    lives->looked_ns = now_ns;
    queue_tell_word(lives->tell, &lives->tell->control->closing, closing);
    return soon;
}

void queue_lives_name_cpu(struct queue_lives *lives, uint32_t cpu)
{
    lives->cpu = cpu;
    for (unsigned i = 0; i < lives->loop->workers.end; i++) {
        if (lives->loop->workers.all[i].number != 0) {
            ring_name_cpu(&lives->loop->workers.all[i].ring, cpu);
        }
    }
}

/* ---- waiting, leaving ----------------------------------------------------------------------------------- */

void queue_lives_wake(struct queue_lives *lives)
{
    for (unsigned i = 0; i < lives->loop->workers.end; i++) {
        if (lives->loop->workers.all[i].number != 0) {
            ring_wake(&lives->loop->workers.all[i].ring);
        }
    }
}

bool queue_lives_sleep(struct queue_lives *lives)
{
    bool asleep = true;

    queue_lives_wake(lives);
    for (unsigned i = 0; i < lives->loop->workers.end; i++) {
        struct queue_worker *worker = &lives->loop->workers.all[i];

        asleep &= worker->number == 0 || ring_sleep(&worker->ring);
    }
    return asleep;
}

void queue_lives_awake(struct queue_lives *lives)
{
    for (unsigned i = 0; i < lives->loop->workers.end; i++) {
        struct queue_worker *worker = &lives->loop->workers.all[i];

        if (worker->number != 0) {
            bool rung = worker->rung;

            worker->rung = false;
            if (ring_awake(&worker->ring, rung) < 0) {
                lose(lives, worker, QUEUE_LOSS_BROKEN, 0);
            }
        }
    }
}

void queue_lives_leave(struct queue_lives *lives)
{
    lives->leaving = true;
}
