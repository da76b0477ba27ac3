/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the senders of a dropped flow are told, packet by packet, also after the flow table was repaired.
 */
#include "unit.h"

#include "burst/decide.h"
#include "flow_image.h"
#include "flow_pipeline.h"

#define NOW 1000 /* a tick */

static struct flow_image image;

/* And those of the flow's later packets, in either direction, the same. */
static void test_senders_of_a_dropped_flow_are_told(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 'a'}, {1, 'd'}, {2, 'd'}};
    const uint32_t told = burst_reject_flags(NFQE_REJECT_PROHIBITED);

    (void)state;
    for (enum way way = 0; way < WAYS; way++) {
        flow_pipeline_build(way, 1);
        flow_pipeline.pipeline.chain.members[0].rights.needs |= NFQE_NEED_INJECT;
        flow_pipeline.members[0].answers[0] = NFQE_DROP | NFQE_FLOW | NFQE_REJECT_PROHIBITED;
        flow_pipeline.members[0].answers[3] = NFQE_DROP | NFQE_FLOW;
        flow_pipeline_run(way, what, 4);
        assert_int_equal(flow_pipeline.invalid.count, 0);
        flow_pipeline_assert(0, NFQE_DROP, BURST_FOR_FLOW | told);
        flow_pipeline_assert(3, NFQE_DROP, BURST_FOR_FLOW);
        flow_pipeline_run(way, what, 4);
        for (unsigned i = 0; i < 3; i++) {
            flow_pipeline_assert(i, NFQE_DROP, BURST_BY_FLOW | told);
        }
        flow_pipeline_assert(3, NFQE_DROP, BURST_BY_FLOW);
    }
}

/* What senders are told is a part of the verdict; the flow is a dropped one in any case. */
static void test_dropped_flow_keeps_what_its_senders_are_told(void **state)
{
    const nfqe_verdict verdict = NFQE_DROP | NFQE_REJECT_HOST_UNREACHABLE;

    (void)state;
    flow_image_init(&image, 100, NULL);
    assert_true(flow_image_add_udp(&image, 1, NOW, verdict));
    assert_true(flow_image_add_udp(&image, 2, NOW, NFQE_ACCEPT));
    assert_true(flow_image_add_udp(&image, 2, NOW, NFQE_DROP | NFQE_REJECT));
    for (unsigned repaired = 0; repaired < 2; repaired++) {
        assert_int_equal(image.header->orders[FLOW_DROPPED].count, 2);
        assert_int_equal(flow_image_find_udp(&image, 1, NOW), verdict);
        assert_int_equal(flow_image_find_udp(&image, 2, NOW), NFQE_DROP | NFQE_REJECT);
        image.header->changing = 1;
        assert_int_equal(flow_image_repair(&image, NOW), 2);
    }
    assert_true(flow_image_add_udp(&image, 1, NOW, NFQE_ACCEPT));
    assert_int_equal(image.header->orders[FLOW_DROPPED].count, 1);
    flow_image_done(&image);
}

/* A process that died has decided the packet, and its successor has a table without the flow. */
static void test_successor_stores_what_the_senders_are_told(void **state)
{
    static const struct what what[] = {{1, 'd'}, {1, 'a'}};
    const uint32_t told = burst_reject_flags(NFQE_REJECT);

    for (unsigned by_rule = 0; by_rule < 2; by_rule++) {
        flow_pipeline_build(WITHOUT_BATCH, 1);
        flow_pipeline_begin(WITHOUT_BATCH, what, 2);
        burst_set_verdict(flow_pipeline.fixture->burst, 0, NFQE_DROP, 0, BURST_FOR_FLOW | told);
        if (by_rule) {
            burst_leave_to_rule(flow_pipeline.fixture->burst, 0, 0x800);
        }
        flow_pipeline_finish(2);
        flow_pipeline_assert(1, NFQE_DROP, BURST_BY_FLOW | told);
        flow_pipeline_tear_down(state);
        flow_pipeline_set_up(state);
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, flow_pipeline_set_up, flow_pipeline_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_senders_of_a_dropped_flow_are_told),
        TEST(test_successor_stores_what_the_senders_are_told),
        cmocka_unit_test(test_dropped_flow_keeps_what_its_senders_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
