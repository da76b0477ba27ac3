/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of children. The supervisor alone reaps, so a pid is safe to signal until children_reap() has seen its end.
 * A worker that dies at once may end before the message of its birth: ends of unknown children are remembered.
 */
#include "process/children.h"

#include "base/backoff.h"
#include "base/probe.h"
#include "base/util.h"
#include "queue/nfqueue_proc.h"
#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_WAIT_MS 100   /* for SIGSTOP to take effect */
#define LEAVE_WAIT_MS 1000 /* for the fork server's unload() */

static uint64_t after_ms(uint64_t ms)
{
    return monotonic_ns() + ms * NS_PER_MS;
}

/* ---- the fork server -------------------------------------------------------------------------------- */

static uint32_t forkserver_step(const struct children *children)
{
    return children->engine->status->plugin * 4 + children->engine->status->stage;
}

void children_init(struct children *children, struct engine *engine, const struct engine_programs *programs)
{
    *children = (struct children){.engine = engine, .programs = programs, .channel = -1};
    exit_report_init(&children->exit_report, engine);
}

static void retry_forkserver(struct children *children)
{
    children->forkserver_backoff_ms = backoff_next_ms(children->forkserver_backoff_ms);
    children->forkserver_retry_ns = after_ms(children->forkserver_backoff_ms);
}

void children_start_forkserver(struct children *children, const int *close_in_child)
{
    int channel[2];
    pid_t pid;

    memset(children->engine->status, 0, sizeof(*children->engine->status));
    retry_forkserver(children); /* unless this succeeds */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL, "no channel for the fork server: %s",
                           strerror(errno));
        return;
    }
    pid = fork();
    if (pid == 0) {
        while (*close_in_child >= 0) {
            close(*close_in_child++);
        }
        close(channel[0]);
        children->programs->forkserver_run(children->engine, channel[1], children->programs);
    }
    close(channel[1]);
    if (pid < 0) {
        close(channel[0]);
        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL, "no process for the fork server: %s",
                           strerror(errno));
        return;
    }
    children->forkserver_retry_ns = 0;
    children->forkserver_pid = pid;
    children->forkserver_number++;
    children->channel = channel[0];
    children->forkserver_ready = false;
    children->forkserver_hung = false;
    children->forkserver_step = forkserver_step(children);
    children->forkserver_deadline_ns = after_ms(children->engine->group->load_timeout_ms);
}

static void request_worker(struct children *children, unsigned queue)
{
    struct forkserver_message message = {.kind = FORKSERVER_FORK, .queue = queue};
    struct children_worker *worker = &children->workers[queue];
    struct worker_control *control = children->engine->queues[queue].control;

    if (!children->forkserver_ready || worker->pid != 0 || worker->requested || worker->exited || children->ending) {
        return;
    }
    worker->owner = false;
    control->owner = 0;
    control->request = worker->requested_state;
    control->state = WORKER_STARTING;
    control->plugin = WORKER_NO_PLUGIN;
    control->message[0] = '\0';
    worker->retry_ns = 0;
    worker->hung = false;
    worker->requested = send(children->channel, &message, sizeof(message), MSG_NOSIGNAL) == (ssize_t)sizeof(message);
    worker->deadline_ns = after_ms(children->engine->group->load_timeout_ms);
}

static void retry_worker(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];

    worker->backoff_ms = backoff_next_ms(worker->backoff_ms);
    worker->retry_ns = after_ms(worker->backoff_ms);
}

static void forkserver_ended(struct children *children, int status)
{
    children_read_channel(children); /* it may have told us about births before it died */
    close_fd(&children->channel);
    children->forkserver_pid = 0;
    children->forkserver_ready = false;
    exit_report_forkserver(&children->exit_report, status, children->forkserver_hung);
    if (children->exit_report.running) {
        retry_forkserver(children);
        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL,
                           "the fork server is started again in %u ms; the workers go on",
                           children->forkserver_backoff_ms);
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        children->workers[i].requested = false;
    }
    children->early_exit_count = 0;
}

static void worker_ended(struct children *children, unsigned queue, pid_t pid, int status)
{
    struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct children_worker *worker = &children->workers[queue];
    struct worker_control *control = engine_queue->control;
    struct burst *burst = engine_queue->shm.burst;
    struct nfqueue_status kernel;
    struct burst_guilt guilt;

    worker->pid = 0;
    probe_worker_exit(engine_queue->kernel.number, pid, status);
    if (worker->requested_state == WORKER_EXIT && (!worker->owner || burst_phase(burst) == BURST_IDLE)) {
        worker->exited = true;
        if (status != 0) {
            exit_report_leaving(&children->exit_report, queue, status);
        }
        return;
    }
    control->restarts += children->exit_report.running;
    /* The state alone would be the word of a worker; with a packet at the cursor, it was past open(). */
    if (!worker->owner || (control->state == WORKER_STARTING && burst->cursor == BURST_NONE)) {
        exit_report_start(&children->exit_report, queue, status, worker->hung);
        retry_worker(children, queue);
        return;
    }
    if (burst_phase(burst) != BURST_IDLE) {
        bool known = nfqueue_read_status(engine_queue->kernel.number, &kernel) == 0;

        burst_request_id_recovery(burst, known ? kernel.last_id : burst_totals(burst)->outstanding.last_id);
    }
    burst_assign_guilt(burst, children->engine->plugin_count, children->engine->group->on_crash, &guilt);
    exit_report_worker(&children->exit_report, queue, pid, status, worker->hung, &guilt);
    if (burst_answered(burst) != worker->answered) {
        worker->backoff_ms = 0;
        request_worker(children, queue);
    } else {
        retry_worker(children, queue);
    }
}

static void admit(struct children *children, unsigned queue)
{
    struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct children_worker *worker = &children->workers[queue];

    worker->answered = burst_answered(engine_queue->shm.burst);
    watchdog_reset(&worker->watchdog);
    worker->owner = true;
    engine_queue->control->owner = (uint32_t)worker->pid;
    eventfd_signal(engine_queue->wake);
}

void children_request(struct children *children, unsigned queue, enum worker_request requested_state)
{
    children->workers[queue].requested_state = requested_state;
    children->engine->queues[queue].control->request = requested_state;
    eventfd_signal(children->engine->queues[queue].wake);
}

static void worker_born(struct children *children, unsigned queue, int32_t pid)
{
    struct children_worker *worker = &children->workers[queue];

    worker->requested = false;
    if (pid <= 0) {
        exit_report_report(&children->exit_report, EXIT_CODE_RUN_TIME, NULL, "queue %u: no process for a worker: %s",
                           children->engine->queues[queue].kernel.number, strerror(-pid));
        retry_worker(children, queue);
        return;
    }
    worker->pid = pid;
    probe_worker_start(children->engine->queues[queue].kernel.number, pid);
    worker->opening = WORKER_NO_PLUGIN;
    worker->deadline_ns = after_ms(children->engine->group->load_timeout_ms);
    for (unsigned i = 0; i < children->early_exit_count; i++) {
        if (children->early_exits[i].pid == pid) {
            worker_ended(children, queue, pid, children->early_exits[i].status);
            return;
        }
    }
    if (waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) < 0) {
        /* its end was seen, but there was no room to remember it */
        worker_ended(children, queue, pid, ENGINE_EXIT_FAILED << 8);
        return;
    }
    if (children->exit_report.running && !children->ending) {
        admit(children, queue);
    }
}

/* ---- events -------------------------------------------------------------------------------------- */

void children_read_channel(struct children *children)
{
    struct forkserver_message message;

    while (children->channel >= 0 &&
           recv(children->channel, &message, sizeof(message), MSG_DONTWAIT) == (ssize_t)sizeof(message)) {
        if (message.kind == FORKSERVER_READY) {
            children->forkserver_ready = true;
            children->forkserver_backoff_ms = 0;
            children->forkserver_deadline_ns = 0;
            for (unsigned i = 0; i < children->engine->queue_count; i++) {
                request_worker(children, i);
            }
        } else if (message.kind == FORKSERVER_FORKED && message.queue < children->engine->queue_count) {
            worker_born(children, message.queue, message.pid);
        }
    }
}

static bool birth_outstanding(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].requested) {
            return true;
        }
    }
    return false;
}

static void child_ended(struct children *children, pid_t pid, int status)
{
    if (pid == children->forkserver_pid) {
        forkserver_ended(children, status);
        return;
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].pid == pid) {
            worker_ended(children, i, pid, status);
            return;
        }
    }
    if (birth_outstanding(children) && children->early_exit_count < CHILDREN_EARLY_EXITS) {
        children->early_exits[children->early_exit_count++] = (struct children_early_exit){pid, status};
    }
}

void children_reap(struct children *children)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        child_ended(children, pid, status);
    }
    if (!birth_outstanding(children)) {
        children->early_exit_count = 0;
    }
}

bool children_all_opened(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].pid == 0 || children->engine->queues[i].control->state != WORKER_OPENED) {
            return false;
        }
    }
    return true;
}

void children_run(struct children *children)
{
    children->exit_report.running = true;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        admit(children, i);
    }
}

bool children_all_exited(const struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (!children->workers[i].exited) {
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
static void confirm_hang(struct children *children, unsigned queue, uint32_t progress)
{
    struct children_worker *worker = &children->workers[queue];

    kill(worker->pid, SIGSTOP);
    if (wait_until_stopped(worker->pid) && children->engine->queues[queue].shm.burst->progress != progress) {
        kill(worker->pid, SIGCONT);
        watchdog_reset(&worker->watchdog);
        return;
    }
    worker->hung = true;
    kill(worker->pid, SIGKILL);
}

static void watch_worker(struct children *children, unsigned queue)
{
    struct children_worker *worker = &children->workers[queue];
    const struct engine_queue *engine_queue = &children->engine->queues[queue];
    struct watchdog_sample sample = {.progress = engine_queue->shm.burst->progress};
    bool stalled;

    sample.busy = burst_phase(engine_queue->shm.burst) != BURST_IDLE || nfqueue_has_unread(engine_queue->kernel.socket);
    if (watchdog_check(&worker->watchdog, &sample, children->engine->group->handle_timeout_ms, &stalled)) {
        confirm_hang(children, queue, sample.progress);
    }
    children->stalled |= stalled;
}

static void watch_workers(struct children *children)
{
    children->stalled = false;
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        const struct children_worker *worker = &children->workers[i];

        if (children->exit_report.running && worker->pid != 0 && worker->deadline_ns == 0 && !worker->hung) {
            watch_worker(children, i);
        }
    }
}

/* Between two samples. */
static unsigned watching_ms(const struct children *children)
{
    return children->exit_report.running && !children->stalled
               ? WATCHDOG_IDLE_MS
               : watchdog_interval_ms(children->engine->group->handle_timeout_ms);
}

/* Kills whoever takes too long to start. */
static void check_deadlines(struct children *children, uint64_t now)
{
    if (children->forkserver_pid != 0 && children->forkserver_deadline_ns != 0) {
        if (children->forkserver_step != forkserver_step(children)) {
            children->forkserver_step = forkserver_step(children);
            children->forkserver_deadline_ns = after_ms(children->engine->group->load_timeout_ms);
        } else if (now >= children->forkserver_deadline_ns) {
            children->forkserver_hung = true;
            children->forkserver_deadline_ns = 0;
            kill(children->forkserver_pid, SIGKILL);
        }
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        struct children_worker *worker = &children->workers[i];
        const struct worker_control *control = children->engine->queues[i].control;

        if (worker->deadline_ns != 0 && worker->pid != 0 && control->state != WORKER_STARTING) {
            worker->deadline_ns = 0;
        } else if (worker->deadline_ns != 0 && worker->pid != 0 && worker->opening != control->plugin) {
            worker->opening = control->plugin;
            worker->deadline_ns = after_ms(children->engine->group->load_timeout_ms);
        }
        if (worker->deadline_ns == 0 || now < worker->deadline_ns) {
            continue;
        }
        worker->deadline_ns = 0;
        if (worker->pid != 0) {
            worker->hung = true;
            kill(worker->pid, SIGKILL);
        } else if (worker->requested && children->forkserver_pid != 0) {
            children->forkserver_hung = true;
            kill(children->forkserver_pid, SIGKILL);
        }
    }
}

void children_tick(struct children *children, const int *close_in_child)
{
    uint64_t now = monotonic_ns();

    check_deadlines(children, now);
    if (children->forkserver_retry_ns != 0 && now >= children->forkserver_retry_ns) {
        children_start_forkserver(children, close_in_child);
    }
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        if (children->workers[i].retry_ns != 0 && now >= children->workers[i].retry_ns) {
            request_worker(children, i);
        }
    }
    if (now >= children->sample_ns) {
        watch_workers(children);
        children->sample_ns = after_ms(watching_ms(children));
    }
    exit_report_flush(&children->exit_report, false);
}

unsigned children_interval_ms(const struct children *children)
{
    bool waiting = children->forkserver_retry_ns != 0;

    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        waiting = waiting || children->workers[i].retry_ns != 0;
    }
    return waiting ? BACKOFF_MIN_MS : watching_ms(children);
}

/* ---- the end ------------------------------------------------------------------------------------- */

static void leave_forkserver(struct children *children)
{
    const struct forkserver_message message = {.kind = FORKSERVER_LEAVE};
    char reason[EXIT_REPORT_REASON_MAX];
    int status;

    if (children->forkserver_pid == 0) {
        return;
    }
    if (children->forkserver_ready && send(children->channel, &message, sizeof(message), MSG_NOSIGNAL) > 0) {
        for (unsigned i = 0; i < LEAVE_WAIT_MS; i++) {
            if (waitpid(children->forkserver_pid, &status, WNOHANG) == children->forkserver_pid) {
                children->forkserver_pid = 0;
                if (status != 0) {
                    exit_report_unload(&children->exit_report, exit_report_reason(status, reason));
                }
                return;
            }
            poll(NULL, 0, 1);
        }
        snprintf(reason, sizeof(reason), "did not return within %d ms", LEAVE_WAIT_MS);
        exit_report_unload(&children->exit_report, reason);
    }
    kill(children->forkserver_pid, SIGKILL);
    waitpid(children->forkserver_pid, NULL, 0);
    children->forkserver_pid = 0;
}

static void kill_workers(struct children *children)
{
    for (unsigned i = 0; i < children->engine->queue_count; i++) {
        struct children_worker *worker = &children->workers[i];

        if (worker->pid != 0) {
            kill(worker->pid, SIGKILL);
            waitpid(worker->pid, NULL, 0);
            worker->pid = 0;
        }
    }
}

void children_end(struct children *children)
{
    children->ending = true;
    kill_workers(children);
    leave_forkserver(children);
    children_read_channel(children); /* births that it had told us about before */
    kill_workers(children);
    close_fd(&children->channel);
    exit_report_flush(&children->exit_report, true);
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}
