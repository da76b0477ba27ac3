/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a queue process makes of a worker that takes long over a packet: how often it asks the kernel, what it believes,
 * what it tells the supervisor.
 *
 * The clock is the test's. event_loop_now(), run_delay_read() and ring_plugin() are replaced at link time (--wrap): the
 * first one reads that clock, the second one is counted, the third one says what the test has chosen, at each reading
 * something else if it is to.
 */
#include "loop_world.h"

#include "base/channel.h"
#include "base/clock.h"
#include "process/queue_lives.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 60000
#define SLOW_LINE "queue 4711: plugin judge 1.0 is slow: "
#define LOOKS_MS 5
#define LONG_MS 2000 /* many looks, and less than half of the time-out */

uint64_t __wrap_event_loop_now(struct event_loop *loop);
bool __wrap_run_delay_read(pid_t pid, struct run_delay *reading);
uint32_t __wrap_ring_plugin(const struct ring_submit *ring);

static struct {
    struct event_loop events;
    struct queue_control control;
    struct queue_tell tell;
    struct queue_lives lives;
    struct queue_worker *worker;
    unsigned worker_index;
    int channel;      /* the supervisor's end */
    bool silent;      /* the kernel says nothing of delays */
    uint64_t delay_ns; /* what it says */
    uint64_t used_ns;
    bool ready;
    unsigned delays;  /* how often it was asked */
    unsigned said;    /* how often the worker's word was read */
    uint32_t says[2]; /* the first time in a look, and later */
} fixture;

uint64_t __wrap_event_loop_now(struct event_loop *loop)
{
    (void)loop;
    return world.now_ns;
}

bool __wrap_run_delay_read(pid_t pid, struct run_delay *reading)
{
    (void)pid;
    fixture.delays++;
    if (!fixture.silent) {
        *reading = (struct run_delay){world.now_ns, fixture.delay_ns, fixture.used_ns, fixture.ready};
    }
    return !fixture.silent;
}

uint32_t __wrap_ring_plugin(const struct ring_submit *ring)
{
    (void)ring;
    return fixture.says[fixture.said++ > 0];
}

static int set_up(void **state)
{
    int ends[2];

    (void)state;
    memset(&fixture, 0, sizeof(fixture));
    world_init(1, false, false);
    world.group.handle_timeout_ms = world.group.load_timeout_ms = TIMEOUT_MS;
    world.now_ns = NS_PER_S;
    world.count = 2;
    world.packets[1].answer = world.packets[2].answer = NFQE_ACCEPT;
    world_start_queue();
    fixture.worker_index = world_add_worker();
    fixture.worker = world.workers[fixture.worker_index].theirs;
    fixture.worker->end.fd = -1;
    assert_int_equal(event_loop_init(&fixture.events), 0);
    assert_int_equal(channel_new_pair(ends), 0);
    fixture.channel = ends[0];
    fixture.tell = (struct queue_tell){.channel = ends[1], .control = &fixture.control};
    fixture.control.closing = PLUGINS_MAX;
    queue_lives_init(&fixture.lives, &world.loop, &fixture.events, &fixture.tell);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    event_loop_done(&fixture.events);
    close(fixture.channel);
    close(fixture.tell.channel);
    world_done();
    return 0;
}

static void look(void)
{
    world.now_ns += LOOKS_MS * NS_PER_MS;
    fixture.said = 0;
    queue_lives_look(&fixture.lives, world.now_ns);
}

/* The next packet comes, and the worker is so long with it. */
static void be_busy(unsigned ms)
{
    world.queued++;
    world_receive();
    assert_true(ring_in_flight(&fixture.worker->ring));
    for (unsigned passed = 0; passed <= ms; passed += LOOKS_MS) {
        look();
    }
}

static void answer(void)
{
    assert_true(world_run_worker(fixture.worker_index));
    look();
    assert_false(ring_in_flight(&fixture.worker->ring));
}

/* A thread of a plugin may change the word at any time. */
static void test_slow_plugin_is_what_the_worker_said_at_one_reading(void **state)
{
    (void)state;
    fixture.says[1] = PLUGINS_MAX;
    be_busy(150);
    assert_int_equal(fixture.worker->slow_plugin, 0);
    answer();
    assert_memory_equal(world.log, SLOW_LINE, strlen(SLOW_LINE));
}

static void test_delays_are_read_twice_for_a_wait_however_long_it_is(void **state)
{
    static const struct {
        bool silent;
        uint64_t delay_ns;
        uint32_t plugin;
    } cases[] = {{false, NS_PER_S, 0}, {false, 0, 0}, {true, 0, 0}, {false, NS_PER_S, PLUGINS_MAX}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture.silent = cases[i].silent;
        fixture.delay_ns = cases[i].delay_ns;
        fixture.says[0] = fixture.says[1] = cases[i].plugin;
        be_busy(LONG_MS);
        assert_in_range(fixture.delays, 1, 2);
        tear_down(state);
        assert_int_equal(set_up(state), 0);
    }
}

/* It had no CPU for some of the time. */
static void test_wait_that_was_excused_is_not_judged_again(void **state)
{
    (void)state;
    fixture.delay_ns = 1;
    be_busy(80);
    fixture.delay_ns = NS_PER_S;
    for (unsigned i = 0; i < LONG_MS / LOOKS_MS; i++) {
        look();
    }
    assert_int_equal(fixture.delays, 2);
    answer();
    assert_int_equal(world.log[0], 0);
}

static void test_plugin_that_was_named_costs_no_reading(void **state)
{
    (void)state;
    be_busy(150);
    answer();
    assert_memory_equal(world.log, SLOW_LINE, strlen(SLOW_LINE));
    world.log[0] = 0;
    fixture.delays = 0;
    be_busy(LONG_MS);
    assert_int_equal(fixture.delays, 0);
    answer();
    assert_int_equal(world.log[0], 0);
}

static void assert_lost(uint64_t timeout_ms)
{
    struct queue_message message;

    while (channel_take(fixture.channel, &message, sizeof(message), NULL, 0) == -EAGAIN) {
        look();
    }
    assert_int_equal(message.kind, QUEUE_WORKER_LOST);
    assert_int_equal(message.loss, QUEUE_LOSS_HUNG);
    assert_int_equal(message.timeout_ms, timeout_ms);
}

/* The packets of a burst that handle_batch() hung over have less time than it had. */
static void test_loss_says_which_time_out_it_was(void **state)
{
    (void)state;
    fixture.worker->has_batch = true;
    world.workers[world_add_worker()].theirs->has_batch = true;
    be_busy(0);
    assert_lost(TIMEOUT_MS);
    assert_lost(TIMEOUT_MS / QUEUE_RETRY_SHARE);
}

/* How long it takes until the worker is lost that has the packet, if it says the same all the time. */
static unsigned lost_after_ms(unsigned timeout_ms, bool ready, unsigned used_percent, unsigned delay_percent)
{
    const uint64_t begin_ns = world.now_ns;
    struct queue_message message;

    fixture.lives.handle_timeout_ns = timeout_ms * NS_PER_MS;
    fixture.ready = ready;
    be_busy(0);
    while (channel_take(fixture.channel, &message, sizeof(message), NULL, 0) == -EAGAIN) {
        fixture.used_ns = (world.now_ns - begin_ns) / 100 * used_percent;
        fixture.delay_ns = (world.now_ns - begin_ns) / 100 * delay_percent;
        look();
    }
    assert_int_equal(message.kind, QUEUE_WORKER_LOST);
    return (unsigned)((world.now_ns - begin_ns) / NS_PER_MS);
}

/* The kernel counts a delay once it is over: of a worker that gets no CPU at all, it says 0. */
static void test_worker_that_gets_no_cpu_is_waited_for(void **state)
{
    static const struct {
        unsigned timeout_ms;
        bool ready;
        unsigned used_percent;
        unsigned delay_percent;
        unsigned lost_after_ms;
    } cases[] = {
        {1000, true, 100, 0, 1000}, /* it computes */
        {1000, false, 0, 0, 1000}, /* it sleeps */
        {1000, true, 45, 0, 2000}, /* one other process has the rest */
        {1000, true, 45, 55, 2000}, {1000, false, 0, 60, 2000}, {1000, true, 0, 0, 8000},
        {1000, true, 25, 0, 2000},    /* eight that compute have two CPUs */
        {1000, true, 5, 0, 8000},   {200, true, 0, 0, 8000},    {10000, true, 0, 0, 20000},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned ms = lost_after_ms(cases[i].timeout_ms, cases[i].ready, cases[i].used_percent, cases[i].delay_percent);

        assert_int_equal(fixture.lives.starved, cases[i].lost_after_ms > cases[i].timeout_ms);
        assert_in_range(ms, cases[i].lost_after_ms, cases[i].lost_after_ms + 4 * LOOKS_MS);
        tear_down(state);
        assert_int_equal(set_up(state), 0);
    }
}

int main(void)
{
#define LIVES_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LIVES_TEST(test_slow_plugin_is_what_the_worker_said_at_one_reading),
        LIVES_TEST(test_delays_are_read_twice_for_a_wait_however_long_it_is),
        LIVES_TEST(test_wait_that_was_excused_is_not_judged_again),
        LIVES_TEST(test_plugin_that_was_named_costs_no_reading),
        LIVES_TEST(test_loss_says_which_time_out_it_was),
        LIVES_TEST(test_worker_that_gets_no_cpu_is_waited_for),
    };

    return cmocka_run_group_tests_name("queue_lives", tests, NULL, NULL);
}
