/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages with the control data of unix(7): descriptors (SCM_RIGHTS) and the sender (SCM_CREDENTIALS).
 *
 * A receiver gives the kernel room for exactly what it takes. What has no room is dropped by the kernel, so a process
 * cannot fill the descriptor table of another one. But to drop a descriptor is to close it, in the receiver's call, and
 * closing a socket that lingers takes as long as its sender has chosen (3 s measured in a call with MSG_DONTWAIT). So our
 * end takes none where the kernel can be told so; on an older one, who has the other end can delay us. If an end is
 * closed with messages unread, the kernel reports ECONNRESET once at the other one, before the messages that were sent
 * from the closed end. Process: any.
 */
#include "base/channel.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define FDS_SIZE (CHANNEL_FDS_MAX * sizeof(int))

int channel_new(int *ours, int *theirs)
{
    const int on = 1;
    const int off = 0;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return -errno;
    }
    if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
        int error = -errno;

        close(ends[0]);
        close(ends[1]);
        return error;
    }
    setsockopt(ends[0], SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)); /* Linux 6.16 */
    *ours = ends[0];
    *theirs = ends[1];
    return 0;
}

int channel_new_pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
}

int channel_send(int channel, const void *data, size_t len, const int *fds, unsigned count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FDS_SIZE)];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (count > CHANNEL_FDS_MAX) {
        return -EINVAL;
    }
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    }
    do {
        sent = sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* The length of the next message, or a negative errno. */
static ssize_t receive(int channel, struct msghdr *message, int flags)
{
    ssize_t len;

    do {
        len = recvmsg(channel, message, flags | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    } while (len < 0 && (errno == EINTR || errno == ECONNRESET));
    return len < 0 ? -errno : len;
}

ssize_t channel_receive(int channel, void *data, size_t size, pid_t *sender)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t len = receive(channel, &message, MSG_DONTWAIT);

    if (len > 0) {
        const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        struct ucred credentials = {.pid = 0};

        if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
        }
        *sender = credentials.pid;
    }
    return len;
}

static ssize_t receive_fds(int channel, void *data, size_t size, int *fds, unsigned count, int flags)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FDS_SIZE)];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    const struct cmsghdr *header;
    ssize_t len;

    if (count > CHANNEL_FDS_MAX) {
        return -EINVAL;
    }
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_LEN(count * sizeof(int)); /* CMSG_SPACE() would have room for one more */
    }
    len = receive(channel, &message, flags);
    if (len < 0) {
        return len;
    }
    header = CMSG_FIRSTHDR(&message);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = -1;
    }
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    }
    return len;
}

ssize_t channel_take(int channel, void *data, size_t size, int *fds, unsigned count)
{
    return receive_fds(channel, data, size, fds, count, MSG_DONTWAIT);
}

ssize_t channel_wait(int channel, void *data, size_t size, int *fds, unsigned count)
{
    return receive_fds(channel, data, size, fds, count, 0);
}
