/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between supervisor and queue process: what each side may say, and which fields are out of bounds.
 */
#include "unit.h"

#include "process/queue_messages.h"

#include <errno.h>

#define S (1u << QUEUE_FROM_SUPERVISOR)
#define Q (1u << QUEUE_FROM_PROCESS)

static struct queue_message a_loss(void)
{
    struct queue_message message = queue_message_make(QUEUE_WORKER_LOST, 3);

    message.loss = QUEUE_LOSS_ENDED;
    message.plugin = PLUGINS_MAX;
    return message;
}

static int check(const struct queue_message *message)
{
    return queue_message_check(message, sizeof(*message), QUEUE_FROM_PROCESS);
}

static void test_message_has_its_kind_and_worker_and_nothing_else(void **state)
{
    const struct queue_message message = queue_message_make(QUEUE_NEW_WORKER, 17);

    (void)state;
    assert_int_equal(message.version, QUEUE_MESSAGE_VERSION);
    assert_int_equal(message.kind, QUEUE_NEW_WORKER);
    assert_int_equal(message.worker, 17);
    assert_int_equal(message.loss | message.stage | message.plugin | message.in_plugin | message.packet_known |
                         message.packet_id,
                     0);
    for (size_t i = 0; i < sizeof(message.text); i++) {
        assert_int_equal(message.text[i], 0);
    }
}

static void test_each_kind_has_its_senders(void **state)
{
    static const unsigned senders[QUEUE_KINDS_END + 1] = {[QUEUE_CHANGED] = S | Q,
                                                          [QUEUE_NEW_WORKER] = S,
                                                          [QUEUE_RING] = Q,
                                                          [QUEUE_WORKER_OPENED] = Q,
                                                          [QUEUE_WORKER_LOST] = Q};

    (void)state;
    for (unsigned kind = 0; kind <= QUEUE_KINDS_END; kind++) {
        struct queue_message message = a_loss();

        message.kind = kind;
        message.worker = kind == QUEUE_CHANGED ? 0 : 1;
        for (unsigned from = QUEUE_FROM_SUPERVISOR; from <= QUEUE_FROM_PROCESS; from++) {
            assert_int_equal(queue_message_check(&message, sizeof(message), from),
                             (senders[kind] >> from & 1) != 0 ? 0 : -EBADMSG);
        }
    }
}

static void test_length_and_version_have_to_be_these(void **state)
{
    struct queue_message message = a_loss();

    (void)state;
    assert_int_equal(queue_message_check(&message, sizeof(message) - 1, QUEUE_FROM_PROCESS), -EMSGSIZE);
    assert_int_equal(queue_message_check(&message, sizeof(message) + 1, QUEUE_FROM_PROCESS), -EMSGSIZE);
    assert_int_equal(queue_message_check(&message, 0, QUEUE_FROM_PROCESS), -EMSGSIZE);
    message.version++;
    assert_int_equal(check(&message), -EPROTO);
    message.version = 0;
    assert_int_equal(check(&message), -EPROTO);
}

static void test_every_kind_but_a_change_is_about_a_worker(void **state)
{
    struct queue_message message = a_loss();

    (void)state;
    message.worker = 0;
    assert_int_equal(check(&message), -EBADMSG);
    message.worker = UINT32_MAX;
    assert_int_equal(check(&message), 0);
    message = queue_message_make(QUEUE_CHANGED, 1);
    assert_int_equal(check(&message), -EBADMSG);
    message = queue_message_make(QUEUE_CHANGED, 0);
    assert_int_equal(check(&message), 0);
}

static void test_loss_is_of_a_kind_that_is_known_and_its_fields_are_within_bounds(void **state)
{
    struct queue_message message = a_loss();

    (void)state;
    for (uint32_t loss = 0; loss <= QUEUE_LOSSES_END; loss++) {
        message.loss = loss;
        assert_int_equal(check(&message), loss >= QUEUE_LOSS_ENDED && loss <= QUEUE_LOSS_REFUSED ? 0 : -EBADMSG);
    }
    message = a_loss();
    message.plugin = PLUGINS_MAX + 1;
    assert_int_equal(check(&message), -EBADMSG);
    message.plugin = 0;
    assert_int_equal(check(&message), 0);
    memset(message.text, 'x', sizeof(message.text));
    assert_int_equal(check(&message), -EBADMSG);
    message.text[sizeof(message.text) - 1] = '\0';
    assert_int_equal(check(&message), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_has_its_kind_and_worker_and_nothing_else),
        cmocka_unit_test(test_each_kind_has_its_senders),
        cmocka_unit_test(test_length_and_version_have_to_be_these),
        cmocka_unit_test(test_every_kind_but_a_change_is_about_a_worker),
        cmocka_unit_test(test_loss_is_of_a_kind_that_is_known_and_its_fields_are_within_bounds),
    };

    return cmocka_run_group_tests_name("queue_messages", tests, NULL, NULL);
}
