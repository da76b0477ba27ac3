/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record_burst QUEUE FILE - takes a burst from a queue and writes its messages to a file, for chain_cost.
 *
 * Always: bounded in time. It sends no verdicts; the kernel drops the packets when this program ends.
 */
#include "burst_file.h"

#include "queue/nfqueue_config.h"
#include "queue/nfqueue_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LEN 1024
#define WAIT_MS 5000

static char slots[BURST_MAX][BURST_FILE_SLOT];

static int write_message(FILE *file, const void *data, uint32_t len)
{
    return fwrite(&len, sizeof(len), 1, file) == 1 && fwrite(data, len, 1, file) == 1 ? 0 : -EIO;
}

/* Receives until BURST_MAX messages are in the file. */
static int record(int fd, struct burst *burst, FILE *file)
{
    struct pollfd socket = {.fd = fd, .events = POLLIN};
    unsigned written = 0;
    int error = 0;

    while (error == 0 && written < BURST_MAX) {
        int count;

        burst_begin_receive(burst);
        count = poll(&socket, 1, WAIT_MS) > 0 ? nfqueue_receive(fd, burst) : -ETIMEDOUT;
        if (count < 0) {
            return count;
        }
        for (unsigned i = 0; i < (unsigned)count && written < BURST_MAX && error == 0; i++, written++) {
            error = write_message(file, slots[i], (uint32_t)burst_message_len(burst, i, BURST_FILE_SLOT));
        }
    }
    return error;
}

int main(int argc, char *argv[])
{
    const struct queue_settings settings = {
        .copy_packet = true, .copy_range = BURST_FILE_COPY_RANGE, .max_len = MAX_LEN, .flags = QUEUE_GSO};
    static struct burst burst;
    FILE *file;
    uint32_t port_id;
    uint16_t queue;
    int error;
    int fd;

    if (argc != 3) {
        fprintf(stderr, "usage: %s QUEUE FILE\n", argv[0]);
        return 2;
    }
    queue = (uint16_t)strtoul(argv[1], NULL, 10);
    file = fopen(argv[2], "wb");
    if (file == NULL) {
        perror(argv[2]);
        return 1;
    }
    burst_attach_slots(&burst, slots, BURST_FILE_SLOT);
    error = nfqueue_open(true, &fd, &port_id);
    if (error == 0) {
        error = nfqueue_bind(fd, queue, &settings);
    }
    if (error == 0) {
        error = record(fd, &burst, file);
    }
    if (fclose(file) != 0 && error == 0) {
        error = -errno;
    }
    if (error != 0) {
        fprintf(stderr, "record_burst: queue %u: %s\n", queue, strerror(-error));
        return 1;
    }
    return 0;
}
