/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the channels: what each side may send is taken, anything else is refused with the reason.
 */
#include "unit.h"

#include "base/arith.h"
#include "plugin/plugin_config.h"
#include "process/messages.h"

#include <errno.h>

#define QUEUES 3

static int check(struct process_message message, enum message_sender from)
{
    return process_message_check(&message, sizeof(message), from, QUEUES);
}

static void test_what_is_made_has_the_version_and_the_value(void **state)
{
    struct process_message message = process_message_make(FORKSERVER_FORK, 2);

    (void)state;
    assert_int_equal(message.version, MESSAGE_VERSION);
    assert_int_equal(message.kind, FORKSERVER_FORK);
    assert_int_equal(message.value, 2);
    assert_int_equal(message.slot, 0);
    assert_int_equal(message.uid, 0);
    assert_int_equal(message.skipped, 0);
    assert_int_equal(message.access, 0);
}

/* Every kind from every sender: the one that may send it, and no other. */
static void test_what_each_side_sends_is_taken_and_nothing_else(void **state)
{
    static const struct {
        enum message_kind kind;
        uint32_t value;
        bool from[FROM_BIRTH + 1]; /* the supervisor, the fork server, a birth */
    } cases[] = {
        {FORKSERVER_READY, 0, {false, true, false}},
        {FORKSERVER_FORK, 0, {true, false, false}},
        {FORKSERVER_FORK, QUEUES - 1, {true, false, false}},
        {FORKSERVER_LEAVE, 0, {true, false, false}},
        {FORKSERVER_OPEN, 0, {false, true, false}},
        {FORKSERVER_OPEN, PLUGINS_MAX - 1, {false, true, false}},
        {FORKSERVER_AREA, 0, {false, true, false}},
        {FORKSERVER_AREA, PLUGINS_MAX - 1, {false, true, false}},
        {FORKSERVER_FILE, 0, {true, false, false}},
        {FORKSERVER_FILE, 4095, {true, false, false}},
        {WORKER_NOT_FORKED, EAGAIN, {false, false, true}},
        {WORKER_NOT_FORKED, 4095, {false, false, true}},
        {WORKER_HELLO, 0, {false, false, true}},
        {WORKER_DESCRIPTORS, 0, {true, false, false}},
        {WORKER_DESCRIPTORS, UINT32_MAX, {true, false, false}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (enum message_sender from = FROM_SUPERVISOR; from <= FROM_BIRTH; from++) {
            assert_int_equal(check(process_message_make(cases[i].kind, cases[i].value), from),
                             cases[i].from[from] ? 0 : -EBADMSG);
        }
    }
}

static void test_kinds_that_do_not_exist_are_refused(void **state)
{
    static const uint32_t kinds[] = {0, WORKER_DESCRIPTORS + 1, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct process_message message = process_message_make(FORKSERVER_READY, 0);

        message.kind = kinds[i];
        for (enum message_sender from = FROM_SUPERVISOR; from <= FROM_BIRTH; from++) {
            assert_int_equal(check(message, from), -EBADMSG);
        }
    }
}

static void test_other_lengths_are_refused(void **state)
{
    struct process_message message = process_message_make(FORKSERVER_READY, 0);

    (void)state;
    assert_int_equal(process_message_check(&message, 0, FROM_FORKSERVER, QUEUES), -EMSGSIZE);
    assert_int_equal(process_message_check(&message, sizeof(message) - 1, FROM_FORKSERVER, QUEUES), -EMSGSIZE);
    assert_int_equal(process_message_check(&message, sizeof(message) + 1, FROM_FORKSERVER, QUEUES), -EMSGSIZE);
}

static void test_other_versions_are_refused(void **state)
{
    struct process_message message = process_message_make(FORKSERVER_READY, 0);

    (void)state;
    message.version = MESSAGE_VERSION + 1;
    assert_int_equal(check(message, FROM_FORKSERVER), -EPROTO);
    message.version = MESSAGE_VERSION - 1;
    assert_int_equal(check(message, FROM_FORKSERVER), -EPROTO);
}

static void test_values_out_of_bounds_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check(process_message_make(FORKSERVER_FORK, QUEUES), FROM_SUPERVISOR), -EBADMSG);
    assert_int_equal(check(process_message_make(FORKSERVER_FORK, UINT32_MAX), FROM_SUPERVISOR), -EBADMSG);
    assert_int_equal(check(process_message_make(WORKER_NOT_FORKED, 0), FROM_BIRTH), -EBADMSG);
    assert_int_equal(check(process_message_make(WORKER_NOT_FORKED, 4096), FROM_BIRTH), -EBADMSG);
    assert_int_equal(check(process_message_make(WORKER_NOT_FORKED, UINT32_MAX), FROM_BIRTH), -EBADMSG);
}

static void test_fields_that_a_kind_does_not_have_are_refused(void **state)
{
    struct process_message message = process_message_make(WORKER_HELLO, 0);

    (void)state;
    assert_int_equal(check(process_message_make(FORKSERVER_READY, 1), FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(process_message_make(FORKSERVER_LEAVE, 1), FROM_SUPERVISOR), -EBADMSG);
    assert_int_equal(check(process_message_make(WORKER_HELLO, 1), FROM_BIRTH), -EBADMSG);
    assert_int_equal(check(process_message_make(FORKSERVER_AREA, PLUGINS_MAX), FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(process_message_make(FORKSERVER_OPEN, PLUGINS_MAX), FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(process_message_make(FORKSERVER_FILE, 4096), FROM_SUPERVISOR), -EBADMSG);
    message.access = 1;
    assert_int_equal(check(message, FROM_BIRTH), -EBADMSG);
}

/* What a worker is told with its birth, any value of each; and no other kind has it. */
static void test_a_birth_has_a_slot_a_uid_and_plugins_to_skip(void **state)
{
    static const struct process_message fields[] = {
        {.slot = 1}, {.slot = UINT32_MAX}, {.uid = 1}, {.uid = UINT32_MAX}, {.skipped = 1}, {.skipped = UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        struct process_message message = process_message_make(FORKSERVER_FORK, QUEUES - 1);

        message.slot = fields[i].slot;
        message.uid = fields[i].uid;
        message.skipped = fields[i].skipped;
        assert_int_equal(check(message, FROM_SUPERVISOR), 0);
        message.kind = FORKSERVER_LEAVE;
        message.value = 0;
        assert_int_equal(check(message, FROM_SUPERVISOR), -EBADMSG);
        message.kind = WORKER_HELLO;
        assert_int_equal(check(message, FROM_BIRTH), -EBADMSG);
    }
}

/* The item of its plugin's options that names a file, and how it is opened; nothing else of a birth. */
static void test_a_file_is_asked_for_by_plugin_item_and_access(void **state)
{
    struct process_message message = process_message_make(FORKSERVER_OPEN, PLUGINS_MAX - 1);

    (void)state;
    message.slot = UINT32_MAX;
    assert_int_equal(check(message, FROM_FORKSERVER), 0);
    message.access = PATH_DIRECTORY;
    assert_int_equal(check(message, FROM_FORKSERVER), 0);
    message.access = PATH_DIRECTORY + 1;
    assert_int_equal(check(message, FROM_FORKSERVER), -EBADMSG);
    message.access = PATH_WRITABLE_FILE;
    message.uid = 1;
    assert_int_equal(check(message, FROM_FORKSERVER), -EBADMSG);
    message = process_message_make(FORKSERVER_FILE, 0);
    message.slot = 1;
    assert_int_equal(check(message, FROM_SUPERVISOR), -EBADMSG);
    message = process_message_make(FORKSERVER_FILE, 0);
    message.access = 1;
    assert_int_equal(check(message, FROM_SUPERVISOR), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_made_has_the_version_and_the_value),
        cmocka_unit_test(test_what_each_side_sends_is_taken_and_nothing_else),
        cmocka_unit_test(test_kinds_that_do_not_exist_are_refused),
        cmocka_unit_test(test_other_lengths_are_refused),
        cmocka_unit_test(test_other_versions_are_refused),
        cmocka_unit_test(test_values_out_of_bounds_are_refused),
        cmocka_unit_test(test_fields_that_a_kind_does_not_have_are_refused),
        cmocka_unit_test(test_a_file_is_asked_for_by_plugin_item_and_access),
        cmocka_unit_test(test_a_birth_has_a_slot_a_uid_and_plugins_to_skip),
    };

    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
