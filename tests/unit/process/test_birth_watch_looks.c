/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a look at a birth costs, and what it keeps for the next one.
 *
 * The fork server says that it is ready, and sleeps. What the kernel says of CPU times is the test's to say:
 * cpu_use_read() and ends_know() are replaced at link time (--wrap), and their calls are counted.
 */
#include "children_fixture.h"
#include "children_programs.h"

#include "base/channel.h"
#include "base/clock.h"
#include "process/cpu_use.h"
#include "process/ends.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LONG_MS 60000
#define BIRTH_MS 4000 /* far more than the looks of a test take */
#define OTHERS 20

static struct children *const children = &children_fixture.children;

static struct cpu_use use; /* of all processes */
static unsigned readings;
static unsigned searches;
static pid_t others[OTHERS];

struct cpu_use __wrap_cpu_use_read(pid_t pid);
bool __wrap_ends_know(const struct children *table, pid_t pid);
bool __real_ends_know(const struct children *table, pid_t pid);

struct cpu_use __wrap_cpu_use_read(pid_t pid)
{
    (void)pid;
    readings++;
    return use;
}

bool __wrap_ends_know(const struct children *table, pid_t pid)
{
    searches++;
    return __real_ends_know(table, pid);
}

static void sleep_for_ever(void) __attribute__((noreturn));

static void sleep_for_ever(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        pause();
    }
}

static void run_forkserver(struct engine *engine, const struct engine_programs *programs) __attribute__((noreturn));

static void run_forkserver(struct engine *engine, const struct engine_programs *programs)
{
    const struct process_message message = process_message_make(FORKSERVER_READY, 0);

    (void)programs;
    channel_send(engine->channel, &message, sizeof(message), NULL, 0);
    sleep_for_ever();
}

static bool has_looked(void)
{
    return children->birth_watch.seen_count > 0;
}

static void add_others(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        others[i] = fork();
        if (others[i] == 0) {
            sleep_for_ever();
        }
        assert_true(others[i] > 0);
    }
}

/* Until the first look, of which everything is counted: no birth is looked at before it. others: children that are not known. */
static void look_once(struct cpu_use claim, unsigned other_count)
{
    use = claim;
    children_fixture.programs.forkserver_run = run_forkserver;
    children_fixture_begin(LONG_MS);
    add_others(other_count);
    readings = searches = 0;
    children_start(children);
    children_turn_until(has_looked);
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < OTHERS; i++) {
        if (others[i] > 0) {
            kill(others[i], SIGKILL);
        }
        others[i] = 0;
    }
    return children_fixture_tear_down(state);
}

static bool has_been_excused(void)
{
    return children->birth_watch.excused > 0;
}

/* It had much CPU time before the first look, and gets none any more. */
static void test_first_look_keeps_the_times(void **state)
{
    (void)state;
    look_once((struct cpu_use){.ready = true, .used_ns = 3600 * NS_PER_S}, 0);
    children->forkserver.birth_timeout_ms = BIRTH_MS;
    children_turn_until(has_been_excused);
    assert_int_equal(children->birth_watch.watchdog.still, 0); /* no look has counted */
}

/* On a large machine there are thousands of them. */
static void test_known_children_are_not_looked_at(void **state)
{
    (void)state;
    look_once((struct cpu_use){.ready = true}, 0);
    assert_int_equal(children->birth_watch.seen_count, 1);
    assert_int_equal(readings, 1); /* the fork server's */
    assert_int_equal(searches, 0);
}

static void test_look_ends_when_it_has_seen_enough(void **state)
{
    (void)state;
    look_once((struct cpu_use){.ready = true}, OTHERS);
    assert_int_equal(children->birth_watch.seen_count, BIRTH_WATCH_SEEN);
    assert_int_equal(readings, BIRTH_WATCH_SEEN);
    assert_int_equal(searches, 0);
}

int main(void)
{
#define WITH_CHILDREN(test) cmocka_unit_test_setup_teardown(test, children_fixture_set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_CHILDREN(test_first_look_keeps_the_times),
        WITH_CHILDREN(test_known_children_are_not_looked_at),
        WITH_CHILDREN(test_look_ends_when_it_has_seen_enough),
    };

    return cmocka_run_group_tests_name("birth_watch_looks", tests, NULL, NULL);
}
