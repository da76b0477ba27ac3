/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watchdog: a worker that makes no progress for a whole time-out is found, and no other is.
 *
 * Time is counted in samples, so no test waits: a sample here is a call. The time-outs are those that the
 * command line allows for --handle-timeout.
 */
#include "unit.h"

#include "process/watchdog.h"

static const uint64_t timeouts_ms[] = {10, 11, 40, 99, 100, 101, 500, 1000, 1001, 60000, 3600000};

#define TIMEOUT_COUNT (sizeof(timeouts_ms) / sizeof(timeouts_ms[0]))

static bool take(struct watchdog *watch, uint32_t progress, bool busy, uint64_t timeout_ms, bool *stalled)
{
    const struct watchdog_sample sample = {.progress = progress, .busy = busy};

    return watchdog_check(watch, &sample, timeout_ms, stalled);
}

/* Samples until it is stuck, if `progress` never changes; counted from the first that sees no movement. */
static uint64_t samples_until_stuck(struct watchdog *watch, uint32_t progress, uint64_t timeout_ms)
{
    uint64_t samples = 1;
    bool stalled;

    while (!take(watch, progress, true, timeout_ms, &stalled)) {
        assert_true(stalled);
        assert_true(++samples < 1000000);
    }
    return samples;
}

static void test_interval_gives_every_time_out_at_least_four_samples(void **state)
{
    (void)state;
    for (uint64_t timeout = 10; timeout <= 3600000; timeout += timeout < 2000 ? 1 : 9973) {
        uint32_t interval = watchdog_interval_ms(timeout);

        assert_true(interval >= 1 && interval <= WATCHDOG_STALLED_MS);
        assert_true(timeout / interval >= 4);
    }
}

/* Shorter than the command line allows; the interval is divided by. */
static void test_interval_is_never_zero(void **state)
{
    (void)state;
    for (uint64_t timeout = 0; timeout < 10; timeout++) {
        assert_true(watchdog_interval_ms(timeout) >= 1);
    }
}

static void test_worker_that_stands_still_is_stuck_after_the_time_out_and_not_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < TIMEOUT_COUNT; i++) {
        uint32_t interval = watchdog_interval_ms(timeouts_ms[i]);
        struct watchdog watch;
        uint64_t samples;
        bool stalled;

        watchdog_reset(&watch);
        assert_false(take(&watch, 5, true, timeouts_ms[i], &stalled));
        samples = samples_until_stuck(&watch, 5, timeouts_ms[i]);
        assert_true(samples * interval > timeouts_ms[i]);
        assert_true((samples - 1) * interval <= timeouts_ms[i]);
    }
}

/* It stands at progress 0 from the very first sample on, which has no sample before it to be compared with. */
static void test_new_worker_has_a_whole_time_out_of_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < TIMEOUT_COUNT; i++) {
        uint32_t interval = watchdog_interval_ms(timeouts_ms[i]);
        struct watchdog watch;

        watchdog_reset(&watch);
        assert_true(samples_until_stuck(&watch, 0, timeouts_ms[i]) > timeouts_ms[i] / interval);
    }
}

static void test_any_movement_starts_the_time_out_anew(void **state)
{
    struct watchdog watch;
    uint32_t progress = UINT32_MAX - 5; /* it wraps */
    uint64_t samples;
    bool stalled;

    (void)state;
    watchdog_reset(&watch);
    take(&watch, progress, true, 1000, &stalled);
    samples = samples_until_stuck(&watch, progress, 1000);
    for (unsigned round = 0; round < 20; round++) {
        assert_false(take(&watch, ++progress, true, 1000, &stalled));
        assert_false(stalled);
        for (uint64_t i = 1; i < samples; i++) {
            assert_false(take(&watch, progress, true, 1000, &stalled));
            assert_true(stalled);
        }
    }
    assert_true(take(&watch, progress, true, 1000, &stalled));
}

static void test_worker_without_anything_to_do_is_never_stuck(void **state)
{
    struct watchdog watch;
    bool stalled;

    (void)state;
    watchdog_reset(&watch);
    for (unsigned i = 0; i < 100000; i++) {
        assert_false(take(&watch, 3, false, 10, &stalled));
        assert_false(stalled);
    }
}

static void test_idle_moment_starts_the_time_out_anew(void **state)
{
    struct watchdog watch;
    uint64_t samples;
    bool stalled;

    (void)state;
    watchdog_reset(&watch);
    take(&watch, 1, true, 100, &stalled);
    samples = samples_until_stuck(&watch, 1, 100);
    assert_false(take(&watch, 1, false, 100, &stalled));
    for (uint64_t i = 1; i < samples; i++) {
        assert_false(take(&watch, 1, true, 100, &stalled));
    }
    assert_true(take(&watch, 1, true, 100, &stalled));
}

static void test_stuck_worker_stays_stuck_until_it_moves(void **state)
{
    struct watchdog watch;
    bool stalled;

    (void)state;
    watchdog_reset(&watch);
    take(&watch, 1, true, 100, &stalled);
    samples_until_stuck(&watch, 1, 100);
    for (unsigned i = 0; i < 10; i++) {
        assert_true(take(&watch, 1, true, 100, &stalled));
        assert_true(stalled);
    }
    assert_false(take(&watch, 2, true, 100, &stalled));
    assert_false(stalled);
}

static void test_reset_forgets_the_worker_before(void **state)
{
    struct watchdog watch;
    uint64_t samples;
    bool stalled;

    (void)state;
    watchdog_reset(&watch);
    take(&watch, 9, true, 100, &stalled);
    samples = samples_until_stuck(&watch, 9, 100);
    watchdog_reset(&watch);
    assert_false(take(&watch, 9, true, 100, &stalled));
    assert_int_equal(samples_until_stuck(&watch, 9, 100), samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_gives_every_time_out_at_least_four_samples),
        cmocka_unit_test(test_interval_is_never_zero),
        cmocka_unit_test(test_worker_that_stands_still_is_stuck_after_the_time_out_and_not_before),
        cmocka_unit_test(test_new_worker_has_a_whole_time_out_of_samples),
        cmocka_unit_test(test_any_movement_starts_the_time_out_anew),
        cmocka_unit_test(test_worker_without_anything_to_do_is_never_stuck),
        cmocka_unit_test(test_idle_moment_starts_the_time_out_anew),
        cmocka_unit_test(test_stuck_worker_stays_stuck_until_it_moves),
        cmocka_unit_test(test_reset_forgets_the_worker_before),
    };

    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
