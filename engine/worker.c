/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's life: open, be admitted, recover, serve, leave; see worker.h and the phases in arena.h.
 *
 * A burst is: receive, decode, run the chain, encode, send; each step announces itself in the arena. A
 * successor takes up a burst at the step where it stands and goes the same way to the end: what is
 * decided already is skipped by the chain.
 */
#include "worker.h"

#include "chain.h"
#include "log.h"
#include "util.h"
#include "verdicts.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Ids swept one by one. What is lost was the next message in the socket; behind it are those that it had no room for. */
#define SWEEP_MAX 65536
#define RECEIVE_ERRORS_MAX 16 /* in a row, until a new worker has to try */
#define LOG_BURST 5
#define LOG_PERIOD_NS (10 * NS_PER_S)

_Static_assert(VERDICTS_BUFFER_SIZE <= NFQUEUE_SEND_MAX, "a full buffer can be sent");
_Static_assert(NFQUEUE_RESENT_SERIAL == ARENA_SERIAL_MASK + 1, "the bits of a serial do not overlap");

struct worker {
    struct engine *engine;
    struct engine_queue *queue;
    struct arena *arena;
    const struct arena *view; /* the same, read-only: packets point into it */
    struct chain chain;
    int epoll;
    bool stopped; /* the kernel queues nothing more */
    unsigned receive_errors; /* in a row */
    struct nfqe_packet packets[ARENA_BURST];
    unsigned packet_count;
    struct arena_counters delta; /* of the burst in flight */
    struct verdicts verdicts;
    struct log_limit invalid_log;
    struct log_limit error_log;
};

/* Static: one worker a process, and too large for the stack. */
static struct worker worker_state;

static void set_state(struct worker *worker, enum arena_state state)
{
    worker->arena->state = state;
    engine_ring(worker->engine->doorbell);
}

static void fail(struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Leaves the reason where the supervisor finds it, and exits. */
static void fail(struct worker *worker, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(worker->arena->message, sizeof(worker->arena->message), format, arguments);
    va_end(arguments);
    if (worker->arena->state >= ARENA_SERVING) { /* before, it has not started: ARENA_STARTING says that */
        set_state(worker, ARENA_FAILED);
    }
    _exit(ENGINE_EXIT_FAILED);
}

/* ---- a burst ------------------------------------------------------------------------------------- */

/* What the limit of a log line held back before it. */
static void log_missed(const struct worker *worker, unsigned missed)
{
    if (missed > 0) {
        log_line("queue %u: ... %u more lines like the next not shown", worker->queue->number, missed);
    }
}

static void count_answer(struct worker *worker, const struct nfqueue_answer *answer)
{
    unsigned missed;

    if (answer->error == 0) {
        return;
    }
    if (answer->verdict && answer->error == -ENOENT) {
        if (answer->resent) {
            worker->delta.resent++;
        } else {
            worker->delta.gone++;
        }
        return;
    }
    worker->delta.verdict_errors++;
    if (log_limit_pass(&worker->error_log, monotonic_ns(), &missed)) {
        log_missed(worker, missed);
        log_line("queue %u: the kernel refused a %s: %s", worker->queue->number,
                 answer->verdict ? "verdict" : "configuration request", strerror(-answer->error));
    }
}

/* The burst's next packet. A verdict that stands in the arena already is kept if it is this packet's. */
static void add_packet(struct worker *worker, bool keep_verdicts, bool truncated)
{
    unsigned index = worker->packet_count++;
    const struct nfqe_packet *packet = &worker->packets[index];
    struct arena_verdict *verdict = &worker->arena->verdicts[index];
    bool decided = keep_verdicts && arena_decided(worker->arena, index) && verdict->id == packet->id;

    worker->delta.packets++;
    verdict->id = packet->id;
    atomic_store_explicit(&verdict->flags, decided ? ARENA_DECIDED : 0, memory_order_relaxed);
    if (truncated && !decided) {
        arena_decide(worker->arena, index, worker->chain.on_crash);
    }
}

static void decode_burst(struct worker *worker, bool keep_verdicts)
{
    unsigned count = arena_received(worker->arena);

    worker->packet_count = 0;
    worker->delta = (struct arena_counters){.bursts = 1};
    /* A plugin could write to the packets' fields, so whatever matters later is in the arena. */
    for (unsigned i = 0; i < count; i++) {
        bool cut = (worker->arena->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        struct nfqueue_answer answer;

        switch (nfqueue_decode(arena_slot(worker->view, i), arena_message_len(worker->arena, i), cut,
                               worker->queue->number, &worker->packets[worker->packet_count], &answer)) {
        case NFQUEUE_PACKET:
            add_packet(worker, keep_verdicts, false);
            break;
        case NFQUEUE_TRUNCATED:
            worker->delta.truncated++;
            add_packet(worker, keep_verdicts, true);
            break;
        case NFQUEUE_ANSWER:
            count_answer(worker, &answer);
            break;
        case NFQUEUE_MALFORMED:
            worker->delta.malformed++;
            break;
        }
    }
    worker->arena->packets = worker->packet_count;
}

static void send_verdicts(struct worker *worker)
{
    int error = nfqueue_send(worker->queue->socket, worker->verdicts.buffer, worker->verdicts.len);

    if (error < 0) {
        fail(worker, "its verdicts cannot be sent: %s", strerror(-error));
    }
}

/* Answers ids that no message was seen of; the kernel may have answered some of them already. */
static void sweep_ids(struct worker *worker, uint32_t first, uint32_t last)
{
    if (last - first >= SWEEP_MAX) {
        last = first + SWEEP_MAX - 1;
    }
    worker->delta.swept += last - first + 1;
    worker->verdicts.serial = worker->arena->serial | NFQUEUE_RESENT_SERIAL;
    while (first != last + 1) {
        verdicts_encode_ids(&worker->verdicts, &first, last, worker->chain.on_crash);
        send_verdicts(worker);
    }
}

/* Before a freshly received burst is answered, or when there is none: see arena_request_sweep(). */
static void sweep(struct worker *worker, bool has_next, uint32_t next_id)
{
    uint32_t first;
    uint32_t last;

    if (arena_sweep_range(worker->arena, has_next, next_id, &first, &last)) {
        sweep_ids(worker, first, last);
    }
    arena_end_sweep(worker->arena);
}

static void send_burst(struct worker *worker, bool again)
{
    struct arena *arena = worker->arena;

    worker->verdicts.serial = arena->serial | (again ? NFQUEUE_RESENT_SERIAL : 0);
    for (unsigned next = 0; next < worker->packet_count;) {
        next = verdicts_encode(&worker->verdicts, arena->verdicts, NULL, worker->packet_count, next);
        send_verdicts(worker);
    }
}

static void log_invalid(struct worker *worker, const struct chain_report *report)
{
    const struct plugin *plugin = &worker->engine->plugins[report->plugin];
    unsigned missed;

    worker->delta.invalid += report->invalid;
    if (log_limit_pass(&worker->invalid_log, monotonic_ns(), &missed)) {
        log_missed(worker, missed);
        log_line("queue %u: plugin %s %s answered 0x%x on packet %u, which is no verdict of ABI 1.0; verdict %s",
                 worker->queue->number, plugin->id, plugin->version, report->verdict, report->packet_id,
                 engine_verdict_name(worker->chain.on_crash));
    }
}

/* From decoded packets to verdicts. */
static void decide_burst(struct worker *worker)
{
    struct arena *arena = worker->arena;
    struct chain_report report;

    arena_enter(arena, ARENA_HANDLING);
    chain_run(&worker->chain, arena, worker->packets, worker->packet_count, &report);
    if (report.invalid > 0) {
        log_invalid(worker, &report);
    }
    for (unsigned i = 0; i < worker->packet_count; i++) {
        if (arena->verdicts[i].verdict == NFQE_ACCEPT) {
            worker->delta.accepted++;
        } else {
            worker->delta.dropped++;
        }
    }
    arena_enter(arena, ARENA_SENDING);
}

static void finish_burst(struct worker *worker)
{
    struct arena *arena = worker->arena;

    if (worker->packet_count > 0) {
        decide_burst(worker);
        sweep(worker, true, arena->verdicts[0].id);
        send_burst(worker, false);
        arena->last_id = arena->verdicts[worker->packet_count - 1].id;
    }
    arena_commit(arena, &worker->delta);
}

/*
 * Answers the ids that are missing in a recovered burst, before and between its packets. An id that the kernel had not
 * given out is damaged; one that is not after the last was answered by a predecessor that died between here and the
 * commit. Returns the last id that is known to be answered.
 */
static uint32_t sweep_gaps(struct worker *worker)
{
    struct arena *arena = worker->arena;
    uint32_t last = arena->last_id;

    for (unsigned i = 0; i < worker->packet_count; i++) {
        uint32_t id = arena->verdicts[i].id;

        if ((int32_t)(id - last) <= 0 || (arena->sweep != 0 && (int32_t)(arena->sweep_to - id) < 0)) {
            continue;
        }
        if (id != last + 1) {
            sweep_ids(worker, last + 1, id - 1);
        }
        last = id;
    }
    return last;
}

/*
 * Takes up what a predecessor left in flight. Some of its messages may be damaged or lost, so nothing is sent that
 * answers more than one id, and ids that did not turn up are swept. What may be missing behind the burst is left
 * to the sweep before the next one.
 */
static void recover(struct worker *worker)
{
    struct arena *arena = worker->arena;
    enum arena_phase phase = arena_recover(arena);

    if (phase == ARENA_IDLE) {
        return;
    }
    decode_burst(worker, phase != ARENA_RECEIVING);
    if (worker->packet_count > 0) {
        decide_burst(worker);
        worker->verdicts.no_batches = true;
        send_burst(worker, phase == ARENA_SENDING);
        worker->verdicts.no_batches = false;
        arena->last_id = sweep_gaps(worker);
    }
    arena_commit(arena, &worker->delta);
}

/* A receive that failed, or found nothing. */
static void take_receive_error(struct worker *worker, int error)
{
    worker->delta = (struct arena_counters){0};
    if (error == -EAGAIN) {
        sweep(worker, false, 0);
        worker->receive_errors = 0;
    } else if (error == -EBADF || error == -ENOTSOCK) {
        fail(worker, "its socket is gone: %s; a plugin must not close what it did not open", strerror(-error));
    } else if (error == -EFAULT || (error != -ENOBUFS && ++worker->receive_errors >= RECEIVE_ERRORS_MAX)) {
        /* EFAULT: a message may be lost. A successor makes the headers anew, and sweeps. ENOBUFS may come at any time. */
        fail(worker, "it cannot receive: %s", strerror(-error));
    } else {
        worker->delta.receive_errors = 1;
    }
    arena_commit(worker->arena, &worker->delta);
}

/* One receive and what follows from it. Returns whether the socket may hold more. */
static bool serve_burst(struct worker *worker)
{
    struct arena *arena = worker->arena;
    int count = nfqueue_receive(worker->queue->socket, arena);

    if (count >= 0 || count == -EAGAIN) {
        atomic_store_explicit(&arena->progress, arena->progress + 1, memory_order_release);
    }
    if (count < 0) {
        take_receive_error(worker, count);
        return false;
    }
    if ((unsigned)count != arena_received(arena)) {
        fail(worker, "its receive headers are damaged: %d messages, %u lengths; a plugin wrote where it must not",
             count, arena_received(arena));
    }
    worker->receive_errors = 0;
    arena->serial = (arena->serial + 1) & ARENA_SERIAL_MASK;
    decode_burst(worker, false);
    finish_burst(worker);
    return count == ARENA_BURST;
}

/* ---- the worker's life --------------------------------------------------------------------------- */

/* A worker has no business with the other queues, and must not be able to damage them. */
static void leave_other_queues(const struct worker *worker)
{
    for (unsigned i = 0; i < worker->engine->queue_count; i++) {
        struct engine_queue *other = &worker->engine->queues[i];

        if (other != worker->queue) {
            close_fd(&other->socket);
            close_fd(&other->wake);
            arena_free(other->arena, other->slot_size, &other->arena_fd);
            other->arena = NULL;
        }
    }
}

static void open_plugins(struct worker *worker)
{
    struct engine *engine = worker->engine;
    char error[PLUGIN_ERROR_MAX];
    const char *loss;

    worker->chain.default_verdict = engine->options->default_verdict;
    worker->chain.on_crash = engine->options->on_crash;
    for (unsigned i = 0; i < engine->plugin_count; i++) {
        struct plugin *plugin = &engine->plugins[i];

        atomic_store_explicit(&worker->arena->plugin, i, memory_order_release);
        if (plugin_open(plugin, error) != 0) {
            fail(worker, "%s", error);
        }
        chain_add(&worker->chain, &(struct chain_member){.handle = plugin->table.handle,
                                                         .handle_batch = plugin->table.handle_batch,
                                                         .self = plugin->self});
        loss = engine_loss(engine);
        if (loss != NULL) {
            fail(worker, "open() %s", loss);
        }
    }
    engine_tie_to_supervisor(engine); /* a change of user would have untied it */
    atomic_store_explicit(&worker->arena->plugin, ARENA_NOBODY, memory_order_release);
}

/* Until the supervisor says so, somebody else may be reading the socket, or the queue is not bound yet. */
static void wait_for_admission(struct worker *worker)
{
    struct pollfd wake = {.fd = worker->queue->wake, .events = POLLIN};

    while (worker->arena->admitted != (uint32_t)getpid()) {
        if (worker->arena->request == ARENA_EXIT) {
            _exit(0);
        }
        if (poll(&wake, 1, -1) > 0) {
            engine_answer_ring(worker->queue->wake);
        }
    }
}

static void watch_descriptors(struct worker *worker)
{
    const int watched[] = {worker->queue->socket, worker->queue->wake};

    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll < 0) {
        fail(worker, "no epoll descriptor: %s", strerror(errno));
    }
    for (size_t i = 0; i < ARRAY_SIZE(watched); i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = watched[i]};

        if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, watched[i], &event) < 0) {
            fail(worker, "descriptor %d cannot be watched: %s", watched[i], strerror(errno));
        }
    }
}

static void wait_for_work(struct worker *worker)
{
    struct epoll_event events[2];
    int count = epoll_wait(worker->epoll, events, ARRAY_SIZE(events), -1);

    if (count < 0 && errno != EINTR) {
        fail(worker, "it cannot wait for packets: %s; a plugin must not close what it did not open", strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == worker->queue->wake) {
            engine_answer_ring(worker->queue->wake);
        }
    }
}

static void begin_stop(struct worker *worker)
{
    int error = nfqueue_stop_queueing(worker->queue->socket, worker->queue->number,
                                      worker->engine->options->on_stop == NFQE_ACCEPT);

    if (error < 0) {
        fail(worker, "the queue's length cannot be set: %s", strerror(-error));
    }
    worker->stopped = true;
    set_state(worker, ARENA_DRAINING);
}

static void serve(struct worker *worker)
{
    for (;;) {
        uint32_t request = atomic_load_explicit(&worker->arena->request, memory_order_acquire);

        if (request == ARENA_EXIT) {
            return;
        }
        if (request == ARENA_STOP && !worker->stopped) {
            begin_stop(worker);
        }
        if (!serve_burst(worker)) {
            wait_for_work(worker);
        }
    }
}

void worker_run(struct engine *engine, unsigned queue)
{
    struct worker *worker = &worker_state;
    char name[16];

    worker->engine = engine;
    worker->queue = &engine->queues[queue];
    worker->arena = worker->queue->arena;
    worker->verdicts.queue = worker->queue->number;
    worker->invalid_log = (struct log_limit){.burst = LOG_BURST, .period_ns = LOG_PERIOD_NS};
    worker->error_log = worker->invalid_log;
    snprintf(name, sizeof(name), "nfqe-q%u", worker->queue->number);
    engine_begin_process(engine, name);
    leave_other_queues(worker);
    arena_prepare(worker->arena, worker->queue->number, worker->queue->slot_size);
    if (arena_map_view(worker->queue->arena_fd, worker->queue->slot_size, &worker->view) < 0) {
        fail(worker, "its arena cannot be mapped: %s", strerror(errno));
    }
    if (engine_pin(worker->queue->cpu) < 0) {
        fail(worker, "it cannot run on CPU %d: %s", worker->queue->cpu, strerror(errno));
    }
    watch_descriptors(worker);
    open_plugins(worker);
    set_state(worker, ARENA_OPENED);
    wait_for_admission(worker);
    set_state(worker, ARENA_SERVING);
    recover(worker);
    serve(worker);
    for (unsigned i = 0; i < engine->plugin_count; i++) {
        worker->arena->plugin = i;
        plugin_close(&engine->plugins[i]);
    }
    _exit(0);
}
