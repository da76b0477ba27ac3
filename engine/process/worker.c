/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's life: say hello to the supervisor, take the queue's descriptors, open the plugins, wait to be the queue's
 * owner, answer packets, leave. What it does with packets is in worker_loop.c.
 *
 * Always: it has nothing of any queue but what the supervisor has passed to it, that of its own queue. The socket is not touched before the supervisor wrote this process's pid into the control words, since until
 * then another worker may be reading it, or the queue is not bound yet. If this process cannot go on, it leaves the
 * reason in the control words, or in the log while it has none, and exits; its successor finishes the burst in the
 * journal. Process: [worker].
 */
#include "process/worker.h"

#include "base/channel.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "base/process_title.h"
#include "plugin/plugin_load.h"
#include "process/plugin_services.h"
#include "process/process.h"
#include "process/worker_loop.h"
#include "queue/nfqueue_config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct worker {
    struct engine *engine;
    struct engine_queue *queue;
    struct worker_control *control;
    struct worker_loop loop;
    struct event_loop events;
    struct event_watch packets; /* in the queue's socket */
    struct event_watch wake;    /* the channel */
    bool stopped; /* the kernel queues nothing more */
};

/* Static: one worker a process, and too large for the stack. */
static struct worker worker_state;

/* If the channel is full, the supervisor has something to read, and looks at the control words after it. */
static void tell(const struct worker *worker, enum message_kind kind)
{
    const struct process_message message = process_message_make(kind, 0);
    int code = channel_send(worker->engine->channel, &message, sizeof(message), NULL, 0);

    (void)code; /* -EPIPE: the supervisor has given this worker up */
}

/* Says how far this worker has come. */
static void set_state(const struct worker *worker, enum worker_state state)
{
    worker->control->state = state;
    tell(worker, WORKER_WAKE);
}

/* Says which plugin is in open() or close(). */
static void set_plugin(const struct worker *worker, struct plugin_ref plugin)
{
    atomic_store_explicit(&worker->control->plugin, plugin, memory_order_release);
}

/* Leaves the reason where the supervisor finds it, and exits. */
static void fail(const struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

static void fail(const struct worker *worker, const char *format, ...)
{
    char text[WORKER_MESSAGE_MAX] = "";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (worker->control == NULL) {
        log_line("queue %u: a new worker: %s", worker->queue->kernel.number, text);
        _exit(PROCESS_EXIT_FAILED);
    }
    memcpy(worker->control->message, text, sizeof(text));
    if (worker->control->state >= WORKER_SERVING) { /* before, it has not started: WORKER_STARTING says that */
        set_state(worker, WORKER_FAILED);
    }
    _exit(PROCESS_EXIT_FAILED);
}

/* Waits for the socket and the memory of its queue, and its log, which the supervisor passes once it knows this process. */
static void take_descriptors(struct worker *worker)
{
    struct engine_queue *queue = worker->queue;
    const struct queue_shm_layout layout = queue->shm.layout;
    struct process_message message;
    int fds[3];
    ssize_t len = channel_wait(worker->engine->channel, &message, sizeof(message), fds, 3);
    int code;

    if (len <= 0) {
        _exit(PROCESS_EXIT_FAILED); /* it is not wanted any more */
    }
    if (process_message_check(&message, (size_t)len, FROM_SUPERVISOR, worker->engine->queue_count) < 0 ||
        message.kind != WORKER_DESCRIPTORS || fds[0] < 0 || fds[1] < 0) {
        fail(worker, "the descriptors of the queue have not arrived");
    }
    process_enter_log(&fds[2]); /* without one, it prints where the fork server does */
    queue->kernel.socket = fds[0];
    code = queue_shm_attach(fds[1], queue->kernel.number, &layout, &queue->shm);
    if (code < 0) {
        fail(worker, "the queue's memory cannot be mapped: %s", strerror(-code));
    }
    queue->control = worker->control = queue->shm.control;
}

static void open_plugins(struct worker *worker)
{
    struct engine *engine = worker->engine;
    struct error error;
    const char *loss;

    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        struct plugin *plugin = &engine->generation->plugins[i];

        set_plugin(worker, generation_plugin_ref(engine->generation, i));
        if (plugin_open(plugin, &error) != 0) {
            fail(worker, "%s", error.text);
        }
        plugin_chain_add(&worker->loop.pipeline.chain,
                         &(struct plugin_chain_member){.handle = plugin->table.handle,
                                                       .handle_batch = plugin->table.handle_batch,
                                                       .self = plugin->self,
                                                       .gives_flows = (plugin->needs & NFQE_NEED_FLOW) != 0});
        loss = process_check_intact(engine);
        if (loss != NULL) {
            fail(worker, "open() %s", loss);
        }
    }
    process_tie_to_supervisor(engine->supervisor); /* a change of user would have untied it */
    set_plugin(worker, PLUGIN_REF_NONE);
}

/* What is in the socket is received by the next burst. */
static void note_packets(void *context, uint32_t events)
{
    (void)context;
    (void)events;
}

/* What the control words say is looked at after each wait. */
static void consume_wake(void *context, uint32_t events)
{
    const struct worker *worker = context;
    struct process_message message;
    pid_t sender;
    ssize_t len;

    (void)events;
    do {
        len = channel_receive(worker->wake.fd, &message, sizeof(message), &sender);
    } while (len > 0);
    if (len != -EAGAIN) {
        fail(worker, "it has no channel to the supervisor any more; a plugin must not close what it did not open");
    }
}

static void open_events(struct worker *worker)
{
    int code = event_loop_init(&worker->events);

    if (code < 0) {
        fail(worker, "no epoll descriptor: %s", strerror(-code));
    }
    worker->packets = (struct event_watch){.fd = worker->queue->kernel.socket, .ready = note_packets};
    worker->wake = (struct event_watch){.fd = worker->engine->channel, .ready = consume_wake, .context = worker};
    code = event_loop_watch(&worker->events, &worker->wake, EPOLLIN);
    if (code < 0) {
        fail(worker, "its channel cannot be watched: %s", strerror(-code));
    }
}

/* code: why the event loop cannot be used after plugins ran. */
static void fail_to_wait(const struct worker *worker, int code) __attribute__((noreturn));

static void fail_to_wait(const struct worker *worker, int code)
{
    fail(worker, "it cannot wait for packets: %s; a plugin must not close what it did not open", strerror(-code));
}

static void wait_for_event(struct worker *worker)
{
    int code = event_loop_turn(&worker->events);

    if (code < 0) {
        fail_to_wait(worker, code);
    }
}

/* Until the supervisor says so, another worker may be reading the socket, or the queue is not bound yet. */
static void wait_for_admission(struct worker *worker)
{
    while (worker->control->owner != (uint32_t)getpid()) {
        if (worker->control->request == WORKER_EXIT) {
            _exit(0);
        }
        wait_for_event(worker);
    }
}

/* Not before the worker is the owner: packets in the socket would end every wait for that at once. */
static void watch_packets(struct worker *worker)
{
    int code = event_loop_watch(&worker->events, &worker->packets, EPOLLIN);

    if (code < 0) {
        fail_to_wait(worker, code);
    }
}

static void begin_stop(struct worker *worker)
{
    int error = nfqueue_stop_queueing(worker->queue->kernel.socket, worker->queue->kernel.number,
                                      worker->engine->generation->group->on_stop == NFQE_ACCEPT);

    if (error < 0) {
        fail(worker, "the queue's length cannot be set: %s", strerror(-error));
    }
    worker->stopped = true;
    set_state(worker, WORKER_DRAINING);
}

static void serve(struct worker *worker)
{
    struct error error;
    int more;

    for (;;) {
        uint32_t request = atomic_load_explicit(&worker->control->request, memory_order_acquire);

        if (request == WORKER_EXIT) {
            return;
        }
        if (request == WORKER_STOP && !worker->stopped) {
            begin_stop(worker);
        }
        more = worker_loop_burst(&worker->loop, &error);
        if (more < 0) {
            fail(worker, "%s", error.text);
        }
        if (more == 0) {
            wait_for_event(worker);
        }
    }
}

void worker_run(struct engine *engine, unsigned queue)
{
    struct worker *worker = &worker_state;
    int cpu = queue_group_cpu(engine->generation->group, queue, 0);
    struct error error;
    char name[16];
    int code;

    worker->engine = engine;
    worker->queue = &engine->queues[queue];
    snprintf(name, sizeof(name), "nfqe-q%u", worker->queue->kernel.number);
    process_begin(name, engine->supervisor);
    plugin_services_begin();
    process_title_set("worker queue %u", worker->queue->kernel.number);
    tell(worker, WORKER_HELLO);
    take_descriptors(worker);
    if (worker_loop_init(&worker->loop, engine, worker->queue, &error) < 0) {
        fail(worker, "%s", error.text);
    }
    code = process_pin(cpu);
    if (code < 0) {
        fail(worker, "it cannot run on CPU %d: %s", cpu, strerror(-code));
    }
    open_events(worker);
    open_plugins(worker);
    set_state(worker, WORKER_OPENED);
    wait_for_admission(worker);
    set_state(worker, WORKER_SERVING);
    watch_packets(worker);
    if (worker_loop_recover(&worker->loop, &error) < 0) {
        fail(worker, "%s", error.text);
    }
    serve(worker);
    for (unsigned i = 0; i < engine->generation->plugin_count; i++) {
        set_plugin(worker, generation_plugin_ref(engine->generation, i));
        plugin_close(&engine->generation->plugins[i]);
    }
    _exit(0);
}
