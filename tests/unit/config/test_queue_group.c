/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue_group_new(): a group has every option that concerns it, also after the options are freed, and assigns the
 * CPUs to its queues in turn. Each option has a different value here, so a field that is copied from another one is
 * noticed.
 */
#include "unit.h"

#include "config/command_line.h"
#include "config/queue_group.h"

#include <nfqe/plugin.h>

#include <stdlib.h>
#include <string.h>

static const struct queue_group *group;
static struct options options;
static const char *plugin_directory;

/* Makes the group from a command line, and frees the options. */
static void make_group(int argc, const char *const *arguments)
{
    char *argv[40];
    struct error error;

    assert_in_range(argc, 1, 38);
    argv[0] = strdup("nfq-engine");
    for (int i = 0; i < argc; i++) {
        argv[i + 1] = strdup(arguments[i]);
    }
    assert_int_equal(command_line_parse(&options, argc + 1, argv, &error), 0);
    options.plugin_directory = plugin_directory;
    assert_int_equal(queue_group_new(&options, &group, &error), 0);
    memset(options.text, 'x', strlen(options.text));
    options_done(&options);
    memset(&options, 0xee, sizeof(options));
    for (int i = 0; i <= argc; i++) {
        free(argv[i]);
    }
}

#define MAKE(...)                                                                                                      \
    make_group(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), (const char *const[]){__VA_ARGS__})

static int tear_down(void **state)
{
    (void)state;
    queue_group_free(group);
    group = NULL;
    plugin_directory = NULL;
    return 0;
}

static void test_group_has_the_policy_of_the_options(void **state)
{
    (void)state;
    MAKE("--plugin=x.so", "--queue=1", "--default-verdict=drop", "--on-crash=accept", "--on-stop=accept",
         "--bypass-mark=0x10/0x30", "--repeat-mark=0x700", "--reject-rate=77", "--reject-mark=0x8/0xc");
    assert_int_equal(group->default_verdict, NFQE_DROP);
    assert_int_equal(group->on_crash, NFQE_ACCEPT);
    assert_int_equal(group->on_stop, NFQE_ACCEPT);
    assert_int_equal(group->bypass_mark.bits, 0x10);
    assert_int_equal(group->bypass_mark.mask, 0x30);
    assert_int_equal(group->repeat_mask, 0x700);
    assert_int_equal(group->reject_rate, 77);
    assert_int_equal(group->reject_mark.bits, 0x8);
    assert_int_equal(group->reject_mark.mask, 0xc);
    tear_down(NULL);
    MAKE("--plugin=x.so", "--queue=1", "--reject-by-rule=0x8/0xc");
    assert_int_equal(group->reject_by_rule.bits, 0x8);
    assert_int_equal(group->reject_by_rule.mask, 0xc);
    tear_down(NULL);
    MAKE("--plugin=x.so", "--queue=1", "--on-stop=accept");
    assert_int_equal(group->default_verdict, NFQE_ACCEPT);
    assert_int_equal(group->on_crash, NFQE_DROP);
    assert_int_equal(group->on_stop, NFQE_ACCEPT);
    assert_int_equal(group->bypass_mark.mask, 0);
    tear_down(NULL);
    MAKE("--plugin=x.so", "--queue=1", "--on-crash=accept");
    assert_int_equal(group->on_crash, NFQE_ACCEPT);
    assert_int_equal(group->on_stop, NFQE_DROP);
}

static void test_group_has_the_limits_of_the_options(void **state)
{
    (void)state;
    MAKE("--plugin=x.so", "--queue=1", "--max-len=77", "--copy-range=99", "--receive-buffer=1G", "--flow-table=55",
         "--flow-timeout=3s", "--drain-timeout=4s", "--load-timeout=6s", "--handle-timeout=7s");
    assert_int_equal(group->max_len, 77);
    assert_int_equal(group->copy_range, 99);
    assert_int_equal(group->receive_buffer, 1073741824);
    assert_int_equal(group->flow_table, 55);
    assert_int_equal(group->flow_timeout_ms, 3000);
    assert_int_equal(group->drain_timeout_ms, 4000);
    assert_int_equal(group->load_timeout_ms, 6000);
    assert_int_equal(group->handle_timeout_ms, 7000);
}

static void test_group_has_what_is_done_about_crashes(void **state)
{
    (void)state;
    MAKE("--plugin=x.so", "--queue=1", "--crash-limit=7/3s", "--on-crash-limit=stop", "--outage-timeout=5s",
         "--on-outage=accept", "--outage-retry=4s");
    assert_int_equal(group->crash_limit.count, 7);
    assert_int_equal(group->crash_limit.window_ms, 3000);
    assert_int_equal(group->on_crash_limit, CRASH_LIMIT_STOP);
    assert_int_equal(group->outage_timeout_ms, 5000);
    assert_int_equal(group->on_outage, OUTAGE_ACCEPT);
    assert_int_equal(group->outage_retry_ms, 4000);
    tear_down(NULL);
    MAKE("--plugin=x.so", "--queue=1");
    assert_int_equal(group->crash_limit.count, 20);
    assert_int_equal(group->crash_limit.window_ms, 60000);
    assert_int_equal(group->on_crash_limit, CRASH_LIMIT_OUTAGE);
    assert_int_equal(group->outage_timeout_ms, 2000);
    assert_int_equal(group->on_outage, OUTAGE_DROP);
    assert_int_equal(group->outage_retry_ms, 10000);
}

/* One switch at a time, so that a mix-up of two is noticed. */
static void test_group_has_the_switches_of_the_options(void **state)
{
    static const char *const switches[] = {"--fail-open", "--conntrack", "--uid-gid", "--secctx", "--no-enobufs=off"};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        MAKE("--plugin=x.so", "--queue=1", switches[i], i == 1 ? "--gso=on" : "--gso=off");
        assert_int_equal(group->fail_open, i == 0);
        assert_int_equal(group->conntrack, i == 1);
        assert_int_equal(group->uid_gid, i == 2);
        assert_int_equal(group->secctx, i == 3);
        assert_int_equal(group->no_enobufs, i != 4);
        assert_int_equal(group->gso, i == 1 ? GSO_ON : GSO_OFF);
        tear_down(NULL);
    }
}

static void test_what_was_not_given_is_left_to_the_plan(void **state)
{
    (void)state;
    MAKE("--plugin=x.so", "--queue=1");
    assert_int_equal(group->copy_range, 0);
    assert_int_equal(group->receive_buffer, 0);
    assert_int_equal(group->flow_table, 0);
    assert_int_equal(group->flow_timeout_ms, 0);
    assert_int_equal(group->gso, GSO_AUTO);
}

static void test_group_keeps_its_plugins_when_the_options_are_gone(void **state)
{
    (void)state;
    MAKE("--plugin=first.so", "--queue=1", "--plugin=b,k=v,l=w", "--plugin=./c.so,@name=c-1", "--plugin=d,,d,m=");
    assert_int_equal(group->plugin_count, 4);
    assert_string_equal(group->plugins[0].path, "first.so");
    assert_null(group->plugins[0].values);
    assert_string_equal(group->plugins[1].path, "b");
    assert_string_equal(group->plugins[1].values, "k=v,l=w");
    assert_string_equal(group->plugins[2].path, "./c.so");
    assert_string_equal(group->plugins[2].name, "c-1");
    assert_null(group->plugins[2].values);
    assert_null(group->plugins[3].name);
    assert_string_equal(group->plugins[3].path, "d,d");
    assert_string_equal(group->plugins[3].values, "m=");
}

/* A file is named with its suffix, or with a slash. */
static void test_name_alone_is_that_of_an_installed_plugin(void **state)
{
    static const char *const files[] = {"x.so", "./x", "a/b", "/x", ".so"};

    (void)state;
    plugin_directory = "/usr/lib/plugins";
    MAKE("--plugin=drop_tcp80", "--queue=1", "--plugin=b,k=v", "--plugin=so", "--plugin=x.so.1");
    assert_string_equal(group->plugins[0].path, "/usr/lib/plugins/drop_tcp80.so");
    assert_null(group->plugins[0].values);
    assert_string_equal(group->plugins[1].path, "/usr/lib/plugins/b.so");
    assert_string_equal(group->plugins[1].values, "k=v");
    assert_string_equal(group->plugins[2].path, "/usr/lib/plugins/so.so");
    assert_string_equal(group->plugins[3].path, "/usr/lib/plugins/x.so.1.so");
    tear_down(NULL);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char argument[32] = "--plugin=";

        plugin_directory = "/usr/lib/plugins";
        strcat(argument, files[i]);
        MAKE(argument, "--queue=1");
        assert_string_equal(group->plugins[0].path, files[i]);
        tear_down(NULL);
    }
}

static void test_queues_keep_their_order(void **state)
{
    (void)state;
    MAKE("--plugin=x.so", "--queue=9", "--queue=65534-65535", "--queue=0");
    assert_int_equal(group->queue_count, 4);
    assert_int_equal(group->queues[0], 9);
    assert_int_equal(group->queues[1], 65534);
    assert_int_equal(group->queues[2], 65535);
    assert_int_equal(group->queues[3], 0);
}

static void test_workers_get_the_cpus_in_turn(void **state)
{
    static const int expected[] = {5, 2, 1023, 5, 2, 1023, 5};

    (void)state;
    MAKE("--plugin=x.so", "--queue=0-6", "--cpu=5,2,1023");
    assert_int_equal(group->cpu_count, 3);
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(queue_group_cpu(group, i, 0), expected[i]);
    }
    tear_down(NULL);
    MAKE("--plugin=x.so", "--queue=0-6", "--cpu=0");
    assert_int_equal(queue_group_cpu(group, 3, 0), 0);
}

/* No CPU has two workers before each has one. */
static void test_workers_of_a_queue_get_the_cpus_before_those_of_the_next(void **state)
{
    static const int expected[][3] = {{4, 5, 6}, {7, 8, 4}, {5, 6, 7}};

    (void)state;
    MAKE("--plugin=x.so", "--queue=0-2", "--cpu=4-8", "--workers=3");
    for (unsigned queue = 0; queue < 3; queue++) {
        for (unsigned worker = 0; worker < 3; worker++) {
            assert_int_equal(queue_group_cpu(group, queue, worker), expected[queue][worker]);
        }
    }
}

static void test_group_has_the_workers_of_the_options(void **state)
{
    (void)state;
    MAKE("--plugin=x.so", "--queue=1", "--workers=3", "--spares=5", "--priority=realtime", "--worker-uids=5000-5999",
         "--core-dumps", "--plugin-log=debug");
    assert_int_equal(group->workers, 3);
    assert_int_equal(group->spares, 5);
    assert_int_equal(group->priority, PRIORITY_REALTIME);
    assert_true(group->core_dumps);
    assert_int_equal(group->plugin_log, NFQE_LOG_DEBUG);
    assert_int_equal(group->worker_uids.first, 5000);
    assert_int_equal(group->worker_uids.last, 5999);
    assert_true(group->worker_uids_given);
    tear_down(NULL);
    MAKE("--plugin=x.so", "--queue=1", "--worker-uids=off");
    assert_int_equal(group->worker_uids.first, 0);
    assert_true(group->worker_uids_given);
    tear_down(NULL);
    MAKE("--plugin=x.so", "--queue=1");
    assert_int_equal(group->workers, 1);
    assert_int_equal(group->spares, 1);
    assert_int_equal(group->priority, PRIORITY_NORMAL);
    assert_false(group->core_dumps);
    assert_int_equal(group->plugin_log, NFQE_LOG_INFO);
    assert_int_equal(group->worker_uids.first, 70000);
    assert_int_equal(group->worker_uids.last, 94999);
    assert_false(group->worker_uids_given);
}

static void test_workers_get_any_cpu_if_none_is_named(void **state)
{
    (void)state;
    MAKE("--plugin=x.so", "--queue=0-1");
    assert_int_equal(queue_group_cpu(group, 0, 0), QUEUE_GROUP_NO_CPU);
    assert_int_equal(queue_group_cpu(group, 1, 0), QUEUE_GROUP_NO_CPU);
}

static void test_free_takes_what_was_never_made(void **state)
{
    (void)state;
    queue_group_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_group_has_the_policy_of_the_options, tear_down),
        cmocka_unit_test_teardown(test_group_has_the_limits_of_the_options, tear_down),
        cmocka_unit_test_teardown(test_group_has_what_is_done_about_crashes, tear_down),
        cmocka_unit_test_teardown(test_group_has_the_switches_of_the_options, tear_down),
        cmocka_unit_test_teardown(test_what_was_not_given_is_left_to_the_plan, tear_down),
        cmocka_unit_test_teardown(test_group_keeps_its_plugins_when_the_options_are_gone, tear_down),
        cmocka_unit_test_teardown(test_name_alone_is_that_of_an_installed_plugin, tear_down),
        cmocka_unit_test_teardown(test_queues_keep_their_order, tear_down),
        cmocka_unit_test_teardown(test_workers_get_the_cpus_in_turn, tear_down),
        cmocka_unit_test_teardown(test_workers_of_a_queue_get_the_cpus_before_those_of_the_next, tear_down),
        cmocka_unit_test_teardown(test_group_has_the_workers_of_the_options, tear_down),
        cmocka_unit_test_teardown(test_workers_get_any_cpu_if_none_is_named, tear_down),
        cmocka_unit_test(test_free_takes_what_was_never_made),
    };

    return cmocka_run_group_tests_name("queue_group", tests, NULL, NULL);
}
