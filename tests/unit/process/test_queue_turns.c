/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The turns of a queue process, as its supervisor sees them: it waits when there is nothing to do, tells what has changed,
 * and keeps nothing of what is over. It runs in a process of its own; its verdicts and the ends of its workers are in
 * test_queue_process.c.
 */
#include "queue_fixture.h"

#include "base/channel.h"
#include "base/clock.h"
#include "flow/flow_memory.h"
#include "kernel_messages.h"
#include "process/messages.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FLOWS 64
#define OF_A_WORKER 3 /* descriptors: its pidfd, its answers, and what it signals */

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

/* The queue process waits, whatever is in its socket: it takes next to no CPU time meanwhile. */
static void assert_sleeps(void)
{
    struct timespec before;
    struct timespec after;
    clockid_t clock;

    assert_int_equal(clock_getcpuclockid(fixture.process, &clock), 0);
    clock_gettime(clock, &before);
    poll(NULL, 0, 100);
    clock_gettime(clock, &after);
    assert_in_range((uint64_t)(after.tv_sec - before.tv_sec) * NS_PER_S + (uint64_t)after.tv_nsec -
                        (uint64_t)before.tv_nsec,
                    0, 10 * NS_PER_MS);
}

static void test_process_waits_while_the_queue_is_not_its_own_whatever_is_in_the_socket(void **state)
{
    (void)state;
    fixture_start(QUEUE_OPEN);
    fixture_open_worker(IS_GOOD);
    fixture_put(200);
    assert_sleeps();
    assert_int_equal(fixture.memory->verdicts[1], 0);
    fixture_request(QUEUE_RUN);
    fixture_answered(1, 200, 0);
    assert_sleeps();
    fixture_leave();
}

/* It looks at the worker now and then. There is no room for what is in the socket. */
static void test_process_whose_bursts_are_all_in_flight_does_not_spin(void **state)
{
    (void)state;
    fixture.group.handle_timeout_ms = FIXTURE_NEVER_MS;
    fixture.memory->deeds[1] = WAITS_FOR_ME;
    fixture_start(QUEUE_RUN);
    fixture_open_worker(IS_GOOD);
    fixture_put((BURSTS_IN_FLIGHT + 1) * BURST_MAX);
    WAIT_UNTIL(journal_totals(fixture_journal())->stats.packets == BURSTS_IN_FLIGHT * BURST_MAX);
    assert_sleeps();
    fixture.memory->go_on = 1;
    fixture_answered(1, (BURSTS_IN_FLIGHT + 1) * BURST_MAX, 0);
    fixture_leave();
}

/* ---- telling ------------------------------------------------------------------------------------------------------ */

/* The supervisor sleeps until it is told. */
static void test_each_change_of_a_control_word_is_told(void **state)
{
    struct pollfd channel = {.events = POLLIN};
    struct queue_message message;

    (void)state;
    fixture_start(QUEUE_OPEN);
    channel.fd = fixture.channel;
    for (uint32_t request = QUEUE_OPEN; request <= QUEUE_EXIT; request++) {
        const uint32_t reached[] = {QUEUE_OPENED, QUEUE_SERVING, QUEUE_DRAINING, QUEUE_CLOSING};

        fixture_request(request);
        do {
            assert_int_equal(poll(&channel, 1, FIXTURE_SECONDS * 1000), 1);
            assert_int_equal(channel_take(fixture.channel, &message, sizeof(message), NULL, 0), sizeof(message));
            assert_int_equal(message.kind, QUEUE_CHANGED);
        } while (fixture.control->state != reached[request]);
    }
    fixture_ended(0);
}

static void test_message_that_is_none_ends_it_and_it_says_why(void **state)
{
    const struct queue_message message = queue_message_make(QUEUE_WORKER_OPENED, 1);

    (void)state;
    fixture_start(QUEUE_RUN);
    assert_int_equal(channel_send(fixture.channel, &message, sizeof(message), NULL, 0), 0);
    fixture_ended(PROCESS_EXIT_FAILED);
    assert_int_equal(fixture.control->state, QUEUE_FAILED);
    assert_non_null(strstr(fixture.control->text, "message that is none"));
}

/* ---- the flow table ------------------------------------------------------------------------------------------------ */

/* The queue has a flow table. */
static void make_flow_table(void)
{
    struct queue_shm *shm = &fixture.engine.queues[0].shm;
    struct queue_shm_layout layout = shm->layout;

    layout.flows_size = flow_memory_size(FLOWS);
    queue_shm_done(shm);
    assert_int_equal(queue_shm_new(MESSAGES_QUEUE, &layout, shm), 0);
    fixture.engine.queues[0].control = fixture.control = shm->control;
    fixture.generation.plan.flows = FLOWS;
    fixture.generation.plan.flow_timeout_ms = FIXTURE_NEVER_MS;
}

/* Each chain begins with an entry that there is not. */
static void damage_flow_table(void)
{
    struct flow_memory index;

    flow_memory_attach(&index, fixture.engine.queues[0].shm.flows, FLOWS);
    for (uint32_t i = 0; i <= index.bucket_mask; i++) {
        index.buckets[i] = FLOWS + 1;
    }
}

/* It would find no flow any more, until a successor repairs it. */
static void test_damaged_flow_table_ends_it_and_its_successor_goes_on(void **state)
{
    (void)state;
    make_flow_table();
    fixture_start(QUEUE_RUN);
    fixture_open_worker(IS_GOOD);
    fixture_put_flows(10);
    fixture_answered(1, 10, 0);
    damage_flow_table();
    fixture_put(1);
    fixture_ended(PROCESS_EXIT_FAILED);
    assert_int_equal(fixture.control->state, QUEUE_FAILED);
    assert_non_null(strstr(fixture.control->text, "flow table"));
    fixture_kill_process();
    fixture.control->text[0] = '\0';
    fixture_start(QUEUE_RUN);
    fixture_open_worker(IS_GOOD);
    fixture_put_flows(10);
    fixture_answered(11, 21, 0);
    fixture_leave();
}

/* ---- descriptors --------------------------------------------------------------------------------------------------- */

/* Without the file that it reads now and then, and closes. */
static unsigned count_descriptors(void)
{
    const struct dirent *entry;
    char path[64];
    unsigned count = 0;
    DIR *directory;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)fixture.process);
    directory = opendir(path);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        char file[64] = "";

        if (readlinkat(dirfd(directory), entry->d_name, file, sizeof(file) - 1) > 0) {
            count += strncmp(file, "/proc/", strlen("/proc/")) != 0;
        }
    }
    closedir(directory);
    return count;
}

/* The supervisor has their pidfds for as long as they are not reaped. */
static void test_lost_workers_leave_no_descriptor_and_are_lost_once(void **state)
{
    unsigned before;

    (void)state;
    fixture_start(QUEUE_RUN);
    WAIT_UNTIL(fixture.control->state == QUEUE_SERVING);
    before = count_descriptors();
    for (unsigned i = 0; i < FIXTURE_WORKERS; i++) {
        uint32_t worker = fixture_open_worker(IS_GOOD);

        assert_int_equal(count_descriptors(), before + OF_A_WORKER);
        fixture_put(1);
        fixture_answered(i + 1, i + 1, 0);
        kill(fixture.workers[worker].pid, SIGKILL);
        fixture_lost(worker, QUEUE_LOSS_ENDED);
    }
    fixture_leave();
}

/* Any descriptor will do. Returns what the queue process says. */
static struct queue_message offer_worker(uint32_t number)
{
    struct queue_message message = queue_message_make(QUEUE_NEW_WORKER, number);

    assert_int_equal(channel_send(fixture.channel, &message, sizeof(message), &fixture.channel, 1), 0);
    return fixture_lost(number, QUEUE_LOSS_REFUSED);
}

static void test_worker_that_is_refused_by_a_process_that_leaves_leaves_no_descriptor(void **state)
{
    uint32_t worker;
    unsigned before;

    (void)state;
    fixture_start(QUEUE_RUN);
    worker = fixture_open_worker(WAITS_IN_CLOSE);
    fixture_request(QUEUE_EXIT);
    WAIT_UNTIL(fixture.control->closing == 0);
    before = count_descriptors();
    offer_worker(worker + 1);
    WAIT_UNTIL(count_descriptors() == before);
    fixture.memory->go_on = 1;
    fixture_lost(worker, QUEUE_LOSS_ENDED);
    fixture_ended(0);
}

/* So that the process has room for this one alone. */
static void limit_descriptors(struct rlimit *limit)
{
    struct rlimit lower;
    char path[64];

    assert_int_equal(prlimit(fixture.process, RLIMIT_NOFILE, NULL, limit), 0);
    lower = *limit;
    for (lower.rlim_cur = 0; lower.rlim_cur < limit->rlim_max; lower.rlim_cur++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)fixture.process, (int)lower.rlim_cur);
        if (access(path, F_OK) < 0 && errno == ENOENT) {
            break;
        }
    }
    lower.rlim_cur++;
    assert_int_equal(prlimit(fixture.process, RLIMIT_NOFILE, &lower, NULL), 0);
}

static void test_worker_whose_ring_cannot_be_made_is_refused_and_leaves_no_descriptor(void **state)
{
    struct queue_message message;
    struct rlimit limit;
    unsigned before;

    (void)state;
    fixture_start(QUEUE_RUN);
    WAIT_UNTIL(fixture.control->state == QUEUE_SERVING);
    before = count_descriptors();
    limit_descriptors(&limit);
    message = offer_worker(7);
    assert_non_null(strstr(message.text, "ring"));
    assert_non_null(strstr(message.text, strerror(EMFILE)));
    assert_int_equal(prlimit(fixture.process, RLIMIT_NOFILE, &limit, NULL), 0);
    WAIT_UNTIL(count_descriptors() == before);
    fixture_open_worker(IS_GOOD); /* the next one is as good as ever */
    fixture_put(10);
    fixture_answered(1, 10, 0);
    fixture_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_process_waits_while_the_queue_is_not_its_own_whatever_is_in_the_socket),
        FIXTURE_TEST(test_process_whose_bursts_are_all_in_flight_does_not_spin),
        FIXTURE_TEST(test_each_change_of_a_control_word_is_told),
        FIXTURE_TEST(test_message_that_is_none_ends_it_and_it_says_why),
        FIXTURE_TEST(test_damaged_flow_table_ends_it_and_its_successor_goes_on),
        FIXTURE_TEST(test_lost_workers_leave_no_descriptor_and_are_lost_once),
        FIXTURE_TEST(test_worker_that_is_refused_by_a_process_that_leaves_leaves_no_descriptor),
        FIXTURE_TEST(test_worker_whose_ring_cannot_be_made_is_refused_and_leaves_no_descriptor),
    };

    return cmocka_run_group_tests_name("queue_turns", tests, NULL, NULL);
}
