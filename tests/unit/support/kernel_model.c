/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model of the kernel: what a receive finds, what a send changes, and the loop that runs on it.
 */
#include "kernel_model.h"

#include "base/clock.h"
#include "base/log.h"
#include "process/queue_loop.h"
#include "process/queue_recovery.h"
#include "process/worker_frames.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"

#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fixture fixture;
uint32_t model_id_base;
static struct kernel the_kernel;
struct kernel *kernel = &the_kernel;
char model_log[MODEL_LOG_SIZE];
void (*model_describe)(struct message *message, uint32_t id);

static struct queue_loop loop;
static struct queue_worker *submitted; /* the loop's side of the worker; NULL: there is none */
static struct ring_answer ring;
static struct worker_frames frames;
static bool ended; /* the script has */
static jmp_buf death;

int __wrap_nfqueue_receive(int fd, struct burst *burst);
int __wrap_nfqueue_send(int fd, const void *data, size_t len);

/* ---- the model of the kernel ------------------------------------------------------------------------ */

static void put(struct burst *burst, unsigned index, const struct message *message)
{
    struct msghdr *header = &burst->messages[index].msg_hdr;
    const struct iovec *slot = header->msg_iov;
    bool fits = message->len <= slot->iov_len;

    memcpy(slot->iov_base, message->bytes, fits ? message->len : slot->iov_len);
    burst->messages[index].msg_len = (unsigned)(fits ? message->len : slot->iov_len);
    header->msg_flags = fits ? 0 : MSG_TRUNC;
}

static void put_packet(struct burst *burst, unsigned index, uint32_t id, bool cut)
{
    static const uint8_t payload[2 * SLOT_SIZE];
    struct message message;

    message_begin(&message);
    message_put_id(&message, model_id_base + id);
    if (cut) {
        message_put(&message, NFQA_PAYLOAD, payload, sizeof(payload));
    } else if (model_describe != NULL) {
        model_describe(&message, id);
    }
    put(burst, index, &message);
}

void model_put_packet(unsigned index, uint32_t id, bool cut)
{
    put_packet(fixture.burst, index, id, cut);
}

/* What is no packet. */
static void put_other(struct burst *burst, unsigned index, const struct step *step)
{
    struct message message;

    message_begin(&message);
    if (step->answer != 0) {
        message_answer(&message, step->answer == ACKNOWLEDGED ? 0 : step->answer, step->sequence);
    }
    put(burst, index, &message);
}

int __wrap_nfqueue_receive(int fd, struct burst *burst)
{
    const struct step *step = &kernel->script[kernel->step];

    (void)fd;
    if (kernel->step == kernel->steps) {
        ended = true;
        return -EAGAIN;
    }
    kernel->step++;
    if (step->error != 0) {
        return step->error;
    }
    for (unsigned i = 0; i < step->count; i++) {
        if ((step->other >> i & 1) != 0) {
            put_other(burst, i, step);
        } else {
            put_packet(burst, i, step->first + i, (step->cut >> i & 1) != 0);
        }
    }
    return (int)step->count;
}

/* mark: NULL: the packet's own stays. */
static void take_verdict(uint32_t id, uint32_t verdict, const uint32_t *mark, const struct nlmsghdr *message)
{
    bool batch = (message->nlmsg_type & 0xff) == NFQNL_MSG_VERDICT_BATCH;

    if ((int32_t)id <= 0 || (id >= IDS && !batch)) {
        return; /* nothing is held under that id: the kernel says ENOENT */
    }
    for (uint32_t i = batch ? 1 : id; i <= id && i < IDS; i++) {
        if (kernel->fates[i].verdict == 0) {
            kernel->fates[i].verdict = verdict;
            kernel->fates[i].by_batch = batch;
            kernel->fates[i].order = kernel->messages;
            kernel->fates[i].sequence = message->nlmsg_seq;
            kernel->fates[i].marked = mark != NULL;
            kernel->fates[i].mark = mark != NULL ? *mark : 0;
        }
    }
}

int __wrap_nfqueue_send(int fd, const void *data, size_t len)
{
    const struct nlmsghdr *message = data;
    int left = (int)len;

    (void)fd;
    if (kernel->sends++ == kernel->sends_until_death) {
        longjmp(death, 1);
    }
    if (kernel->send_error != 0) {
        return kernel->send_error;
    }
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        const struct nfgenmsg *family = mnl_nlmsg_get_payload(message);
        const struct nfqnl_msg_verdict_hdr *verdict = NULL;
        struct nlattr *attribute; /* mnl_attr_for_each() casts const away */
        bool marked = false;
        uint32_t mark = 0;

        kernel->messages++;
        kernel->batches += (message->nlmsg_type & 0xff) == NFQNL_MSG_VERDICT_BATCH;
        kernel->fresh += (message->nlmsg_seq & NFQUEUE_SEQUENCE_RESENT) == 0;
        mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
        {
            if (mnl_attr_get_type(attribute) == NFQA_VERDICT_HDR) {
                verdict = mnl_attr_get_payload(attribute);
            } else if (mnl_attr_get_type(attribute) == NFQA_MARK) {
                mark = ntohl(mnl_attr_get_u32(attribute));
                marked = true;
            }
        }
        if (verdict != NULL && ntohs(family->res_id) == MESSAGES_QUEUE) {
            take_verdict(ntohl(verdict->id) - model_id_base,
                         ntohl(verdict->verdict) == NF_ACCEPT ? NFQE_ACCEPT : NFQE_DROP, marked ? &mark : NULL,
                         message);
        }
    }
    kernel->torn_sends += left != 0;
    return 0;
}

/* ---- deaths and successors ---------------------------------------------------------------------------- */

void model_die_with_burst(uint32_t first_id, unsigned count, enum burst_phase phase)
{
    queue_shm_prepare(&fixture.engine.queues[0].shm, MESSAGES_QUEUE,
                      1); /* the slots, as this process has mapped them */
    journal_begin_receive(fixture.journal, 0);
    for (unsigned i = 0; i < count; i++) {
        model_put_packet(i, first_id + i, false);
        fixture.burst->entries[i].id = model_id_base + first_id + i;
        fixture.burst->entries[i].flags = 0;
    }
    burst_journal_enter(fixture.journal, count, phase, &(struct queue_stats){.packets = count, .bursts = 1});
}

void model_supervise(uint32_t given)
{
    if (!journal_is_idle(fixture.journal)) {
        journal_request_id_recovery(fixture.journal, model_id_base + given);
    }
}

void model_will(const struct step *step)
{
    assert_true(kernel->steps < SCRIPT_MAX);
    kernel->script[kernel->steps++] = *step;
}

void model_will_receive(uint32_t first, unsigned count)
{
    model_will(&(struct step){.first = first, .count = count});
}

void model_will_fail(int error)
{
    model_will(&(struct step){.error = error});
}

static void add_worker(void)
{
    const struct generation *generation = &fixture.generation;
    int fds[RING_FDS];

    submitted = queue_workers_add(&loop.workers, 1);
    assert_int_equal(ring_submit_new(&submitted->ring, SLOT_SIZE), 0);
    ring_worker_fds(&submitted->ring, fds);
    for (unsigned i = 0; i < RING_FDS; i++) {
        fds[i] = dup(fds[i]);
    }
    ring_submit_passed(&submitted->ring);
    assert_int_equal(ring_answer_attach(&ring, fds), 0);
    assert_int_equal(worker_frames_init(&frames, &ring), 0);
    for (unsigned i = 0; i < generation->plugin_count; i++) {
        plugin_chain_add(&frames.chain, &(struct plugin_chain_member){
                                            .handle = generation->plugins[i].table.handle,
                                            .handle_batch = generation->plugins[i].table.handle_batch,
                                            .rights.needs = plugin_wants(&generation->plugins[i]),
                                        });
    }
    worker_frames_begin(&frames, fixture.group.default_verdict, fixture.group.on_crash, 0);
    assert_true(ring_is_sealed(&submitted->ring));
    submitted->opened = true;
    submitted->has_batch = frames.chain.has_batch;
    assert_true(queue_workers_fill(&loop.workers));
    queue_loop_submit(&loop, monotonic_coarse_ns());
}

/* The worker's part of what is in flight, and the send after it. */
static int answer(struct error *error)
{
    while (worker_frames_handle(&frames)) {
    }
    assert_int_equal(queue_loop_take_answers(&loop, submitted, monotonic_coarse_ns()), 0);
    return queue_loop_has_verdicts(&loop) ? queue_loop_send(&loop, error) : 0;
}

static int play(struct error *error)
{
    int code;

    queue_loop_init(&loop, &fixture.engine, &fixture.engine.queues[0]);
    code = queue_recover(&loop, monotonic_coarse_ns(), error);
    if (code == 0) {
        add_worker();
        code = answer(error);
    }
    while (code >= 0 && !(ended && loop.order_count == 0)) {
        code = queue_loop_receive(&loop, monotonic_coarse_ns(), error);
        if (code >= 0) {
            code = answer(error);
        }
    }
    return code;
}

static void end_worker(void)
{
    if (submitted != NULL) {
        ring_submit_done(&submitted->ring);
        ring_answer_done(&ring);
        worker_frames_done(&frames);
        submitted = NULL;
    }
}

void model_run(void)
{
    struct error error;

    memset(&loop, 0, sizeof(loop));
    fixture.error = (struct error){.code = 0};
    fixture.died = true;
    ended = false;
    if (setjmp(death) == 0) {
        if (play(&error) < 0) {
            fixture.error = error;
        }
        fixture.died = false;
    }
    end_worker();
}

void model_run_with_log(void)
{
    int log = memfd_create("log", MFD_CLOEXEC);
    int before = dup(STDERR_FILENO);
    ssize_t len;

    assert_true(log >= 0 && before >= 0 && dup2(log, STDERR_FILENO) >= 0);
    model_run();
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    len = pread(log, model_log, sizeof(model_log) - 1, 0);
    close(log);
    assert_true(len >= 0 && len < (ssize_t)sizeof(model_log) - 1);
    model_log[len] = '\0';
}

void model_assert_log_lines(const char **at, unsigned count, const char *line)
{
    char whole[LOG_LINE_MAX];
    size_t len = (size_t)snprintf(whole, sizeof(whole), "nfq-engine: queue %d: %s\n", MESSAGES_QUEUE, line);

    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(strncmp(*at, whole, len), 0);
        *at += len;
    }
}

void model_assert_left_in_order(void)
{
    assert_string_equal(fixture.error.code != 0 ? fixture.error.text : "", "");
    assert_false(fixture.died);
    assert_true(journal_is_idle(fixture.journal));
    assert_int_equal(fixture.journal->recover_ids, 0);
    assert_int_equal(kernel->torn_sends, 0);
}

void model_assert_gave_up(const char *reason)
{
    assert_false(fixture.died);
    assert_int_not_equal(fixture.error.code, 0);
    assert_string_equal(fixture.error.text, reason);
}

void model_assert_recovered(uint32_t first, uint32_t last)
{
    model_assert_fates(first, last, NFQE_DROP);
    for (uint32_t id = first; id <= last; id++) {
        assert_false(kernel->fates[id].by_batch);
    }
}

const struct queue_stats *model_counters(void)
{
    return &journal_totals(fixture.journal)->stats;
}

void model_assert_fates(uint32_t first, uint32_t last, uint32_t verdict)
{
    for (uint32_t id = first; id <= last; id++) {
        assert_int_equal(kernel->fates[id].verdict, verdict);
    }
}

void model_set_last_id(uint32_t id)
{
    struct journal_totals *totals = (struct journal_totals *)(uintptr_t)journal_totals(fixture.journal);

    totals->outstanding.last_id = model_id_base + id;
}

void model_make_memory(uint64_t flows_size)
{
    struct engine_queue *queue = &fixture.engine.queues[0];
    const struct queue_shm_layout layout = MODEL_LAYOUT(flows_size);

    queue_shm_done(&queue->shm);
    assert_int_equal(queue_shm_new(MESSAGES_QUEUE, &layout, &queue->shm), 0);
    queue_shm_prepare(&queue->shm, MESSAGES_QUEUE, BURSTS_IN_FLIGHT);
    fixture.journal = queue->shm.journal;
    fixture.burst = &fixture.journal->bursts[0];
    model_set_last_id(0);
}

int model_set_up(void **state)
{
    struct engine_queue *queue = &fixture.engine.queues[0];

    (void)state;
    fixture = (struct fixture){0};
    *kernel = (struct kernel){0};
    kernel->sends_until_death = FOR_EVER;
    fixture.group.default_verdict = NFQE_ACCEPT;
    fixture.group.on_crash = NFQE_DROP;
    generation_init(&fixture.generation, 1, &fixture.group);
    fixture.engine.generation = &fixture.generation;
    fixture.engine.queue_count = 1;
    *queue = (struct engine_queue){.kernel.number = MESSAGES_QUEUE};
    fixture.group.workers = 1;
    queue_shm_init(&queue->shm);
    model_make_memory(0);
    return 0;
}

int model_tear_down(void **state)
{
    struct engine_queue *queue = &fixture.engine.queues[0];

    (void)state;
    queue_shm_done(&queue->shm);
    model_describe = NULL;
    return 0;
}

int model_run_tests(const char *name, const struct CMUnitTest *tests, size_t count)
{
    static const uint32_t bases[] = {0, UINT32_MAX - 7, UINT32_MAX, INT32_MAX - 7};
    int failed = 0;

    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        model_id_base = bases[i];
        failed += _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    }
    return failed;
}
