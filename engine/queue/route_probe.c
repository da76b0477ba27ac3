/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking for routes by connecting datagram sockets.
 *
 * connect() of such a socket looks the route up and sends nothing. It takes the source address of the route; and without
 * SO_BROADCAST it refuses a broadcast address, by EACCES. Rtnetlink says the same, but takes a lock that others can hold for
 * long. After each question the socket is disconnected, so that the source address is looked for the next time.
 * Process: [queue process].
 */
#include "queue/route_probe.h"

#include "base/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define PORT 9 /* any; the kernel requires one */

void route_probe_open(struct route_probe *probe)
{
    probe->ipv4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    probe->ipv6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void route_probe_close(struct route_probe *probe)
{
    close_fd(&probe->ipv4);
    close_fd(&probe->ipv6);
}

/* Connects; *name gets this end of the connection. Returns 0 or a negative errno. */
static int ask(int fd, const void *to, socklen_t size, void *name)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    int code = connect(fd, to, size) < 0 || getsockname(fd, name, &size) < 0 ? -errno : 0;

    if (connect(fd, &none, sizeof(none)) < 0 && code == 0) {
        code = -errno; /* the next answer would be this one */
    }
    return code;
}

static int ask_ipv4(const struct route_probe *probe, const uint8_t *address, struct sockaddr_in *name)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    memcpy(&to.sin_addr, address, sizeof(to.sin_addr));
    return ask(probe->ipv4, &to, sizeof(to), name);
}

bool route_probe_is_broadcast(const struct route_probe *probe, const uint8_t address[4])
{
    struct sockaddr_in name;

    return ask_ipv4(probe, address, &name) == -EACCES;
}

int route_probe_source(const struct route_probe *probe, int family, const uint8_t *address, uint32_t ifindex,
                       uint8_t source[16])
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    struct sockaddr_in6 name;
    struct sockaddr_in name_ipv4;
    int code;

    if (family == AF_INET) {
        code = ask_ipv4(probe, address, &name_ipv4);
        if (code == 0) {
            memcpy(source, &name_ipv4.sin_addr, sizeof(name_ipv4.sin_addr));
        }
        return code;
    }
    memcpy(&to.sin6_addr, address, sizeof(to.sin6_addr));
    if (IN6_IS_ADDR_LINKLOCAL(&to.sin6_addr)) {
        to.sin6_scope_id = ifindex;
    }
    code = ask(probe->ipv6, &to, sizeof(to), &name);
    if (code == 0) {
        memcpy(source, &name.sin6_addr, sizeof(name.sin6_addr));
    }
    return code;
}
