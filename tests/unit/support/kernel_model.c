/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model of the kernel: what a receive finds, what a send changes, and the processes that run on it.
 */
#include "kernel_model.h"

#include "base/channel.h"
#include "base/log.h"
#include "process/worker.h"
#include "queue/nfqueue_sequence.h"
#include "queue/nfqueue_socket.h"

#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKER_SECONDS 20 /* a worker that has not ended by then is killed */

struct fixture fixture;
uint32_t model_id_base;
struct kernel *kernel;
char model_log[MODEL_LOG_SIZE];
void (*model_describe)(struct message *message, uint32_t id);

int __wrap_nfqueue_receive(int fd, struct burst *burst);
int __wrap_nfqueue_send(int fd, const void *data, size_t len);

/* ---- the model of the kernel ------------------------------------------------------------------------ */

static void put(unsigned index, const struct message *message)
{
    struct msghdr *header = &fixture.burst->messages[index].msg_hdr;
    const struct iovec *slot = header->msg_iov;
    bool fits = message->len <= slot->iov_len;

    memcpy(slot->iov_base, message->bytes, fits ? message->len : slot->iov_len);
    fixture.burst->messages[index].msg_len = (unsigned)(fits ? message->len : slot->iov_len);
    header->msg_flags = fits ? 0 : MSG_TRUNC;
}

void model_put_packet(unsigned index, uint32_t id, bool cut)
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
    put(index, &message);
}

/* What is no packet. */
static void put_other(unsigned index, const struct step *step)
{
    struct message message;

    message_begin(&message);
    if (step->answer != 0) {
        message_answer(&message, step->answer == ACKNOWLEDGED ? 0 : step->answer, step->sequence);
    }
    put(index, &message);
}

int __wrap_nfqueue_receive(int fd, struct burst *burst)
{
    const struct step *step = &kernel->script[kernel->step];

    (void)fd;
    kernel->progress[kernel->step] = journal_progress(fixture.journal);
    if (kernel->step == kernel->steps) {
        fixture.control->request = WORKER_EXIT;
        return -EAGAIN;
    }
    kernel->step++;
    if (step->error != 0) {
        return step->error;
    }
    for (unsigned i = 0; i < step->count; i++) {
        if ((step->other >> i & 1) != 0) {
            put_other(i, step);
        } else {
            model_put_packet(i, step->first + i, (step->cut >> i & 1) != 0);
        }
    }
    if (step->gap != 0) {
        burst->messages[step->gap].msg_len = 0;
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
        raise(SIGKILL);
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
    struct burst_guilt guilt;

    if (!journal_is_idle(fixture.journal)) {
        journal_request_id_recovery(fixture.journal, model_id_base + given);
    }
    journal_assign_guilt(fixture.journal, 0, NFQE_DROP, &guilt);
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

/* Passes the worker what it waits for, before it is there. Returns its end; ours is *ours. */
static int open_channel(int *ours)
{
    const struct engine_queue *queue = &fixture.engine.queues[0];
    const struct process_message message = process_message_make(WORKER_DESCRIPTORS, 0);
    const int fds[] = {queue->kernel.socket, queue->shm.fd};
    int theirs;

    queue_shm_restore_table(&queue->shm, MESSAGES_QUEUE);
    assert_int_equal(channel_new(ours, &theirs), 0);
    assert_int_equal(channel_send(*ours, &message, sizeof(message), fds, 2), 0);
    return theirs;
}

void model_run_worker(void)
{
    int ours;
    pid_t pid;

    fixture.control->request = WORKER_RUN;
    fixture.control->state = WORKER_STARTING;
    fixture.control->message[0] = '\0';
    fixture.engine.supervisor = getpid();
    fixture.engine.channel = open_channel(&ours);
    pid = fork();
    if (pid == 0) {
        close(ours);
        alarm(WORKER_SECONDS);
        fixture.control->owner = (uint32_t)getpid();
        worker_run(&fixture.engine, 0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &fixture.worker_status, 0), pid);
    close(ours);
    close(fixture.engine.channel);
}

void model_run_worker_with_log(void)
{
    int log = memfd_create("log", MFD_CLOEXEC);
    int before = dup(STDERR_FILENO);
    ssize_t len;

    assert_true(log >= 0 && before >= 0 && dup2(log, STDERR_FILENO) >= 0);
    model_run_worker();
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
    assert_string_equal(fixture.control->message, "");
    assert_int_equal(fixture.worker_status, 0);
    assert_true(journal_is_idle(fixture.journal));
    assert_int_equal(fixture.journal->recover_ids, 0);
    assert_int_equal(kernel->torn_sends, 0);
}

void model_assert_gave_up(const char *reason)
{
    assert_true(WIFEXITED(fixture.worker_status));
    assert_int_equal(WEXITSTATUS(fixture.worker_status), PROCESS_EXIT_FAILED);
    assert_int_equal(fixture.control->state, WORKER_FAILED);
    assert_non_null(strstr(fixture.control->message, reason));
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
    queue_shm_prepare(&queue->shm, MESSAGES_QUEUE, 1);
    /* The model runs in the worker's process, too, beside what the worker maps itself. */
    assert_int_equal(madvise(queue->shm.header, queue->shm.size, MADV_DOFORK), 0);
    queue->control = queue->shm.control;
    fixture.journal = queue->shm.journal;
    fixture.burst = &fixture.journal->bursts[0];
    fixture.control = queue->control;
    model_set_last_id(0);
}

int model_set_up(void **state)
{
    struct engine_queue *queue = &fixture.engine.queues[0];

    (void)state;
    fixture = (struct fixture){0};
    kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(kernel != MAP_FAILED);
    kernel->sends_until_death = FOR_EVER;
    fixture.group.default_verdict = NFQE_ACCEPT;
    fixture.group.on_crash = NFQE_DROP;
    generation_init(&fixture.generation, 1, &fixture.group);
    fixture.engine.generation = &fixture.generation;
    fixture.engine.status = &fixture.status;
    fixture.engine.queue_count = 1;
    *queue = (struct engine_queue){.kernel.number = MESSAGES_QUEUE};
    queue->kernel.socket = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* always readable: the worker asks again at once */
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
    close(queue->kernel.socket);
    return munmap(kernel, sizeof(*kernel));
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
