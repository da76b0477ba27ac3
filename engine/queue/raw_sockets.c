/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw sockets of IPPROTO_RAW: the kernel takes the header as it is, and any source address.
 *
 * Of IPv4 it fills in an id that is 0, and the header's checksum again. They share a send buffer with the other queues, so
 * a full one (EAGAIN) is an error like others: the answer is not sent. Process: [supervisor] [queue process].
 */
#include "queue/raw_sockets.h"

#include "base/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define IPV4_DEST 16 /* offset */
#define IPV6_DEST 24

static int open_one(int family, uint32_t mark)
{
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    int code = fd < 0 ? -errno : fd;

    if (fd >= 0 && mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0) {
        code = -errno;
        close_fd(&fd);
    }
    return code;
}

int raw_sockets_open(struct raw_sockets *raw, uint32_t mark)
{
    struct raw_sockets made = {.ipv6 = -1};
    int code;

    made.ipv4 = code = open_one(AF_INET, mark);
    if (code >= 0) {
        made.ipv6 = code = open_one(AF_INET6, mark);
    }
    if (code < 0 && code != -EAFNOSUPPORT) {
        raw_sockets_close(&made);
        return code;
    }
    *raw = made;
    return 0;
}

void raw_sockets_close(struct raw_sockets *raw)
{
    close_fd(&raw->ipv4);
    close_fd(&raw->ipv6);
}

int raw_sockets_send(const struct raw_sockets *raw, const uint8_t *packet, uint32_t len, uint32_t ifindex)
{
    struct sockaddr_in to_ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 to_ipv6 = {.sin6_family = AF_INET6};
    ssize_t sent;

    if (packet[0] >> 4 == 4) {
        memcpy(&to_ipv4.sin_addr, packet + IPV4_DEST, sizeof(to_ipv4.sin_addr));
        sent =
            sendto(raw->ipv4, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to_ipv4, sizeof(to_ipv4));
    } else {
        memcpy(&to_ipv6.sin6_addr, packet + IPV6_DEST, sizeof(to_ipv6.sin6_addr));
        if (IN6_IS_ADDR_LINKLOCAL(&to_ipv6.sin6_addr)) {
            to_ipv6.sin6_scope_id = ifindex;
        }
        sent =
            sendto(raw->ipv6, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to_ipv6, sizeof(to_ipv6));
    }
    return sent < 0 ? -errno : 0;
}
