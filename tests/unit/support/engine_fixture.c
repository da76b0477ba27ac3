/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making an engine for a test.
 */
#include "engine_fixture.h"
#include "process/queue_messages.h"

#include <nfqe/plugin.h>

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOT_SIZE 256

void engine_fixture_init(struct engine_fixture *fixture, unsigned queues, uint64_t timeout_ms)
{
    static const struct queue_shm_layout layout = {
        .control_version = QUEUE_CONTROL_VERSION, .control_size = sizeof(struct queue_control), .slot_size = SLOT_SIZE};
    struct engine *engine = &fixture->engine;

    memset(fixture, 0, sizeof(*fixture));
    fixture->group.handle_timeout_ms = timeout_ms;
    fixture->group.load_timeout_ms = timeout_ms;
    fixture->group.drain_timeout_ms = timeout_ms;
    fixture->group.on_crash = NFQE_DROP;
    fixture->group.on_stop = NFQE_ACCEPT;
    fixture->group.workers = 1;
    fixture->group.plugin_log = NFQE_LOG_INFO;
    generation_init(&fixture->generation, ENGINE_FIXTURE_GENERATION, &fixture->group);
    engine->generation = &fixture->generation;
    engine->status = mmap(NULL, sizeof(*engine->status), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(engine->status != MAP_FAILED);
    engine->supervisor = getpid();
    engine->channel = engine->log = -1;
    engine->privileges.form = PRIVILEGES_SAME;
    engine->queue_count = queues;
    for (unsigned i = 0; i < queues; i++) {
        struct engine_queue *queue = &engine->queues[i];

        *queue = (struct engine_queue){.kernel.number = (uint16_t)(ENGINE_FIXTURE_QUEUE + i)};
        queue->kernel.socket = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_int_equal(queue_shm_new(queue->kernel.number, &layout, &queue->shm), 0);
        queue->control = queue->shm.control;
    }
    assert_int_equal(event_loop_init(&fixture->loop), 0);
}

void engine_fixture_done(struct engine_fixture *fixture)
{
    event_loop_done(&fixture->loop);
    for (unsigned i = 0; i < fixture->engine.queue_count; i++) {
        struct engine_queue *queue = &fixture->engine.queues[i];

        close(queue->kernel.socket);
        queue_shm_done(&queue->shm);
    }
    munmap(fixture->engine.status, sizeof(*fixture->engine.status));
}
