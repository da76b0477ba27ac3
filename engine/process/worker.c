/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's life: open, be admitted, serve, leave; see worker.h. What it does with packets is in worker_loop.c.
 */
#include "process/worker.h"

#include "base/util.h"
#include "plugin/plugin_load.h"
#include "process/worker_loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct worker {
    struct engine *engine;
    struct engine_queue *queue;
    struct arena *arena;
    struct worker_loop loop;
    int epoll;
    bool stopped; /* the kernel queues nothing more */
};

/* Static: one worker a process, and too large for the stack. */
static struct worker worker_state;

/* A worker has no business with the other queues, and must not be able to damage them. */
static void leave_other_queues(const struct worker *worker)
{
    for (unsigned i = 0; i < worker->engine->queue_count; i++) {
        struct engine_queue *other = &worker->engine->queues[i];

        if (other != worker->queue) {
            close_fd(&other->kernel.socket);
            close_fd(&other->wake);
            arena_free(other->arena, other->shape, &other->arena_fd);
            other->arena = NULL;
        }
    }
}

static void open_plugins(struct worker *worker)
{
    struct engine *engine = worker->engine;
    struct error error;
    const char *loss;

    for (unsigned i = 0; i < engine->plugin_count; i++) {
        struct plugin *plugin = &engine->plugins[i];

        atomic_store_explicit(&worker->arena->plugin, i, memory_order_release);
        if (plugin_open(plugin, &error) != 0) {
            engine_fail(worker->engine, worker->queue, "%s", error.text);
        }
        chain_add(&worker->loop.chain, &(struct chain_member){.handle = plugin->table.handle,
                                                              .handle_batch = plugin->table.handle_batch,
                                                              .self = plugin->self,
                                                              .gives_flows = (plugin->needs & NFQE_NEED_FLOW) != 0});
        loss = process_check_intact(engine);
        if (loss != NULL) {
            engine_fail(worker->engine, worker->queue, "open() %s", loss);
        }
    }
    engine_tie_to_supervisor(engine); /* a change of user would have untied it */
    atomic_store_explicit(&worker->arena->plugin, ARENA_NOBODY, memory_order_release);
}

/* Until the supervisor says so, somebody else may be reading the socket, or the queue is not bound yet. */
static void wait_for_admission(struct worker *worker)
{
    struct pollfd wake = {.fd = worker->queue->wake, .events = POLLIN};

    while (worker->arena->owner != (uint32_t)getpid()) {
        if (worker->arena->request == ARENA_EXIT) {
            _exit(0);
        }
        if (poll(&wake, 1, -1) > 0) {
            eventfd_consume(worker->queue->wake);
        }
    }
}

static void watch_descriptors(struct worker *worker)
{
    const int watched[] = {worker->queue->kernel.socket, worker->queue->wake};

    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll < 0) {
        engine_fail(worker->engine, worker->queue, "no epoll descriptor: %s", strerror(errno));
    }
    for (size_t i = 0; i < ARRAY_SIZE(watched); i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = watched[i]};

        if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, watched[i], &event) < 0) {
            engine_fail(worker->engine, worker->queue, "descriptor %d cannot be watched: %s", watched[i],
                        strerror(errno));
        }
    }
}

static void wait_for_work(struct worker *worker)
{
    struct epoll_event events[2];
    int count = epoll_wait(worker->epoll, events, ARRAY_SIZE(events), -1);

    if (count < 0 && errno != EINTR) {
        engine_fail(worker->engine, worker->queue,
                    "it cannot wait for packets: %s; a plugin must not close what it did not open", strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == worker->queue->wake) {
            eventfd_consume(worker->queue->wake);
        }
    }
}

static void begin_stop(struct worker *worker)
{
    int error = nfqueue_stop_queueing(worker->queue->kernel.socket, worker->queue->kernel.number,
                                      worker->engine->group->on_stop == NFQE_ACCEPT);

    if (error < 0) {
        engine_fail(worker->engine, worker->queue, "the queue's length cannot be set: %s", strerror(-error));
    }
    worker->stopped = true;
    engine_set_state(worker->engine, worker->queue, ARENA_DRAINING);
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
        if (!worker_loop_burst(&worker->loop)) {
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
    snprintf(name, sizeof(name), "nfqe-q%u", worker->queue->kernel.number);
    engine_begin_process(engine, name);
    leave_other_queues(worker);
    worker_loop_init(&worker->loop, engine, worker->queue);
    if (engine_pin(worker->queue->cpu) < 0) {
        engine_fail(worker->engine, worker->queue, "it cannot run on CPU %d: %s", worker->queue->cpu, strerror(errno));
    }
    watch_descriptors(worker);
    open_plugins(worker);
    engine_set_state(engine, worker->queue, ARENA_OPENED);
    wait_for_admission(worker);
    engine_set_state(engine, worker->queue, ARENA_SERVING);
    worker_loop_recover(&worker->loop);
    serve(worker);
    for (unsigned i = 0; i < engine->plugin_count; i++) {
        worker->arena->plugin = i;
        plugin_close(&engine->plugins[i]);
    }
    _exit(0);
}
