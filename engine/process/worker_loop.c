/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of the steps of a burst, from the receive to the commit of its verdicts.
 *
 * One burst is in flight at a time. It is committed twice: when it was received, its ids become outstanding; when its
 * verdicts were sent, they are no longer.
 *
 * Errors are of two kinds. What the kernel says of single messages or verdicts is counted, and the worker goes on. If
 * it cannot or must not go on (the socket is gone, the receive headers or the flow table are damaged), the error is
 * returned: the worker ends, and its successor finds the burst in the journal. Process: [worker].
 */
#include "process/worker_loop.h"

#include "base/clock.h"
#include "base/probe.h"
#include "burst/recovery.h"
#include "process/worker_steps.h"
#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <string.h>

#define RECEIVE_ERRORS_MAX 16 /* in a row, until a new worker has to try */
#define LOG_BURST 5
#define LOG_PERIOD_NS (10 * NS_PER_S)

/* Before a burst is received whose first id is next_id, or when there is none: see journal_request_id_recovery(). */
static int add_missing_ids(struct worker_loop *loop, bool has_next, uint32_t next_id, struct outstanding_range *lost,
                           bool *any, struct error *error)
{
    *any = journal_lost_ids(loop->journal, &loop->outstanding, has_next, next_id, lost);
    return *any ? worker_add_lost_ids(loop, *lost, error) : 0;
}

/* The ids of a burst that was just received are outstanding. */
static void add_burst_ids(struct worker_loop *loop)
{
    struct outstanding_range run;

    for (unsigned next = 0; next < loop->packet_count;) {
        next = burst_id_run(loop->burst, next, loop->packet_count, &run);
        if (outstanding_add(&loop->outstanding, run) < 0) {
            /* A plugin wrote to the set: what the kernel gives out now comes after all ids that were received. */
            loop->outstanding = (struct outstanding){.last_id = run.first - 1};
            outstanding_add(&loop->outstanding, run);
        }
    }
}

/* lost: ids that were lost before the burst, if any_lost. Their verdicts are sent first. */
static int answer_burst(struct worker_loop *loop, bool any_lost, struct outstanding_range lost, struct error *error)
{
    int pipeline_code = worker_decide_burst(loop, &loop->delta);
    int code = 0;

    journal_begin_send(loop->journal);
    if (any_lost) {
        code = worker_send_lost_ids(loop, lost, error);
    }
    if (code == 0) {
        code = worker_send_entries(loop, 0, loop->packet_count, false, false, error);
    }
    if (code < 0) {
        return code;
    }
    worker_commit_send(loop);
    return worker_check_flow_table(pipeline_code, error);
}

/* What was just received, from the messages to the commit of the verdicts. */
static int take_burst(struct worker_loop *loop, struct error *error)
{
    struct outstanding_range lost;
    bool any_lost = false;
    int code = 0;

    loop->delta = (struct queue_stats){.bursts = 1};
    worker_number_burst(loop);
    worker_decode_burst(loop, WORKER_FRESH);
    if (loop->packet_count > 0) {
        code = add_missing_ids(loop, true, loop->burst->entries[0].id, &lost, &any_lost, error);
    }
    if (code < 0) {
        return code;
    }
    add_burst_ids(loop);
    worker_commit_receive(loop);
    if (loop->packet_count == 0) {
        return 0;
    }
    journal_end_id_recovery(loop->journal);
    return answer_burst(loop, any_lost, lost, error);
}

/* The socket is empty: ids that the kernel had given out and that no message came of were lost. */
static int take_empty_socket(struct worker_loop *loop, struct error *error)
{
    struct outstanding_range lost;
    bool any_lost;
    int code = add_missing_ids(loop, false, 0, &lost, &any_lost, error);

    loop->receive_errors = 0;
    if (code < 0) {
        return code;
    }
    if (!any_lost) {
        journal_end_receive(loop->journal);
        journal_end_id_recovery(loop->journal);
        return 0;
    }
    journal_commit_receive(loop->journal, &loop->delta, &loop->outstanding);
    journal_end_id_recovery(loop->journal);
    journal_begin_send(loop->journal);
    code = worker_send_lost_ids(loop, lost, error);
    if (code == 0) {
        worker_commit_send(loop);
    }
    return code;
}

/* A receive that failed, or found nothing. */
static int take_receive_error(struct worker_loop *loop, int receive_error, struct error *error)
{
    if (receive_error == -EAGAIN) {
        return take_empty_socket(loop, error);
    }
    if (receive_error == -EBADF || receive_error == -ENOTSOCK) {
        return error_set(error, EXIT_CODE_RUN_TIME, receive_error,
                         "its socket is gone: %s; a plugin must not close what it did not open",
                         strerror(-receive_error));
    }
    if (receive_error == -EFAULT || (receive_error != -ENOBUFS && ++loop->receive_errors >= RECEIVE_ERRORS_MAX)) {
        /* EFAULT: a message may be lost; a successor makes new headers and recovers its id. ENOBUFS can always come. */
        return error_set(error, EXIT_CODE_RUN_TIME, receive_error, "it cannot receive: %s", strerror(-receive_error));
    }
    journal_commit_receive(loop->journal, &(struct queue_stats){.receive_errors = 1}, &loop->outstanding);
    return 0;
}

int worker_loop_burst(struct worker_loop *loop, struct error *error)
{
    struct burst *burst = &loop->journal->bursts[0];
    int count;
    int code;

    loop->burst = burst;
    journal_begin_receive(loop->journal, 0);
    count = nfqueue_receive(loop->queue->kernel.socket, burst);
    if (count >= 0 || count == -EAGAIN) {
        burst_make_progress(burst);
    }
    if (count < 0) {
        return take_receive_error(loop, count, error);
    }
    if ((unsigned)count != burst_received(burst)) {
        return error_set(error, EXIT_CODE_RUN_TIME, -EUCLEAN,
                         "its receive headers are damaged: %d messages, %u lengths; a plugin wrote where it must not",
                         count, burst_received(burst));
    }
    loop->receive_errors = 0;
    probe_burst_begin(loop->queue->kernel.number, (uint32_t)count);
    code = take_burst(loop, error);
    probe_burst_end(loop->queue->kernel.number, loop->packet_count);
    return code < 0 ? code : count == BURST_MAX;
}

int worker_loop_init(struct worker_loop *loop, const struct engine *engine, const struct engine_queue *queue,
                     struct error *error)
{
    const struct queue_group *group = engine->generation->group;
    int code;

    loop->engine = engine;
    loop->queue = queue;
    loop->journal = queue->shm.journal;
    loop->burst = &loop->journal->bursts[0];
    loop->encoder.queue = queue->kernel.number;
    loop->invalid_log = (struct rate_limit){.burst = LOG_BURST, .period_ns = LOG_PERIOD_NS};
    loop->error_log = loop->invalid_log;
    loop->pipeline.policy = (struct decide_policy){.default_verdict = group->default_verdict,
                                                   .on_crash = group->on_crash,
                                                   .bypass_mark = group->bypass_mark.bits,
                                                   .bypass_mask = group->bypass_mark.mask};
    queue_shm_prepare(&queue->shm, queue->kernel.number, 1);
    code = queue_shm_map_view(&queue->shm, &loop->slots);
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "its packets cannot be mapped for plugins: %s",
                         strerror(-code));
    }
    return 0;
}
