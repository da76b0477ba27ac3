/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue process over a burst in which not everything is as it should be: messages that their slot cuts, messages that are
 * no packet, answers of a plugin that are no verdict. Each costs what it must, is counted as what it is, and changes
 * nothing for the packets beside it, which get their own verdict, in order.
 *
 * The workers run on the model of the kernel, with a plugin that is a part of this program: it drops each third packet,
 * and gives each fifth one the answer that a test chooses.
 */
#include "kernel_model.h"

#include "queue/nfqueue_sequence.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COUNT 9        /* messages of a burst */
#define LINES_MAX 5    /* of one kind in LOG_PERIOD_S */
#define LOG_PERIOD_S 10

static uint32_t fifth_answer;
static uint32_t slow_packet; /* the plugin takes ten seconds for it */
static uint64_t ahead_s;     /* of the clock: a second that a test does not wait for */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int code = __real_clock_gettime(clock, now);

    now->tv_sec += (time_t)ahead_s;
    return code;
}

/* ---- the plugin ------------------------------------------------------------------------------------------- */

static uint32_t answer_for(uint32_t id)
{
    if (fifth_answer != 0 && id % 5 == 0) {
        return fifth_answer;
    }
    return id % 3 == 0 ? NFQE_DROP : NFQE_ACCEPT;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    uint32_t id = packet->id - model_id_base;

    (void)self;
    kernel->fates[id].shown++;
    ahead_s += id == slow_packet ? LOG_PERIOD_S : 0;
    return answer_for(id);
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

static int set_up(void **state)
{
    struct plugin *plugin = &fixture.generation.plugins[0];
    int code = model_set_up(state);

    fifth_answer = 0;
    slow_packet = 0;
    *plugin = (struct plugin){.id = "odd", .version = "3.2.1", .table.handle = handle};
    fixture.generation.plugin_count = 1;
    return code;
}

/* ---- bursts in a row ------------------------------------------------------------------------------------- */

/* The journal still has the burst before. */
static void test_packet_is_shown_again_if_its_id_comes_again(void **state)
{
    (void)state;
    model_will_receive(1, 3);
    model_will_receive(1, 3);
    model_run();
    model_assert_left_in_order();
    for (uint32_t id = 1; id <= 3; id++) {
        assert_int_equal(kernel->fates[id].shown, 2);
    }
}

/* ---- messages that their slot cuts ------------------------------------------------------------------------ */

static void assert_fate(uint32_t id, uint32_t verdict, uint32_t shown)
{
    assert_int_equal(kernel->fates[id].verdict, verdict);
    assert_int_equal(kernel->fates[id].shown, shown);
}

/* bit i of `cut`: packet first + i was cut. Verdicts went out in the order of the packets. */
static void assert_burst(uint32_t first, unsigned count, uint64_t cut)
{
    for (unsigned i = 0; i < count; i++) {
        bool whole = (cut >> i & 1) == 0;

        assert_fate(first + i, whole ? answer_for(first + i) : fixture.group.on_crash, whole);
        if (i > 0) {
            assert_true(kernel->fates[first + i - 1].order <= kernel->fates[first + i].order);
        }
    }
}

/* In every place, side by side, all of a burst, and a full burst. */
static void test_cut_message_gets_the_crash_verdict_and_its_neighbours_their_own(void **state)
{
    static const uint64_t several[] = {0x3, 0x18, 0x55, 0xaa, 0x180, 0x1ff};
    uint32_t first = 1;
    uint64_t cuts = 0;

    (void)state;
    for (unsigned batch = 0; batch < 2; batch++) {
        fixture.generation.plugins[0].table.handle_batch = batch != 0 ? handle_batch : NULL;
        fixture.group.on_crash = batch != 0 ? NFQE_ACCEPT : NFQE_DROP;
        for (unsigned i = 0; i < COUNT + sizeof(several) / sizeof(several[0]); i++) {
            uint64_t cut = i < COUNT ? UINT64_C(1) << i : several[i - COUNT];

            model_will(&(struct step){.first = first, .count = COUNT, .cut = cut});
            model_run();
            model_assert_left_in_order();
            assert_burst(first, COUNT, cut);
            first += COUNT;
            cuts += (unsigned)__builtin_popcountll(cut);
            assert_int_equal(model_counters()->truncated, cuts);
        }
        kernel->steps = kernel->step = 0;
    }
    assert_int_equal(model_counters()->packets, first - 1);
    assert_int_equal(model_counters()->accepted + model_counters()->dropped, first - 1);
    assert_int_equal(model_counters()->malformed, 0);
}

static void test_full_bursts_with_cut_messages_lose_nothing(void **state)
{
    uint64_t random = 2463534242;
    uint64_t cut[SCRIPT_MAX];

    (void)state;
    for (unsigned i = 0; i < SCRIPT_MAX; i++) {
        cut[i] = unit_random(&random);
        cut[i] &= unit_random(&random); /* a quarter of them */
        model_will(&(struct step){.first = 1 + i * BURST_MAX, .count = BURST_MAX, .cut = cut[i]});
    }
    model_run();
    model_assert_left_in_order();
    for (unsigned i = 0; i < SCRIPT_MAX; i++) {
        assert_burst(1 + i * BURST_MAX, BURST_MAX, cut[i]);
    }
    assert_int_equal(model_counters()->packets, SCRIPT_MAX * BURST_MAX);
}

/* Whatever was decided before the death: what stands is kept, the rest of the cut ones gets the crash verdict. */
static void test_cut_message_of_a_recovered_burst_gets_the_crash_verdict(void **state)
{
    uint32_t first = 1;

    (void)state;
    for (unsigned phase = BURST_RECEIVING; phase <= BURST_HANDLING; phase++) {
        for (unsigned place = 0; place < COUNT; place++) {
            model_die_with_burst(first, COUNT, (enum burst_phase)phase);
            model_put_packet(place, first + place, true);
            model_supervise(first + COUNT - 1);
            model_run();
            model_assert_left_in_order();
            assert_burst(first, COUNT, UINT64_C(1) << place);
            first += COUNT;
        }
    }
    assert_int_equal(model_counters()->truncated, COUNT); /* the others are the dead worker's to count: not again */
    assert_int_equal(model_counters()->packets, first - 1);
}

static void test_verdict_of_a_cut_message_that_stands_is_kept(void **state)
{
    (void)state;
    model_die_with_burst(1, COUNT, BURST_HANDLING);
    model_put_packet(3, 4, true);
    burst_force_verdict(fixture.burst, 3, NFQE_ACCEPT);
    model_supervise(COUNT);
    model_run();
    model_assert_left_in_order();
    assert_fate(3, NFQE_DROP, 1);
    assert_fate(4, NFQE_ACCEPT, 0);
    assert_fate(5, NFQE_ACCEPT, 1);
}

/* ---- messages that are no packet -------------------------------------------------------------------------- */

static void test_message_that_is_no_packet_is_counted_and_the_packets_around_it_are_answered(void **state)
{
    (void)state;
    for (unsigned place = 0; place < COUNT; place++) {
        uint32_t first = 1 + place * COUNT;

        model_will(&(struct step){.first = first, .count = COUNT, .other = UINT64_C(1) << place});
        model_run();
        model_assert_left_in_order();
        for (unsigned i = 0; i < COUNT; i++) {
            if (i != place) {
                assert_fate(first + i, answer_for(first + i), 1);
            }
        }
        assert_int_equal(model_counters()->malformed, place + 1);
    }
    assert_int_equal(model_counters()->packets, COUNT * (COUNT - 1));
    assert_int_equal(model_counters()->truncated, 0);
}

static void test_burst_without_a_packet_is_answered_with_nothing(void **state)
{
    (void)state;
    model_will(&(struct step){.first = 1, .count = COUNT, .other = 0x1ff});
    model_will_receive(1, 2);
    model_run();
    model_assert_left_in_order();
    assert_int_equal(kernel->messages, 1); /* the batch for 1 and 2 */
    assert_int_equal(model_counters()->bursts, 2);
    assert_int_equal(model_counters()->malformed, COUNT);
}

static void test_answers_of_the_kernel_are_counted_as_what_they_are(void **state)
{
    static const struct step answers[] = {
        {.first = 1, .count = 3, .other = 2, .answer = -ENOENT, .sequence = 1 | 63 * NFQUEUE_SEQUENCE_ONE_PACKET},
        {.first = 4, .count = 3, .other = 6, .answer = -ENOENT, .sequence = 1 | NFQUEUE_SEQUENCE_RESENT},
        {.first = 7, .count = 3, .other = 2, .answer = -EINVAL, .sequence = 1},
        {.first = 10, .count = 3, .other = 2, .answer = -ENOENT, .sequence = 1 | NFQUEUE_SEQUENCE_CONFIGURATION},
        {.first = 13, .count = 3, .other = 2, .answer = ACKNOWLEDGED, .sequence = 1},
        {.first = 16, .count = 3, .other = 2, .answer = ACKNOWLEDGED, .sequence = 1 | NFQUEUE_SEQUENCE_CONFIGURATION},
    };
    const char *at = model_log;

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        model_will(&answers[i]);
    }
    model_run_with_log();
    model_assert_log_lines(&at, 1, "the kernel refused a verdict: Invalid argument");
    model_assert_log_lines(&at, 1, "the kernel refused a configuration request: No such file or directory");
    assert_string_equal(at, "");
    model_assert_left_in_order();
    assert_int_equal(model_counters()->stale_verdicts, 64); /* packets, of one batch */
    assert_int_equal(model_counters()->verdicts_resent, 2);
    assert_int_equal(model_counters()->verdict_errors, 2);
    assert_int_equal(model_counters()->malformed, 0);
    assert_int_equal(model_counters()->packets, 11);
}

static void test_answer_before_a_cut_message_is_counted_once(void **state)
{
    (void)state;
    model_will(&(struct step){.first = 1, .count = 3, .other = 1, .cut = 6, .answer = -EINVAL, .sequence = 1});
    model_run();
    model_assert_left_in_order();
    assert_int_equal(model_counters()->verdict_errors, 1);
    assert_int_equal(model_counters()->truncated, 2);
}

/* Ten seconds later the log says how many lines it did not show, and shows the next ones. */
static void test_refused_verdicts_do_not_fill_the_log(void **state)
{
    static const struct step refusals = {.first = 1, .count = 3, .other = 0x7, .answer = -EINVAL, .sequence = 1};
    const char *at = model_log;

    (void)state;
    slow_packet = 1;
    model_will(&refusals);
    model_will(&refusals);
    model_will_receive(1, 1);
    for (unsigned i = 0; i < 5; i++) {
        model_will(&refusals);
    }
    model_run_with_log();
    model_assert_log_lines(&at, LINES_MAX, "the kernel refused a verdict: Invalid argument");
    model_assert_log_lines(&at, 1, "... 1 more lines like the next not shown");
    model_assert_log_lines(&at, LINES_MAX, "the kernel refused a verdict: Invalid argument");
    assert_string_equal(at, "");
    model_assert_left_in_order();
    assert_int_equal(model_counters()->verdict_errors, 3 * 7);
}

/* ---- answers of a plugin that are no verdict -------------------------------------------------------------- */

static void test_answer_that_is_no_verdict_becomes_the_crash_verdict(void **state)
{
    static const uint32_t answers[] = {0x7, NFQE_HELD, NFQE_ACCEPT | NFQE_FLOW, NFQE_DROP | NFQE_FLOW, UINT32_MAX};
    uint32_t first = 1;
    unsigned invalid = 0;

    (void)state;
    for (unsigned batch = 0; batch < 2; batch++) {
        fixture.generation.plugins[0].table.handle_batch = batch != 0 ? handle_batch : NULL;
        fixture.group.on_crash = batch != 0 ? NFQE_ACCEPT : NFQE_DROP;
        for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
            const char *at = model_log;
            char text[192];

            fifth_answer = answers[i];
            model_will_receive(first, COUNT);
            model_run_with_log();
            snprintf(text, sizeof(text),
                     "plugin odd 3.2.1 answered 0x%x on packet %u, which is no verdict that it may give; verdict %s",
                     answers[i], model_id_base + first + 4, batch != 0 ? "accept" : "drop");
            model_assert_log_lines(&at, 1, text);
            assert_string_equal(at, "");
            model_assert_left_in_order();
            for (uint32_t id = first; id < first + COUNT; id++) {
                assert_fate(id, id % 5 == 0 ? fixture.group.on_crash : answer_for(id), 1);
            }
            first += 10; /* the fifth packet of the next burst too has the odd answer */
            invalid++;
            assert_int_equal(model_counters()->invalid, invalid);
        }
    }
    assert_int_equal(model_counters()->packets, invalid * COUNT);
}

/* A burst has a line, whatever it has of such answers. */
static void test_answers_that_are_no_verdict_do_not_fill_the_log(void **state)
{
    unsigned count = 0;

    (void)state;
    fifth_answer = 0x7;
    slow_packet = 10 * (SCRIPT_MAX - 1) + 1;
    for (unsigned i = 0; i < SCRIPT_MAX; i++) {
        model_will_receive(1 + i * 10, 10);
    }
    model_run_with_log();
    for (const char *at = model_log; (at = strstr(at, "which is no verdict")) != NULL; at++) {
        count++;
    }
    assert_int_equal(count, LINES_MAX + 1);
    assert_non_null(strstr(model_log, "\nnfq-engine: queue 4711: ... 26 more lines like the next not shown\n"));
    model_assert_left_in_order();
    assert_int_equal(model_counters()->invalid, 2 * SCRIPT_MAX);
}

int main(void)
{
#define WITH_PLUGIN(test) cmocka_unit_test_setup_teardown(test, set_up, model_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PLUGIN(test_packet_is_shown_again_if_its_id_comes_again),
        WITH_PLUGIN(test_cut_message_gets_the_crash_verdict_and_its_neighbours_their_own),
        WITH_PLUGIN(test_full_bursts_with_cut_messages_lose_nothing),
        WITH_PLUGIN(test_cut_message_of_a_recovered_burst_gets_the_crash_verdict),
        WITH_PLUGIN(test_verdict_of_a_cut_message_that_stands_is_kept),
        WITH_PLUGIN(test_message_that_is_no_packet_is_counted_and_the_packets_around_it_are_answered),
        WITH_PLUGIN(test_burst_without_a_packet_is_answered_with_nothing),
        WITH_PLUGIN(test_answers_of_the_kernel_are_counted_as_what_they_are),
        WITH_PLUGIN(test_answer_before_a_cut_message_is_counted_once),
        WITH_PLUGIN(test_refused_verdicts_do_not_fill_the_log),
        WITH_PLUGIN(test_answer_that_is_no_verdict_becomes_the_crash_verdict),
        WITH_PLUGIN(test_answers_that_are_no_verdict_do_not_fill_the_log),
    };

    return model_run_tests("queue_burst", tests, sizeof(tests) / sizeof(tests[0]));
}
