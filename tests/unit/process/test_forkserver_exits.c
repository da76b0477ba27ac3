/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends of workers that are seen before the fork server's message that they were forked: they are kept as long as a
 * request is outstanding, and found by their pid.
 */
#include "engine_fixture.h"

#include "process/forkserver_client.h"

static struct forkserver_client client;

static int set_up(void **state)
{
    static struct engine engine;

    (void)state;
    forkserver_client_init(&client, &engine, NULL, NULL, NULL);
    return 0;
}

static void test_end_before_the_message_is_kept_while_a_request_is_outstanding(void **state)
{
    int status = 0;

    (void)state;
    forkserver_client_note_exit(&client, 100, 1);
    assert_false(forkserver_client_find_exit(&client, 100, &status));
    client.outstanding = 1;
    forkserver_client_note_exit(&client, 100, 1);
    forkserver_client_note_exit(&client, 101, 2);
    assert_false(forkserver_client_find_exit(&client, 102, &status));
    assert_int_equal(status, 0);
    assert_true(forkserver_client_find_exit(&client, 100, &status));
    assert_int_equal(status, 1);
    assert_true(forkserver_client_find_exit(&client, 101, &status));
    assert_int_equal(status, 2);
    forkserver_client_forget_exits(&client);
    assert_true(forkserver_client_find_exit(&client, 100, &status));
    client.outstanding = 0;
    forkserver_client_forget_exits(&client);
    assert_false(forkserver_client_find_exit(&client, 100, &status));
}

static void test_more_ends_than_there_is_room_for_are_dropped(void **state)
{
    int status;

    (void)state;
    client.outstanding = 1;
    for (int i = 0; i < FORKSERVER_EARLY_EXITS + 1; i++) {
        forkserver_client_note_exit(&client, 100 + i, i);
    }
    assert_true(forkserver_client_find_exit(&client, 100 + FORKSERVER_EARLY_EXITS - 1, &status));
    assert_int_equal(status, FORKSERVER_EARLY_EXITS - 1);
    assert_false(forkserver_client_find_exit(&client, 100 + FORKSERVER_EARLY_EXITS, &status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_end_before_the_message_is_kept_while_a_request_is_outstanding, set_up),
        cmocka_unit_test_setup(test_more_ends_than_there_is_room_for_are_dropped, set_up),
    };

    return cmocka_run_group_tests_name("forkserver_exits", tests, NULL, NULL);
}
