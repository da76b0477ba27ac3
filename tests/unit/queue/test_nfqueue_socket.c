/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls for the messages of a queue: receiving a burst into the slots of a journal, sending, looking for
 * unread messages. Opening and sizing the socket is in test_nfqueue_socket_options.c.
 *
 * A pair of datagram sockets is in place of netlink: the system calls are the same, and every message is known.
 * Two system calls are replaced at link time: sendto() fails as often as the test says before it is the real one, and
 * poll() without a descriptor, which only waits, is counted and does not wait.
 */
#include "unit.h"

#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
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
    burst_begin_receive(&receiver->burst);
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), -EAGAIN);
    assert_int_equal(burst_received(&receiver->burst), 0);
}

static void test_receive_puts_each_message_into_its_slot_in_order(void **state)
{
    struct receiver *receiver = *state;
    const struct burst *burst = &receiver->burst;

    for (unsigned i = 0; i < 5; i++) {
        send_bytes(receiver, (uint8_t)(i + 1), 20 + i);
    }
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), 5);
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
    burst_begin_receive(&receiver->burst);
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), 2);
    assert_int_equal(burst->messages[1].msg_hdr.msg_flags & MSG_TRUNC, 0); /* not left from the burst before */
}

static void test_receive_on_a_closed_descriptor_says_so(void **state)
{
    struct receiver *receiver = *state;

    assert_int_equal(nfqueue_receive(-1, &receiver->burst), -EBADF);
    assert_int_equal(burst_received(&receiver->burst), 0);
}

/* ---- sending ------------------------------------------------------------------------------------- */

static unsigned failures; /* of the sends to come */
static int failure;
static unsigned tries;
static unsigned waits; /* of 1 ms */

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (count > 0) {
        assert_int_equal(timeout_ms, 0); /* looking at a socket never waits */
        return __real_poll(fds, count, timeout_ms);
    }
    assert_null(fds);
    assert_int_equal(timeout_ms, 1);
    waits++;
    return 0;
}

ssize_t __real_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len);
ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len);

ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
    struct sockaddr_nl kernel;

    tries++;
    if (failures > 0) {
        failures--;
        errno = failure;
        return -1;
    }
    assert_int_equal(to_len, sizeof(kernel));
    memcpy(&kernel, to, sizeof(kernel));
    assert_int_equal(kernel.nl_family, AF_NETLINK);
    assert_int_equal(kernel.nl_pid, 0); /* the kernel itself */
    return __real_sendto(fd, data, len, flags, NULL, 0);
}

static void test_send_waits_until_the_kernel_has_memory(void **state)
{
    static const int passing[] = {ENOBUFS, ENOMEM, EAGAIN, EINTR};
    const struct receiver *receiver = *state;
    char found[64];

    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        failures = 3;
        failure = passing[i];
        tries = 0;
        waits = 0;
        assert_int_equal(nfqueue_send(receiver->ends[0], "verdict", 8), 0);
        assert_int_equal(tries, 4);
        assert_int_equal(waits, 3);
        assert_int_equal(recv(receiver->ends[1], found, sizeof(found), MSG_DONTWAIT), 8);
        assert_string_equal(found, "verdict");
    }
}

static void test_send_that_cannot_succeed_is_tried_once(void **state)
{
    static const int final[] = {EBADF, EPERM, EMSGSIZE, ECONNREFUSED};
    const struct receiver *receiver = *state;

    for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++) {
        failures = 1;
        failure = final[i];
        tries = 0;
        waits = 0;
        assert_int_equal(nfqueue_send(receiver->ends[0], "verdict", 8), -final[i]);
        assert_int_equal(tries, 1);
        assert_int_equal(waits, 0);
    }
}

static void test_send_gives_up_after_its_tries(void **state)
{
    const struct receiver *receiver = *state;

    failures = UINT32_MAX;
    failure = ENOBUFS;
    tries = 0;
    waits = 0;
    assert_int_equal(nfqueue_send(receiver->ends[0], "verdict", 8), -ENOBUFS);
    assert_int_equal(tries, NFQUEUE_SEND_TRIES);
    assert_int_equal(waits, NFQUEUE_SEND_TRIES);
    failures = 0;
}

static void test_unread_message_is_seen_and_stays(void **state)
{
    struct receiver *receiver = *state;

    assert_false(nfqueue_has_unread(receiver->ends[1]));
    send_bytes(receiver, 1, 20);
    assert_true(nfqueue_has_unread(receiver->ends[1]));
    assert_true(nfqueue_has_unread(receiver->ends[1]));
    assert_int_equal(nfqueue_receive(receiver->ends[1], &receiver->burst), 1);
    assert_false(nfqueue_has_unread(receiver->ends[1]));
}

int main(void)
{
#define WITH_RECEIVER(test) cmocka_unit_test_setup_teardown(test, set_up_receiver, tear_down_receiver)
    const struct CMUnitTest tests[] = {
        WITH_RECEIVER(test_receive_does_not_wait_and_leaves_an_empty_burst),
        WITH_RECEIVER(test_receive_puts_each_message_into_its_slot_in_order),
        WITH_RECEIVER(test_receive_marks_a_message_larger_than_its_slot),
        WITH_RECEIVER(test_receive_on_a_closed_descriptor_says_so),
        WITH_RECEIVER(test_send_waits_until_the_kernel_has_memory),
        WITH_RECEIVER(test_send_that_cannot_succeed_is_tried_once),
        WITH_RECEIVER(test_send_gives_up_after_its_tries),
        WITH_RECEIVER(test_unread_message_is_seen_and_stays),
    };

    return cmocka_run_group_tests_name("nfqueue_socket", tests, NULL, NULL);
}
