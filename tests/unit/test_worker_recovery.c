/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker_run() after a death: what a successor answers when messages were lost or damaged with the worker
 * before, and what makes a worker give up so that a successor may do better.
 *
 * Each worker is a real process, forked, and runs as in the engine but without plugins: what it sees is accepted,
 * and the --on-crash verdict is drop, so the two can be told apart. nfqueue_receive() and nfqueue_send() are replaced
 * at link time. In place of the kernel is a model in shared memory: packets are held until the first verdict that
 * covers them; a batch covers all that are held up to its id, also those that nobody has seen. The ids of the tests
 * count from 1; the kernel's are those plus id_base, so that all of it also happens where ids wrap. What is received
 * comes from a script; at its end the worker is asked to leave.
 */
/* Longer than 500 lines: a third of it is the model of the kernel, which nothing else needs. */
#include "unit.h"

#include "arena.h"
#include "engine.h"
#include "messages.h"
#include "nfqueue.h"
#include "worker.h"

#include <nfqe/plugin.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_SIZE 256
#define IDS 30000         /* the model knows the ids 1 to IDS - 1 */
#define SCRIPT_MAX 32     /* receives of one worker */
#define WORKER_SECONDS 20 /* a worker that has not ended by then is killed */
#define SWEPT_IDS 7000    /* so many that they do not fit two sends */
#define FOR_EVER UINT32_MAX

/* What became of a packet. */
struct fate {
    uint32_t verdict; /* NFQE_ACCEPT or NFQE_DROP; 0: the kernel holds it */
    bool by_batch;
    uint32_t order;   /* of its message among all messages */
};

/* What one receive gives. */
struct step {
    int error;      /* 0: `count` packets */
    uint32_t first; /* id of the first one */
    unsigned count;
    unsigned gap;   /* not 0: this message's length is lost */
};

struct kernel {
    struct step script[SCRIPT_MAX];
    unsigned steps;
    unsigned step;
    struct fate fates[IDS];
    uint32_t messages;
    uint32_t batches;
    uint32_t sends;
    uint32_t sends_until_death; /* the worker is killed in this send; FOR_EVER: never */
};

struct fixture {
    struct engine engine;
    struct options options;
    struct template_status status;
    struct arena *arena;
    int worker_status; /* of the last worker, from waitpid() */
};

static struct fixture fixture;
static uint32_t id_base;
static struct kernel *kernel; /* shared with the workers */

int __wrap_nfqueue_receive(int fd, struct arena *arena);
int __wrap_nfqueue_send(int fd, const void *data, size_t len);

/* ---- the model of the kernel ------------------------------------------------------------------------ */

static void put_packet(struct arena *arena, unsigned index, uint32_t id)
{
    struct message message;

    message_begin(&message);
    message_put_id(&message, id_base + id);
    assert_true(message.len <= SLOT_SIZE);
    memcpy(arena_slot(arena, index), message.bytes, message.len);
    arena->messages[index].msg_len = (unsigned)message.len;
    arena->messages[index].msg_hdr.msg_flags = 0;
}

int __wrap_nfqueue_receive(int fd, struct arena *arena)
{
    const struct step *step = &kernel->script[kernel->step];

    (void)fd;
    arena_begin_receive(arena);
    if (kernel->step == kernel->steps) {
        arena->request = ARENA_EXIT;
        return -EAGAIN;
    }
    kernel->step++;
    if (step->error != 0) {
        return step->error;
    }
    for (unsigned i = 0; i < step->count; i++) {
        put_packet(arena, i, step->first + i);
    }
    if (step->gap != 0) {
        arena->messages[step->gap].msg_len = 0;
    }
    return (int)step->count;
}

static void take_verdict(uint32_t id, uint32_t verdict, bool batch)
{
    if ((int32_t)id <= 0 || (id >= IDS && !batch)) {
        return; /* nothing is held under that id: the kernel says ENOENT */
    }
    for (uint32_t i = batch ? 1 : id; i <= id && i < IDS; i++) {
        if (kernel->fates[i].verdict == 0) {
            kernel->fates[i] = (struct fate){verdict, batch, kernel->messages};
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
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        bool batch = (message->nlmsg_type & 0xff) == NFQNL_MSG_VERDICT_BATCH;
        const struct nlattr *attribute;

        kernel->messages++;
        kernel->batches += batch;
        mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
        {
            const struct nfqnl_msg_verdict_hdr *verdict = mnl_attr_get_payload(attribute);

            if (mnl_attr_get_type(attribute) == NFQA_VERDICT_HDR) {
                take_verdict(ntohl(verdict->id) - id_base,
                             ntohl(verdict->verdict) == NF_ACCEPT ? NFQE_ACCEPT : NFQE_DROP, batch);
            }
        }
    }
    return 0;
}

/* ---- deaths and successors ---------------------------------------------------------------------------- */

/* A worker received `count` messages from `first_id` on and died in `phase`. */
static void die_with_burst(uint32_t first_id, unsigned count, enum arena_phase phase)
{
    arena_begin_receive(fixture.arena);
    for (unsigned i = 0; i < count; i++) {
        put_packet(fixture.arena, i, first_id + i);
        fixture.arena->verdicts[i].id = id_base + first_id + i;
        fixture.arena->verdicts[i].flags = 0;
    }
    fixture.arena->packets = count;
    arena_enter(fixture.arena, phase);
}

static void damage(unsigned index)
{
    memset(arena_slot(fixture.arena, index), 0xff, SLOT_SIZE);
}

/* What the supervisor does after a death in mid-burst. given: the last id that the kernel has given out. */
static void supervise(uint32_t given)
{
    struct arena_blame blame;

    if (arena_phase(fixture.arena) != ARENA_IDLE) {
        arena_request_sweep(fixture.arena, id_base + given);
    }
    arena_blame(fixture.arena, 0, NFQE_DROP, &blame);
}

static void will_receive(uint32_t first, unsigned count)
{
    kernel->script[kernel->steps++] = (struct step){.first = first, .count = count};
}

static void will_fail(int error)
{
    kernel->script[kernel->steps++] = (struct step){.error = error};
}

/* A worker recovers and follows the rest of the script. */
static void run_worker(void)
{
    pid_t pid;

    fixture.arena->request = ARENA_RUN;
    fixture.arena->state = ARENA_STARTING;
    fixture.arena->message[0] = '\0';
    fixture.engine.supervisor = getpid();
    pid = fork();
    if (pid == 0) {
        alarm(WORKER_SECONDS);
        fixture.arena->admitted = (uint32_t)getpid();
        worker_run(&fixture.engine, 0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &fixture.worker_status, 0), pid);
}

static void assert_left_in_order(void)
{
    assert_string_equal(fixture.arena->message, "");
    assert_int_equal(fixture.worker_status, 0);
    assert_int_equal(arena_phase(fixture.arena), ARENA_IDLE);
    assert_int_equal(fixture.arena->sweep, 0);
}

static void assert_gave_up(const char *reason)
{
    assert_true(WIFEXITED(fixture.worker_status));
    assert_int_equal(WEXITSTATUS(fixture.worker_status), ENGINE_EXIT_FAILED);
    assert_int_equal(fixture.arena->state, ARENA_FAILED);
    assert_non_null(strstr(fixture.arena->message, reason));
}

static void assert_killed(void)
{
    assert_true(WIFSIGNALED(fixture.worker_status));
    assert_int_equal(WTERMSIG(fixture.worker_status), SIGKILL);
}

static void assert_fates(uint32_t first, uint32_t last, uint32_t verdict)
{
    for (uint32_t id = first; id <= last; id++) {
        assert_int_equal(kernel->fates[id].verdict, verdict);
    }
}

/* Each by a message of its own: a batch would have answered what nobody had seen. */
static void assert_swept(uint32_t first, uint32_t last)
{
    assert_fates(first, last, NFQE_DROP);
    for (uint32_t id = first; id <= last; id++) {
        assert_false(kernel->fates[id].by_batch);
    }
}

/* The first id that is not answered yet. */
static uint32_t next_id(void)
{
    return fixture.arena->last_id + 1 - id_base;
}

static uint64_t swept(void)
{
    return arena_counters(fixture.arena)->swept;
}

static int set_up(void **state)
{
    struct engine_queue *queue = &fixture.engine.queues[0];

    (void)state;
    fixture = (struct fixture){0};
    kernel = mmap(NULL, sizeof(*kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(kernel != MAP_FAILED);
    kernel->sends_until_death = FOR_EVER;
    fixture.options.default_verdict = NFQE_ACCEPT;
    fixture.options.on_crash = NFQE_DROP;
    fixture.engine.options = &fixture.options;
    fixture.engine.status = &fixture.status;
    fixture.engine.queue_count = 1;
    fixture.engine.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *queue = (struct engine_queue){.number = MESSAGES_QUEUE, .slot_size = SLOT_SIZE, .cpu = ENGINE_NO_CPU};
    queue->socket = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* always readable: the worker asks again at once */
    queue->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(arena_new(MESSAGES_QUEUE, SLOT_SIZE, &queue->arena, &queue->arena_fd), 0);
    fixture.arena = queue->arena;
    arena_prepare(fixture.arena, MESSAGES_QUEUE, SLOT_SIZE);
    fixture.arena->last_id = id_base;
    return 0;
}

static int tear_down(void **state)
{
    struct engine_queue *queue = &fixture.engine.queues[0];

    (void)state;
    arena_free(queue->arena, SLOT_SIZE, &queue->arena_fd);
    close(queue->socket);
    close(queue->wake);
    close(fixture.engine.doorbell);
    return munmap(kernel, sizeof(*kernel));
}

/* ---- a message that was lost ---------------------------------------------------------------------------- */

static void test_message_lost_behind_the_received_ones_is_answered_before_the_next_burst(void **state)
{
    (void)state;
    die_with_burst(1, 5, ARENA_RECEIVING);
    supervise(10);
    will_receive(7, 4);
    run_worker();
    assert_left_in_order();
    assert_fates(1, 5, NFQE_ACCEPT);
    assert_swept(6, 6);
    assert_fates(7, 10, NFQE_ACCEPT);
    assert_true(kernel->fates[5].order < kernel->fates[6].order);
    assert_true(kernel->fates[6].order < kernel->fates[7].order);
    assert_int_equal(swept(), 1);
}

static void test_message_lost_behind_the_received_ones_is_answered_when_the_queue_is_idle(void **state)
{
    (void)state;
    die_with_burst(1, 5, ARENA_RECEIVING);
    supervise(6);
    will_fail(-EAGAIN);
    run_worker();
    assert_left_in_order();
    assert_fates(1, 5, NFQE_ACCEPT);
    assert_swept(6, 6);
    assert_int_equal(swept(), 1);
}

static void test_message_lost_before_any_was_received_is_answered(void **state)
{
    (void)state;
    die_with_burst(1, 0, ARENA_RECEIVING);
    supervise(3);
    will_receive(2, 2);
    run_worker();
    assert_left_in_order();
    assert_swept(1, 1);
    assert_fates(2, 3, NFQE_ACCEPT);
    assert_int_equal(swept(), 1);
}

static void test_ids_that_did_not_turn_up_before_the_burst_are_swept(void **state)
{
    (void)state;
    die_with_burst(4, 3, ARENA_HANDLING);
    supervise(8);
    will_receive(7, 2);
    run_worker();
    assert_left_in_order();
    assert_swept(1, 3);
    assert_fates(4, 8, NFQE_ACCEPT);
}

/* The last two steps of a burst: its last id is remembered, and it is committed. */
static void test_death_between_last_id_and_commit_answers_no_later_packet(void **state)
{
    (void)state;
    die_with_burst(1, 5, ARENA_SENDING);
    fixture.arena->last_id = id_base + 5;
    supervise(9);
    will_receive(6, 4);
    run_worker();
    assert_left_in_order();
    assert_fates(1, 9, NFQE_ACCEPT);
    assert_int_equal(swept(), 0);
}

static void test_verdicts_that_stand_are_kept(void **state)
{
    (void)state;
    for (unsigned phase = ARENA_HANDLING; phase <= ARENA_SENDING; phase++) {
        uint32_t first = next_id();

        die_with_burst(first, 5, (enum arena_phase)phase);
        arena_decide(fixture.arena, 1, NFQE_DROP);
        supervise(first + 4);
        run_worker();
        assert_left_in_order();
        assert_fates(first, first, NFQE_ACCEPT);
        assert_fates(first + 1, first + 1, NFQE_DROP);
        assert_fates(first + 2, first + 4, NFQE_ACCEPT);
        assert_int_equal(swept(), 0);
    }
}

static void test_where_nothing_was_lost_nothing_is_swept(void **state)
{
    (void)state;
    for (unsigned idle = 0; idle < 2; idle++) {
        for (unsigned phase = ARENA_RECEIVING; phase <= ARENA_SENDING; phase++) {
            uint32_t first = next_id();

            die_with_burst(first, 5, (enum arena_phase)phase);
            supervise(idle != 0 ? first + 4 : first + 8);
            if (idle != 0) {
                will_fail(-EAGAIN);
            }
            will_receive(first + 5, 4);
            run_worker();
            assert_left_in_order();
            assert_fates(first, first + 8, NFQE_ACCEPT);
            assert_int_equal(swept(), 0);
        }
    }
}

/* ---- a message that was damaged -------------------------------------------------------------------------- */

/* The last place too: behind it only the sweep before the next burst, or of the idle queue, can know. */
static void test_damaged_message_of_a_recovered_burst_is_answered_and_no_batch_is_sent(void **state)
{
    (void)state;
    for (unsigned place = 0; place < 5; place++) {
        for (unsigned idle = 0; idle < 2; idle++) {
            uint32_t first = next_id();
            uint32_t damaged = first + place;

            die_with_burst(first, 5, idle != 0 ? ARENA_RECEIVING : ARENA_HANDLING);
            damage(place);
            if (idle != 0) {
                will_fail(-EAGAIN);
            }
            supervise(idle != 0 ? first + 4 : first + 8);
            will_receive(first + 5, 4);
            run_worker();
            assert_left_in_order();
            assert_swept(damaged, damaged);
            assert_fates(first, damaged - 1, NFQE_ACCEPT);
            assert_fates(damaged + 1, first + 8, NFQE_ACCEPT);
            for (uint32_t id = first; id < first + 5; id++) {
                assert_false(kernel->fates[id].by_batch);
            }
        }
    }
    assert_int_equal(kernel->batches, 10); /* of the bursts that were received in order */
    assert_int_equal(swept(), 10);         /* ids that were seen are not swept */
}

/* An id that the kernel has not given out is no reason to answer all before it. */
static void test_damaged_id_of_a_recovered_burst_answers_no_later_packet(void **state)
{
    static const uint32_t ids[] = {100, 3000000, 0x7fffffff, 0x80000000, UINT32_MAX, 0};

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        uint32_t first = next_id();

        die_with_burst(first, 5, ARENA_RECEIVING);
        put_packet(fixture.arena, 4, ids[i]);
        supervise(first + 8);
        will_receive(first + 5, 4);
        run_worker();
        assert_left_in_order();
        assert_fates(first, first + 3, NFQE_ACCEPT);
        assert_swept(first + 4, first + 4);
        assert_fates(first + 5, first + 8, NFQE_ACCEPT);
    }
}

static void test_burst_of_damaged_messages_is_answered(void **state)
{
    (void)state;
    die_with_burst(1, 5, ARENA_HANDLING);
    for (unsigned i = 0; i < 5; i++) {
        damage(i);
    }
    supervise(9);
    will_receive(6, 4);
    run_worker();
    assert_left_in_order();
    assert_swept(1, 5);
    assert_fates(6, 9, NFQE_ACCEPT);
    assert_int_equal(swept(), 5);
}

/* ---- a death in the middle of sweeping ------------------------------------------------------------------ */

/* It is killed in its first, second or third send; verdicts for a fresh burst wait behind the sweep. */
static void test_worker_that_dies_while_it_sweeps_leaves_the_sweep_to_its_successor(void **state)
{
    (void)state;
    for (unsigned sends = 0; sends < 3; sends++) {
        uint32_t first = next_id();
        uint32_t next = first + SWEPT_IDS;

        die_with_burst(first, 0, ARENA_RECEIVING);
        supervise(next);
        kernel->sends_until_death = kernel->sends + sends;
        will_receive(next, 1);
        run_worker();
        assert_killed();
        assert_int_equal(fixture.arena->sweep, 1);
        assert_int_equal(kernel->fates[next].verdict, 0);
        assert_int_equal(kernel->fates[next - 1].verdict, 0);
        supervise(next);
        kernel->sends_until_death = FOR_EVER;
        run_worker();
        assert_left_in_order();
        assert_swept(first, next - 1);
        assert_fates(next, next, NFQE_ACCEPT);
        assert_int_equal(kernel->batches, 0);
    }
}

static void test_worker_that_dies_while_it_sweeps_an_idle_queue_leaves_the_sweep_to_its_successor(void **state)
{
    (void)state;
    for (unsigned sends = 0; sends < 3; sends++) {
        uint32_t first = next_id();
        uint32_t last = first + SWEPT_IDS - 1;

        die_with_burst(first, 0, ARENA_RECEIVING);
        supervise(last);
        kernel->sends_until_death = kernel->sends + sends;
        will_fail(-EAGAIN);
        run_worker();
        assert_killed();
        assert_int_equal(fixture.arena->sweep, 1);
        assert_int_equal(kernel->fates[last].verdict, 0);
        supervise(last);
        kernel->sends_until_death = FOR_EVER;
        will_fail(-EAGAIN);
        will_receive(last + 1, 1);
        run_worker();
        assert_left_in_order();
        assert_swept(first, last);
        assert_fates(last + 1, last + 1, NFQE_ACCEPT);
    }
}

/* ---- giving up ------------------------------------------------------------------------------------------ */

/* The kernel may have consumed a message that it could not copy: its packet is held, and must be swept. */
static void test_receive_that_faults_ends_the_worker_and_its_successor_sweeps(void **state)
{
    (void)state;
    will_receive(1, 3);
    will_fail(-EFAULT);
    run_worker();
    assert_gave_up("it cannot receive: Bad address");
    assert_int_equal(kernel->step, 2);
    assert_int_equal(arena_phase(fixture.arena), ARENA_RECEIVING);
    supervise(5);
    will_receive(5, 1);
    run_worker();
    assert_left_in_order();
    assert_swept(4, 4);
    assert_fates(5, 5, NFQE_ACCEPT);
    assert_int_equal(swept(), 1);
}

static void test_socket_that_is_gone_ends_the_worker(void **state)
{
    (void)state;
    will_fail(-EBADF);
    run_worker();
    assert_gave_up("its socket is gone");
    will_fail(-ENOTSOCK);
    run_worker();
    assert_gave_up("its socket is gone");
}

static void test_passing_receive_errors_are_counted_and_lasting_ones_end_the_worker(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        will_fail(i % 2 == 0 ? -ENOMEM : -ENOBUFS);
    }
    will_receive(1, 2);
    run_worker();
    assert_left_in_order();
    assert_fates(1, 2, NFQE_ACCEPT);
    assert_int_equal(arena_counters(fixture.arena)->receive_errors, 5);
    while (kernel->steps < SCRIPT_MAX) {
        will_fail(-EINVAL);
    }
    run_worker();
    assert_gave_up("it cannot receive: Invalid argument");
    assert_true(kernel->step < SCRIPT_MAX);
}

/* Messages behind the gap have been consumed, and nobody knows them. */
static void test_receive_headers_that_miss_a_length_end_the_worker_before_it_answers(void **state)
{
    (void)state;
    kernel->script[kernel->steps++] = (struct step){.first = 1, .count = 5, .gap = 2};
    run_worker();
    assert_gave_up("its receive headers are damaged: 5 messages, 2 lengths");
    assert_int_equal(kernel->messages, 0);
    supervise(9);
    will_receive(6, 4);
    run_worker();
    assert_left_in_order();
    assert_fates(1, 2, NFQE_ACCEPT);
    assert_swept(3, 5);
    assert_fates(6, 9, NFQE_ACCEPT);
    assert_int_equal(swept(), 3);
}

int main(void)
{
#define WITH_KERNEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_KERNEL(test_message_lost_behind_the_received_ones_is_answered_before_the_next_burst),
        WITH_KERNEL(test_message_lost_behind_the_received_ones_is_answered_when_the_queue_is_idle),
        WITH_KERNEL(test_message_lost_before_any_was_received_is_answered),
        WITH_KERNEL(test_ids_that_did_not_turn_up_before_the_burst_are_swept),
        WITH_KERNEL(test_death_between_last_id_and_commit_answers_no_later_packet),
        WITH_KERNEL(test_verdicts_that_stand_are_kept),
        WITH_KERNEL(test_where_nothing_was_lost_nothing_is_swept),
        WITH_KERNEL(test_damaged_message_of_a_recovered_burst_is_answered_and_no_batch_is_sent),
        WITH_KERNEL(test_damaged_id_of_a_recovered_burst_answers_no_later_packet),
        WITH_KERNEL(test_burst_of_damaged_messages_is_answered),
        WITH_KERNEL(test_worker_that_dies_while_it_sweeps_leaves_the_sweep_to_its_successor),
        WITH_KERNEL(test_worker_that_dies_while_it_sweeps_an_idle_queue_leaves_the_sweep_to_its_successor),
        WITH_KERNEL(test_receive_that_faults_ends_the_worker_and_its_successor_sweeps),
        WITH_KERNEL(test_socket_that_is_gone_ends_the_worker),
        WITH_KERNEL(test_passing_receive_errors_are_counted_and_lasting_ones_end_the_worker),
        WITH_KERNEL(test_receive_headers_that_miss_a_length_end_the_worker_before_it_answers),
    };
    static const uint32_t bases[] = {0, UINT32_MAX - 7, UINT32_MAX, INT32_MAX - 7};
    int failed = 0;

    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        id_base = bases[i];
        failed += cmocka_run_group_tests_name("worker_recovery", tests, NULL, NULL);
    }
    return failed;
}
