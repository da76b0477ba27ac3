/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory and the descriptors of a ring: what a worker has in its hands, and cannot do with it.
 */
#include "ring_fixture.h"
#include "unit.h"

#include "base/fd.h"
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLAGS_SIZE 512 /* of a line of /proc/PID/smaps */

static void *view_of_packets(const struct ring_fixture *fixture)
{
    return (void *)(uintptr_t)fixture->worker.theirs;
}

/* Opens the file of a descriptor once more, as only its owner may. */
static int reopen(int fd, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

static void assert_cannot_be_written(int fd)
{
    assert_ptr_equal(mmap(NULL, SHM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(errno, EPERM);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SHM_PAGE_SIZE), -1);
    assert_int_equal(errno, EPERM);
}

static void assert_size_cannot_change(int fd)
{
    struct stat before;
    struct stat after;

    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, before.st_size + SHM_PAGE_SIZE), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fallocate(fd, 0, before.st_size, SHM_PAGE_SIZE), -1);
    assert_int_equal(reopen(fd, O_RDWR | O_TRUNC), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(fstat(fd, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static void test_worker_cannot_make_its_view_of_the_packets_writable(void **state)
{
    struct ring_fixture *fixture = *state;
    uint8_t *view = view_of_packets(fixture);

    assert_int_equal(mprotect(view, SHM_PAGE_SIZE, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(madvise(view, SHM_PAGE_SIZE, MADV_REMOVE), -1);
    assert_int_equal(view[0], RING_MAGIC & 0xff);
}

static void test_worker_cannot_write_packets_through_their_descriptor(void **state)
{
    struct ring_fixture *fixture = *state;
    int again = reopen(fixture->fds[RING_FD_PACKETS], O_RDWR);

    assert_true(again >= 0);
    assert_cannot_be_written(fixture->fds[RING_FD_PACKETS]);
    assert_cannot_be_written(again);
    assert_size_cannot_change(fixture->fds[RING_FD_PACKETS]);
    close(again);
}

static void test_worker_cannot_write_packets_as_a_debugger_would(void **state)
{
    struct ring_fixture *fixture = *state;
    const uint8_t *view = view_of_packets(fixture);
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

    assert_true(memory >= 0);
    assert_int_equal(pwrite(memory, "x", 1, (off_t)(uintptr_t)view), -1);
    assert_int_equal(view[0], RING_MAGIC & 0xff);
    close(memory);
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

static void test_pages_of_the_answers_cannot_be_taken_away(void **state)
{
    struct ring_fixture *fixture = *state;

    assert_cannot_be_written(fixture->fds[RING_FD_ANSWERS]);
    assert_size_cannot_change(fixture->fds[RING_FD_ANSWERS]);
    assert_int_equal(madvise(fixture->worker.ours, SHM_PAGE_SIZE, MADV_REMOVE), -1);
    assert_int_equal(fixture->queue.theirs->guard_before, RING_GUARD);
    fixture->worker.ours->guard_before = 7; /* but they are the worker's to write */
    assert_int_equal(fixture->queue.theirs->guard_before, 7);
}

static void test_answers_that_are_not_sealed_are_not_looked_at(void **state)
{
    struct ring_submit ring;
    struct ring_answered none;
    char text[8];
    void *memory;
    struct ring_worker_words *words;

    (void)state;
    assert_int_equal(ring_submit_new(&ring, RING_SLOT_SIZE), 0);
    assert_int_equal(shm_map(ring.answers, RING_ANSWERS_FILE_SIZE, true, &memory), 0);
    words = memory;
    words->guard_before = words->guard_after = RING_GUARD;
    words->state = RING_OPENED;
    words->published = 16;
    words->plugin = 1;
    memcpy(words->text, "text", 5);
    assert_false(ring_is_sealed(&ring));
    assert_int_equal(ring_state(&ring), RING_OPENING);
    assert_int_equal(ring_plugin(&ring), PLUGINS_MAX);
    ring_copy_text(&ring, text, sizeof(text));
    assert_string_equal(text, "");
    assert_false(ring_has_room(&ring));
    assert_true(ring_sleep(&ring));
    assert_int_equal(ring_take(&ring, &none), 0);
    assert_int_equal(fallocate(ring.answers, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SHM_PAGE_SIZE), 0);
    words->state = RING_OPENED;
    assert_int_equal(shm_seal_writers(ring.answers), 0);
    assert_true(ring_is_sealed(&ring));
    assert_int_equal(ring_state(&ring), RING_OPENED);
    assert_true(ring_has_room(&ring));
    shm_unmap(memory, RING_ANSWERS_FILE_SIZE);
    ring_submit_done(&ring);
}

static void test_queue_process_only_reads_the_answers(void **state)
{
    struct ring_fixture *fixture = *state;

    assert_int_equal(madvise((void *)(uintptr_t)fixture->queue.theirs, RING_ANSWERS_FILE_SIZE, MADV_DOFORK), 0);
    assert_false(faults((uint8_t *)(uintptr_t)fixture->queue.theirs, false));
    assert_true(faults((uint8_t *)(uintptr_t)fixture->queue.theirs, true));
}

/* ---- processes that a plugin forks, and cores ------------------------------------------------------------------- */

static void test_forked_process_has_no_part_in_the_ring(void **state)
{
    struct ring_fixture *fixture = *state;
    uint8_t *answers = (uint8_t *)fixture->worker.ours;

    assert_true(faults(view_of_packets(fixture), false));
    assert_true(faults((uint8_t *)view_of_packets(fixture) + fixture->worker.packets_size - 1, false));
    assert_true(faults(answers, false));
    assert_true(faults(answers + RING_ANSWERS_FILE_SIZE - 1, true));
    assert_int_equal(answers[0], RING_GUARD & 0xff);
}

/* The flags of the mapping that begins at this address, as the kernel shows them; "" if there is none. */
static void read_flags(const void *address, char flags[FLAGS_SIZE])
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[FLAGS_SIZE];
    bool inside = false;

    assert_non_null(maps);
    flags[0] = '\0';
    while (flags[0] == '\0' && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from;
        unsigned long to;

        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            inside = from == (uintptr_t)address;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            memcpy(flags, line, sizeof(line));
        }
    }
    fclose(maps);
}

static void test_core_dumps_have_no_packets(void **state)
{
    struct ring_fixture *fixture = *state;
    const void *mappings[] = {fixture->worker.theirs, fixture->worker.ours, fixture->queue.ours, fixture->queue.theirs};

    for (unsigned i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
        char flags[FLAGS_SIZE];

        read_flags(mappings[i], flags);
        assert_non_null(strstr(flags, " dd ")); /* do not dump */
        assert_non_null(strstr(flags, " dc ")); /* do not copy on fork */
    }
}

/* ---- waking ---------------------------------------------------------------------------------------------------------- */

static void test_flags_that_the_worker_changes_make_nothing_wait(void **state)
{
    struct ring_fixture *fixture = *state;
    struct ring_answered none;

    for (unsigned i = 0; i < RING_FDS; i++) {
        assert_int_equal(fcntl(fixture->fds[i], F_SETFL, 0), 0); /* no O_NONBLOCK */
    }
    atomic_store(&fixture->worker.ours->asleep, 1);
    for (unsigned i = 0; i < 1000; i++) { /* a wait would be a time-out of the test */
        ring_request_leave(&fixture->queue);
    }
    assert_int_equal(ring_awake(&fixture->queue, true), 0);
    assert_int_equal(ring_take(&fixture->queue, &none), 0);
    assert_true(ring_sleep(&fixture->queue));
}

/* ---- making and attaching -------------------------------------------------------------------------------------------- */

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void test_rings_leave_nothing(void **state)
{
    unsigned before = count_descriptors();

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct ring_fixture fixture;

        ring_fixture_init(&fixture);
        ring_fixture_done(&fixture);
        ring_submit_done(&fixture.queue);
        ring_answer_done(&fixture.worker);
    }
    assert_int_equal(count_descriptors(), before);
}

static void test_slots_that_are_too_large_are_refused(void **state)
{
    struct ring_submit ring;
    unsigned before = count_descriptors();

    (void)state;
    assert_int_equal(ring_submit_new(&ring, RING_SLOT_MAX + 1), -EINVAL);
    assert_int_equal(ring_submit_new(&ring, UINT32_MAX), -EINVAL);
    assert_int_equal(ring_submit_new(&ring, RING_SLOT_MAX), 0);
    ring_submit_done(&ring);
    assert_int_equal(count_descriptors(), before);
}

/* Memory as large as that of the packets of a ring, that says this of itself. */
static int memory_that_says(uint32_t magic, uint32_t frame_size)
{
    size_t size = ring_packets_size(ring_frame_size(RING_SLOT_SIZE));
    struct ring_queue_words *words;
    void *memory;
    int fd;

    assert_int_equal(shm_new("nfqe-test", size, &fd), 0);
    assert_int_equal(shm_map(fd, size, true, &memory), 0);
    words = memory;
    words->magic = magic;
    words->frame_size = frame_size;
    shm_unmap(memory, size);
    return fd;
}

/* The last: it could be attached, but for its answers, which are sealed already. */
static void test_packets_whose_words_are_not_those_of_a_ring_are_refused(void **state)
{
    const uint32_t size = ring_frame_size(RING_SLOT_SIZE);
    const struct {
        uint32_t magic;
        uint32_t frame_size;
        int code;
    } cases[] = {{RING_MAGIC + 1, size, -EPROTO}, {0, size, -EPROTO},       {RING_MAGIC, size + SHM_PAGE_SIZE, -EPROTO},
                 {RING_MAGIC, size - 1, -EPROTO}, {RING_MAGIC, 0, -EPROTO}, {RING_MAGIC, size, -EPERM}};
    struct ring_fixture *fixture = *state;
    struct ring_answer worker;
    int fds[RING_FDS];

    memcpy(fds, fixture->fds, sizeof(fds));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fds[RING_FD_PACKETS] = memory_that_says(cases[i].magic, cases[i].frame_size);
        assert_int_equal(ring_answer_attach(&worker, fds), cases[i].code);
        close(fds[RING_FD_PACKETS]);
    }
}

/* The queue process reads them: no page of them may be missing when the machine has no memory left. */
static void test_memory_of_the_answers_is_taken_at_once(void **state)
{
    struct ring_submit ring;
    struct stat file;

    (void)state;
    assert_int_equal(ring_submit_new(&ring, RING_SLOT_SIZE), 0);
    assert_int_equal(fstat(ring.answers, &file), 0);
    assert_int_equal(file.st_blocks * 512, RING_ANSWERS_FILE_SIZE);
    ring_submit_done(&ring);
}

static void test_descriptors_that_are_no_ring_are_refused_and_stay_open(void **state)
{
    struct ring_fixture *fixture = *state;
    struct ring_answer worker;
    int fds[RING_FDS];
    int other;

    memcpy(fds, fixture->fds, sizeof(fds));
    fds[RING_FD_PACKETS] = fixture->fds[RING_FD_ANSWERS];
    assert_int_equal(ring_answer_attach(&worker, fds), -EPROTO);
    memcpy(fds, fixture->fds, sizeof(fds));
    fds[RING_FD_ANSWERS] = fixture->fds[RING_FD_PACKETS];
    assert_int_equal(ring_answer_attach(&worker, fds), -EPROTO);
    assert_int_equal(shm_new("nfqe-test", SHM_PAGE_SIZE, &other), 0);
    fds[RING_FD_PACKETS] = other;
    assert_int_equal(ring_answer_attach(&worker, fds), -EPROTO);
    fds[RING_FD_PACKETS] = -1;
    assert_int_equal(ring_answer_attach(&worker, fds), -EBADF);
    assert_int_equal(ring_answer_attach(&worker, fixture->fds), -EPERM); /* its answers are sealed already */
    for (unsigned i = 0; i < RING_FDS; i++) {
        assert_true(fcntl(fixture->fds[i], F_GETFD) >= 0);
    }
    close(other);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, ring_set_up, ring_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_worker_cannot_make_its_view_of_the_packets_writable),
        TEST(test_worker_cannot_write_packets_through_their_descriptor),
        TEST(test_worker_cannot_write_packets_as_a_debugger_would),
        TEST(test_pages_of_the_answers_cannot_be_taken_away),
        cmocka_unit_test(test_answers_that_are_not_sealed_are_not_looked_at),
        TEST(test_queue_process_only_reads_the_answers),
        TEST(test_forked_process_has_no_part_in_the_ring),
        TEST(test_core_dumps_have_no_packets),
        TEST(test_flags_that_the_worker_changes_make_nothing_wait),
        cmocka_unit_test(test_rings_leave_nothing),
        cmocka_unit_test(test_slots_that_are_too_large_are_refused),
        cmocka_unit_test(test_memory_of_the_answers_is_taken_at_once),
        TEST(test_packets_whose_words_are_not_those_of_a_ring_are_refused),
        TEST(test_descriptors_that_are_no_ring_are_refused_and_stay_open),
    };

    return cmocka_run_group_tests_name("ring_memory", tests, NULL, NULL);
}
