/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the fork server's channel: what each side may send is taken, anything else is refused with the reason.
 */
#include "unit.h"

#include "process/messages.h"

#include <errno.h>

#define QUEUES 3

static int check(struct forkserver_message message, enum forkserver_message_sender from)
{
    return forkserver_message_check(&message, sizeof(message), from, QUEUES);
}

static void test_what_is_made_has_the_version_and_the_fields(void **state)
{
    struct forkserver_message message = forkserver_message_make(FORKSERVER_FORKED, 2, -EAGAIN);

    (void)state;
    assert_int_equal(message.version, FORKSERVER_MESSAGE_VERSION);
    assert_int_equal(message.kind, FORKSERVER_FORKED);
    assert_int_equal(message.queue, 2);
    assert_int_equal(message.pid, -EAGAIN);
}

static void test_what_each_side_sends_is_taken(void **state)
{
    (void)state;
    assert_int_equal(check(forkserver_message_make(FORKSERVER_READY, 0, 0), FROM_FORKSERVER), 0);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORKED, 0, 4711), FROM_FORKSERVER), 0);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORKED, QUEUES - 1, -ENOMEM), FROM_FORKSERVER), 0);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORK, 0, 0), FROM_SUPERVISOR), 0);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORK, QUEUES - 1, 0), FROM_SUPERVISOR), 0);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_LEAVE, 0, 0), FROM_SUPERVISOR), 0);
}

static void test_what_the_other_side_sends_is_refused(void **state)
{
    (void)state;
    assert_int_equal(check(forkserver_message_make(FORKSERVER_READY, 0, 0), FROM_SUPERVISOR), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORKED, 0, 4711), FROM_SUPERVISOR), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORK, 0, 0), FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_LEAVE, 0, 0), FROM_FORKSERVER), -EBADMSG);
}

static void test_kinds_that_do_not_exist_are_refused(void **state)
{
    struct forkserver_message message = forkserver_message_make(FORKSERVER_READY, 0, 0);

    (void)state;
    message.kind = 0;
    assert_int_equal(check(message, FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(message, FROM_SUPERVISOR), -EBADMSG);
    message.kind = FORKSERVER_LEAVE + 1;
    assert_int_equal(check(message, FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(message, FROM_SUPERVISOR), -EBADMSG);
    message.kind = UINT32_MAX;
    assert_int_equal(check(message, FROM_FORKSERVER), -EBADMSG);
}

static void test_other_lengths_are_refused(void **state)
{
    struct forkserver_message message = forkserver_message_make(FORKSERVER_READY, 0, 0);

    (void)state;
    assert_int_equal(forkserver_message_check(&message, 0, FROM_FORKSERVER, QUEUES), -EMSGSIZE);
    assert_int_equal(forkserver_message_check(&message, sizeof(message) - 1, FROM_FORKSERVER, QUEUES), -EMSGSIZE);
    assert_int_equal(forkserver_message_check(&message, sizeof(message) + 1, FROM_FORKSERVER, QUEUES), -EMSGSIZE);
}

static void test_other_versions_are_refused(void **state)
{
    struct forkserver_message message = forkserver_message_make(FORKSERVER_READY, 0, 0);

    (void)state;
    message.version = FORKSERVER_MESSAGE_VERSION + 1;
    assert_int_equal(check(message, FROM_FORKSERVER), -EPROTO);
    message.version = FORKSERVER_MESSAGE_VERSION - 1;
    assert_int_equal(check(message, FROM_FORKSERVER), -EPROTO);
}

static void test_fields_out_of_bounds_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORK, QUEUES, 0), FROM_SUPERVISOR), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORK, UINT32_MAX, 0), FROM_SUPERVISOR), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORKED, QUEUES, 4711), FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORKED, 0, 0), FROM_FORKSERVER), -EBADMSG);
}

static void test_fields_that_a_kind_does_not_have_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check(forkserver_message_make(FORKSERVER_READY, 1, 0), FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_READY, 0, 1), FROM_FORKSERVER), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_FORK, 0, -1), FROM_SUPERVISOR), -EBADMSG);
    assert_int_equal(check(forkserver_message_make(FORKSERVER_LEAVE, 1, 0), FROM_SUPERVISOR), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_made_has_the_version_and_the_fields),
        cmocka_unit_test(test_what_each_side_sends_is_taken),
        cmocka_unit_test(test_what_the_other_side_sends_is_refused),
        cmocka_unit_test(test_kinds_that_do_not_exist_are_refused),
        cmocka_unit_test(test_other_lengths_are_refused),
        cmocka_unit_test(test_other_versions_are_refused),
        cmocka_unit_test(test_fields_out_of_bounds_are_refused),
        cmocka_unit_test(test_fields_that_a_kind_does_not_have_are_refused),
    };

    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
