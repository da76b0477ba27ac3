/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker dies in a plugin: real processes run the pipeline on a shared journal and crash in handle() or
 * handle_batch() at packet k, for every k; this process does what the supervisor does, and further processes finish
 * the burst.
 *
 * Always: packet k and no other has the on-crash verdict, and every other packet the verdict that the plugins give.
 */
#include "unit.h"

#include "burst/burst.h"
#include "burst/pipeline.h"
#include "burst/recovery.h"
#include "burst_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_ID 5000
#define NO_CRASH UINT32_MAX
#define DEATHS_MAX (BURST_ATTEMPTS_MAX + BURST_MAX)
#define EXIT_FINISHED 42

/* What the members do; set before the fork. */
static uint32_t crashing_id;
static uint32_t second_crashing_id;
static unsigned crashing_member;

/* What the plugins answer to a packet if none dies: it depends on the id, so neighbours differ. */
static nfqe_verdict answer_of(unsigned member, uint32_t id)
{
    if (member == 0) {
        return id % 3 == 0 ? NFQE_DROP : NFQE_CONTINUE;
    }
    return id % 2 == 0 ? NFQE_ACCEPT : NFQE_CONTINUE;
}

static uint32_t verdict_of(uint32_t id)
{
    return id % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT; /* the default verdict is accept */
}

/* Dies of the signal itself: a sanitizer's handler would make an orderly exit of it. */
static void crash(void)
{
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static bool crashes_on(unsigned member, uint32_t id)
{
    return member == crashing_member && (id == crashing_id || id == second_crashing_id);
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    unsigned member = *(const unsigned *)self;

    if (crashes_on(member, packet->id)) {
        crash();
    }
    return answer_of(member, packet->id);
}

/* The answers before a crash do not count: the whole burst is handled again. */
static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

static void build_pipeline(struct pipeline *pipeline, unsigned batches)
{
    static unsigned numbers[] = {0, 1};

    *pipeline = (struct pipeline){.policy = {.default_verdict = NFQE_ACCEPT, .on_crash = NFQE_DROP}};
    for (unsigned i = 0; i < 2; i++) {
        plugin_chain_add(&pipeline->chain,
                         &(struct plugin_chain_member){.handle = handle,
                                                       .handle_batch = (batches & 1u << i) != 0 ? handle_batch : NULL,
                                                       .self = &numbers[i]});
    }
}

/* Runs one worker over the burst. Returns whether it came to the end. */
static bool run_worker(const struct pipeline *pipeline, struct burst_fixture *fixture, unsigned count)
{
    int status;
    pid_t worker = fork();

    assert_true(worker >= 0);
    if (worker == 0) {
        const struct rlimit no_core = {0, 0};
        struct queue_stats stats = {0};
        struct decide_invalid invalid;
        struct outstanding ids;

        setrlimit(RLIMIT_CORE, &no_core);
        if (journal_recover(fixture->journal, &ids) == JOURNAL_NO_BURST &&
            burst_phase_of(fixture->journal) == BURST_HANDLING) {
            pipeline_run(pipeline, fixture->burst, fixture->packets, count, 0, &stats, &invalid);
            journal_begin_send(fixture->journal);
            _exit(EXIT_FINISHED);
        }
        _exit(1);
    }
    assert_int_equal(waitpid(worker, &status, 0), worker);
    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), EXIT_FINISHED);
        return true;
    }
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    return false;
}

/* Runs workers until one finishes. Returns how many died; guilty_ids[] has the ids of the guilty packets. */
static unsigned finish(const struct pipeline *pipeline, struct burst_fixture *fixture, unsigned count,
                       uint32_t on_crash, uint32_t *guilty_ids, unsigned *guilty_count)
{
    unsigned deaths = 0;

    *guilty_count = 0;
    while (!run_worker(pipeline, fixture, count)) {
        struct burst_guilt guilt;

        assert_true(++deaths <= DEATHS_MAX);
        journal_assign_guilt(fixture->journal, pipeline->chain.count, on_crash, &guilt);
        assert_true(guilt.in_plugin);
        assert_int_equal(guilt.forced_count, 0);
        assert_int_equal(guilt.plugin, crashing_member);
        if (guilt.packet_known) {
            guilty_ids[(*guilty_count)++] = guilt.packet_id;
        }
    }
    return deaths;
}

static void assert_verdicts(const struct burst_fixture *fixture, unsigned count, uint32_t on_crash)
{
    const struct burst *burst = fixture->burst;

    assert_int_equal(burst_phase_of(fixture->journal), BURST_SENDING);
    for (unsigned i = 0; i < count; i++) {
        uint32_t id = FIRST_ID + i;
        bool guilty = id == crashing_id || id == second_crashing_id;

        assert_true(burst_is_decided(burst, i));
        assert_int_equal(burst->entries[i].id, id);
        assert_int_equal(burst->entries[i].verdict, guilty ? on_crash : verdict_of(id));
    }
}

/* A crash in `member` at each packet that it is called for, one after the other. */
static void crash_at_each_packet(struct burst_fixture *fixture, unsigned count, unsigned batches, unsigned member,
                                 uint32_t on_crash)
{
    /* A crash in handle_batch() only tells the plugin; the second one, in handle(), tells the packet. */
    unsigned expected_deaths = (batches & 1u << member) != 0 ? 2 : 1;
    struct pipeline pipeline;

    build_pipeline(&pipeline, batches);
    crashing_member = member;
    second_crashing_id = NO_CRASH;
    for (unsigned k = 0; k < count; k++) {
        uint32_t guilty_ids[DEATHS_MAX] = {0};
        unsigned guilty_count;

        crashing_id = FIRST_ID + k;
        if (member == 1 && answer_of(0, crashing_id) != NFQE_CONTINUE) {
            continue; /* decided by the first plugin: the second never sees it */
        }
        fixture->journal->crash_verdicts = 0;
        burst_fill(fixture, count, FIRST_ID, BURST_HANDLING);
        assert_int_equal(finish(&pipeline, fixture, count, on_crash, guilty_ids, &guilty_count), expected_deaths);
        assert_int_equal(guilty_count, 1);
        assert_int_equal(guilty_ids[0], crashing_id);
        assert_int_equal(fixture->journal->crash_verdicts, 1);
        assert_verdicts(fixture, count, on_crash);
    }
}

static void test_crash_in_handle_costs_exactly_the_packet_at_the_cursor(void **state)
{
    crash_at_each_packet(*state, BURST_MAX, 0, 0, NFQE_DROP);
    crash_at_each_packet(*state, 16, 0, 1, NFQE_DROP);
    crash_at_each_packet(*state, 16, 0, 1, NFQE_ACCEPT);
}

static void test_crash_in_handle_beside_a_batch_costs_exactly_the_packet_at_the_cursor(void **state)
{
    crash_at_each_packet(*state, 16, 2, 0, NFQE_DROP);
    crash_at_each_packet(*state, 16, 1, 1, NFQE_DROP);
}

static void test_crash_in_handle_batch_costs_exactly_the_guilty_packet(void **state)
{
    crash_at_each_packet(*state, BURST_MAX, 1, 0, NFQE_DROP);
    crash_at_each_packet(*state, 16, 3, 1, NFQE_DROP);
    crash_at_each_packet(*state, 16, 2, 1, NFQE_ACCEPT);
}

static void test_two_guilty_packets_of_a_burst_get_the_verdict_and_no_other(void **state)
{
    struct burst_fixture *fixture = *state;

    for (unsigned batches = 0; batches < 2; batches++) {
        for (unsigned k = 0; k + 1 < 12; k++) {
            uint32_t guilty_ids[DEATHS_MAX] = {0};
            unsigned guilty_count;
            struct pipeline pipeline;

            build_pipeline(&pipeline, batches);
            crashing_member = 0;
            crashing_id = FIRST_ID + k;
            second_crashing_id = FIRST_ID + 11;
            burst_fill(fixture, 12, FIRST_ID, BURST_HANDLING);
            assert_int_equal(finish(&pipeline, fixture, 12, NFQE_DROP, guilty_ids, &guilty_count), 2 + batches);
            assert_int_equal(guilty_count, 2);
            assert_int_equal(guilty_ids[0], crashing_id);
            assert_int_equal(guilty_ids[1], second_crashing_id);
            assert_verdicts(fixture, 12, NFQE_DROP);
        }
    }
}

static nfqe_verdict handle_crashes(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    crash();
    return NFQE_ACCEPT;
}

static void test_plugin_that_crashes_on_everything_costs_every_packet_once(void **state)
{
    const struct plugin_chain_member member = {.handle = handle_crashes};
    struct pipeline pipeline = {.policy = {.default_verdict = NFQE_ACCEPT, .on_crash = NFQE_DROP}};
    struct burst_fixture *fixture = *state;
    uint32_t guilty_ids[DEATHS_MAX] = {0};
    unsigned guilty_count;

    plugin_chain_add(&pipeline.chain, &member);
    crashing_member = 0;
    burst_fill(fixture, BURST_MAX, FIRST_ID, BURST_HANDLING);
    assert_int_equal(finish(&pipeline, fixture, BURST_MAX, NFQE_DROP, guilty_ids, &guilty_count), BURST_MAX);
    assert_int_equal(guilty_count, BURST_MAX);
    assert_int_equal(fixture->journal->crash_verdicts, BURST_MAX);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        assert_int_equal(guilty_ids[i], FIRST_ID + i);
        assert_int_equal(fixture->burst->entries[i].verdict, NFQE_DROP);
    }
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_BURST(test_crash_in_handle_costs_exactly_the_packet_at_the_cursor),
        WITH_BURST(test_crash_in_handle_beside_a_batch_costs_exactly_the_packet_at_the_cursor),
        WITH_BURST(test_crash_in_handle_batch_costs_exactly_the_guilty_packet),
        WITH_BURST(test_two_guilty_packets_of_a_burst_get_the_verdict_and_no_other),
        WITH_BURST(test_plugin_that_crashes_on_everything_costs_every_packet_once),
    };

    return cmocka_run_group_tests_name("pipeline_crash", tests, NULL, NULL);
}
