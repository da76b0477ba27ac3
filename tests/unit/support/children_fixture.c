/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers that obey the test, and the supervisor's loop.
 */
#include "children_fixture.h"

#include "log_lines.h"

#include "base/channel.h"
#include "base/clock.h"
#include "process/forkserver.h"
#include "queue/nfqueue_proc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS 2
#define GIVE_UP_MS 4000

struct children_fixture children_fixture;

static unsigned waited_queue;
static pid_t waited_pid;

int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status);

int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status)
{
    if (children_fixture.kernel_silent) {
        return -ENOENT;
    }
    *status = (struct nfqueue_status){.queue = queue, .last_id = CHILDREN_LAST_ID};
    return 0;
}

/* ---- the worker ------------------------------------------------------------------------------------------------ */

static void tell(const struct engine *engine, enum message_kind kind)
{
    const struct process_message message = process_message_make(kind, 0);

    channel_send(engine->channel, &message, sizeof(message), NULL, 0);
}

/* Says hello and takes what belongs to its queue, as a worker does. */
static void begin(struct engine *engine, unsigned queue)
{
    struct engine_queue *own = &engine->queues[queue];
    const struct queue_shm_layout layout = own->shm.layout;
    struct process_message message;
    int fds[2];

    tell(engine, WORKER_HELLO);
    if (channel_wait(engine->channel, &message, sizeof(message), fds, 2) != (ssize_t)sizeof(message) ||
        queue_shm_attach(fds[1], own->kernel.number, &layout, &own->shm) < 0) {
        _exit(CHILDREN_NO_QUEUE);
    }
    own->kernel.socket = fds[0];
    own->control = own->shm.control;
}

static void set_plugin(struct engine *engine, unsigned queue, unsigned plugin)
{
    engine->queues[queue].control->plugin = generation_plugin_ref(engine->generation, plugin);
}

static void open_plugins(struct engine *engine, unsigned queue, enum way way)
{
    for (unsigned i = 0; i < CHILDREN_PLUGINS; i++) {
        set_plugin(engine, queue, i);
        if (way == WAY_HANG_IN_OPEN && i == 1) {
            for (;;) {
                pause();
            }
        }
        if (way == WAY_OPEN_SLOWLY) {
            poll(NULL, 0, (int)engine->generation->group->load_timeout_ms * 2 / 3);
        }
    }
    engine->queues[queue].control->plugin = PLUGIN_REF_NONE;
}

static void wait_for_wake(const struct engine *engine)
{
    struct process_message message;

    if (channel_wait(engine->channel, &message, sizeof(message), NULL, 0) <= 0) {
        _exit(CHILDREN_NO_QUEUE);
    }
}

static void run_worker(struct engine *engine, unsigned queue) __attribute__((noreturn));

static void run_worker(struct engine *engine, unsigned queue)
{
    struct engine_queue *own = &engine->queues[queue];
    enum way way = children_fixture.ways[queue];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (way == WAY_NO_HELLO) {
        _exit(CHILDREN_EXIT_STATUS);
    }
    if (way == WAY_HELLO_AND_EXIT) {
        tell(engine, WORKER_HELLO);
        _exit(CHILDREN_EXIT_STATUS);
    }
    begin(engine, queue);
    if (way == WAY_EXIT) {
        _exit(CHILDREN_EXIT_STATUS);
    }
    if (way == WAY_FAIL) {
        snprintf(own->control->message, sizeof(own->control->message), "it fails");
        _exit(PROCESS_EXIT_FAILED);
    }
    open_plugins(engine, queue, way);
    own->control->state = WORKER_OPENED;
    tell(engine, WORKER_WAKE);
    while (own->control->owner != (uint32_t)getpid()) {
        wait_for_wake(engine);
    }
    own->control->state = WORKER_SERVING;
    if (way == WAY_CLOSE_CHANNEL) {
        close(engine->channel);
        for (;;) {
            pause();
        }
    }
    while (own->control->request != WORKER_EXIT || way == WAY_STAY) {
        wait_for_wake(engine);
    }
    if (way == WAY_LEAVE_BADLY) {
        set_plugin(engine, queue, 1);
        _exit(CHILDREN_EXIT_STATUS);
    }
    _exit(0);
}

/* The plugins are made up, so the fork server has none to load. */
static void run_forkserver(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void run_forkserver(struct engine *engine, const struct engine_programs *programs)
{
    engine->generation->plugin_count = 0;
    forkserver_run(engine, programs);
}

/* ---- the supervisor -------------------------------------------------------------------------------------------- */

static void poll_children(void *context)
{
    (void)context;
    event_loop_start_timer(&children_fixture.base.loop, &children_fixture.poll,
                           event_loop_now(&children_fixture.base.loop) + POLL_MS * NS_PER_MS);
}

int children_fixture_set_up(void **state)
{
    (void)state;
    memset(&children_fixture, 0, sizeof(children_fixture));
    children_fixture.ways = mmap(NULL, CHILDREN_QUEUES * sizeof(*children_fixture.ways), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    children_fixture.programs = (struct engine_programs){.forkserver_run = run_forkserver, .worker_run = run_worker};
    log_lines_clear();
    return children_fixture.ways == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0;
}

void children_fixture_begin(uint64_t timeout_ms)
{
    static const struct plugin plugins[CHILDREN_PLUGINS] = {
        {.path = "/p/first.so", .id = "first", .version = "1.0", .memfd = -1},
        {.path = "/p/second.so", .id = "second", .version = "2.0", .memfd = -1},
        {.path = "/p/third.so", .id = "third", .version = "3.0", .memfd = -1},
    };
    struct engine_fixture *base = &children_fixture.base;

    engine_fixture_init(base, CHILDREN_QUEUES, timeout_ms);
    for (unsigned i = 0; i < CHILDREN_PLUGINS; i++) {
        base->generation.plugins[i] = plugins[i];
    }
    base->generation.plugin_count = CHILDREN_PLUGINS;
    children_init(&children_fixture.children, &base->engine, &children_fixture.programs, &base->loop);
    children_fixture.poll = (struct event_timer){.expired = poll_children};
    poll_children(NULL);
}

static bool has_ended(void)
{
    return children_ended(&children_fixture.children);
}

void children_end_all(void)
{
    children_end(&children_fixture.children);
    children_turn_until(has_ended);
    children_done(&children_fixture.children);
}

int children_fixture_tear_down(void **state)
{
    (void)state;
    if (!children_fixture.children.ending) {
        children_end_all();
    }
    while (waitpid(-1, NULL, 0) > 0) { /* one that the table forgot would hang the test */
    }
    engine_fixture_done(&children_fixture.base);
    munmap(children_fixture.ways, CHILDREN_QUEUES * sizeof(*children_fixture.ways));
    return 0;
}

static void turn(void)
{
    assert_int_equal(event_loop_turn(&children_fixture.base.loop), 0);
    children_reap(&children_fixture.children);
}

void children_turn_until(bool (*condition)(void))
{
    uint64_t end_ns = monotonic_ns() + GIVE_UP_MS * NS_PER_MS;

    while (!condition()) {
        assert_true(monotonic_ns() < end_ns);
        turn();
    }
}

void children_turn_for(unsigned ms)
{
    uint64_t end_ns = monotonic_ns() + ms * NS_PER_MS;

    while (monotonic_ns() < end_ns) {
        turn();
    }
}

static bool all_opened(void)
{
    return children_all_opened(&children_fixture.children);
}

static bool serves(void)
{
    return children_pid(waited_queue) != 0 && children_pid(waited_queue) != waited_pid &&
           children_control(waited_queue)->owner == (uint32_t)children_pid(waited_queue) &&
           children_control(waited_queue)->state == WORKER_SERVING;
}

static bool is_other(void)
{
    return children_pid(waited_queue) != waited_pid;
}

void children_wait_serving(unsigned queue, pid_t before)
{
    waited_queue = queue;
    waited_pid = before;
    children_turn_until(serves);
}

void children_start_serving(void)
{
    children_start_forkserver(&children_fixture.children);
    children_turn_until(all_opened);
    children_run(&children_fixture.children);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        children_wait_serving(i, 0);
    }
}

pid_t children_pid(unsigned queue)
{
    return children_fixture.children.workers[queue].process.pid;
}

void children_kill_worker(unsigned queue)
{
    waited_queue = queue;
    waited_pid = children_pid(queue);
    assert_true(waited_pid > 0);
    kill(waited_pid, SIGKILL);
    children_turn_until(is_other);
}

bool children_has_failed(void)
{
    return children_fixture.children.exit_report.failure.exit_code != EXIT_CODE_OK;
}

bool children_forkserver_is_ready(void)
{
    return children_fixture.children.forkserver.ready;
}

void children_assert_failure(enum exit_code exit_code, const char *line)
{
    char text[ERROR_LINE_MAX];

    children_turn_until(children_has_failed);
    assert_int_equal(children_fixture.children.exit_report.failure.exit_code, exit_code);
    assert_string_equal(error_format(&children_fixture.children.exit_report.failure, text), line);
}

struct worker_control *children_control(unsigned queue)
{
    return children_fixture.base.engine.queues[queue].control;
}

struct journal *children_journal(unsigned queue)
{
    return children_fixture.base.engine.queues[queue].shm.journal;
}

void children_answer(unsigned queue)
{
    children_journal(queue)->crash_verdicts++;
}
