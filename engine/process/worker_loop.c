/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of the steps of a burst, from the receive to the commit.
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

/* Before a fresh burst is answered, or when there is none: see burst_request_id_recovery(). */
static int recover_ids(struct worker_loop *loop, bool has_next, uint32_t next_id, struct error *error)
{
    struct outstanding_range lost;
    int code = 0;

    if (burst_lost_ids(loop->burst, &loop->outstanding, has_next, next_id, &lost)) {
        code = worker_answer_lost_ids(loop, lost, error);
    }
    if (code == 0) {
        burst_end_id_recovery(loop->burst);
    }
    return code;
}

static int finish_burst(struct worker_loop *loop, struct error *error)
{
    const struct burst_entry *entries = loop->burst->entries;
    int pipeline_code = 0;
    int code;

    if (loop->packet_count > 0) {
        pipeline_code = worker_decide_burst(loop);
        code = recover_ids(loop, true, entries[0].id, error);
        if (code == 0) {
            code = worker_send_burst(loop, &loop->outstanding, error);
        }
        if (code < 0) {
            return code;
        }
        outstanding_advance(&loop->outstanding, entries[loop->packet_count - 1].id);
    }
    return worker_commit(loop, pipeline_code, error);
}

/* A receive that failed, or found nothing. */
static int take_receive_error(struct worker_loop *loop, int receive_error, struct error *error)
{
    int code = 0;

    loop->delta = (struct queue_stats){0};
    if (receive_error == -EAGAIN) {
        code = recover_ids(loop, false, 0, error);
        loop->receive_errors = 0;
    } else if (receive_error == -EBADF || receive_error == -ENOTSOCK) {
        code =
            error_set(error, EXIT_CODE_RUN_TIME, receive_error,
                      "its socket is gone: %s; a plugin must not close what it did not open", strerror(-receive_error));
    } else if (receive_error == -EFAULT ||
               (receive_error != -ENOBUFS && ++loop->receive_errors >= RECEIVE_ERRORS_MAX)) {
        /* EFAULT: a message may be lost; a successor makes new headers and recovers its id. ENOBUFS can always come. */
        code = error_set(error, EXIT_CODE_RUN_TIME, receive_error, "it cannot receive: %s", strerror(-receive_error));
    } else {
        loop->delta.receive_errors = 1;
    }
    if (code == 0) {
        burst_commit(loop->burst, &loop->delta, &loop->outstanding);
    }
    return code;
}

int worker_loop_burst(struct worker_loop *loop, struct error *error)
{
    struct burst *burst = loop->burst;
    int count;
    int code;

    burst_begin_receive(burst);
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
    burst->sequence = (burst->sequence + 1) & BURST_SEQUENCE_MASK;
    probe_burst_begin(loop->queue->kernel.number, (uint32_t)count);
    worker_decode_burst(loop, false);
    code = finish_burst(loop, error);
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
    loop->burst = queue->shm.burst;
    loop->encoder.queue = queue->kernel.number;
    loop->invalid_log = (struct rate_limit){.burst = LOG_BURST, .period_ns = LOG_PERIOD_NS};
    loop->error_log = loop->invalid_log;
    loop->pipeline.policy = (struct decide_policy){.default_verdict = group->default_verdict,
                                                   .on_crash = group->on_crash,
                                                   .bypass_mark = group->bypass_mark.bits,
                                                   .bypass_mask = group->bypass_mark.mask};
    queue_shm_prepare(&queue->shm, queue->kernel.number);
    code = queue_shm_map_view(&queue->shm, &loop->slots);
    if (code < 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "its packets cannot be mapped for plugins: %s",
                         strerror(-code));
    }
    return 0;
}
