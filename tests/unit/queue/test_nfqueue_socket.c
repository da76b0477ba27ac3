/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receiving a burst into the slots of a journal. A pair of datagram sockets is in place of netlink: the system calls are
 * the same, and every message is known.
 */
#include "unit.h"

#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOT_SIZE 128

struct receiver {
    struct burst burst;
    uint8_t slots[BURST_MAX][SLOT_SIZE];
    int ends[2];
};

static int set_up_receiver(void **state)
{
    static struct receiver receiver;

    memset(&receiver, 0, sizeof(receiver));
    burst_init(&receiver.burst);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, receiver.ends), 0);
    burst_attach_slots(&receiver.burst, receiver.slots, SLOT_SIZE);
    *state = &receiver;
    return 0;
}

static int tear_down_receiver(void **state)
{
    struct receiver *receiver = *state;

    close(receiver->ends[0]);
    close(receiver->ends[1]);
    return 0;
}

static void send_bytes(const struct receiver *receiver, uint8_t value, size_t len)
{
    uint8_t bytes[2 * SLOT_SIZE];

    memset(bytes, value, len);
    assert_int_equal(send(receiver->ends[0], bytes, len, MSG_DONTWAIT), len);
}

static void test_receive_does_not_wait_and_leaves_an_empty_burst(void **state)
{
    struct receiver *receiver = *state;

    send_bytes(receiver, 1, 20);
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), 1);
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), -EAGAIN);
    assert_int_equal(burst_received(&receiver->burst), 0);
    assert_int_equal(burst_phase(&receiver->burst), BURST_RECEIVING);
}

static void test_receive_puts_each_message_into_its_slot_in_order(void **state)
{
    struct receiver *receiver = *state;
    const struct burst *burst = &receiver->burst;

    for (unsigned i = 0; i < 5; i++) {
        send_bytes(receiver, (uint8_t)(i + 1), 20 + i);
    }
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), 5);
    assert_int_equal(burst_phase(burst), BURST_RECEIVING);
    assert_int_equal(burst_received(burst), 5);
    for (unsigned i = 0; i < 5; i++) {
        const uint8_t *bytes = receiver->slots[i];

        assert_int_equal(burst_message_len(burst, i, SLOT_SIZE), 20 + i);
        assert_int_equal(bytes[0], i + 1);
        assert_int_equal(bytes[20 + i - 1], i + 1);
        assert_int_equal(burst->messages[i].msg_hdr.msg_flags & MSG_TRUNC, 0);
    }
}

static void test_receive_marks_a_message_larger_than_its_slot(void **state)
{
    struct receiver *receiver = *state;
    const struct burst *burst = &receiver->burst;

    send_bytes(receiver, 1, SLOT_SIZE);
    send_bytes(receiver, 2, SLOT_SIZE + 1);
    send_bytes(receiver, 3, 20);
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), 3);
    assert_int_equal(burst->messages[0].msg_hdr.msg_flags & MSG_TRUNC, 0);
    assert_int_equal(burst->messages[1].msg_hdr.msg_flags & MSG_TRUNC, MSG_TRUNC);
    assert_int_equal(burst->messages[2].msg_hdr.msg_flags & MSG_TRUNC, 0);
    assert_int_equal(burst_message_len(burst, 1, SLOT_SIZE), SLOT_SIZE);
    assert_int_equal(receiver->slots[2][0], 3);

    send_bytes(receiver, 4, 20);
    send_bytes(receiver, 5, 20);
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), 2);
    assert_int_equal(burst->messages[1].msg_hdr.msg_flags & MSG_TRUNC, 0); /* not left from the burst before */
}

static void test_receive_on_a_closed_descriptor_says_so(void **state)
{
    struct receiver *receiver = *state;

    assert_int_equal(nfqueue_receive(-1, &receiver->burst), -EBADF);
    assert_int_equal(burst_received(&receiver->burst), 0);
}

int main(void)
{
#define WITH_RECEIVER(test) cmocka_unit_test_setup_teardown(test, set_up_receiver, tear_down_receiver)
    const struct CMUnitTest tests[] = {
        WITH_RECEIVER(test_receive_does_not_wait_and_leaves_an_empty_burst),
        WITH_RECEIVER(test_receive_puts_each_message_into_its_slot_in_order),
        WITH_RECEIVER(test_receive_marks_a_message_larger_than_its_slot),
        WITH_RECEIVER(test_receive_on_a_closed_descriptor_says_so),
    };

    return cmocka_run_group_tests_name("nfqueue_socket", tests, NULL, NULL);
}
