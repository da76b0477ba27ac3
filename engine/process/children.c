/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See crew.h. The supervisor is the parent of template and workers (as their subreaper), and the only one who
 * reaps: a pid is safe to signal until crew_reap() has seen its end. The end of a worker that dies at once is
 * usually seen before the template's message about its birth. So while a birth is outstanding, ends of unknown
 * children are remembered.
 */
#include "process/children.h"

#include "base/util.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 1000
#define STOP_WAIT_MS 100   /* for SIGSTOP to take effect */
#define LEAVE_WAIT_MS 1000 /* for the template's unload() */

static uint64_t after_ms(uint64_t ms)
{
    return monotonic_ns() + ms * NS_PER_MS;
}

static unsigned longer_pause(unsigned pause_ms)
{
    return pause_ms == 0 ? PAUSE_MIN_MS : (unsigned)min_u64((uint64_t)pause_ms * 2, PAUSE_MAX_MS);
}

/* ---- the template -------------------------------------------------------------------------------- */

static uint32_t template_step(const struct crew *crew)
{
    return crew->engine->status->plugin * 4 + crew->engine->status->stage;
}

void crew_init(struct crew *crew, struct engine *engine, const struct engine_programs *programs)
{
    *crew = (struct crew){.engine = engine, .programs = programs, .channel = -1};
    obituary_init(&crew->obituary, engine);
}

static void retry_template(struct crew *crew)
{
    crew->template_pause_ms = longer_pause(crew->template_pause_ms);
    crew->template_retry_ns = after_ms(crew->template_pause_ms);
}

void crew_start_template(struct crew *crew, const int *close_in_child)
{
    int channel[2];
    pid_t pid;

    memset(crew->engine->status, 0, sizeof(*crew->engine->status));
    retry_template(crew); /* unless this succeeds */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
        obituary_report(&crew->obituary, EXIT_CODE_RUN_TIME, "no channel for the template: %s", strerror(errno));
        return;
    }
    pid = fork();
    if (pid == 0) {
        while (*close_in_child >= 0) {
            close(*close_in_child++);
        }
        close(channel[0]);
        crew->programs->template_run(crew->engine, channel[1], crew->programs);
    }
    close(channel[1]);
    if (pid < 0) {
        close(channel[0]);
        obituary_report(&crew->obituary, EXIT_CODE_RUN_TIME, "no process for the template: %s", strerror(errno));
        return;
    }
    crew->template_retry_ns = 0;
    crew->template_pid = pid;
    crew->template_number++;
    crew->channel = channel[0];
    crew->template_ready = false;
    crew->template_hung = false;
    crew->template_step = template_step(crew);
    crew->template_deadline_ns = after_ms(crew->engine->options->load_timeout_ms);
}

static void request_worker(struct crew *crew, unsigned queue)
{
    struct template_message message = {.kind = TEMPLATE_FORK, .queue = queue};
    struct crew_worker *worker = &crew->workers[queue];
    struct arena *arena = crew->engine->queues[queue].arena;

    if (!crew->template_ready || worker->pid != 0 || worker->requested || worker->left || crew->ending) {
        return;
    }
    worker->admitted = false;
    arena->admitted = 0;
    arena->request = worker->order;
    arena->state = ARENA_STARTING;
    arena->plugin = ARENA_NOBODY;
    arena->message[0] = '\0';
    worker->retry_ns = 0;
    worker->hung = false;
    worker->requested = send(crew->channel, &message, sizeof(message), MSG_NOSIGNAL) == (ssize_t)sizeof(message);
    worker->deadline_ns = after_ms(crew->engine->options->load_timeout_ms);
}

static void retry_worker(struct crew *crew, unsigned queue)
{
    struct crew_worker *worker = &crew->workers[queue];

    worker->pause_ms = longer_pause(worker->pause_ms);
    worker->retry_ns = after_ms(worker->pause_ms);
}

static void template_ended(struct crew *crew, int status)
{
    crew_read_channel(crew); /* it may have told us about births before it died */
    close_fd(&crew->channel);
    crew->template_pid = 0;
    crew->template_ready = false;
    obituary_template(&crew->obituary, status, crew->template_hung);
    if (crew->obituary.running) {
        retry_template(crew);
        obituary_report(&crew->obituary, EXIT_CODE_RUN_TIME,
                        "the template is started again in %u ms; the workers go on", crew->template_pause_ms);
    }
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        crew->workers[i].requested = false;
    }
    crew->early_exit_count = 0;
}

/* ---- a worker's end ------------------------------------------------------------------------------ */

static void worker_ended(struct crew *crew, unsigned queue, pid_t pid, int status)
{
    struct engine_queue *engine_queue = &crew->engine->queues[queue];
    struct crew_worker *worker = &crew->workers[queue];
    struct arena *arena = engine_queue->arena;
    struct nfqueue_status kernel;
    struct arena_blame blame;

    worker->pid = 0;
    if (worker->order == ARENA_EXIT && (!worker->admitted || arena_phase(arena) == ARENA_IDLE)) {
        worker->left = true;
        if (status != 0) {
            obituary_leaving(&crew->obituary, queue, status);
        }
        return;
    }
    arena->restarts += crew->obituary.running;
    /* The state alone would be the word of a worker; with a packet at the cursor, it was past open(). */
    if (!worker->admitted || (arena->state == ARENA_STARTING && arena->cursor == ARENA_NOBODY)) {
        obituary_start(&crew->obituary, queue, status, worker->hung);
        retry_worker(crew, queue);
        return;
    }
    if (arena_phase(arena) != ARENA_IDLE) {
        bool known = nfqueue_read_status(engine_queue->number, &kernel) == 0;

        arena_request_sweep(arena, known ? kernel.last_id : arena->last_id);
    }
    arena_blame(arena, crew->engine->plugin_count, crew->engine->options->on_crash, &blame);
    obituary_worker(&crew->obituary, queue, pid, status, worker->hung, &blame);
    if (arena_counters(arena)->packets + arena->blamed != worker->answered) {
        worker->pause_ms = 0;
        request_worker(crew, queue);
    } else {
        retry_worker(crew, queue);
    }
}

static void admit(struct crew *crew, unsigned queue)
{
    struct engine_queue *engine_queue = &crew->engine->queues[queue];
    struct crew_worker *worker = &crew->workers[queue];

    worker->answered = arena_counters(engine_queue->arena)->packets + engine_queue->arena->blamed;
    watch_reset(&worker->watch);
    worker->admitted = true;
    engine_queue->arena->admitted = (uint32_t)worker->pid;
    engine_ring(engine_queue->wake);
}

void crew_order(struct crew *crew, unsigned queue, enum arena_request order)
{
    crew->workers[queue].order = order;
    crew->engine->queues[queue].arena->request = order;
    engine_ring(crew->engine->queues[queue].wake);
}

static void worker_born(struct crew *crew, unsigned queue, int32_t pid)
{
    struct crew_worker *worker = &crew->workers[queue];

    worker->requested = false;
    if (pid <= 0) {
        obituary_report(&crew->obituary, EXIT_CODE_RUN_TIME, "queue %u: no process for a worker: %s",
                        crew->engine->queues[queue].number, strerror(-pid));
        retry_worker(crew, queue);
        return;
    }
    worker->pid = pid;
    worker->opening = ARENA_NOBODY;
    worker->deadline_ns = after_ms(crew->engine->options->load_timeout_ms);
    for (unsigned i = 0; i < crew->early_exit_count; i++) {
        if (crew->early_exits[i].pid == pid) {
            worker_ended(crew, queue, pid, crew->early_exits[i].status);
            return;
        }
    }
    if (waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) < 0) {
        /* its end was seen, but there was no room to remember it */
        worker_ended(crew, queue, pid, ENGINE_EXIT_FAILED << 8);
        return;
    }
    if (crew->obituary.running && !crew->ending) {
        admit(crew, queue);
    }
}

/* ---- events -------------------------------------------------------------------------------------- */

void crew_read_channel(struct crew *crew)
{
    struct template_message message;

    while (crew->channel >= 0 &&
           recv(crew->channel, &message, sizeof(message), MSG_DONTWAIT) == (ssize_t)sizeof(message)) {
        if (message.kind == TEMPLATE_READY) {
            crew->template_ready = true;
            crew->template_pause_ms = 0;
            crew->template_deadline_ns = 0;
            for (unsigned i = 0; i < crew->engine->queue_count; i++) {
                request_worker(crew, i);
            }
        } else if (message.kind == TEMPLATE_FORKED && message.queue < crew->engine->queue_count) {
            worker_born(crew, message.queue, message.pid);
        }
    }
}

static bool birth_outstanding(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        if (crew->workers[i].requested) {
            return true;
        }
    }
    return false;
}

static void child_ended(struct crew *crew, pid_t pid, int status)
{
    if (pid == crew->template_pid) {
        template_ended(crew, status);
        return;
    }
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        if (crew->workers[i].pid == pid) {
            worker_ended(crew, i, pid, status);
            return;
        }
    }
    if (birth_outstanding(crew) && crew->early_exit_count < CREW_EARLY_EXITS) {
        crew->early_exits[crew->early_exit_count++] = (struct crew_early_exit){pid, status};
    }
}

void crew_reap(struct crew *crew)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        child_ended(crew, pid, status);
    }
    if (!birth_outstanding(crew)) {
        crew->early_exit_count = 0;
    }
}

bool crew_all_opened(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        if (crew->workers[i].pid == 0 || crew->engine->queues[i].arena->state != ARENA_OPENED) {
            return false;
        }
    }
    return true;
}

void crew_run(struct crew *crew)
{
    crew->obituary.running = true;
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        admit(crew, i);
    }
}

bool crew_all_left(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        if (!crew->workers[i].left) {
            return false;
        }
    }
    return true;
}

/* ---- time ---------------------------------------------------------------------------------------- */

/* Whether the process stopped, or ended, within STOP_WAIT_MS. */
static bool wait_until_stopped(pid_t pid)
{
    for (unsigned i = 0; i < STOP_WAIT_MS; i++) {
        siginfo_t info = {0};

        if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid) {
            return true;
        }
        poll(NULL, 0, 1);
    }
    return false;
}

/* It seems to hang. It may have moved on just now, so it is stopped, looked at again, and then judged. */
static void judge(struct crew *crew, unsigned queue, uint32_t progress)
{
    struct crew_worker *worker = &crew->workers[queue];

    kill(worker->pid, SIGSTOP);
    if (wait_until_stopped(worker->pid) && crew->engine->queues[queue].arena->progress != progress) {
        kill(worker->pid, SIGCONT);
        watch_reset(&worker->watch);
        return;
    }
    worker->hung = true;
    kill(worker->pid, SIGKILL);
}

static void watch_worker(struct crew *crew, unsigned queue)
{
    struct crew_worker *worker = &crew->workers[queue];
    const struct engine_queue *engine_queue = &crew->engine->queues[queue];
    struct watch_sample sample = {.progress = engine_queue->arena->progress};
    bool suspicious;

    sample.busy = arena_phase(engine_queue->arena) != ARENA_IDLE || nfqueue_has_unread(engine_queue->socket);
    if (watch_take(&worker->watch, &sample, crew->engine->options->handle_timeout_ms, &suspicious)) {
        judge(crew, queue, sample.progress);
    }
    crew->suspicious |= suspicious;
}

static void watch_workers(struct crew *crew)
{
    crew->suspicious = false;
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        const struct crew_worker *worker = &crew->workers[i];

        if (crew->obituary.running && worker->pid != 0 && worker->deadline_ns == 0 && !worker->hung) {
            watch_worker(crew, i);
        }
    }
}

/* Between two samples. */
static unsigned watching_ms(const struct crew *crew)
{
    return crew->obituary.running && !crew->suspicious ? WATCH_RELAXED_MS
                                                       : watch_interval_ms(crew->engine->options->handle_timeout_ms);
}

/* Kills whoever takes too long to start. */
static void check_deadlines(struct crew *crew, uint64_t now)
{
    if (crew->template_pid != 0 && crew->template_deadline_ns != 0) {
        if (crew->template_step != template_step(crew)) {
            crew->template_step = template_step(crew);
            crew->template_deadline_ns = after_ms(crew->engine->options->load_timeout_ms);
        } else if (now >= crew->template_deadline_ns) {
            crew->template_hung = true;
            crew->template_deadline_ns = 0;
            kill(crew->template_pid, SIGKILL);
        }
    }
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        struct crew_worker *worker = &crew->workers[i];
        const struct arena *arena = crew->engine->queues[i].arena;

        if (worker->deadline_ns != 0 && worker->pid != 0 && arena->state != ARENA_STARTING) {
            worker->deadline_ns = 0;
        } else if (worker->deadline_ns != 0 && worker->pid != 0 && worker->opening != arena->plugin) {
            worker->opening = arena->plugin;
            worker->deadline_ns = after_ms(crew->engine->options->load_timeout_ms);
        }
        if (worker->deadline_ns == 0 || now < worker->deadline_ns) {
            continue;
        }
        worker->deadline_ns = 0;
        if (worker->pid != 0) {
            worker->hung = true;
            kill(worker->pid, SIGKILL);
        } else if (worker->requested && crew->template_pid != 0) {
            crew->template_hung = true;
            kill(crew->template_pid, SIGKILL);
        }
    }
}

void crew_tick(struct crew *crew, const int *close_in_child)
{
    uint64_t now = monotonic_ns();

    check_deadlines(crew, now);
    if (crew->template_retry_ns != 0 && now >= crew->template_retry_ns) {
        crew_start_template(crew, close_in_child);
    }
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        if (crew->workers[i].retry_ns != 0 && now >= crew->workers[i].retry_ns) {
            request_worker(crew, i);
        }
    }
    if (now >= crew->sample_ns) {
        watch_workers(crew);
        crew->sample_ns = after_ms(watching_ms(crew));
    }
    obituary_flush(&crew->obituary, false);
}

unsigned crew_interval_ms(const struct crew *crew)
{
    bool waiting = crew->template_retry_ns != 0;

    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        waiting = waiting || crew->workers[i].retry_ns != 0;
    }
    return waiting ? PAUSE_MIN_MS : watching_ms(crew);
}

/* ---- the end ------------------------------------------------------------------------------------- */

static void leave_template(struct crew *crew)
{
    const struct template_message message = {.kind = TEMPLATE_LEAVE};
    char reason[OBITUARY_REASON_MAX];
    int status;

    if (crew->template_pid == 0) {
        return;
    }
    if (crew->template_ready && send(crew->channel, &message, sizeof(message), MSG_NOSIGNAL) > 0) {
        for (unsigned i = 0; i < LEAVE_WAIT_MS; i++) {
            if (waitpid(crew->template_pid, &status, WNOHANG) == crew->template_pid) {
                crew->template_pid = 0;
                if (status != 0) {
                    obituary_unload(&crew->obituary, obituary_reason(status, reason));
                }
                return;
            }
            poll(NULL, 0, 1);
        }
        snprintf(reason, sizeof(reason), "did not return within %d ms", LEAVE_WAIT_MS);
        obituary_unload(&crew->obituary, reason);
    }
    kill(crew->template_pid, SIGKILL);
    waitpid(crew->template_pid, NULL, 0);
    crew->template_pid = 0;
}

static void kill_workers(struct crew *crew)
{
    for (unsigned i = 0; i < crew->engine->queue_count; i++) {
        struct crew_worker *worker = &crew->workers[i];

        if (worker->pid != 0) {
            kill(worker->pid, SIGKILL);
            waitpid(worker->pid, NULL, 0);
            worker->pid = 0;
        }
    }
}

void crew_end(struct crew *crew)
{
    crew->ending = true;
    kill_workers(crew);
    leave_template(crew);
    crew_read_channel(crew); /* births that it had told us about before */
    kill_workers(crew);
    close_fd(&crew->channel);
    obituary_flush(&crew->obituary, true);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}
