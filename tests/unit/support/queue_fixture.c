/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor, the kernel and the workers of queue_fixture.h.
 */
#include "queue_fixture.h"

#include "base/arith.h"
#include "base/channel.h"
#include "flow_image.h"
#include "kernel_messages.h"
#include "process/privileges.h"
#include "process/process.h"
#include "process/queue_process.h"
#include "process/run_delay.h"
#include "queue/nfqueue_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_SIZE 512

struct queue_fixture fixture;

/* ---- the kernel ---------------------------------------------------------------------------------------------- */

int __wrap_nfqueue_send(int fd, const void *data, size_t len);
int __wrap_privileges_drop_queue(uid_t uid, struct error *error);
int __real_privileges_drop_queue(uid_t uid, struct error *error);

static void take_verdict(uint32_t id, uint32_t verdict, bool batch)
{
    unsigned answered = 0;

    for (uint32_t i = batch ? 1 : id; i <= id && i < FIXTURE_PACKETS; i++) {
        if (fixture.memory->verdicts[i] == 0) {
            fixture.memory->verdicts[i] = verdict;
            answered++;
        }
    }
    fixture.memory->late += answered == 0;
}

int __wrap_nfqueue_send(int fd, const void *data, size_t len)
{
    const struct nlmsghdr *message = data;
    int left = (int)len;

    (void)fd;
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        unsigned type = message->nlmsg_type & 0xff;
        struct nlattr *attribute; /* mnl_attr_for_each() casts const away */

        mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
        {
            if (type == NFQNL_MSG_CONFIG) {
                fixture.memory->stops += mnl_attr_get_type(attribute) == NFQA_CFG_QUEUE_MAXLEN;
            } else if (mnl_attr_get_type(attribute) == NFQA_VERDICT_HDR) {
                const struct nfqnl_msg_verdict_hdr *verdict = mnl_attr_get_payload(attribute);

                take_verdict(ntohl(verdict->id), ntohl(verdict->verdict) == NF_ACCEPT ? NFQE_ACCEPT : NFQE_DROP,
                             type == NFQNL_MSG_VERDICT_BATCH);
            }
        }
    }
    return left == 0 ? 0 : -EINVAL;
}

/* Who has no right to keep cannot keep it. */
int __wrap_privileges_drop_queue(uid_t uid, struct error *error)
{
    return has_cap_net_admin() ? __real_privileges_drop_queue(uid, error) : 0;
}

bool __wrap_run_delay_read(pid_t pid, struct run_delay *reading);
bool __real_run_delay_read(pid_t pid, struct run_delay *reading);

bool __wrap_run_delay_read(pid_t pid, struct run_delay *reading)
{
    bool read = __real_run_delay_read(pid, reading);

    if (read && fixture.memory->starved != 0) {
        reading->delay_ns += monotonic_ns() / 5 * 3;
    }
    return read;
}

static void put(uint32_t flow)
{
    struct message message;
    struct flow_packet bytes;

    assert_true(++fixture.queued < FIXTURE_PACKETS);
    message_begin(&message);
    message_put_id(&message, fixture.queued);
    flow_packet_make(&bytes, flow, false, 0);
    message_put(&message, NFQA_PAYLOAD, bytes.bytes, sizeof(bytes.bytes));
    assert_int_equal(send(fixture.kernel, message.bytes, message.len, MSG_DONTWAIT), message.len);
}

/* The queue process gets all of them at once: how many bursts they are does not depend on the scheduler. */
static void put_all(unsigned count, bool flows)
{
    if (fixture.process != 0) {
        kill(fixture.process, SIGSTOP);
        assert_int_equal(waitpid(fixture.process, NULL, WUNTRACED), fixture.process);
    }
    for (unsigned i = 1; i <= count; i++) {
        put(flows ? i : 1);
    }
    if (fixture.process != 0) {
        kill(fixture.process, SIGCONT);
    }
}

void fixture_put(unsigned count)
{
    put_all(count, false);
}

void fixture_put_flows(unsigned count)
{
    put_all(count, true);
}

void fixture_answered(uint32_t first, uint32_t last, uint32_t verdict)
{
    for (uint32_t id = first; id <= last; id++) {
        WAIT_UNTIL(fixture.memory->verdicts[id] != 0);
        assert_int_equal(fixture.memory->verdicts[id], verdict != 0 ? verdict : fixture_answer_to(id));
    }
}

const struct journal *fixture_journal(void)
{
    return fixture.engine.queues[0].shm.journal;
}

/* ---- workers ------------------------------------------------------------------------------------------------- */

static void reap(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        assert_int_equal(waitpid(*pid, NULL, 0), *pid);
    }
    *pid = 0;
}

void fixture_kill_worker(uint32_t number)
{
    struct fixture_worker *worker = &fixture.workers[number];

    if (worker->pid > 0) {
        reap(&worker->pid);
        close(worker->pidfd);
    }
}

/* ---- the supervisor -------------------------------------------------------------------------------------------- */

static void send_message(const struct queue_message *message, const int *fds, unsigned count)
{
    assert_int_equal(channel_send(fixture.channel, message, sizeof(*message), fds, count), 0);
}

/* A process that was to leave may have seen the word by itself, and be gone. */
static void send_change(void)
{
    const struct queue_message message = queue_message_make(QUEUE_CHANGED, 0);
    int code = channel_send(fixture.channel, &message, sizeof(message), NULL, 0);

    assert_true(code == 0 || (code == -EPIPE && fixture.control->request == QUEUE_EXIT));
}

void fixture_request(enum queue_request request)
{
    fixture.control->request = request;
    send_change();
}

void fixture_retire(void)
{
    fixture.control->retired = fixture.born;
    send_change();
}

void fixture_give_up(bool give_up)
{
    fixture.control->give_up = give_up;
    send_change();
}

/* A queue's memory is not inherited. */
static void run_process(void) __attribute__((noreturn));

static void run_process(void)
{
    struct engine_queue *queue = &fixture.engine.queues[0];
    const struct queue_shm_layout layout = queue->shm.layout;

    alarm(2 * FIXTURE_SECONDS);
    if (queue_shm_attach(queue->shm.fd, MESSAGES_QUEUE, &layout, &queue->shm) < 0) {
        _exit(5);
    }
    queue->control = queue->shm.control;
    queue_process_run(&fixture.engine, 0);
}

void fixture_start(enum queue_request request)
{
    int ends[2];

    fixture.control->request = request;
    fixture.control->state = QUEUE_STARTING;
    fixture.control->closing = PLUGINS_MAX;
    assert_int_equal(channel_new_pair(ends), 0);
    fixture.channel = ends[0];
    fixture.engine.channel = ends[1];
    fixture.engine.supervisor = getpid();
    fixture.process = fork();
    if (fixture.process == 0) {
        run_process();
    }
    assert_true(fixture.process > 0);
    close(ends[1]);
}

struct queue_message fixture_next(enum queue_message_kind kind, int *fds)
{
    struct pollfd channel = {.fd = fixture.channel, .events = POLLIN};
    struct queue_message message;

    do {
        ssize_t len;

        assert_int_equal(poll(&channel, 1, FIXTURE_SECONDS * 1000), 1);
        len = channel_take(fixture.channel, &message, sizeof(message), fds, fds != NULL ? RING_FDS : 0);
        assert_true(len > 0);
        assert_int_equal(queue_message_check(&message, (size_t)len, QUEUE_FROM_PROCESS), 0);
    } while (message.kind == QUEUE_CHANGED);
    assert_int_equal(message.kind, kind);
    return message;
}

struct queue_message fixture_lost(uint32_t number, enum queue_loss loss)
{
    struct queue_message message = fixture_next(QUEUE_WORKER_LOST, NULL);

    assert_int_equal(message.worker, number);
    assert_int_equal(message.loss, loss);
    return message;
}

uint32_t fixture_add_worker(enum habit habit)
{
    uint32_t number = ++fixture.born;
    struct fixture_worker *worker;
    struct queue_message message = queue_message_make(QUEUE_NEW_WORKER, number);
    int fds[RING_FDS];
    int ends[2];

    assert_true(number <= FIXTURE_WORKERS);
    worker = &fixture.workers[number];
    assert_int_equal(channel_new_pair(ends), 0);
    worker->pid = fork();
    if (worker->pid == 0) {
        fixture_run_worker(ends[1], habit);
    }
    assert_true(worker->pid > 0);
    message.pid = (uint32_t)worker->pid;
    close(ends[1]);
    worker->pidfd = (int)syscall(SYS_pidfd_open, worker->pid, 0);
    assert_true(worker->pidfd >= 0);
    send_message(&message, &worker->pidfd, 1);
    message = fixture_next(QUEUE_RING, fds);
    assert_int_equal(message.worker, number);
    assert_int_equal(channel_send(ends[0], "", 1, fds, RING_FDS), 0);
    for (unsigned i = 0; i < RING_FDS; i++) {
        close(fds[i]);
    }
    close(ends[0]);
    return number;
}

uint32_t fixture_open_worker(enum habit habit)
{
    uint32_t number = fixture_add_worker(habit);

    assert_int_equal(fixture_next(QUEUE_WORKER_OPENED, NULL).worker, number);
    return number;
}

static void kill_workers(void)
{
    for (uint32_t i = 1; i <= FIXTURE_WORKERS; i++) {
        fixture_kill_worker(i);
    }
}

void fixture_kill_process(void)
{
    reap(&fixture.process);
    kill_workers();
    close(fixture.channel);
    fixture.channel = -1;
}

void fixture_ended(int status)
{
    int ended;
    pid_t pid;

    WAIT_UNTIL((pid = waitpid(fixture.process, &ended, WNOHANG)) != 0);
    assert_int_equal(pid, fixture.process);
    fixture.process = 0;
    assert_true(WIFEXITED(ended));
    assert_int_equal(WEXITSTATUS(ended), status);
}

void fixture_leave(void)
{
    fixture_request(QUEUE_EXIT);
    fixture_ended(0);
    assert_true(journal_is_idle(fixture_journal()));
    assert_int_equal(fixture.memory->late, 0);
    assert_string_equal(fixture.control->text, "");
}

/* ---- time ------------------------------------------------------------------------------------------------------ */

static uint64_t delay_of(pid_t pid)
{
    struct run_delay reading = {0};

    __real_run_delay_read(pid, &reading);
    return reading.delay_ns;
}

struct fixture_time fixture_now(void)
{
    return (struct fixture_time){.ns = monotonic_ns(), .delay_ns = delay_of(fixture.process) + delay_of(getpid())};
}

void fixture_took(struct fixture_time since, unsigned min_ms, unsigned max_ms)
{
    const struct fixture_time now = fixture_now();
    const uint64_t took_ns = now.ns - since.ns;

    assert_true(took_ns / NS_PER_MS >= min_ms);
    assert_in_range((took_ns - min_u64(took_ns, now.delay_ns - since.delay_ns)) / NS_PER_MS, 0, max_ms);
}

/* ---- begin and end --------------------------------------------------------------------------------------------- */

int queue_fixture_set_up(void **state)
{
    const struct queue_shm_layout layout = {
        .control_version = QUEUE_CONTROL_VERSION, .control_size = sizeof(struct queue_control), .slot_size = SLOT_SIZE};
    struct engine_queue *queue = &fixture.engine.queues[0];
    const int size = 4 * 1024 * 1024;
    uint64_t random = 88172645463325252;
    int ends[2];

    (void)state;
    fixture = (struct queue_fixture){.channel = -1};
    fixture.memory = mmap(NULL, sizeof(*fixture.memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture.memory != MAP_FAILED);
    fixture.group = (struct queue_group){.workers = 1,
                                         .default_verdict = NFQE_ACCEPT,
                                         .on_crash = NFQE_DROP,
                                         .on_outage = OUTAGE_DROP,
                                         .load_timeout_ms = FIXTURE_NEVER_MS,
                                         .handle_timeout_ms = FIXTURE_NEVER_MS,
                                         .outage_timeout_ms = FIXTURE_NEVER_MS};
    generation_init(&fixture.generation, 1, &fixture.group);
    fixture.generation.plugin_count = 1;
    fixture.generation.plugins[0] = (struct plugin){.id = "judge", .version = "1.0", .memfd = -1};
    fixture.engine.generation = &fixture.generation;
    fixture.engine.queue_count = 1;
    for (size_t i = 0; i < sizeof(fixture.engine.flow_seed); i++) {
        ((uint8_t *)&fixture.engine.flow_seed)[i] = (uint8_t)(unit_random(&random) >> 32);
    }
    fixture.engine.privileges.form = PRIVILEGES_SAME;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    fixture.kernel = ends[0];
    *queue = (struct engine_queue){.kernel = {.number = MESSAGES_QUEUE, .socket = ends[1], .bound = true}};
    queue_shm_init(&queue->shm);
    assert_int_equal(queue_shm_new(MESSAGES_QUEUE, &layout, &queue->shm), 0);
    queue->control = queue->shm.control;
    fixture.control = queue->control;
    return 0;
}

int queue_fixture_tear_down(void **state)
{
    struct engine_queue *queue = &fixture.engine.queues[0];

    (void)state;
    fixture_kill_process();
    queue_shm_done(&queue->shm);
    close(queue->kernel.socket);
    close(fixture.kernel);
    return munmap(fixture.memory, sizeof(*fixture.memory));
}
