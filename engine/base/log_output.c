/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The buffer of lines that wait, and the ways to write without waiting.
 *
 * The piece that is being written is apart from the ring of lines after it, so a line that was written in part is never
 * dropped. Every failure is handled in the same way: the piece stays and is tried again later. Nothing is told by
 * EPOLLOUT, since a terminal with room for one byte is writable but may take no line; a timer with a growing wait costs
 * five wake-ups a second while standard error takes nothing.
 *
 * Static, since log_line() has no parameter for it: a process has one log. Process: [supervisor].
 */
#include "base/log_output.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TTY_ALTERNATE_MAJOR 5 /* Documentation/admin-guide/devices.txt of the kernel */
#define PTMX_MINOR 2

enum way {
    WRITE,      /* it does not wait: a descriptor of our own, a file, a device */
    SEND,       /* a socket */
    POLL_FIRST, /* a pipe or terminal that could not be opened again */
};

static struct {
    int fd;
    int opened; /* fd, if it is ours to close; else -1 */
    enum way way;
    struct event_loop *loop; /* NULL: none yet */
    struct event_timer retry;
    struct backoff backoff;
    int failure; /* of the last write: an errno; 0: everything was written */
    unsigned lost;
    char piece[LOG_LINE_MAX]; /* what is being written */
    size_t piece_len;
    size_t piece_done;
    char ring[LOG_OUTPUT_BUFFER_SIZE]; /* the whole lines after it */
    size_t start;
    size_t used;
} output;

/* ---- the lines that wait --------------------------------------------------------------------------------------- */

/* Takes the oldest line out of the ring, into `line` unless that is NULL. Returns its length. */
static size_t pop_line(char *line)
{
    size_t len = 0;
    char byte;

    do {
        byte = output.ring[(output.start + len) % LOG_OUTPUT_BUFFER_SIZE];
        if (line != NULL) {
            line[len] = byte;
        }
        len++;
    } while (byte != '\n');
    output.start = (output.start + len) % LOG_OUTPUT_BUFFER_SIZE;
    output.used -= len;
    return len;
}

static void push_line(const char *line, size_t len)
{
    while (LOG_OUTPUT_BUFFER_SIZE - output.used < len) {
        pop_line(NULL);
        output.lost++;
    }
    for (size_t i = 0; i < len; i++) {
        output.ring[(output.start + output.used + i) % LOG_OUTPUT_BUFFER_SIZE] = line[i];
    }
    output.used += len;
}

/* Makes the next piece: how many lines were dropped, or the oldest line. Returns whether there is one. */
static bool next_piece(void)
{
    output.piece_done = 0;
    output.piece_len = 0;
    if (output.lost > 0) {
        output.piece_len = (size_t)snprintf(output.piece, sizeof(output.piece),
                                            LOG_PREFIX "%u log lines lost: standard error took no more\n", output.lost);
        output.lost = 0;
    } else if (output.used > 0) {
        output.piece_len = pop_line(output.piece);
    }
    return output.piece_len > 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static ssize_t write_some(const char *data, size_t len)
{
    struct pollfd descriptor = {.fd = output.fd, .events = POLLOUT};

    if (output.way == SEND) {
        return send(output.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (output.way == POLL_FIRST && poll(&descriptor, 1, 0) != 1) {
        errno = EAGAIN;
        return -1;
    }
    return write(output.fd, data, len);
}

static void schedule_retry(void)
{
    if (output.loop != NULL && output.retry.link == NULL) {
        event_loop_start_timer(output.loop, &output.retry,
                               event_loop_now(output.loop) + backoff_next(&output.backoff) * NS_PER_MS);
    }
}

static void flush(void)
{
    output.failure = 0;
    while (output.piece_done < output.piece_len || next_piece()) {
        ssize_t written = write_some(output.piece + output.piece_done, output.piece_len - output.piece_done);

        if (written <= 0) {
            output.failure = written < 0 ? errno : EAGAIN;
            schedule_retry();
            return;
        }
        output.piece_done += (size_t)written;
        backoff_reset(&output.backoff);
    }
}

static void retry(void *context)
{
    (void)context;
    flush();
}

static void take_line(const char *line, size_t len)
{
    push_line(line, len);
    flush();
}

/* ---- the descriptor -------------------------------------------------------------------------------------------- */

/* Opening a terminal's master makes a new terminal. */
static bool is_terminal_master(const struct stat *status)
{
    return major(status->st_rdev) == TTY_ALTERNATE_MAJOR && minor(status->st_rdev) == PTMX_MINOR;
}

static int open_again(int fd)
{
    char path[32];
    int opened;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    opened = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return opened < 0 ? -errno : opened;
}

int log_output_begin(int fd)
{
    struct stat status;
    int opened;

    output.fd = fd;
    output.opened = -1;
    output.way = WRITE;
    output.backoff = (struct backoff){.min_ms = LOG_OUTPUT_RETRY_MIN_MS, .max_ms = LOG_OUTPUT_RETRY_MAX_MS};
    output.retry = (struct event_timer){.expired = retry};
    log_set_writer(take_line);
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    if (S_ISSOCK(status.st_mode)) {
        output.way = SEND;
        return 0;
    }
    if (!S_ISFIFO(status.st_mode) && !isatty(fd)) {
        return 0;
    }
    opened = is_terminal_master(&status) ? -ENXIO : open_again(fd);
    if (opened < 0) {
        output.way = POLL_FIRST;
        return opened;
    }
    output.fd = output.opened = opened;
    return 0;
}

void log_output_attach(struct event_loop *loop)
{
    output.loop = loop;
    flush();
}

int log_output_descriptor(void)
{
    return output.opened;
}

bool log_output_waits(void)
{
    return output.failure == EAGAIN;
}

void log_output_end(void)
{
    flush();
    if (output.loop != NULL) {
        event_loop_stop_timer(output.loop, &output.retry);
    }
    close_fd(&output.opened);
    log_set_writer(NULL);
    output.loop = NULL;
    output.failure = 0;
    output.piece_len = output.piece_done = output.used = 0;
    output.lost = 0;
}
