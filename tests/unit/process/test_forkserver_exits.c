/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends that are seen before the messages that belong to them. Workers that end before the fork server's message that
 * they were forked: their ends are kept as long as a request is outstanding, and found by their pid. A fork server that
 * ends before its last messages are read: they are read nevertheless. And one that does not read its own.
 */
#include "engine_fixture.h"

#include "process/forkserver_client.h"

#include <sys/socket.h>
#include <unistd.h>

#define QUEUES 2
#define WORKER_PID 4711

static struct forkserver_client client;

static int set_up(void **state)
{
    static struct engine engine = {.queue_count = QUEUES};

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

/* For requests that it has not read, the kernel reports an error before it hands out the messages. */
static void test_what_a_fork_server_said_before_its_end_is_heard_though_requests_are_unread(void **state)
{
    const struct forkserver_message forked = forkserver_message_make(FORKSERVER_FORKED, 1, WORKER_PID);
    struct forkserver_message message;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    client.channel.fd = ends[0];
    client.ready = true;
    assert_true(forkserver_client_request(&client, 0));
    assert_int_equal(send(ends[1], &forked, sizeof(forked), 0), sizeof(forked));
    close(ends[1]);
    assert_true(forkserver_client_receive(&client, &message));
    assert_int_equal(message.kind, FORKSERVER_FORKED);
    assert_int_equal(message.queue, 1);
    assert_int_equal(message.pid, WORKER_PID);
    assert_false(forkserver_client_receive(&client, &message));
    close(ends[0]);
}

/* ---- a fork server that does not read ------------------------------------------------------------------------- */

static void test_request_and_leave_do_not_wait_for_room_in_the_channel(void **state)
{
    unsigned sent = 0;
    int status;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    client.channel.fd = ends[0];
    client.ready = true;
    while (forkserver_client_request(&client, 0)) {
        sent++;
    }
    assert_true(sent > 0);
    assert_int_equal(client.outstanding, sent);
    client.pid = fork();
    if (client.pid == 0) {
        for (;;) {
            pause();
        }
    }
    assert_true(client.pid > 0);
    assert_int_equal(forkserver_client_leave(&client, &status), 0);
    assert_int_equal(client.pid, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_end_before_the_message_is_kept_while_a_request_is_outstanding, set_up),
        cmocka_unit_test_setup(test_more_ends_than_there_is_room_for_are_dropped, set_up),
        cmocka_unit_test_setup(test_what_a_fork_server_said_before_its_end_is_heard_though_requests_are_unread, set_up),
        cmocka_unit_test_setup(test_request_and_leave_do_not_wait_for_room_in_the_channel, set_up),
    };

    return cmocka_run_group_tests_name("forkserver_exits", tests, NULL, NULL);
}
