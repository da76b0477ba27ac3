/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's loop, and what the test asks of its table. The processes are in children_programs.c.
 */
#include "children_fixture.h"

#include "children_programs.h"
#include "log_lines.h"

#include "base/clock.h"
#include "queue/nfqueue_proc.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS 2
#define GIVE_UP_MS 30000 /* beside 16 processes that compute, a worker took 8 s to be replaced */

struct children_fixture children_fixture;

static unsigned waited_queue;
static unsigned waited_slot;
static unsigned waited_lines;
static pid_t waited_pid;
static pid_t tracers[CHILDREN_HELD_MAX];
static unsigned tracer_count;

int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status);

int __wrap_nfqueue_read_status(uint16_t queue, struct nfqueue_status *status)
{
    if (children_fixture.kernel_silent) {
        return -ENOENT;
    }
    *status = (struct nfqueue_status){.queue = queue, .last_id = CHILDREN_LAST_ID};
    return 0;
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
    children_fixture.scripts = mmap(NULL, CHILDREN_QUEUES * sizeof(*children_fixture.scripts), PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (children_fixture.scripts == MAP_FAILED) {
        return 1;
    }
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        children_fixture.scripts[i].loss = (struct queue_message){.stage = RING_OPENED, .plugin = PLUGINS_MAX};
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, children_fixture.commands[i]) < 0) {
            return 1;
        }
    }
    children_fixture.programs = children_programs;
    log_lines_clear();
    return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0;
}

void children_fixture_prepare(uint64_t timeout_ms)
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
}

void children_fixture_init(void)
{
    struct engine_fixture *base = &children_fixture.base;

    assert_int_equal(children_init(&children_fixture.children, &base->engine, &children_fixture.programs, &base->loop),
                     0);
    children_fixture.poll = (struct event_timer){.expired = poll_children};
    poll_children(NULL);
}

void children_fixture_begin(uint64_t timeout_ms)
{
    children_fixture_prepare(timeout_ms);
    children_fixture_init();
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

void children_hold(pid_t pid)
{
    int said[2];
    char byte;
    pid_t tracer;

    assert_true(tracer_count < CHILDREN_HELD_MAX);
    assert_int_equal(pipe(said), 0);
    tracer = fork();
    if (tracer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 && write(said[1], "", 1) == 1) {
            for (;;) {
                pause();
            }
        }
        _exit(1);
    }
    tracers[tracer_count++] = tracer;
    close(said[1]);
    if (read(said[0], &byte, 1) != 1) {
        skip();
    }
    close(said[0]);
}

void children_let_go(void)
{
    pid_t tracer = tracers[--tracer_count];

    kill(tracer, SIGKILL);
    waitpid(tracer, NULL, 0);
}

int children_fixture_tear_down(void **state)
{
    (void)state;
    while (tracer_count > 0) {
        children_let_go();
    }
    if (!children_fixture.children.ending) {
        children_end_all();
    }
    while (waitpid(-1, NULL, 0) > 0) { /* one that the table forgot would hang the test */
    }
    engine_fixture_done(&children_fixture.base);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        close(children_fixture.commands[i][0]);
        close(children_fixture.commands[i][1]);
    }
    munmap(children_fixture.scripts, CHILDREN_QUEUES * sizeof(*children_fixture.scripts));
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

/* ---- what is there --------------------------------------------------------------------------------------------- */

bool children_have_opened(void)
{
    return children_all_opened(&children_fixture.children);
}

pid_t children_queue_pid(unsigned queue)
{
    return children_fixture.children.queues[queue].process.pid;
}

struct children_worker *children_worker(unsigned queue, unsigned slot)
{
    const struct children *children = &children_fixture.children;

    for (unsigned i = 0; i < children->places; i++) {
        struct children_worker *worker = &children->queues[queue].workers[i];

        if (worker->number != 0 && worker->slot == slot && !worker->lost) {
            return worker;
        }
    }
    return NULL;
}

pid_t children_pid(unsigned queue, unsigned slot)
{
    const struct children_worker *worker = children_worker(queue, slot);

    return worker != NULL ? worker->process.pid : 0;
}

static bool has_opened(void)
{
    const struct children_worker *worker = children_worker(waited_queue, waited_slot);

    return worker != NULL && worker->opened && worker->pid != waited_pid;
}

void children_wait_opened(unsigned queue, unsigned slot, pid_t before)
{
    waited_queue = queue;
    waited_slot = slot;
    waited_pid = before;
    children_turn_until(has_opened);
}

static bool serves(void)
{
    return children_queue_pid(waited_queue) != 0 && children_queue_pid(waited_queue) != waited_pid &&
           children_control(waited_queue)->state == QUEUE_SERVING;
}

void children_wait_serving(unsigned queue, pid_t before)
{
    waited_queue = queue;
    waited_pid = before;
    children_turn_until(serves);
}

void children_start_serving(void)
{
    children_start(&children_fixture.children);
    children_turn_until(children_have_opened);
    children_run(&children_fixture.children);
    for (unsigned i = 0; i < CHILDREN_QUEUES; i++) {
        children_wait_serving(i, 0);
    }
}

static bool is_another_queue(void)
{
    return children_queue_pid(waited_queue) != waited_pid;
}

void children_end_queue(unsigned queue, int signal_number)
{
    waited_queue = queue;
    waited_pid = children_queue_pid(queue);
    assert_true(waited_pid > 0);
    kill(waited_pid, signal_number);
    children_turn_until(is_another_queue);
}

void children_kill_queue(unsigned queue)
{
    children_end_queue(queue, SIGKILL);
}

static bool worker_is_gone(void)
{
    const struct children *children = &children_fixture.children;

    for (unsigned i = 0; i < children->places; i++) {
        const struct children_worker *worker = &children->queues[waited_queue].workers[i];

        if (worker->number != 0 && worker->pid == waited_pid) {
            return false;
        }
    }
    return true;
}

void children_kill_worker(unsigned queue, unsigned slot)
{
    waited_queue = queue;
    waited_pid = children_pid(queue, slot);
    assert_true(waited_pid > 0);
    kill(waited_pid, SIGKILL);
    children_turn_until(worker_is_gone);
}

/* ---- what is said ---------------------------------------------------------------------------------------------- */

void children_say(unsigned queue, const struct queue_message *message)
{
    assert_int_equal(send(children_fixture.commands[queue][0], message, sizeof(*message), 0), sizeof(*message));
}

void children_say_lost(unsigned queue, const struct children_worker *worker, enum queue_loss loss, unsigned in_plugin)
{
    struct queue_message message = queue_message_make(QUEUE_WORKER_LOST, worker->number);

    message.loss = loss;
    message.timeout_ms = loss == QUEUE_LOSS_HUNG ? children_fixture.base.group.handle_timeout_ms : 0;
    message.stage = RING_OPENED;
    message.plugin = in_plugin;
    message.in_plugin = in_plugin != PLUGINS_MAX;
    children_say(queue, &message);
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

static bool have_lines(void)
{
    return log_lines.count >= waited_lines;
}

void children_wait_lines(unsigned count)
{
    waited_lines = count;
    children_turn_until(have_lines);
}

struct queue_control *children_control(unsigned queue)
{
    return children_fixture.base.engine.queues[queue].control;
}

struct journal *children_journal(unsigned queue)
{
    return children_fixture.base.engine.queues[queue].shm.journal;
}

void children_answer(unsigned queue)
{
    struct journal *journal = children_journal(queue);
    const struct outstanding outstanding = journal_totals(journal)->outstanding;

    journal_commit_send(journal, &(struct queue_stats){.accepted = 1}, NULL, &outstanding);
}

unsigned children_count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}
