/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entering a user namespace.
 *
 * The kernel takes a map of many ids only from a process that has CAP_SETUID in the parent namespace, now and when the
 * file was opened. The process that has just moved has no such capability any more. So it forks a helper first, which
 * stays in the parent namespace and writes the maps; the two talk over a socket pair, since an exit status is lost where
 * SIGCHLD is ignored. The supervisor has no part in it and never waits for it.
 *
 * The limit on nested namespaces is one of the namespace: the kernel shows each process the file of its own.
 * Process: [fork server].
 */
#include "process/user_namespace.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAP_TEXT_MAX 64 /* three numbers */
#define NESTED_LIMIT "/proc/sys/user/max_user_namespaces"

/* One write, as the kernel demands of these files. */
static int write_text(int directory, const char *path, const char *text)
{
    int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);
    int code = 0;

    if (fd < 0) {
        return -errno;
    }
    if (write(fd, text, strlen(text)) < 0) {
        code = -errno;
    }
    close(fd);
    return code;
}

/* The helper: waits until the process has moved, writes its maps, and says how that went. */
static void write_maps(int process, int channel, uid_t first, uid_t last) __attribute__((noreturn));

static void write_maps(int process, int channel, uid_t first, uid_t last)
{
    char map[MAP_TEXT_MAX];
    int code;
    char moved;

    if (recv(channel, &moved, sizeof(moved), 0) != (ssize_t)sizeof(moved)) {
        _exit(0); /* it has not moved */
    }
    snprintf(map, sizeof(map), "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", (uint32_t)first, (uint32_t)first,
             (uint32_t)(last - first + 1));
    code = write_text(process, "uid_map", map);
    if (code == 0) {
        code = write_text(process, "gid_map", map);
    }
    send(channel, &code, sizeof(code), MSG_NOSIGNAL);
    _exit(0);
}

static int move(int channel, uid_t first, uid_t last, struct error *error)
{
    int code;

    if (unshare(CLONE_NEWUSER) < 0) {
        code = -errno;
        return error_set(error, EXIT_CODE_RUN_TIME, code, "no user namespace can be made: %s", strerror(-code));
    }
    if (send(channel, "", 1, MSG_NOSIGNAL) != 1 || recv(channel, &code, sizeof(code), 0) != (ssize_t)sizeof(code)) {
        code = -EPIPE;
    }
    if (code != 0) {
        return error_set(error, EXIT_CODE_RUN_TIME, code, "uids %u-%u cannot be used in a user namespace: %s", first,
                         last, strerror(-code));
    }
    return 0;
}

int user_namespace_enter(uid_t first, uid_t last, struct error *error)
{
    int process = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* of this process, also in the helper */
    int channel[2] = {-1, -1};
    pid_t helper = -1;
    int code;

    if (process >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0) {
        helper = fork();
    }
    if (helper < 0) {
        code = error_set(error, EXIT_CODE_RUN_TIME, -errno, "no user namespace can be made: %s", strerror(errno));
        goto close;
    }
    if (helper == 0) {
        close(channel[0]); /* so that an end of the process is the end of the channel */
        write_maps(process, channel[1], first, last);
    }
    close_fd(&channel[1]);
    code = move(channel[0], first, last, error);
    close_fd(&channel[0]);
    waitpid(helper, NULL, 0);
close:
    close_fd(&channel[0]);
    close_fd(&channel[1]);
    close_fd(&process);
    return code;
}

int user_namespace_close(void)
{
    return write_text(AT_FDCWD, NESTED_LIMIT, "0\n");
}
