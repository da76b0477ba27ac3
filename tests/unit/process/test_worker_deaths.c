/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers that die at any instruction: every packet still gets exactly one verdict, its own, and every counter is exact.
 *
 * A worker runs on a model of the kernel and is stopped after each machine instruction. Whenever journal or kernel have
 * changed, a successor finishes what is there then, until the socket is empty; then the worker continues from where it
 * was. The worker is the real loop, with one burst in flight; or one with four bursts in flight, made of the same steps,
 * whose verdicts overtake each other; or a successor in its recovery and its first receive, so that two workers die in a row.
 *
 * The kernel is a model (step_kernel.h): a worker does not die in what a kernel does in one step.
 */
#include "unit.h"

#include "burst/recovery.h"
#include "kernel_messages.h"
#include "process/worker_loop.h"
#include "process/worker_steps.h"
#include "queue/nfqueue_socket.h"
#include "queue/queue_shm.h"
#include "step_kernel.h"

#include <nfqe/plugin.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_SIZE 256
#define REFUSED 77    /* exit status: ptrace() is */
#define SLOTS_SIZE ((size_t)BURSTS_IN_FLIGHT * BURST_MAX * SLOT_SIZE)

/* All that outlives a worker, as it was at one instruction. */
struct image {
    struct journal journal;
    struct step_kernel model;
    char slots[SLOTS_SIZE];
};

static struct queue_shm *shm;
static struct engine engine;
static struct generation generation;
static struct queue_group group;
static struct worker_loop loop;
static struct worker_loop new_loop; /* as worker_loop_init() leaves it */

/* ---- workers -------------------------------------------------------------------------------------------- */

static uint32_t verdict_of(uint32_t id)
{
    return id % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    step_kernel->shown[packet->id - step_kernel_id_base]++;
    return verdict_of(packet->id - step_kernel_id_base);
}

/* The worker of the engine. */
static void run_loop(void)
{
    struct error error;
    bool more = true;

    while (more) { /* a receive that has nothing left is the last one */
        more = step_kernel->next <= STEP_IDS || step_kernel->read != step_kernel->answered;
        if (worker_loop_burst(&loop, &error) < 0) {
            _exit(1);
        }
    }
}

static void receive(unsigned index, unsigned count)
{
    struct outstanding_range run;

    step_kernel_room = count;
    loop.burst = &loop.journal->bursts[index];
    journal_begin_receive(loop.journal, index);
    nfqueue_receive(0, loop.burst);
    loop.delta = (struct queue_stats){.bursts = 1};
    worker_number_burst(&loop);
    worker_decode_burst(&loop, WORKER_FRESH);
    for (unsigned next = 0; next < loop.packet_count;) {
        next = burst_id_run(loop.burst, next, loop.packet_count, &run);
        outstanding_add(&loop.outstanding, run);
    }
    worker_commit_receive(&loop);
}

static void decide(unsigned index)
{
    struct queue_stats ignored = {0};

    loop.burst = &loop.journal->bursts[index];
    worker_decode_burst(&loop, WORKER_COMMITTED);
    worker_decide_burst(&loop, &ignored);
}

static void answer(unsigned index, unsigned from, unsigned to)
{
    struct error error;

    loop.burst = &loop.journal->bursts[index];
    for (unsigned i = from; i < to; i++) {
        burst_count_verdict(&loop.burst->entries[i], &loop.delta);
    }
    if (worker_send_entries(&loop, from, to, false, false, &error) < 0) {
        _exit(1);
    }
}

/* Four bursts in flight. What is decided is sent in an order of its own: parts of bursts, a later one first. */
static void run_four(void)
{
    receive(0, 3); /* 1 to 3 */
    receive(2, 4); /* 4 to 7 */
    decide(2);
    journal_begin_send(loop.journal);
    answer(2, 1, 3); /* 5 and 6 */
    worker_commit_send(&loop);
    receive(1, 2); /* 8 and 9 */
    decide(0);
    receive(3, 3); /* 10 to 12: four are in use */
    decide(3);
    journal_begin_send(loop.journal);
    answer(3, 0, 1); /* 10 */
    answer(0, 1, 3); /* 2 and 3 */
    answer(2, 3, 4); /* 7 */
    worker_commit_send(&loop);
    journal_begin_send(loop.journal);
    answer(0, 0, 1); /* 1 */
    worker_commit_send(&loop);
    receive(0, 2); /* 13 and 14, where 1 to 3 were */
    decide(0);
    decide(1);
    journal_begin_send(loop.journal);
    answer(1, 0, 2);
    answer(0, 0, 2);
    answer(3, 1, 3);
    answer(2, 0, 1);
    worker_commit_send(&loop);
}

/* A worker that recovers and receives once: after the death before a message may be lost. */
static void run_recovery(void)
{
    struct error error;

    if (worker_loop_recover(&loop, &error) < 0 || worker_loop_burst(&loop, &error) < 0) {
        _exit(1);
    }
}

/* ---- deaths --------------------------------------------------------------------------------------------- */

static struct image saved;    /* while a successor runs */
static struct journal last;   /* that a successor has run on */
static struct step_kernel last_model;
static uint32_t guilty;       /* bits: packets that the supervisor gave the --on-crash verdict */
static uint32_t lost;         /* id of the message that was lost; 0: none */

static void save(struct image *image)
{
    image->journal = *shm->journal;
    image->model = *step_kernel;
    memcpy(image->slots, shm->slots, SLOTS_SIZE);
}

static void restore(const struct image *image)
{
    *shm->journal = image->journal;
    *step_kernel = image->model;
    memcpy(shm->slots, image->slots, SLOTS_SIZE);
}

/* What the supervisor does when a worker has died. */
static void supervise(void)
{
    struct burst_guilt guilt;

    if (!journal_is_idle(shm->journal)) {
        journal_request_id_recovery(shm->journal, step_kernel_id_base + STEP_IDS);
    }
    journal_assign_guilt(shm->journal, 1, NFQE_DROP, &guilt);
    if (guilt.packet_known) {
        guilty |= UINT32_C(1) << (guilt.packet_id - step_kernel_id_base);
    }
}

/* The worker had the packet, or was about to give it to the plugin, or had just got the answer. */
static void assert_own_verdict(uint32_t id)
{
    bool crashed = id == lost || (guilty >> id & 1) != 0;

    assert_int_equal(step_kernel->times[id], 1);
    assert_int_equal(step_kernel->verdicts[id], crashed ? NFQE_DROP : verdict_of(id));
    assert_true(crashed || step_kernel->shown[id] > 0);
}

static void assert_counters(void)
{
    const struct queue_stats *stats = &journal_totals(shm->journal)->stats;
    uint32_t accepted = 0;

    for (uint32_t id = 1; id <= STEP_IDS; id++) {
        accepted += step_kernel->verdicts[id] == NFQE_ACCEPT;
    }
    assert_int_equal(stats->packets, STEP_IDS - (lost != 0));
    assert_int_equal(stats->accepted, accepted);
    assert_int_equal(stats->dropped, STEP_IDS - (lost != 0) - accepted);
    assert_int_equal(stats->recovered_ids, lost != 0);
    assert_int_equal(stats->verdicts_resent, step_kernel->answered);
    assert_int_equal(stats->stale_verdicts, 0);
    assert_int_equal(step_kernel->fresh, 0);
    assert_int_equal(stats->verdict_errors + stats->malformed + stats->truncated + stats->receive_errors, 0);
    assert_int_equal(stats->bursts, step_kernel->receives);
    assert_int_equal(shm->journal->crash_verdicts, __builtin_popcount(guilty));
}

/* The worker has died here: its successor finishes everything. */
static void succeed(void)
{
    struct error error;

    supervise();
    loop = new_loop;
    step_kernel->traced = false;
    step_kernel->moment = STEP_IN_WORKER;
    step_kernel_room = BURST_MAX;
    if (worker_loop_recover(&loop, &error) < 0) {
        fail_msg("the successor cannot recover: %s", error.text);
    }
    run_loop();
    assert_true(journal_is_idle(shm->journal));
    assert_int_equal(shm->journal->recover_ids, 0);
    for (uint32_t id = 1; id <= STEP_IDS; id++) {
        assert_own_verdict(id);
    }
    assert_counters();
}

/* Byte by byte: what lies between two members does not change by itself. */
static bool are_equal(const void *one, const void *other, size_t size)
{
    return memcmp(one, other, size) == 0;
}

/* At this instruction, if something has changed since the last one. Returns whether a successor has run. */
static bool die_here(void (*check)(void))
{
    uint32_t was_guilty = guilty;
    uint32_t was_lost = lost;

    if (step_kernel->moment == STEP_IN_KERNEL ||
        (are_equal(&last, shm->journal, sizeof(last)) && are_equal(&last_model, step_kernel, sizeof(last_model)))) {
        return false;
    }
    if (step_kernel->moment == STEP_LOSING) {
        if (lost != 0) {
            return false; /* one death loses at most one message */
        }
        lost = step_kernel->next - 1;
    }
    last = *shm->journal;
    last_model = *step_kernel;
    save(&saved);
    check();
    restore(&saved);
    guilty = was_guilty;
    lost = was_lost;
    return true;
}

/* Runs a worker, and `check` on each state in which it may die. Returns how many there were. */
static unsigned stop_after_each_instruction(void (*worker)(void), void (*check)(void))
{
    unsigned states = 0;
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        loop = new_loop;
        step_kernel->traced = true;
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) {
            _exit(REFUSED);
        }
        raise(SIGSTOP);
        worker();
        _exit(0);
    }
    for (;;) {
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            break;
        }
        states += die_here(check);
        assert_int_equal(
            ptrace(step_kernel->moment == STEP_IN_WORKER ? PTRACE_SINGLESTEP : PTRACE_CONT, child, NULL, NULL), 0);
    }
    if (WEXITSTATUS(status) == REFUSED) {
        print_message("skipped: this process may not trace another one: ptrace() is refused\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return states;
}

/* ---- tests ---------------------------------------------------------------------------------------------- */

static void begin(uint32_t base)
{
    struct outstanding none = {.last_id = base};
    struct error error;

    step_kernel_id_base = base;
    memset(shm->journal, 0, sizeof(*shm->journal));
    journal_init(shm->journal);
    memset(step_kernel, 0, sizeof(*step_kernel));
    memset(&last, 0xff, sizeof(last));
    step_kernel->next = 1;
    guilty = 0;
    lost = 0;
    memset(&new_loop, 0, sizeof(new_loop));
    assert_int_equal(worker_loop_init(&new_loop, &engine, &engine.queues[0], &error), 0);
    plugin_chain_add(&new_loop.pipeline.chain, &(struct plugin_chain_member){.handle = handle});
    new_loop.outstanding = none;
    journal_commit_send(shm->journal, &(struct queue_stats){0}, &none);
}

static const uint32_t bases[] = {0, UINT32_MAX - 5};

#define BASES (sizeof(bases) / sizeof(bases[0]))

static void test_worker_killed_at_any_instruction_loses_no_packet_and_counts_each_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASES; i++) {
        begin(bases[i]);
        step_kernel_room = 4;
        assert_true(stop_after_each_instruction(run_loop, succeed) > 150);
        lost = 0;
        for (uint32_t id = 1; id <= STEP_IDS; id++) { /* and the one that was not killed */
            assert_own_verdict(id);
        }
        assert_counters();
    }
}

static void test_worker_with_four_bursts_in_flight_killed_at_any_instruction_loses_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASES; i++) {
        begin(bases[i]);
        assert_true(stop_after_each_instruction(run_four, succeed) > 150);
        for (uint32_t id = 1; id <= STEP_IDS; id++) {
            assert_own_verdict(id);
        }
        assert_counters();
    }
}

static unsigned second_deaths;
static unsigned first_deaths;
static unsigned every; /* state of the first worker, from the first on */

/* The successor dies too, at any instruction of its recovery, or of what follows. */
static void die_again(void)
{
    static struct image first;
    static struct journal first_last;
    static struct step_kernel first_last_model;

    if (first_deaths++ % every != 0) {
        return;
    }
    first = saved;
    first_last = last;
    first_last_model = last_model;
    supervise();
    step_kernel->moment = STEP_IN_WORKER;
    second_deaths += stop_after_each_instruction(run_recovery, succeed);
    saved = first;
    last = first_last;
    last_model = first_last_model;
}

static void test_successor_killed_at_any_instruction_loses_none(void **state)
{
    static void (*const workers[])(void) = {run_loop, run_four};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        begin(0);
        step_kernel_room = 4;
        first_deaths = second_deaths = 0;
        every = 29 + 8 * i;
        stop_after_each_instruction(workers[i], die_again);
        assert_true(second_deaths > first_deaths);
    }
}

static int set_up(void **state)
{
    static const struct queue_shm_layout layout = {.control_version = WORKER_CONTROL_VERSION,
                                                   .control_size = sizeof(struct worker_control),
                                                   .slot_size = SLOT_SIZE};

    (void)state;
    group.default_verdict = NFQE_ACCEPT;
    group.on_crash = NFQE_DROP;
    generation_init(&generation, 1, &group);
    engine.generation = &generation;
    engine.queue_count = 1;
    engine.queues[0] = (struct engine_queue){.kernel.number = MESSAGES_QUEUE};
    shm = &engine.queues[0].shm;
    step_kernel = mmap(NULL, sizeof(*step_kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(step_kernel != MAP_FAILED);
    if (queue_shm_new(MESSAGES_QUEUE, &layout, shm) < 0) {
        return -1;
    }
    return madvise(shm->header, shm->size, MADV_DOFORK); /* the stepped worker has it by fork, at the same addresses */
}

static int tear_down(void **state)
{
    (void)state;
    queue_shm_done(shm);
    return munmap(step_kernel, sizeof(*step_kernel));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_killed_at_any_instruction_loses_no_packet_and_counts_each_once),
        cmocka_unit_test(test_worker_with_four_bursts_in_flight_killed_at_any_instruction_loses_none),
        cmocka_unit_test(test_successor_killed_at_any_instruction_loses_none),
    };

    return cmocka_run_group_tests_name("worker_deaths", tests, set_up, tear_down);
}
