/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a worker may say that the bytes of a changed packet are, and what the queue process copies of them: inside of the
 * places for changed packets, nothing else, whatever lies there. Without such places, and in front of another record
 * than the packet's verdict, it has broken the protocol.
 */
#include "ring_fixture.h"
#include "unit.h"

#include "base/arith.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void write_record(struct ring_fixture *fixture, const void *record)
{
    char *stream = (char *)fixture->worker.ours + SHM_PAGE_SIZE;

    memcpy(stream + fixture->worker.written % RING_ANSWERS_SIZE, record, RING_RECORD_STEP);
    fixture->worker.written += RING_RECORD_STEP;
    atomic_store(&fixture->worker.ours->published, fixture->worker.written);
}

static const struct ring_verdict good_record = {
    .head = {RING_VERDICT, sizeof(struct ring_verdict), 0, 0}, .answer = 7, .plugin = PLUGINS_MAX - 1};

static const struct ring_change good_change = {.head = {RING_CHANGE, sizeof(struct ring_change), 0, 0},
                                               .changes = {.mark_bits = 5, .mark_mask = 0xf}};

static const struct ring_bytes good_bytes = {.head = {RING_BYTES, sizeof(struct ring_bytes), 0, 0},
                                             .offset = RING_CHANGES_OFFSET + RING_CHANGE_STRIDE,
                                             .len = 100,
                                             .refused = 3};

static void assert_refused(struct ring_fixture *fixture)
{
    struct ring_answered answered;

    assert_int_equal(ring_take(&fixture->queue, &answered), -EBADMSG);
    assert_int_equal(ring_take(&fixture->queue, &answered), -EBADMSG);
    assert_int_equal(ring_oldest(&fixture->queue)->unanswered, 3);
}

/* From the first byte of the places to the last of the file. What was never written reads as zeros. */
static void test_bytes_are_those_that_the_record_names(void **state)
{
    static const struct {
        size_t offset;
        uint16_t len;
    } cases[] = {{RING_CHANGES_OFFSET, 1},
                 {RING_CHANGES_OFFSET + 7, COPY_RANGE_MAX},
                 {RING_CHANGING_FILE_SIZE - 1, 1},
                 {RING_CHANGING_FILE_SIZE - COPY_RANGE_MAX, COPY_RANGE_MAX}};
    static uint8_t copy[COPY_RANGE_MAX];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct ring_change change = good_change;
        const struct ring_verdict record = good_record;
        struct ring_bytes bytes = good_bytes;
        struct ring_answered answered;
        struct ring_fixture fixture;
        uint8_t *place;

        ring_fixture_init_changing(&fixture);
        ring_submit_test_frame(&fixture.queue, 0, 2);
        place = fixture.worker.changes - RING_CHANGES_OFFSET + cases[i].offset;
        bytes.offset = (uint32_t)cases[i].offset;
        bytes.len = cases[i].len;
        write_record(&fixture, &change);
        write_record(&fixture, &bytes);
        write_record(&fixture, &record);
        assert_int_equal(ring_take(&fixture.queue, &answered), 1);
        assert_int_equal(answered.changes.mark_bits, 5);
        assert_int_equal(answered.made.len, cases[i].len);
        assert_int_equal(answered.made.refused, 3);
        assert_int_equal(answered.answer, 7);
        memset(copy, 1, sizeof(copy));
        assert_int_equal(ring_copy_made(&fixture.queue, &answered, copy), 0);
        assert_true(copy[0] == 0 && copy[cases[i].len - 1] == 0);
        place[cases[i].len - 1] = 2;
        place[0] = 1;
        assert_int_equal(ring_copy_made(&fixture.queue, &answered, copy), 0);
        assert_true(copy[0] == 1 && (cases[i].len == 1 || copy[cases[i].len - 1] == 2));
        assert_int_equal(ring_copy_made(&fixture.queue, &answered, (void *)(uintptr_t)1), -EFAULT); /* no memory */
        ring_fixture_done(&fixture);
    }
}

static void test_bytes_outside_of_the_places_are_refused(void **state)
{
    static const struct {
        size_t offset;
        uint16_t len;
    } cases[] = {{0, 1},
                 {SHM_PAGE_SIZE, 16},
                 {RING_CHANGES_OFFSET - 1, 1},
                 {RING_CHANGING_FILE_SIZE - 99, 100},
                 {RING_CHANGING_FILE_SIZE, 1},
                 {UINT32_MAX, 1},
                 {UINT32_MAX - COPY_RANGE_MAX, COPY_RANGE_MAX},
                 {RING_CHANGES_OFFSET, COPY_RANGE_MAX + 1},
                 {RING_CHANGES_OFFSET, UINT16_MAX}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct ring_verdict record = good_record;
        struct ring_bytes bytes = good_bytes;
        struct ring_fixture fixture;

        ring_fixture_init_changing(&fixture);
        ring_submit_test_frame(&fixture.queue, 0, 2);
        bytes.offset = (uint32_t)cases[i].offset;
        bytes.len = cases[i].len;
        write_record(&fixture, &bytes);
        write_record(&fixture, &record);
        assert_refused(&fixture);
        ring_fixture_done(&fixture);
    }
}

/* 0: it is published without a verdict; 8: its ring has no places. */
static void test_bytes_without_a_verdict_of_the_same_packet_are_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        const struct ring_change change = good_change;
        struct ring_bytes bytes = good_bytes;
        struct ring_verdict record = good_record;
        struct ring_fixture fixture;

        if (i == 8) {
            ring_fixture_init(&fixture);
        } else {
            ring_fixture_init_changing(&fixture);
        }
        ring_submit_test_frame(&fixture.queue, 0, 2);
        bytes.head.packet = i == 1;
        bytes.head.frame = i == 2;
        bytes.head.size = i == 3 ? 32 : sizeof(bytes);
        record.head.packet = i == 4;
        write_record(&fixture, &bytes);
        if (i == 5) {
            write_record(&fixture, &bytes);
        }
        if (i == 6) { /* they come after it */
            write_record(&fixture, &change);
        }
        if (i == 7) {
            record.head.kind = RING_HOLD;
        }
        if (i > 0) {
            write_record(&fixture, &record);
        }
        assert_refused(&fixture);
        ring_fixture_done(&fixture);
    }
}

/* The page between the records and the places faults; the queue process has no page of a place that was not written. */
static void test_places_are_apart_from_the_records(void **state)
{
    struct ring_fixture fixture;
    unsigned char resident[4];
    int ends[2];

    (void)state;
    ring_fixture_init_changing(&fixture);
    assert_ptr_equal(fixture.worker.changes, (uint8_t *)fixture.worker.ours + RING_CHANGES_OFFSET);
    assert_int_equal(mincore(fixture.worker.changes, sizeof(resident) * SHM_PAGE_SIZE, resident), 0);
    for (size_t i = 0; i < sizeof(resident); i++) {
        assert_int_equal(resident[i] & 1, 0);
    }
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], fixture.worker.changes - SHM_PAGE_SIZE, 1), -1);
    assert_int_equal(errno, EFAULT);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(madvise(fixture.worker.changes, SHM_PAGE_SIZE, MADV_REMOVE), -1); /* sealed, like the answers */
    ring_fixture_done(&fixture);
    ring_fixture_init(&fixture);
    assert_null(fixture.worker.changes);
    ring_fixture_done(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_those_that_the_record_names),
        cmocka_unit_test(test_bytes_outside_of_the_places_are_refused),
        cmocka_unit_test(test_bytes_without_a_verdict_of_the_same_packet_are_refused),
        cmocka_unit_test(test_places_are_apart_from_the_records),
    };

    return cmocka_run_group_tests_name("ring_changes", tests, NULL, NULL);
}
