/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls on the netlink socket of a queue, and the socket options that they need.
 *
 * One receive takes a burst, one send takes all of its verdicts. Errors of the kernel about a verdict do not come back
 * from send(2): they are messages in the receive stream, which nfqueue_decode() reads. Process: [supervisor] opens the
 * socket and looks for unread messages, [queue process] receives and sends.
 */
#include "queue/nfqueue_socket.h"

#include "base/arith.h"
#include "base/fd.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

/* Of what was sent before the socket was connected, nothing is the kernel's: it has asked for nothing yet. */
static void discard_unread(int fd)
{
    char byte;

    while (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT) >= 0 || errno == ENOBUFS) {
    }
}

/*
 * The socket is connected to the kernel, port id 0: then the kernel refuses messages of all other port ids with
 * ECONNREFUSED (af_netlink.c, netlink_getsockbyportid()), so they cannot be taken for its own nor fill the buffer.
 */
int nfqueue_open(bool no_enobufs, int *fd, uint32_t *port_id)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    socklen_t address_len = sizeof(address);
    const int quiet = no_enobufs;
    const int send_buffer = NFQUEUE_SEND_MAX;
    int opened = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (opened < 0) {
        return -errno;
    }
    /* A send larger than the buffer is refused with EMSGSIZE, and the machine's default may be small. */
    if (setsockopt(opened, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer)) < 0 &&
        setsockopt(opened, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)) < 0) {
        int error = -errno;

        close_fd(&opened);
        return error;
    }
    if (setsockopt(opened, SOL_NETLINK, NETLINK_NO_ENOBUFS, &quiet, sizeof(quiet)) < 0 ||
        bind(opened, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        connect(opened, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
        getsockname(opened, (struct sockaddr *)&address, &address_len) < 0) {
        int error = -errno;

        close_fd(&opened);
        return error;
    }
    discard_unread(opened);
    *fd = opened;
    *port_id = address.nl_pid;
    return 0;
}

int nfqueue_set_receive_buffer(int fd, uint64_t bytes, uint64_t *granted)
{
    int wanted = (int)min_u64(bytes / 2, INT32_MAX / 2); /* the kernel doubles what is asked for */
    int effective;
    socklen_t len = sizeof(effective);

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) < 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof(wanted)) < 0) {
        return -errno;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &effective, &len) < 0) {
        return -errno;
    }
    *granted = (uint64_t)effective;
    return 0;
}

bool nfqueue_has_unread(int fd)
{
    struct pollfd socket = {.fd = fd, .events = POLLIN};

    return poll(&socket, 1, 0) > 0;
}

int nfqueue_receive(int fd, struct burst *burst)
{
    int count = recvmmsg(fd, burst->messages, BURST_MAX, MSG_DONTWAIT, NULL);

    return count < 0 ? -errno : count;
}

int nfqueue_send(int fd, const void *data, size_t len)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int error = 0;

    for (int tries = 0; tries < NFQUEUE_SEND_TRIES; tries++) {
        if (sendto(fd, data, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) >= 0) {
            return 0;
        }
        error = -errno;
        if (error != -ENOBUFS && error != -ENOMEM && error != -EAGAIN && error != -EINTR) {
            break;
        }
        poll(NULL, 0, 1); /* nothing reports when memory is there again */
    }
    return error;
}
