/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that attack through descriptors.
 *
 *     close              closes every descriptor
 *     dup2               makes every descriptor one of /dev/null
 *     flags              sets every flag, owner and signal that fcntl() can, for the supervisor to be signalled
 *     linger             passes a TCP connection, whose close() takes an hour, to every socket that it has
 *     bells:N            wakes the queue process N times
 *     output:N           prints N MiB
 *     write              writes to file=PATH, and waits for as long as that takes
 *
 * Runs in the worker, or in the fork server's children.
 */
#include "zoo.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 256
#define LINGER_SECONDS 3600
#define LINE 64

static void close_all(const struct deed *deed)
{
    (void)deed;
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        close(fd);
    }
}

static void dup2_all(const struct deed *deed)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)deed;
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        if (fd != nothing && fcntl(fd, F_GETFD) >= 0) {
            dup2(nothing, fd);
        }
    }
}

static void set_flags(const struct deed *deed)
{
    (void)deed;
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            continue;
        }
        fcntl(fd, F_SETSIG, SIGKILL);
        fcntl(fd, F_SETOWN, getppid());
        fcntl(fd, F_SETFL, O_ASYNC | O_APPEND);
        fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK | O_DIRECT);
        fcntl(fd, F_SETFL, O_ASYNC);
        fcntl(fd, F_SETPIPE_SZ, 1 << 20);
        fcntl(fd, F_SETLEASE, F_WRLCK);
        flock(fd, LOCK_EX | LOCK_NB);
        fchmod(fd, 0777);
    }
    dprintf(STDERR_FILENO, "flags are set\n");
}

/* A connection to this process, with data on its way that nobody reads. Returns its descriptor, or -1. */
static int lingering_connection(void)
{
    static char data[1 << 20];
    const struct linger linger = {.l_onoff = 1, .l_linger = LINGER_SECONDS};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int connection = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&address, len) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) < 0 ||
        connect(connection, (struct sockaddr *)&address, len) < 0) {
        dprintf(STDERR_FILENO, "no connection: %s\n", strerror(errno));
        return -1;
    }
    fcntl(connection, F_SETFL, O_NONBLOCK);
    while (send(connection, data, sizeof(data), MSG_NOSIGNAL) > 0) {
    }
    fcntl(connection, F_SETFL, 0);
    setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (fork() == 0) { /* keeps the other end, and nothing else */
        for (int fd = 0; fd < DESCRIPTORS; fd++) {
            if (fd != listener) {
                close(fd);
            }
        }
        sleep(LINGER_SECONDS);
        _exit(0);
    }
    close(listener);
    return connection;
}

static bool pass_to(int to, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = "";
    struct iovec data = {control, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(int));
    return sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static void linger(const struct deed *deed)
{
    int connection = lingering_connection();
    unsigned sockets = 0;
    unsigned passed = 0;

    (void)deed;
    for (int fd = 0; fd < DESCRIPTORS && connection >= 0; fd++) {
        struct stat status;

        if (fd != connection && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode)) {
            sockets++;
            passed += pass_to(fd, connection);
        }
    }
    dprintf(STDERR_FILENO, "%u sockets, %u took a descriptor\n", sockets, passed);
    _exit(0); /* the references that were passed are the last ones; a process that ends does not linger */
}

static void ring_bells(const struct deed *deed)
{
    const uint64_t one = 1;
    char path[32];
    char name[64];
    ssize_t len;

    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        len = readlink(path, name, sizeof(name) - 1);
        if (len <= 0 || strncmp(name, "anon_inode:[eventfd]", (size_t)len) != 0) {
            continue;
        }
        for (long i = 0; i < deed->number; i++) {
            if (write(fd, &one, sizeof(one)) < 0) {
                break;
            }
        }
    }
}

static void print(const struct deed *deed)
{
    static char lines[1 << 20];

    memset(lines, '.', sizeof(lines));
    for (size_t i = LINE - 1; i < sizeof(lines); i += LINE) {
        lines[i] = '\n';
    }
    for (long i = 0; i < deed->number; i++) {
        for (size_t done = 0; done < sizeof(lines);) {
            ssize_t len = write(STDERR_FILENO, lines + done, sizeof(lines) - done);

            if (len <= 0) {
                return;
            }
            done += (size_t)len;
        }
    }
}

static void write_file(const struct deed *deed)
{
    int fd = open(deed->file, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "x", 1) != 1) {
        dprintf(STDERR_FILENO, "%s: %s\n", deed->file, strerror(errno));
    }
    close(fd);
}

const struct animal zoo_descriptors[] = {
    {"close", close_all},  {"dup2", dup2_all}, {"flags", set_flags},  {"linger", linger},
    {"bells", ring_bells}, {"output", print},  {"write", write_file}, {.name = NULL},
};
