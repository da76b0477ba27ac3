/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arena while its worker lives: how it is made and sealed, where its slots are, what a receive leaves in
 * it, and that a burst is counted exactly once.
 *
 * What is found in it after a death is in test_arena_death.c.
 */
#include "unit.h"

#include "burst/arena.h"
#include "burst_fixture.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_slot_size_outside_its_limits_is_refused_and_leaves_nothing(void **state)
{
    static const uint32_t sizes[] = {
        0,
        1,
        63,
        65,
        ARENA_SLOT_MAX - 1,
        ARENA_SLOT_MAX + 1,
        ARENA_SLOT_MAX + ARENA_SLOT_ALIGN,
        UINT32_MAX,
        UINT32_MAX - ARENA_SLOT_ALIGN + 1,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct arena_shape shape = {.slot_size = sizes[i]};
        struct arena *arena = NULL;
        int fd = -77;

        assert_int_equal(arena_new(1, shape, &arena, &fd), -EINVAL);
        assert_null(arena);
        assert_int_equal(fd, -77);
    }
}

static void test_new_arena_is_idle_and_holds_its_slots(void **state)
{
    static const uint32_t sizes[] = {ARENA_SLOT_ALIGN, 1152, 4096, ARENA_SLOT_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct arena_shape shape = {.slot_size = sizes[i]};
        struct arena *arena;
        struct stat status;
        uintptr_t end;
        int fd;

        assert_int_equal(arena_new(65535, shape, &arena, &fd), 0);
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_size, arena->size);
        end = (uintptr_t)arena + arena->size;
        assert_int_equal(arena->queue, 65535);
        assert_int_equal(arena_phase(arena), ARENA_IDLE);
        assert_int_equal(arena->cursor, ARENA_NOBODY);
        assert_int_equal(arena->plugin, ARENA_NOBODY);
        assert_int_equal(arena_received(arena), 0);
        assert_true((uintptr_t)arena_slot(arena, 0) >= (uintptr_t)arena + sizeof(*arena));
        for (unsigned slot = 0; slot < BURST_MAX; slot++) {
            uintptr_t place = (uintptr_t)arena_slot(arena, slot);

            assert_int_equal(place % ARENA_SLOT_ALIGN, 0);
            assert_true(place + sizes[i] <= end);
            assert_true(slot == 0 || place - (uintptr_t)arena_slot(arena, slot - 1) == sizes[i]);
            memset(arena_slot(arena, slot), 0xff, sizes[i]);
        }
        assert_int_equal(arena_received(arena), 0); /* writing slots touched no field */
        arena_free(arena, shape, &fd);
        assert_int_equal(fd, -1);
    }
}

static void test_nobody_can_change_the_size_of_an_arena(void **state)
{
    const struct burst_fixture *burst = *state;
    int seals = fcntl(burst->arena_fd, F_GET_SEALS);

    assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_int_equal(ftruncate(burst->arena_fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(burst->arena_fd, (off_t)burst->arena->size + 4096), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(burst->arena_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

/* Whether a process that does this to the byte dies of it. */
static bool faults(volatile uint8_t *byte, bool write_it)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        if (write_it) {
            *byte = 1;
        }
        _exit(*byte == 0x55 ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void test_overrun_at_either_end_faults(void **state)
{
    const struct burst_fixture *burst = *state;
    uint8_t *first = (uint8_t *)burst->arena;
    uint8_t *end = first + burst->arena->size;

    assert_false(faults(first, false));
    assert_false(faults(end - 1, true));
    assert_true(faults(first - 1, true));
    assert_true(faults(end, true));
    assert_true(faults(end + 4096, false));
}

static void test_view_shows_the_arena_and_cannot_be_written(void **state)
{
    const struct burst_fixture *burst = *state;
    const struct arena *view = NULL;
    uint8_t *byte;
    int no_fd = -1;

    assert_int_equal(arena_map_view(burst->arena_fd, BURST_SHAPE, &view), 0);
    assert_ptr_not_equal(view, burst->arena);
    *(uint8_t *)arena_slot(burst->arena, BURST_MAX - 1) = 0xab;
    byte = arena_slot(view, BURST_MAX - 1);
    assert_int_equal(*byte, 0xab);
    assert_true(faults(byte, true));
    assert_false(faults(byte, false));
    munmap((void *)(uintptr_t)view, view->size);
    view = NULL;
    assert_int_equal(arena_map_view(no_fd, BURST_SHAPE, &view), -EBADF);
    assert_null(view);
}

/* ---- the flow table's memory ---------------------------------------------------------------------- */

static void test_flow_table_is_zero_there_and_behind_all_slots(void **state)
{
    static const uint64_t sizes[] = {64, 4096, 4160, 1024 * 1024};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct arena_shape shape = {.slot_size = 1152, .flows_size = sizes[i]};
        const struct arena *view;
        struct arena *arena;
        struct stat status;
        uint8_t *flows;
        int fd;

        assert_int_equal(arena_new(1, shape, &arena, &fd), 0);
        flows = arena_flows(arena, shape);
        assert_int_equal((uintptr_t)flows % ARENA_SLOT_ALIGN, 0);
        assert_true(flows >= (uint8_t *)arena_slot(arena, BURST_MAX - 1) + shape.slot_size);
        assert_true(flows + shape.flows_size <= (uint8_t *)arena + arena->size);
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_size, arena->size);
        assert_true((uint64_t)status.st_blocks * 512 >= shape.flows_size); /* nothing was written, and it is there */
        for (uint64_t byte = 0; byte < shape.flows_size; byte++) {
            assert_int_equal(flows[byte], 0);
        }
        assert_true(faults((uint8_t *)arena + arena->size, true));
        assert_int_equal(arena_map_view(fd, shape, &view), 0);
        memset(flows, 0x77, shape.flows_size);
        arena_prepare(arena, 1, shape);
        assert_int_equal(flows[0], 0x77); /* it outlives the worker */
        assert_int_equal(flows[shape.flows_size - 1], 0x77);
        assert_false(faults((uint8_t *)arena_slot(view, BURST_MAX - 1) + shape.slot_size - 1, false));
        assert_true(
            faults((uint8_t *)arena_flows((struct arena *)(uintptr_t)view, shape), false)); /* plugins see packets */
        munmap((void *)(uintptr_t)view, (size_t)((uint8_t *)arena_flows(arena, shape) - (uint8_t *)arena));
        arena_free(arena, shape, &fd);
        assert_int_equal(fd, -1);
    }
}

static void test_flow_table_that_is_not_aligned_is_refused(void **state)
{
    static const uint64_t sizes[] = {1, 63, 65, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct arena_shape shape = {.slot_size = 1152, .flows_size = sizes[i]};
        struct arena *arena = NULL;
        int fd = -77;

        assert_int_equal(arena_new(1, shape, &arena, &fd), -EINVAL);
        assert_null(arena);
        assert_int_equal(fd, -77);
    }
}

static void test_freeing_arenas_returns_all_of_their_addresses(void **state)
{
    struct arena_shape shape = {.slot_size = 1152, .flows_size = 1024 * 1024};
    uintptr_t lowest = UINTPTR_MAX;
    uintptr_t highest = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        struct arena *arena;
        int fd;

        assert_int_equal(arena_new(1, shape, &arena, &fd), 0);
        lowest = (uintptr_t)arena < lowest ? (uintptr_t)arena : lowest;
        highest = (uintptr_t)arena > highest ? (uintptr_t)arena : highest;
        arena_free(arena, shape, &fd);
    }
    assert_true(highest - lowest < 16 * shape.flows_size);
}

static void test_freeing_no_arena_is_fine(void **state)
{
    int fd = -1;

    (void)state;
    arena_free(NULL, BURST_SHAPE, &fd);
    assert_int_equal(fd, -1);
}

static void test_prepare_points_every_header_at_its_slot_whatever_stood_there(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;
    uint64_t size = arena->size;

    for (unsigned i = 0; i < BURST_MAX; i++) {
        memset(&arena->messages[i].msg_hdr, 0xff, sizeof(arena->messages[i].msg_hdr));
        memset(&arena->iovecs[i], 0xff, sizeof(arena->iovecs[i]));
        arena->messages[i].msg_len = i + 1;
        arena->messages[i].msg_hdr.msg_flags = MSG_TRUNC;
    }
    arena->magic = arena->layout = arena->queue = arena->slot_size = UINT32_MAX;
    arena->size = UINT64_MAX;
    arena_prepare(arena, BURST_QUEUE, BURST_SHAPE);
    assert_int_equal(arena->magic, ARENA_MAGIC);
    assert_int_equal(arena->layout, ARENA_LAYOUT);
    assert_int_equal(arena->queue, BURST_QUEUE);
    assert_int_equal(arena->slot_size, BURST_SLOT_SIZE);
    assert_int_equal(arena->size, size);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        const struct msghdr *header = &arena->messages[i].msg_hdr;

        assert_int_equal(header->msg_iovlen, 1);
        assert_ptr_equal(header->msg_iov, &arena->iovecs[i]);
        assert_ptr_equal(header->msg_iov->iov_base, arena_slot(arena, i));
        assert_int_equal(header->msg_iov->iov_len, BURST_SLOT_SIZE);
        assert_null(header->msg_name);
        assert_int_equal(header->msg_namelen, 0);
        assert_null(header->msg_control);
        assert_int_equal(header->msg_controllen, 0);
        assert_int_equal(header->msg_flags, MSG_TRUNC);
        assert_int_equal(arena->messages[i].msg_len, i + 1);
    }
}

static void test_begin_receive_forgets_the_burst_before(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;

    burst_fill(burst, BURST_MAX, 1, ARENA_HANDLING);
    arena->cursor = 5;
    arena->plugin = 6;
    arena->one_by_one = 1;
    arena->attempts = ARENA_ATTEMPTS - 1;
    arena_begin_receive(arena);
    assert_int_equal(arena_phase(arena), ARENA_RECEIVING);
    assert_int_equal(arena_received(arena), 0);
    assert_int_equal(arena->cursor, ARENA_NOBODY);
    assert_int_equal(arena->plugin, ARENA_NOBODY);
    assert_int_equal(arena->one_by_one, 0);
    assert_int_equal(arena->attempts, 0);
}

static void test_received_counts_every_message_of_the_burst(void **state)
{
    struct burst_fixture *burst = *state;

    for (unsigned count = 0; count <= BURST_MAX; count++) {
        burst_fill(burst, count, 1, ARENA_RECEIVING);
        assert_int_equal(arena_received(burst->arena), count);
    }
}

static void test_decide_more_stores_the_mark_and_what_else_there_is_to_say(void **state)
{
    struct burst_fixture *burst = *state;

    burst_fill(burst, BURST_MAX, 1, ARENA_HANDLING);
    arena_set_verdict(burst->arena, 9, NFQE_ACCEPT, 0x12345678, ARENA_SETS_MARK | ARENA_BY_FLOW);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        assert_int_equal(arena_decided(burst->arena, i), i == 9);
    }
    assert_int_equal(burst->arena->verdicts[9].verdict, NFQE_ACCEPT);
    assert_int_equal(burst->arena->verdicts[9].mark, 0x12345678);
    assert_int_equal(burst->arena->verdicts[9].flags, ARENA_DECIDED | ARENA_SETS_MARK | ARENA_BY_FLOW);
    arena_decide(burst->arena, 9, NFQE_DROP); /* the packet at the cursor of a crash keeps nothing */
    assert_int_equal(burst->arena->verdicts[9].flags, ARENA_DECIDED);
}

static void test_decide_stores_the_verdict_of_one_packet(void **state)
{
    struct burst_fixture *burst = *state;

    burst_fill(burst, BURST_MAX, 1, ARENA_HANDLING);
    arena_decide(burst->arena, 9, NFQE_DROP);
    for (unsigned i = 0; i < BURST_MAX; i++) {
        assert_int_equal(arena_decided(burst->arena, i), i == 9);
    }
    assert_int_equal(burst->arena->verdicts[9].verdict, NFQE_DROP);
    assert_int_equal(burst->arena->verdicts[9].id, 10);
}

/* ---- counting ------------------------------------------------------------------------------------ */

#define COUNTERS (sizeof(struct arena_counters) / sizeof(uint64_t))

static struct arena_counters counters_from(uint64_t first)
{
    struct arena_counters counters;
    uint64_t values[COUNTERS] = {0};

    for (size_t i = 0; i < COUNTERS; i++) {
        values[i] = first + i;
    }
    memcpy(&counters, values, sizeof(counters));
    return counters;
}

static void test_commit_adds_every_counter_and_ends_the_burst(void **state)
{
    struct burst_fixture *burst = *state;
    const struct arena_counters delta = counters_from(10);

    for (uint64_t times = 1; times <= 5; times++) {
        uint64_t values[COUNTERS];

        burst_fill(burst, 3, 1, ARENA_SENDING);
        arena_commit(burst->arena, &delta);
        assert_int_equal(arena_phase(burst->arena), ARENA_IDLE);
        memcpy(values, arena_counters(burst->arena), sizeof(values));
        for (size_t i = 0; i < COUNTERS; i++) {
            assert_int_equal(values[i], times * (10 + i));
        }
    }
}

static void test_phases_keep_the_counters(void **state)
{
    struct burst_fixture *burst = *state;
    const struct arena_counters delta = counters_from(1);

    for (unsigned commits = 0; commits < 2; commits++) {
        struct arena_counters before;

        arena_commit(burst->arena, &delta);
        before = *arena_counters(burst->arena);
        for (unsigned phase = ARENA_IDLE; phase <= ARENA_SENDING; phase++) {
            arena_enter(burst->arena, (enum arena_phase)phase);
            assert_int_equal(arena_phase(burst->arena), phase);
            assert_memory_equal(arena_counters(burst->arena), &before, sizeof(before));
        }
    }
}

/* A worker that dies inside arena_commit() has written some of the counters. Until the end none counts. */
static void test_commit_that_did_not_end_counts_nothing(void **state)
{
    struct burst_fixture *burst = *state;
    const struct arena_counters delta = counters_from(1);

    for (unsigned round = 0; round < 2; round++) {
        struct arena_counters before;
        struct arena_counters *spare;

        arena_commit(burst->arena, &delta);
        before = *arena_counters(burst->arena);
        spare = &burst->arena->counters[arena_counters(burst->arena) == &burst->arena->counters[0]];
        memset(spare, 0x5a, sizeof(*spare));
        assert_memory_equal(arena_counters(burst->arena), &before, sizeof(before));
        arena_commit(burst->arena, &delta);
        assert_int_equal(arena_counters(burst->arena)->packets, before.packets + delta.packets);
        assert_int_equal(arena_counters(burst->arena)->bursts, before.bursts + delta.bursts);
    }
}

/* A child commits bursts until it is killed, at any instruction; what it left is a whole number of bursts. */
static void test_worker_killed_at_any_moment_leaves_whole_bursts_counted(void **state)
{
    struct burst_fixture *burst = *state;
    struct arena *arena = burst->arena;
    uint64_t random = 42;

    for (unsigned round = 0; round < 50; round++) {
        uint64_t enough = arena_counters(arena)->packets + 1 + unit_random_below(&random, 3000);
        uint64_t values[COUNTERS];
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            struct arena_counters one;
            uint64_t ones[COUNTERS] = {0};

            for (size_t i = 0; i < COUNTERS; i++) {
                ones[i] = 1;
            }
            memcpy(&one, ones, sizeof(one));
            for (;;) {
                arena_enter(arena, ARENA_SENDING);
                arena_commit(arena, &one);
            }
        }
        while (((volatile const struct arena_counters *)arena_counters(arena))->packets < enough) {
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        memcpy(values, arena_counters(arena), sizeof(values));
        for (size_t i = 1; i < COUNTERS; i++) {
            assert_int_equal(values[i], values[0]);
        }
    }
}

int main(void)
{
#define WITH_BURST(test) cmocka_unit_test_setup_teardown(test, burst_set_up, burst_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_size_outside_its_limits_is_refused_and_leaves_nothing),
        cmocka_unit_test(test_new_arena_is_idle_and_holds_its_slots),
        WITH_BURST(test_nobody_can_change_the_size_of_an_arena),
        WITH_BURST(test_overrun_at_either_end_faults),
        WITH_BURST(test_view_shows_the_arena_and_cannot_be_written),
        cmocka_unit_test(test_flow_table_is_zero_there_and_behind_all_slots),
        cmocka_unit_test(test_flow_table_that_is_not_aligned_is_refused),
        cmocka_unit_test(test_freeing_arenas_returns_all_of_their_addresses),
        cmocka_unit_test(test_freeing_no_arena_is_fine),
        WITH_BURST(test_prepare_points_every_header_at_its_slot_whatever_stood_there),
        WITH_BURST(test_begin_receive_forgets_the_burst_before),
        WITH_BURST(test_received_counts_every_message_of_the_burst),
        WITH_BURST(test_decide_stores_the_verdict_of_one_packet),
        WITH_BURST(test_decide_more_stores_the_mark_and_what_else_there_is_to_say),
        WITH_BURST(test_commit_adds_every_counter_and_ends_the_burst),
        WITH_BURST(test_phases_keep_the_counters),
        WITH_BURST(test_commit_that_did_not_end_counts_nothing),
        WITH_BURST(test_worker_killed_at_any_moment_leaves_whole_bursts_counted),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
