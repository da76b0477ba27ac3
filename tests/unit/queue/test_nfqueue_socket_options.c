/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening the socket of a queue and sizing its buffers: what is asked of the kernel, and that a refusal is returned and
 * leaves no descriptor.
 *
 * The sockets are real ones of netlink. setsockopt() and getsockopt() are replaced at link time: they note what is set,
 * and refuse what the test says, so the result does not depend on the privileges of the test. connect() is, too: another
 * socket sends to the new one just before.
 */
#include "unit.h"

#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS_MAX 8

/* The options that were set, in place of the kernel's, while `pretend` is true. */
static struct {
    bool pretend;
    int refused[2]; /* these options are refused, with EPERM */
    struct {
        int option;
        int value;
    } calls[CALLS_MAX];
    unsigned count;
    int get_errno; /* not 0: getsockopt() fails */
} options;

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *len);

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    if (!options.pretend) {
        return __real_setsockopt(fd, level, option, value, len);
    }
    assert_true(options.count < CALLS_MAX);
    assert_int_equal(level, option == NETLINK_NO_ENOBUFS ? SOL_NETLINK : SOL_SOCKET);
    assert_int_equal(len, sizeof(int));
    options.calls[options.count].option = option;
    memcpy(&options.calls[options.count].value, value, sizeof(int));
    options.count++;
    if (option == options.refused[0] || option == options.refused[1]) {
        errno = EPERM;
        return -1;
    }
    return 0;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
    if (options.get_errno != 0) {
        errno = options.get_errno;
        return -1;
    }
    return __real_getsockopt(fd, level, option, value, len);
}

/* ---- messages of others ---------------------------------------------------------------------------------- */

#define FORGED 300
#define FORGED_BEFORE 50 /* for which the socket has room */

/* Another socket, whose messages look like packets of the kernel; -1: none. */
static int forger = -1;

/* Sends one message to the socket. Returns 0 or a negative errno. */
static int forge(int fd)
{
    const struct nlmsghdr packet = {.nlmsg_len = sizeof(packet),
                                    .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET};
    struct sockaddr_nl address;
    socklen_t len = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return sendto(forger, &packet, sizeof(packet), MSG_DONTWAIT, (const struct sockaddr *)&address, len) < 0 ? -errno
                                                                                                             : 0;
}

int __real_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    for (unsigned i = 0; i < FORGED_BEFORE && forger >= 0; i++) {
        assert_int_equal(forge(fd), 0);
    }
    return __real_connect(fd, address, len);
}

static void pretend(int refused, int also_refused)
{
    memset(&options, 0, sizeof(options));
    options.pretend = true;
    options.refused[0] = refused;
    options.refused[1] = also_refused;
}

static void assert_set(unsigned index, int option, int value)
{
    assert_true(index < options.count);
    assert_int_equal(options.calls[index].option, option);
    assert_int_equal(options.calls[index].value, value);
}

/* The number that the next file gets. */
static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);

    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void assert_open_is_refused(int code)
{
    int fd = -77;
    uint32_t port_id = 77;

    assert_int_equal(nfqueue_open(true, &fd, &port_id), code);
    assert_int_equal(fd, -77);
    assert_int_equal(port_id, 77);
}

static void test_socket_that_cannot_be_made_is_refused(void **state)
{
    struct rlimit before;
    struct rlimit none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_open_is_refused(-EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_socket_whose_options_are_refused_is_closed(void **state)
{
    int before = next_fd();

    (void)state;
    pretend(SO_SNDBUFFORCE, SO_SNDBUF);
    assert_open_is_refused(-EPERM);
    assert_int_equal(next_fd(), before);
    pretend(NETLINK_NO_ENOBUFS, 0);
    assert_open_is_refused(-EPERM);
    assert_int_equal(next_fd(), before);
    options.pretend = false;
}

/* With standard input closed, the socket gets its number. */
static void test_descriptor_0_is_as_good_as_any(void **state)
{
    int input = dup(STDIN_FILENO);
    uint32_t port_id;
    int fd = -1;

    (void)state;
    close(STDIN_FILENO);
    assert_int_equal(nfqueue_open(false, &fd, &port_id), 0);
    assert_int_equal(fd, 0);
    close(fd);
    if (input >= 0) {
        assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
        close(input);
    }
}

/* The limits of the machine are for processes without the privilege. */
static void test_send_buffer_is_forced_and_only_without_the_privilege_asked_for(void **state)
{
    uint32_t port_id;
    int fd = -1;

    (void)state;
    pretend(0, 0);
    assert_int_equal(nfqueue_open(true, &fd, &port_id), 0);
    close(fd);
    assert_int_equal(options.count, 2);
    assert_set(0, SO_SNDBUFFORCE, NFQUEUE_SEND_MAX);
    assert_set(1, NETLINK_NO_ENOBUFS, 1);
    pretend(SO_SNDBUFFORCE, 0);
    assert_int_equal(nfqueue_open(false, &fd, &port_id), 0);
    close(fd);
    assert_int_equal(options.count, 3);
    assert_set(0, SO_SNDBUFFORCE, NFQUEUE_SEND_MAX);
    assert_set(1, SO_SNDBUF, NFQUEUE_SEND_MAX);
    assert_set(2, NETLINK_NO_ENOBUFS, 0);
    options.pretend = false;
}

static void test_receive_buffer_is_forced_and_only_without_the_privilege_asked_for(void **state)
{
    static const struct {
        uint64_t bytes;
        int half; /* the kernel doubles it */
    } sizes[] = {
        {8192, 4096}, {8193, 4096}, {UINT64_C(2) * (INT32_MAX / 2), INT32_MAX / 2}, {UINT64_MAX, INT32_MAX / 2}};
    uint64_t granted;
    uint32_t port_id;
    int fd = -1;

    (void)state;
    assert_int_equal(nfqueue_open(false, &fd, &port_id), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        pretend(0, 0);
        assert_int_equal(nfqueue_set_receive_buffer(fd, sizes[i].bytes, &granted), 0);
        assert_int_equal(options.count, 1);
        assert_set(0, SO_RCVBUFFORCE, sizes[i].half);
        pretend(SO_RCVBUFFORCE, 0);
        assert_int_equal(nfqueue_set_receive_buffer(fd, sizes[i].bytes, &granted), 0);
        assert_int_equal(options.count, 2);
        assert_set(0, SO_RCVBUFFORCE, sizes[i].half);
        assert_set(1, SO_RCVBUF, sizes[i].half);
    }
    granted = 77;
    pretend(SO_RCVBUFFORCE, SO_RCVBUF);
    assert_int_equal(nfqueue_set_receive_buffer(fd, 8192, &granted), -EPERM);
    pretend(0, 0);
    options.get_errno = ENOPROTOOPT;
    assert_int_equal(nfqueue_set_receive_buffer(fd, 8192, &granted), -ENOPROTOOPT);
    options.get_errno = 0;
    options.pretend = false;
    assert_int_equal(granted, 77);
    close(fd);
}

static void test_socket_has_a_port_id_of_its_own_and_closes_on_exec(void **state)
{
    uint32_t port_ids[2] = {0, 0};
    int fds[2] = {-1, -1};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct sockaddr_nl address = {.nl_family = AF_UNSPEC};
        socklen_t len = sizeof(address);
        int option = -1;
        socklen_t option_len = sizeof(option);

        assert_int_equal(nfqueue_open(i == 1, &fds[i], &port_ids[i]), 0);
        assert_int_equal(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&address, &len), 0);
        assert_int_equal(address.nl_family, AF_NETLINK);
        assert_int_equal(address.nl_pid, port_ids[i]);
        assert_int_equal(getsockopt(fds[i], SOL_NETLINK, NETLINK_NO_ENOBUFS, &option, &option_len), 0);
        assert_int_equal(option, i);
        assert_int_equal(getsockopt(fds[i], SOL_SOCKET, SO_PROTOCOL, &option, &option_len), 0);
        assert_int_equal(option, NETLINK_NETFILTER);
    }
    assert_int_not_equal(port_ids[0], 0);
    assert_int_not_equal(port_ids[0], port_ids[1]);
    close(fds[0]);
    close(fds[1]);
}

/* Neither what others sent before the socket was connected, nor what they send after it. */
static void test_messages_of_other_sockets_do_not_come(void **state)
{
    uint32_t port_id;
    int fd = -1;

    (void)state;
    if (geteuid() != 0) {
        skip(); /* only with CAP_NET_ADMIN can one send to another socket */
    }
    forger = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    assert_true(forger >= 0);
    for (unsigned no_enobufs = 0; no_enobufs < 2; no_enobufs++) {
        assert_int_equal(nfqueue_open(no_enobufs != 0, &fd, &port_id), 0);
        assert_false(nfqueue_has_unread(fd));
        for (unsigned i = 0; i < FORGED; i++) {
            assert_int_equal(forge(fd), -ECONNREFUSED);
        }
        assert_false(nfqueue_has_unread(fd));
        close(fd);
    }
    close(forger);
    forger = -1;
}

static void test_receive_buffer_is_what_the_kernel_counts(void **state)
{
    static const uint64_t sizes[] = {8192, 100000};
    uint64_t granted = 0;
    uint32_t port_id;
    int fd = -1;

    (void)state;
    assert_int_equal(nfqueue_open(false, &fd, &port_id), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int effective = 0;
        socklen_t len = sizeof(effective);

        assert_int_equal(nfqueue_set_receive_buffer(fd, sizes[i], &granted), 0);
        assert_int_equal(granted, sizes[i]);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &effective, &len), 0);
        assert_int_equal(effective, granted);
    }
    assert_int_equal(nfqueue_set_receive_buffer(fd, UINT64_MAX, &granted), 0); /* no overflow: what it may have */
    assert_true(granted >= sizes[1]);
    close(fd);
    granted = 77;
    assert_int_equal(nfqueue_set_receive_buffer(fd, 8192, &granted), -EBADF);
    assert_int_equal(granted, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_socket_that_cannot_be_made_is_refused),
        cmocka_unit_test(test_socket_whose_options_are_refused_is_closed),
        cmocka_unit_test(test_descriptor_0_is_as_good_as_any),
        cmocka_unit_test(test_send_buffer_is_forced_and_only_without_the_privilege_asked_for),
        cmocka_unit_test(test_receive_buffer_is_forced_and_only_without_the_privilege_asked_for),
        cmocka_unit_test(test_socket_has_a_port_id_of_its_own_and_closes_on_exec),
        cmocka_unit_test(test_messages_of_other_sockets_do_not_come),
        cmocka_unit_test(test_receive_buffer_is_what_the_kernel_counts),
    };

    return cmocka_run_group_tests_name("nfqueue_socket_options", tests, NULL, NULL);
}
