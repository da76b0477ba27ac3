/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan_make(): how many bytes are copied, which flags are set and whether there is a flow table, from the needs of the
 * plugins and from the options; and the exact messages where these contradict each other.
 *
 * The expected values follow the help text and the plugin API, not plan.c.
 *
 * Longer than 500 lines: one chain of plugins for all of it.
 */
#include "unit.h"

#include "config/plan.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <string.h>

#define EVERY_FLAG (QUEUE_FAIL_OPEN | QUEUE_CONNTRACK | QUEUE_GSO | QUEUE_UID_GID | QUEUE_SECCTX)
#define NEEDS_WITHOUT_BYTES (NFQE_NEED_CONNTRACK | NFQE_NEED_OWNER | NFQE_NEED_SECCTX | NFQE_NEED_SEGMENTS)

static struct queue_group group;
static struct plan plan;
static struct error error;

static int set_up(void **state)
{
    (void)state;
    memset(&group, 0, sizeof(group));
    memset(&plan, 0xee, sizeof(plan));
    memset(&error, 0, sizeof(error));
    group.max_len = 4321;
    return 0;
}

/* Two plugins, named first and second. */
static int make_plan(uint64_t first_needs, uint32_t first_bytes, uint64_t second_needs, uint32_t second_bytes)
{
    const struct plan_plugin plugins[] = {
        {.id = "first", .path = "./first.so", .needs = first_needs, .header_bytes = first_bytes},
        {.id = "second", .path = "./second.so", .needs = second_needs, .header_bytes = second_bytes},
    };

    return plan_make(&group, plugins, 2, &plan, &error);
}

static void assert_planned(int code)
{
    if (code != 0) {
        fail_msg("refused: %s", error.text);
    }
}

/* The plan is refused with this line, and *plan is unchanged. */
static void assert_refused(int code, const char *line)
{
    struct plan untouched;

    memset(&untouched, 0xee, sizeof(untouched));
    assert_int_equal(code, -EINVAL);
    assert_int_equal(error.code, -EINVAL);
    assert_int_equal(error.exit_code, EXIT_CODE_CONFIGURATION);
    assert_string_equal(error.text, line);
    assert_memory_equal(&plan, &untouched, sizeof(plan));
}

static void assert_copies(uint32_t bytes)
{
    assert_int_equal(plan.settings.copy_range, bytes);
    assert_int_equal(plan.settings.copy_packet, bytes > 0);
}

/* ---- copied bytes ------------------------------------------------------------------------------------- */

static void test_plugins_that_need_no_bytes_get_metadata_only(void **state)
{
    (void)state;
    assert_planned(make_plan(0, 0, 0, 0));
    assert_copies(0);
    assert_planned(make_plan(NEEDS_WITHOUT_BYTES, 128, 0, 64)); /* header_bytes without the need are ignored */
    assert_copies(0);
}

static void test_largest_need_of_the_chain_decides(void **state)
{
    (void)state;
    assert_planned(make_plan(NFQE_NEED_HEADERS, 64, NFQE_NEED_HEADERS, 900));
    assert_copies(900);
    assert_planned(make_plan(NFQE_NEED_HEADERS, 900, NFQE_NEED_HEADERS, 64));
    assert_copies(900);
    assert_planned(make_plan(NFQE_NEED_HEADERS, 64, NFQE_NEED_PAYLOAD, 0));
    assert_copies(65531);
    assert_planned(make_plan(NFQE_NEED_PAYLOAD | NFQE_NEED_HEADERS, 64, 0, 0));
    assert_copies(65531);
}

/* 400 bytes of extension headers do not hide the ports, whatever a plugin says that it reads. */
static void test_where_headers_are_needed_512_bytes_are_copied_at_least(void **state)
{
    (void)state;
    assert_planned(make_plan(0, 0, NFQE_NEED_HEADERS, 1));
    assert_copies(512);
    assert_planned(make_plan(NFQE_NEED_HEADERS, 511, 0, 0));
    assert_copies(512);
    assert_planned(make_plan(NFQE_NEED_HEADERS, 512, NFQE_NEED_HEADERS, 513));
    assert_copies(513);
    assert_planned(make_plan(NFQE_NEED_FLOW, 0, 0, 0));
    assert_copies(512);
    assert_planned(make_plan(NFQE_NEED_FLOW | NFQE_NEED_HEADERS, 513, 0, 0));
    assert_copies(513);
    assert_planned(make_plan(NFQE_NEED_FLOW, 513, 0, 0));
    assert_copies(512);
}

/* The user may say what is enough: as many as the plugins declare, and flows cannot be found with less than 128. */
static void test_user_may_copy_as_few_bytes_as_the_plugins_declare(void **state)
{
    (void)state;
    group.copy_range = 128;
    assert_planned(make_plan(NFQE_NEED_HEADERS, 128, NFQE_NEED_FLOW, 0));
    assert_copies(128);
    assert_planned(make_plan(NFQE_NEED_FLOW | NFQE_NEED_HEADERS, 40, 0, 0));
    assert_copies(128);
    group.copy_range = 127;
    memset(&plan, 0xee, sizeof(plan));
    assert_refused(make_plan(NFQE_NEED_FLOW | NFQE_NEED_HEADERS, 40, 0, 0),
                   "--copy-range 127: plugin first needs 128 bytes; leave the option out or raise it");
}

static void test_user_may_copy_more_than_the_plugins_need(void **state)
{
    (void)state;
    group.copy_range = 300;
    assert_planned(make_plan(NFQE_NEED_HEADERS, 64, 0, 0));
    assert_copies(300);
    assert_planned(make_plan(NFQE_NEED_HEADERS, 300, 0, 0));
    assert_copies(300);
    assert_planned(make_plan(0, 0, 0, 0));
    assert_copies(300);
}

static void test_user_may_not_copy_less_than_a_plugin_needs(void **state)
{
    (void)state;
    group.copy_range = 300;
    assert_refused(make_plan(NFQE_NEED_HEADERS, 64, NFQE_NEED_HEADERS, 301),
                   "--copy-range 300: plugin second needs 301 bytes; leave the option out or raise it");
    assert_refused(make_plan(NFQE_NEED_PAYLOAD, 0, NFQE_NEED_HEADERS, 301),
                   "--copy-range 300: plugin first needs 65531 bytes; leave the option out or raise it");
}

/* ---- flags -------------------------------------------------------------------------------------------- */

static void test_each_switch_sets_its_flag(void **state)
{
    bool *const switches[] = {&group.fail_open, &group.conntrack, &group.uid_gid, &group.secctx};
    static const uint32_t flags[] = {QUEUE_FAIL_OPEN, QUEUE_CONNTRACK, QUEUE_UID_GID, QUEUE_SECCTX};

    (void)state;
    group.gso = GSO_OFF;
    assert_planned(make_plan(0, 0, 0, 0));
    assert_int_equal(plan.settings.flags, 0);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        *switches[i] = true;
        assert_planned(make_plan(0, 0, 0, 0));
        assert_int_equal(plan.settings.flags, flags[i]);
        *switches[i] = false;
    }
}

static void test_each_need_sets_its_flag(void **state)
{
    static const struct {
        uint64_t needs;
        uint32_t flags;
    } cases[] = {
        {NFQE_NEED_CONNTRACK, QUEUE_CONNTRACK},
        {NFQE_NEED_OWNER, QUEUE_UID_GID},
        {NFQE_NEED_SECCTX, QUEUE_SECCTX},
        {NFQE_NEED_HEADERS | NFQE_NEED_PAYLOAD | NFQE_NEED_FLOW, 0},
    };

    (void)state;
    group.gso = GSO_OFF;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_planned(make_plan(cases[i].needs, 64, 0, 0));
        assert_int_equal(plan.settings.flags, cases[i].flags);
        assert_planned(make_plan(0, 0, cases[i].needs, 64));
        assert_int_equal(plan.settings.flags, cases[i].flags);
    }
}

static void test_packets_come_whole_unless_the_user_or_a_plugin_says_no(void **state)
{
    static const struct {
        enum gso_setting gso;
        uint64_t needs;
        uint32_t flags;
        uint32_t optional;
    } cases[] = {
        {GSO_AUTO, 0, QUEUE_GSO, QUEUE_GSO},
        {GSO_AUTO, NFQE_NEED_HEADERS, QUEUE_GSO, QUEUE_GSO},
        {GSO_AUTO, NFQE_NEED_SEGMENTS, 0, QUEUE_GSO},
        {GSO_AUTO, NFQE_NEED_MODIFY, 0, QUEUE_GSO},
        {GSO_AUTO, NFQE_NEED_PAYLOAD, 0, QUEUE_GSO}, /* more than is copied may be in one that comes whole */
        {GSO_ON, 0, QUEUE_GSO, 0},
        {GSO_ON, NFQE_NEED_PAYLOAD, QUEUE_GSO, 0},
        {GSO_OFF, 0, 0, 0},
        {GSO_OFF, NFQE_NEED_SEGMENTS, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        group.gso = cases[i].gso;
        assert_planned(make_plan(0, 0, cases[i].needs, 0));
        assert_int_equal(plan.settings.flags, cases[i].flags);
        assert_int_equal(plan.optional_flags, cases[i].optional);
    }
    group.gso = GSO_ON;
    assert_refused((memset(&plan, 0xee, sizeof(plan)), make_plan(0, 0, NFQE_NEED_SEGMENTS, 0)),
                   "--gso on: plugin second needs packets one by one, as they are on the wire; leave the option out");
    assert_refused(make_plan(NFQE_NEED_MODIFY, 0, 0, 0),
                   "--gso on: plugin first needs packets one by one, as they are on the wire; leave the option out");
}

static void test_flags_have_names(void **state)
{
    char names[QUEUE_FLAG_NAMES_MAX];

    (void)state;
    assert_string_equal(queue_flag_names(0, names), "none");
    assert_string_equal(queue_flag_names(QUEUE_GSO, names), "gso");
    assert_string_equal(queue_flag_names(QUEUE_GSO | QUEUE_UID_GID, names), "gso,uid-gid");
    assert_string_equal(queue_flag_names(EVERY_FLAG, names), "fail-open,conntrack,gso,uid-gid,secctx");
    assert_string_equal(queue_flag_names(~EVERY_FLAG, names), "none");
}

/* ---- flow table --------------------------------------------------------------------------------------- */

static void test_chain_that_decides_for_flows_gets_a_table(void **state)
{
    (void)state;
    assert_planned(make_plan(0, 0, NFQE_NEED_FLOW, 0));
    assert_int_equal(plan.flows, 65536);
    assert_int_equal(plan.flow_timeout_ms, 300000);
    group.flow_table = 1;
    group.flow_timeout_ms = 1000;
    group.bypass_mark = (struct mark_setting){1, 1};
    assert_planned(make_plan(NFQE_NEED_FLOW, 0, 0, 0));
    assert_int_equal(plan.flows, 1);
    assert_int_equal(plan.flow_timeout_ms, 1000);
}

static void test_chain_that_does_not_decide_for_flows_gets_none(void **state)
{
    (void)state;
    assert_planned(make_plan(NEEDS_WITHOUT_BYTES | NFQE_NEED_HEADERS | NFQE_NEED_PAYLOAD, 64, 0, 0));
    assert_int_equal(plan.flows, 0);
}

#define USELESS ": no plugin of the chain decides for flows (NFQE_NEED_FLOW); leave the option out"

static void test_options_for_flows_are_refused_where_no_plugin_decides_for_flows(void **state)
{
    (void)state;
    group.bypass_mark = (struct mark_setting){1, 1};
    assert_refused(make_plan(NFQE_NEED_PAYLOAD, 0, 0, 0), "--bypass-mark" USELESS);
    group.flow_timeout_ms = 1000;
    assert_refused(make_plan(0, 0, 0, 0), "--flow-timeout" USELESS);
    group.flow_table = 1;
    assert_refused(make_plan(0, 0, 0, 0), "--flow-table" USELESS);
}

/* ---- what plugins use --------------------------------------------------------------------------------- */

/* The first plugin needs something, the second one uses something. */
static int make_plan_with_uses(uint64_t needs, uint64_t uses, uint32_t header_bytes)
{
    const struct plan_plugin plugins[] = {
        {.id = "first", .path = "./first.so", .needs = needs, .header_bytes = 64},
        {.id = "second", .path = "./second.so", .uses = uses, .header_bytes = header_bytes},
    };

    return plan_make(&group, plugins, 2, &plan, &error);
}

static void test_bytes_that_are_used_are_copied_unless_the_user_says_less(void **state)
{
    (void)state;
    assert_planned(make_plan_with_uses(NFQE_NEED_HEADERS, NFQE_NEED_HEADERS, 900));
    assert_copies(900);
    assert_planned(make_plan_with_uses(NFQE_NEED_METADATA, NFQE_NEED_HEADERS, 64));
    assert_copies(512);
    assert_planned(make_plan_with_uses(0, NFQE_NEED_PAYLOAD, 64));
    assert_copies(65531);
    group.copy_range = 100;
    assert_planned(make_plan_with_uses(NFQE_NEED_HEADERS, NFQE_NEED_HEADERS | NFQE_NEED_FLOW | NFQE_NEED_PAYLOAD, 900));
    assert_copies(100);
}

static void test_flags_that_are_used_are_left_out_on_a_kernel_without_them(void **state)
{
    const uint32_t flags = QUEUE_CONNTRACK | QUEUE_UID_GID | QUEUE_SECCTX;
    const uint64_t uses = NFQE_NEED_CONNTRACK | NFQE_NEED_OWNER | NFQE_NEED_SECCTX;

    (void)state;
    group.gso = GSO_OFF;
    assert_planned(make_plan_with_uses(0, uses, 0));
    assert_int_equal(plan.settings.flags, flags);
    assert_int_equal(plan.optional_flags, flags);
    assert_planned(make_plan_with_uses(NFQE_NEED_OWNER, uses, 0)); /* needed by another plugin */
    assert_int_equal(plan.settings.flags, flags);
    assert_int_equal(plan.optional_flags, QUEUE_CONNTRACK | QUEUE_SECCTX);
    group.secctx = true; /* the user's wish */
    assert_planned(make_plan_with_uses(NFQE_NEED_OWNER, uses, 0));
    assert_int_equal(plan.settings.flags, flags);
    assert_int_equal(plan.optional_flags, QUEUE_CONNTRACK);
}

static void test_segments_that_are_used_come_one_by_one_unless_the_user_says_whole(void **state)
{
    (void)state;
    assert_planned(make_plan_with_uses(NFQE_NEED_HEADERS, NFQE_NEED_SEGMENTS, 0));
    assert_int_equal(plan.settings.flags, 0);
    group.gso = GSO_ON;
    assert_planned(make_plan_with_uses(NFQE_NEED_HEADERS, NFQE_NEED_SEGMENTS, 0));
    assert_int_equal(plan.settings.flags, QUEUE_GSO);
}

static void test_chain_that_uses_flow_verdicts_gets_a_table(void **state)
{
    (void)state;
    assert_planned(make_plan_with_uses(0, NFQE_NEED_FLOW, 0));
    assert_int_equal(plan.flows, 65536);
    assert_copies(512);
    assert_null(plan_who_needs(&plan, NFQE_NEED_FLOW));
}

/* ---- the count of repeats --------------------------------------------------------------------------------- */

static void test_count_of_repeats_has_bits_of_the_mark_if_a_plugin_may_repeat(void **state)
{
    (void)state;
    assert_planned(make_plan(NFQE_NEED_HEADERS, 64, NFQE_NEED_REQUEUE, 0));
    assert_int_equal(plan.repeat_mask, 0x70000000);
    group.repeat_mask = 0x38;
    assert_planned(make_plan(NFQE_NEED_REQUEUE, 0, 0, 0));
    assert_int_equal(plan.repeat_mask, 0x38);
    assert_planned(make_plan_with_uses(NFQE_NEED_HEADERS, NFQE_NEED_REQUEUE, 0));
    assert_int_equal(plan.repeat_mask, 0x38);
    group.repeat_mask = 0;
    assert_planned(make_plan(NFQE_NEED_HEADERS, 64, 0, 0));
    assert_int_equal(plan.repeat_mask, 0);
}

static void test_bits_of_the_mark_are_used_once(void **state)
{
    (void)state;
    group.bypass_mark = (struct mark_setting){0x10000000, 0x10000000};
    assert_refused(make_plan(NFQE_NEED_REQUEUE | NFQE_NEED_FLOW, 0, 0, 0),
                   "--repeat-mark 0x70000000: has bits of --bypass-mark; name others");
    group.repeat_mask = 0x7;
    assert_refused(make_plan(NFQE_NEED_FLOW, 0, 0, 0),
                   "--repeat-mark: no plugin of the chain has the rules run again (NFQE_NEED_REQUEUE); leave the "
                   "option out");
    assert_planned(make_plan(NFQE_NEED_REQUEUE | NFQE_NEED_FLOW, 0, 0, 0));
    assert_int_equal(plan.repeat_mask, 0x7);
}

/* They are not taken from the bits that the user gave to something else, nor is another field chosen unseen. */
static void test_use_of_repeats_is_withheld_where_the_bypass_mark_has_the_default_bits(void **state)
{
    const uint64_t uses = NFQE_NEED_REQUEUE | NFQE_NEED_OWNER;

    (void)state;
    group.bypass_mark = (struct mark_setting){0x10000000, 0x10000000};
    assert_planned(make_plan_with_uses(NFQE_NEED_FLOW, uses, 0));
    assert_int_equal(plan.repeat_mask, 0);
    assert_int_equal(plan.plugins[1].uses, NFQE_NEED_OWNER);
    memset(&plan, 0xee, sizeof(plan));
    assert_refused(make_plan_with_uses(NFQE_NEED_FLOW | NFQE_NEED_REQUEUE, uses, 0), /* needed by another plugin */
                   "--repeat-mark 0x70000000: has bits of --bypass-mark; name others");
    group.repeat_mask = 0x7;
    assert_planned(make_plan_with_uses(NFQE_NEED_FLOW, uses, 0));
    assert_int_equal(plan.repeat_mask, 0x7);
    assert_int_equal(plan.plugins[1].uses, uses);
    memset(&plan, 0xee, sizeof(plan));
    group.repeat_mask = 0x70000000; /* the user's own contradiction */
    assert_refused(make_plan_with_uses(NFQE_NEED_FLOW, uses, 0),
                   "--repeat-mark 0x70000000: has bits of --bypass-mark; name others");
}

/* ---- answers to senders ----------------------------------------------------------------------------------- */

static void test_answers_get_headers_and_the_connection_where_the_kernel_has_it(void **state)
{
    (void)state;
    assert_planned(make_plan(NFQE_NEED_OWNER, 0, NFQE_NEED_INJECT, 0));
    assert_true(plan.rejects);
    assert_int_equal(plan.reject_rate, 1000);
    assert_copies(512);
    assert_int_equal(plan.settings.flags & QUEUE_CONNTRACK, QUEUE_CONNTRACK);
    assert_int_equal(plan.optional_flags & QUEUE_CONNTRACK, QUEUE_CONNTRACK);
    assert_planned(make_plan(NFQE_NEED_CONNTRACK, 0, NFQE_NEED_INJECT, 0)); /* who needs it is refused without it */
    assert_int_equal(plan.settings.flags & QUEUE_CONNTRACK, QUEUE_CONNTRACK);
    assert_int_equal(plan.optional_flags & QUEUE_CONNTRACK, 0);
    group.conntrack = true; /* so is a user who asks for it */
    assert_planned(make_plan(NFQE_NEED_INJECT, 0, 0, 0));
    assert_int_equal(plan.optional_flags & QUEUE_CONNTRACK, 0);
    group.conntrack = false;
    group.reject_rate = 7;
    assert_planned(make_plan_with_uses(NFQE_NEED_HEADERS, NFQE_NEED_INJECT, 0));
    assert_true(plan.rejects);
    assert_int_equal(plan.reject_rate, 7);
    memset(&plan, 0xee, sizeof(plan));
    assert_refused(make_plan(NFQE_NEED_FLOW, 0, 0, 0),
                   "--reject-rate: no plugin of the chain tells senders that their packets are dropped "
                   "(NFQE_NEED_INJECT); leave the option out");
    group.reject_mark = (struct mark_setting){0x30000000, 0x30000000};
    assert_planned(make_plan(NFQE_NEED_INJECT, 0, 0, 0));
    memset(&plan, 0xee, sizeof(plan));
    assert_refused(make_plan(NFQE_NEED_FLOW, 0, 0, 0),
                   "--reject-mark: no plugin of the chain tells senders that their packets are dropped "
                   "(NFQE_NEED_INJECT); leave the option out");
    assert_refused(make_plan(NFQE_NEED_INJECT, 0, NFQE_NEED_REQUEUE, 0),
                   "--reject-mark 0x30000000/0x30000000: has bits of --bypass-mark or --repeat-mark; name others");
    group.bypass_mark = (struct mark_setting){0x10000000, 0x10000000};
    assert_refused(make_plan(NFQE_NEED_INJECT | NFQE_NEED_FLOW, 0, 0, 0),
                   "--reject-mark 0x30000000/0x30000000: has bits of --bypass-mark or --repeat-mark; name others");
    group.reject_mark = (struct mark_setting){0};
    group.reject_by_rule = (struct mark_setting){0x10000000, 0x10000000};
    assert_refused(make_plan(NFQE_NEED_INJECT | NFQE_NEED_FLOW, 0, 0, 0),
                   "--reject-by-rule 0x10000000/0x10000000: has bits of --bypass-mark or --repeat-mark; name others");
    group.bypass_mark = (struct mark_setting){0};
    assert_refused(make_plan(NFQE_NEED_FLOW, 0, 0, 0),
                   "--reject-by-rule: no plugin of the chain tells senders that their packets are dropped "
                   "(NFQE_NEED_INJECT); leave the option out");
    assert_planned(make_plan(NFQE_NEED_INJECT, 0, 0, 0));
    assert_int_equal(plan.settings.flags & QUEUE_CONNTRACK, 0); /* the kernel knows the connection itself */
    group.reject_by_rule = (struct mark_setting){0};
    group.bypass_mark = group.reject_mark = (struct mark_setting){0};
    group.reject_rate = 0;
    assert_planned(make_plan(NFQE_NEED_FLOW, 0, 0, 0));
    assert_false(plan.rejects);
    assert_int_equal(plan.settings.flags & QUEUE_CONNTRACK, 0);
}

/* ---- the rest ----------------------------------------------------------------------------------------- */

static void test_plan_keeps_what_it_does_not_decide(void **state)
{
    (void)state;
    group.receive_buffer = 777777;
    assert_planned(make_plan(NFQE_NEED_HEADERS, 64, NFQE_NEED_OWNER, 0));
    assert_int_equal(plan.settings.max_len, 4321);
    assert_int_equal(plan.receive_buffer, 777777);
    assert_false(plan.no_enobufs);
    assert_int_equal(plan.plugin_count, 2);
    assert_string_equal(plan.plugins[0].path, "./first.so");
    assert_string_equal(plan.plugins[1].id, "second");
    assert_int_equal(plan.plugins[1].needs, NFQE_NEED_OWNER);
    group.no_enobufs = true;
    group.receive_buffer = 0;
    assert_planned(make_plan(0, 0, 0, 0));
    assert_true(plan.no_enobufs);
    assert_int_equal(plan.receive_buffer, 0);
}

static void test_first_plugin_with_a_need_is_named(void **state)
{
    (void)state;
    assert_planned(make_plan(NFQE_NEED_OWNER, 0, NFQE_NEED_OWNER | NFQE_NEED_SECCTX, 0));
    assert_ptr_equal(plan_who_needs(&plan, NFQE_NEED_OWNER), &plan.plugins[0]);
    assert_ptr_equal(plan_who_needs(&plan, NFQE_NEED_SECCTX), &plan.plugins[1]);
    assert_null(plan_who_needs(&plan, NFQE_NEED_CONNTRACK));
    assert_null(plan_who_needs(&plan, 0));
}

static void test_whole_chain_is_looked_at(void **state)
{
    struct plan_plugin plugins[PLUGINS_MAX];

    (void)state;
    for (unsigned i = 0; i < PLUGINS_MAX; i++) {
        plugins[i] = (struct plan_plugin){.id = "x", .path = "x"};
    }
    plugins[PLUGINS_MAX - 1].needs = NFQE_NEED_HEADERS | NFQE_NEED_OWNER;
    plugins[PLUGINS_MAX - 1].header_bytes = 999;
    assert_planned(plan_make(&group, plugins, PLUGINS_MAX, &plan, &error));
    assert_copies(999);
    assert_int_equal(plan.settings.flags, QUEUE_GSO | QUEUE_UID_GID);
}

static void test_plugin_that_changes_packets_gets_them_whole(void **state)
{
    (void)state;
    assert_planned(make_plan(NFQE_NEED_HEADERS, 128, NFQE_NEED_PAYLOAD, 0));
    assert_false(plan.changes);
    assert_planned(make_plan(NFQE_NEED_HEADERS, 128, NFQE_NEED_MODIFY, 0));
    assert_true(plan.changes);
    assert_true(plan.settings.copy_packet);
    assert_int_equal(plan.settings.copy_range, COPY_RANGE_MAX);
    assert_planned(make_plan_with_uses(NFQE_NEED_HEADERS, NFQE_NEED_MODIFY, 0));
    assert_true(plan.changes);
    assert_int_equal(plan.settings.copy_range, COPY_RANGE_MAX);
    group.copy_range = 1500;
    assert_planned(make_plan_with_uses(NFQE_NEED_HEADERS, NFQE_NEED_MODIFY, 0));
    assert_int_equal(plan.settings.copy_range, 1500);
    memset(&plan, 0xee, sizeof(plan));
    assert_refused(make_plan(NFQE_NEED_MODIFY, 0, 0, 0),
                   "--copy-range 1500: plugin first needs 65531 bytes; leave the option out or raise it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plugins_that_need_no_bytes_get_metadata_only, set_up),
        cmocka_unit_test_setup(test_largest_need_of_the_chain_decides, set_up),
        cmocka_unit_test_setup(test_where_headers_are_needed_512_bytes_are_copied_at_least, set_up),
        cmocka_unit_test_setup(test_user_may_copy_as_few_bytes_as_the_plugins_declare, set_up),
        cmocka_unit_test_setup(test_user_may_copy_more_than_the_plugins_need, set_up),
        cmocka_unit_test_setup(test_user_may_not_copy_less_than_a_plugin_needs, set_up),
        cmocka_unit_test_setup(test_each_switch_sets_its_flag, set_up),
        cmocka_unit_test_setup(test_each_need_sets_its_flag, set_up),
        cmocka_unit_test_setup(test_packets_come_whole_unless_the_user_or_a_plugin_says_no, set_up),
        cmocka_unit_test(test_flags_have_names),
        cmocka_unit_test_setup(test_chain_that_decides_for_flows_gets_a_table, set_up),
        cmocka_unit_test_setup(test_chain_that_does_not_decide_for_flows_gets_none, set_up),
        cmocka_unit_test_setup(test_options_for_flows_are_refused_where_no_plugin_decides_for_flows, set_up),
        cmocka_unit_test_setup(test_bytes_that_are_used_are_copied_unless_the_user_says_less, set_up),
        cmocka_unit_test_setup(test_flags_that_are_used_are_left_out_on_a_kernel_without_them, set_up),
        cmocka_unit_test_setup(test_segments_that_are_used_come_one_by_one_unless_the_user_says_whole, set_up),
        cmocka_unit_test_setup(test_chain_that_uses_flow_verdicts_gets_a_table, set_up),
        cmocka_unit_test_setup(test_count_of_repeats_has_bits_of_the_mark_if_a_plugin_may_repeat, set_up),
        cmocka_unit_test_setup(test_bits_of_the_mark_are_used_once, set_up),
        cmocka_unit_test_setup(test_use_of_repeats_is_withheld_where_the_bypass_mark_has_the_default_bits, set_up),
        cmocka_unit_test_setup(test_answers_get_headers_and_the_connection_where_the_kernel_has_it, set_up),
        cmocka_unit_test_setup(test_plan_keeps_what_it_does_not_decide, set_up),
        cmocka_unit_test_setup(test_first_plugin_with_a_need_is_named, set_up),
        cmocka_unit_test_setup(test_whole_chain_is_looked_at, set_up),
        cmocka_unit_test_setup(test_plugin_that_changes_packets_gets_them_whole, set_up),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
