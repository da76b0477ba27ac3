/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue_report: the exact text of every line about a queue, and no line if there is nothing to say. Each counter has a
 * different value here, so a value at the wrong name is noticed.
 */
#include "unit.h"

#include "queue/nfqueue_proc.h"
#include "queue/queue_report.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER 65535

static struct nfqueue_status status; /* as /proc says it */
static int status_code;
static char text[LOG_LINE_MAX];

int __wrap_nfqueue_read_status(uint16_t number, struct nfqueue_status *read);

int __wrap_nfqueue_read_status(uint16_t number, struct nfqueue_status *read)
{
    assert_int_equal(number, NUMBER);
    if (status_code == 0) {
        *read = status;
        read->queue = number;
    }
    return status_code;
}

static int set_up(void **state)
{
    (void)state;
    status = (struct nfqueue_status){0};
    status_code = 0;
    return 0;
}

#define SETTINGS "queue 65535: max-len 8192, copy "

static void test_settings_are_what_the_kernel_says(void **state)
{
    const struct queue queue = {.number = NUMBER,
                                .settings = {.copy_packet = true, .copy_range = 1, .max_len = 8192, .flags = QUEUE_GSO},
                                .wanted_receive_buffer = 5,
                                .receive_buffer = 123456789};

    (void)state;
    status.copy_mode = 2;
    status.copy_range = 128;
    assert_string_equal(queue_report_settings(&queue, text),
                        SETTINGS "packet 128 bytes, receive buffer 123456789 bytes, flags gso");
    status.copy_mode = 1;
    assert_string_equal(queue_report_settings(&queue, text),
                        SETTINGS "metadata only, receive buffer 123456789 bytes, flags gso");
    status.copy_mode = 2;
    status_code = -EACCES; /* the kernel took what it was asked for */
    assert_string_equal(queue_report_settings(&queue, text),
                        SETTINGS "packet 1 bytes, receive buffer 123456789 bytes, flags gso");
}

static void test_figures_that_cannot_be_read_have_a_line(void **state)
{
#define UNKNOWN(reason)                                                                                                \
    "warning: /proc/net/netfilter/nfnetlink_queue cannot be read (" reason                                             \
    "), so it is unknown what the kernel drops and "                                                                   \
    "how many packets wait; "

    (void)state;
    assert_null(queue_report_unknown(0, text));
    assert_string_equal(queue_report_unknown(-EACCES, text),
                        UNKNOWN("Permission denied") "start nfq-engine as root, or with CAP_DAC_READ_SEARCH, too");
    assert_string_equal(
        queue_report_unknown(-ENOENT, text),
        UNKNOWN("No such file or directory") "mount /proc without subset=pid (systemd: ProcSubset=all)");
}

static void test_settings_without_flags_say_none(void **state)
{
    const struct queue queue = {.number = NUMBER, .settings.max_len = 8192};

    (void)state;
    assert_string_equal(queue_report_settings(&queue, text),
                        SETTINGS "metadata only, receive buffer 0 bytes, flags none");
}

static void test_flow_table_has_a_line_if_there_is_one(void **state)
{
    const struct queue queue = {.number = NUMBER};
    struct plan plan = {.flows = 65536, .flow_timeout_ms = 300000};

    (void)state;
#define TABLE "queue 65535: flow table for 65536 flows, %u MiB, idle time-out 300000 ms"
    for (unsigned mib = 1; mib <= 5; mib += 4) {
        char expected[128];

        snprintf(expected, sizeof(expected), TABLE, mib);
        assert_string_equal(queue_report_flow_table(&queue, &plan, mib * 1048576, text), expected);
        assert_string_equal(queue_report_flow_table(&queue, &plan, (mib - 1) * 1048576 + 1, text), expected);
    }
    plan.flows = 0;
    assert_null(queue_report_flow_table(&queue, &plan, 1048576, text));
}

static void test_receive_buffer_has_a_line_if_it_is_too_small(void **state)
{
    static const struct {
        uint64_t wanted;
        uint64_t granted;
        bool said;
    } cases[] = {
        {268435456, 268435455, true}, {268435456, 268435456, false}, {268435456, 268435457, false},
        {4097, 4096, false}, /* half a pair cannot be asked for */
        {4097, 4095, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct queue queue = {
            .number = NUMBER, .wanted_receive_buffer = cases[i].wanted, .receive_buffer = cases[i].granted};
        const char *line = queue_report_receive_buffer(&queue, text);
        char expected[128];

        snprintf(expected, sizeof(expected),
                 "queue 65535: asked for a receive buffer of %" PRIu64 " bytes; raise net.core.rmem_max",
                 cases[i].wanted);
        if (cases[i].said) {
            assert_string_equal(line, expected);
        } else {
            assert_null(line);
        }
    }
}

static void test_receive_buffer_that_is_limited_has_a_line(void **state)
{
    struct queue queue = {.number = NUMBER,
                          .settings = {.copy_range = 65531, .max_len = 2044},
                          .receive_buffer = 268435456, /* for 2,044 messages of 131,328 bytes */
                          .limited_receive_buffer = true};

    (void)state;
    assert_null(queue_report_room(&queue, text));
    queue.settings.max_len++;
    assert_string_equal(
        queue_report_room(&queue, text),
        "queue 65535: the receive buffer is limited to 268435456 bytes, enough for 2044 packets of 65531 "
        "bytes, less than --max-len 2045; see --receive-buffer");
    queue.limited_receive_buffer = false;
    assert_null(queue_report_room(&queue, text));
}

static void test_plugins_before_one_that_decides_for_flows_are_named(void **state)
{
    static const uint64_t needs[] = {NFQE_NEED_FLOW,    NFQE_NEED_FLOW, NFQE_NEED_HEADERS, 0,
                                     NFQE_NEED_PAYLOAD, NFQE_NEED_FLOW, NFQE_NEED_FLOW,    0};
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct plan plan = {.plugin_count = 8};

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        plan.plugins[i] = (struct plan_plugin){.id = ids[i], .path = "x", .needs = needs[i]};
        if (i == 5) { /* it does so where it can */
            plan.plugins[i].needs = NFQE_NEED_HEADERS;
            plan.plugins[i].uses = NFQE_NEED_FLOW;
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        const char *line = queue_report_passed_over(&plan, i, text);

        if (i == 5) {
            assert_string_equal(line, "plugin f decides for flows: plugins in front of it, such as e, do not see the "
                                      "rest of a decided flow");
        } else {
            assert_null(line);
        }
    }
}

static void test_packets_without_an_answer_have_a_line(void **state)
{
    const struct queue queue = {.number = NUMBER, .port_id = 2};
    struct queue_stats counters = {.packets = 9, .accepted = 4, .dropped = 3};
    const struct queue_totals totals = {.stats = &counters};

    (void)state;
    status.port_id = 2;
    assert_null(queue_report_unanswered(&queue, &totals, text));
    status = (struct nfqueue_status){.queue = 1, .port_id = 2, .copy_mode = 3, .queue_dropped = 4, .user_dropped = 5};
    assert_null(queue_report_unanswered(&queue, &totals, text));
    status.waiting = 1;
    assert_string_equal(queue_report_unanswered(&queue, &totals, text),
                        "queue 65535: 1 packets were not answered in time and are dropped; --drain-timeout gives more");
    status_code = -EACCES; /* then those that were received are known */
    assert_string_equal(
        queue_report_unanswered(&queue, &totals, text),
        "queue 65535: at least 2 packets were not answered in time and are dropped; --drain-timeout gives "
        "more");
    counters.dropped = 5;
    assert_null(queue_report_unanswered(&queue, &totals, text));
}

static void test_each_counter_has_its_name(void **state)
{
    const struct queue queue = {.number = NUMBER};
    const struct queue_stats counters = {
        .packets = 1,
        .accepted = 2,
        .dropped = 3,
        .invalid = 5,
        .verdicts_resent = 6,
        .stale_verdicts = 7,
        .verdict_errors = 8,
        .receive_errors = 9,
        .truncated = 10,
        .malformed = 11,
        .recovered_ids = 12,
        .flow_packets = 13,
        .flow_not_stored = 17,
        .crash_verdicts = 4,
        .bursts = 18,
        .requeued = 23,
        .repeated = 24,
        .rejects_sent = 25,
        .rejects_limited = 26,
        .rejects_unfit = 27,
        .reject_errors = 28,
        .changed = 29,
        .changes_refused = 30,
    };
    const struct queue_totals totals = {
        .stats = &counters,
        .restarts = 19,
        .outages = 22,
        .flows = {.added = 14, .replaced = 15, .expired = 16},
    };

    (void)state;
    status.queue_dropped = 20;
    status.user_dropped = 21;
    assert_string_equal(
        queue_report_counters(&queue, &totals, text),
        "queue 65535: final: packets=1 accepted=2 dropped=3 repeated=24 requeued=23 changed=29 changes_refused=30 "
        "crash_verdicts=4 invalid=5 verdicts_resent=6 stale_verdicts=7 verdict_errors=8 receive_errors=9 truncated=10 "
        "malformed=11 recovered_ids=12 flow_packets=13 flows_added=14 flows_replaced=15 "
        "flows_expired=16 flow_not_stored=17 rejects_sent=25 rejects_limited=26 rejects_unfit=27 reject_errors=28 "
        "bursts=18 restarts=19 outages=22 kernel_queue_dropped=20 "
        "kernel_user_dropped=21");
    status.port_id = 1; /* the figures of another socket's queue */
    queue_report_counters(&queue, &totals, text);
    assert_string_equal(strstr(text, " outages="),
                        " outages=22 kernel_queue_dropped=unknown kernel_user_dropped=unknown");
    status.port_id = 0;
    status_code = -EACCES;
    queue_report_counters(&queue, &totals, text);
    assert_string_equal(strstr(text, " outages="),
                        " outages=22 kernel_queue_dropped=unknown kernel_user_dropped=unknown");
}

static void test_largest_counters_fit_a_line(void **state)
{
    const struct queue queue = {.number = NUMBER, .port_id = UINT32_MAX};
    struct queue_stats counters;
    struct queue_totals totals;

    (void)state;
    memset(&counters, 0xff, sizeof(counters));
    memset(&totals, 0xff, sizeof(totals));
    memset(&status, 0xff, sizeof(status));
    totals.stats = &counters;
    queue_report_counters(&queue, &totals, text);
    assert_non_null(
        strstr(text, " restarts=18446744073709551615 outages=18446744073709551615 kernel_queue_dropped=4294967295 "));
    assert_string_equal(strrchr(text, ' '), " kernel_user_dropped=4294967295");
}

static void test_reasons_and_counters_of_a_plugin_have_lines_of_their_own(void **state)
{
    static struct reason_names names;
    static uint64_t counts[REASONS_MAX];
    const struct queue queue = {.number = 7};
    uint32_t next;
    unsigned lines = 0;

    (void)state;
    memset(&names, 0, sizeof(names));
    names.first[1] = 2;
    for (unsigned i = 2; i <= PLUGINS_MAX; i++) {
        names.first[i] = i == 2 ? 2 : REASONS_MAX;
    }
    for (unsigned i = 0; i < REASONS_MAX; i++) {
        snprintf(names.names[i], REASON_NAME_SIZE, i < 2 ? "r%u" : "a-reason-of-thirty-one-bytes%03u", i % 1000);
        counts[i] = i < 2 ? 5 * i : UINT64_MAX;
    }
    next = names.first[0];
    assert_string_equal(queue_report_reasons(&queue, "x", &names, 0, counts, &next, text),
                        "queue 7: plugin x: reasons: r0=0 r1=5");
    assert_null(queue_report_reasons(&queue, "x", &names, 0, counts, &next, text));
    next = names.first[1];
    assert_null(queue_report_reasons(&queue, "y", &names, 1, counts, &next, text)); /* it has none */
    for (next = names.first[2]; queue_report_reasons(&queue, "z", &names, 2, counts, &next, text) != NULL; lines++) {
        assert_true(strlen(text) < LOG_LINE_MAX);
        assert_int_equal(strncmp(text, "queue 7: plugin z: reasons: a-reason", 36), 0);
        assert_string_equal(strrchr(text, '='), "=18446744073709551615"); /* none is cut */
    }
    assert_int_equal(next, REASONS_MAX);
    assert_true(lines > 1);
    next = names.first[0];
    assert_string_equal(queue_report_plugin_counters(&queue, "x", &names, 0, counts, &next, text),
                        "queue 7: plugin x: counters: r0=0 r1=5");
    assert_null(queue_report_plugin_counters(&queue, "x", &names, 0, counts, &next, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_settings_are_what_the_kernel_says, set_up),
        cmocka_unit_test_setup(test_figures_that_cannot_be_read_have_a_line, set_up),
        cmocka_unit_test_setup(test_settings_without_flags_say_none, set_up),
        cmocka_unit_test_setup(test_flow_table_has_a_line_if_there_is_one, set_up),
        cmocka_unit_test_setup(test_receive_buffer_has_a_line_if_it_is_too_small, set_up),
        cmocka_unit_test_setup(test_receive_buffer_that_is_limited_has_a_line, set_up),
        cmocka_unit_test_setup(test_plugins_before_one_that_decides_for_flows_are_named, set_up),
        cmocka_unit_test_setup(test_packets_without_an_answer_have_a_line, set_up),
        cmocka_unit_test_setup(test_each_counter_has_its_name, set_up),
        cmocka_unit_test_setup(test_largest_counters_fit_a_line, set_up),
        cmocka_unit_test_setup(test_reasons_and_counters_of_a_plugin_have_lines_of_their_own, set_up),
    };

    return cmocka_run_group_tests_name("queue_report", tests, NULL, NULL);
}
