/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queue processes and workers that obey the test.
 *
 * A ring of these has nothing in it: the worker writes to its eventfd when it has opened, and leaves when the other end
 * of its bell is closed.
 */
#include "children_programs.h"

#include "children_fixture.h"

#include "base/channel.h"
#include "base/fd.h"
#include "process/forkserver.h"
#include "process/process.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 64 /* that a queue process knows */
#define TALK 50    /* messages */

/* ---- the worker ------------------------------------------------------------------------------------------------ */

static void say_hello(const struct engine *engine)
{
    const struct process_message message = process_message_make(WORKER_HELLO, 0);

    channel_send(engine->channel, &message, sizeof(message), NULL, 0);
}

/* Takes its ring, as a worker does. */
static void take_ring(struct engine *engine, struct children_script *script, int fds[RING_FDS + 1])
{
    struct process_message message;
    uint32_t count = 0;

    if (channel_wait(engine->channel, &message, sizeof(message), fds, RING_FDS + 1) != (ssize_t)sizeof(message) ||
        message.kind != WORKER_DESCRIPTORS) {
        _exit(CHILDREN_NO_QUEUE);
    }
    for (unsigned i = 0; i < RING_FDS + 1; i++) {
        count += fds[i] >= 0;
    }
    script->descriptors = count;
    process_enter_log(&fds[RING_FDS]);
}

static void stay(void) __attribute__((noreturn));

static void stay(void)
{
    for (;;) {
        pause();
    }
}

static void wait_for_leave(int bell)
{
    char byte;

    while (read(bell, &byte, 1) > 0) {
    }
}

static void run_worker(struct engine *engine, const struct worker_birth *birth) __attribute__((noreturn));

static void run_worker(struct engine *engine, const struct worker_birth *birth)
{
    struct children_script *script = &children_fixture.scripts[birth->queue];
    enum way way = script->way;
    const uint64_t one = 1;
    struct error error;
    int fds[RING_FDS + 1];

    setsid(); /* as process_begin() does: it is not killed with the fork server */
    if (privileges_drop_worker(birth->uid, 0, &error) != 0) {
        _exit(CHILDREN_NO_QUEUE);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (way == WAY_NO_HELLO) {
        _exit(CHILDREN_EXIT_STATUS);
    }
    say_hello(engine);
    if (way == WAY_HELLO_AND_EXIT) {
        _exit(CHILDREN_EXIT_STATUS);
    }
    for (unsigned i = 0; i < TALK && way == WAY_TALK; i++) {
        say_hello(engine);
    }
    take_ring(engine, script, fds);
    script->skipped = birth->skipped; /* not before: a worker whose request was given up may run late */
    script->slot = birth->slot;
    if (way == WAY_EXIT) {
        _exit(CHILDREN_EXIT_STATUS);
    }
    if (way == WAY_HANG_IN_OPEN) {
        stay();
    }
    if (way == WAY_PRINT) {
        printf("hello\n");
    }
    if (write(fds[RING_FD_ANSWERED], &one, sizeof(one)) != sizeof(one)) {
        _exit(CHILDREN_NO_QUEUE);
    }
    if (way == WAY_STAY) {
        stay();
    }
    wait_for_leave(fds[RING_FD_PACKETS]);
    _exit(way == WAY_LEAVE_BADLY ? CHILDREN_EXIT_STATUS : 0);
}

/* The plugins are made up, so the fork server has none to load. */
static void run_forkserver(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void run_forkserver(struct engine *engine, const struct engine_programs *programs)
{
    engine->generation->plugin_count = 0;
    forkserver_run(engine, programs);
}

/* ---- the queue process ----------------------------------------------------------------------------------------- */

struct known_worker {
    uint32_t number; /* 0: free */
    int pidfd;
    int bell;     /* our end; -1: it was asked to leave */
    int answered; /* -1: it has opened */
};

static struct known_worker known[WORKERS];

static void tell(const struct engine *engine, const struct queue_message *message, const int *fds, unsigned count)
{
    if (channel_send(engine->channel, message, sizeof(*message), fds, count) < 0) {
        _exit(CHILDREN_NO_QUEUE);
    }
}

static void make_ring(const struct engine *engine, struct known_worker *worker)
{
    const struct queue_message message = queue_message_make(QUEUE_RING, worker->number);
    int bell[2];
    int fds[RING_FDS];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bell) < 0) {
        _exit(CHILDREN_NO_QUEUE);
    }
    fds[RING_FD_PACKETS] = bell[1]; /* this worker looks at no memory */
    fds[RING_FD_ANSWERS] = eventfd(0, EFD_CLOEXEC);
    fds[RING_FD_ANSWERED] = eventfd(0, EFD_CLOEXEC);
    tell(engine, &message, fds, RING_FDS);
    worker->bell = bell[0];
    worker->answered = fds[RING_FD_ANSWERED];
    close(fds[RING_FD_PACKETS]);
    close(fds[RING_FD_ANSWERS]);
}

static void take_worker(const struct engine *engine, uint32_t number, int pidfd)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        if (known[i].number == 0) {
            known[i] = (struct known_worker){.number = number, .pidfd = pidfd, .bell = -1, .answered = -1};
            make_ring(engine, &known[i]);
            return;
        }
    }
    _exit(CHILDREN_NO_QUEUE);
}

static bool is_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return fd >= 0 && poll(&poll_fd, 1, 0) == 1;
}

static void look_at_worker(const struct engine *engine, const struct children_script *script,
                           struct known_worker *worker)
{
    if (is_readable(worker->answered)) {
        const struct queue_message message = queue_message_make(QUEUE_WORKER_OPENED, worker->number);

        tell(engine, &message, NULL, 0);
        close_fd(&worker->answered);
    }
    if (is_readable(worker->pidfd)) {
        struct queue_message message = script->loss;

        message.version = QUEUE_MESSAGE_VERSION;
        message.kind = QUEUE_WORKER_LOST;
        message.worker = worker->number;
        message.loss = QUEUE_LOSS_ENDED;
        if (worker->bell < 0) { /* it was asked to leave, which is done without packets alone */
            message.in_plugin = message.packet_known = 0;
        }
        tell(engine, &message, NULL, 0);
        close_fd(&worker->pidfd);
        close_fd(&worker->answered);
        close_fd(&worker->bell);
        worker->number = 0;
    }
}

/* Asks workers to leave that are to. Returns whether there are any others. */
static bool ask_to_leave(uint32_t last)
{
    bool others = false;

    for (unsigned i = 0; i < WORKERS; i++) {
        if (known[i].number != 0 && known[i].number <= last) {
            close_fd(&known[i].bell);
        }
        others = others || known[i].number != 0;
    }
    return others;
}

static void look_at_requests(struct engine *engine, unsigned queue, enum queue_way way)
{
    struct queue_control *control = engine->queues[queue].control;
    uint32_t request = control->request;
    bool leaves = request == QUEUE_EXIT && way == QUEUE_WAY_SERVE;
    bool others = ask_to_leave(leaves ? UINT32_MAX : control->retired);

    if (leaves) {
        control->state = QUEUE_CLOSING;
        if (!others) {
            _exit(0);
        }
    } else {
        control->state = request == QUEUE_OPEN ? QUEUE_OPENED : request == QUEUE_RUN ? QUEUE_SERVING : QUEUE_DRAINING;
    }
}

static void take_messages(const struct engine *engine, struct children_script *script, bool silent)
{
    struct queue_message message;
    int pidfd;
    ssize_t len;

    while ((len = channel_take(engine->channel, &message, sizeof(message), &pidfd, 1)) > 0) {
        if (message.kind == QUEUE_NEW_WORKER && !silent) {
            script->pid = message.pid;
            take_worker(engine, message.worker, pidfd);
        } else {
            close_fd(&pidfd);
        }
        script->changes += message.kind == QUEUE_CHANGED;
    }
    if (len == 0) {
        _exit(CHILDREN_NO_QUEUE);
    }
}

static void pass_commands(const struct engine *engine, int commands)
{
    struct queue_message message;

    while (recv(commands, &message, sizeof(message), MSG_DONTWAIT) == (ssize_t)sizeof(message)) {
        tell(engine, &message, NULL, 0);
    }
}

static void attach_memory(struct engine_queue *queue)
{
    const struct queue_shm_layout layout = queue->shm.layout;

    if (queue_shm_attach(queue->shm.fd, queue->kernel.number, &layout, &queue->shm) < 0) {
        _exit(CHILDREN_NO_QUEUE);
    }
    queue->control = queue->shm.control;
}

static void run_queue(struct engine *engine, unsigned queue) __attribute__((noreturn));

static void run_queue(struct engine *engine, unsigned queue)
{
    struct children_script *script = &children_fixture.scripts[queue];
    enum queue_way way = script->queue_way;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    attach_memory(&engine->queues[queue]);
    script->forked++;
    if (way == QUEUE_WAY_FAIL) {
        snprintf(engine->queues[queue].control->text, QUEUE_MESSAGE_TEXT_MAX, "it fails");
        engine->queues[queue].control->state = QUEUE_FAILED;
    }
    if (way == QUEUE_WAY_FAIL || way == QUEUE_WAY_EXIT) {
        _exit(CHILDREN_EXIT_STATUS);
    }
    for (;;) {
        struct pollfd fds[] = {{.fd = engine->channel, .events = POLLIN},
                               {.fd = children_fixture.commands[queue][1], .events = POLLIN}};

        poll(fds, 2, 1);
        take_messages(engine, script, way == QUEUE_WAY_SILENT);
        pass_commands(engine, children_fixture.commands[queue][1]);
        for (unsigned i = 0; i < WORKERS; i++) {
            if (known[i].number != 0) {
                look_at_worker(engine, script, &known[i]);
            }
        }
        look_at_requests(engine, queue, way);
    }
}

const struct engine_programs children_programs = {
    .queue_run = run_queue, .forkserver_run = run_forkserver, .worker_run = run_worker};
