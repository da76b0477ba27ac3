/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ping_pong - measures the time of a small UDP request and its answer, one at a time, on an otherwise idle machine.
 *
 * `ping_pong server ADDRESS PORT SECONDS` returns every datagram; `ping_pong client ADDRESS PORT SECONDS` sends one,
 * waits for its return, pauses, and prints the number of round trips and their quantiles in nanoseconds as JSON.
 * Always: bounded in time; an answer that does not come is counted as lost.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TRIPS_MAX 200000
#define WARM_UP 100       /* trips that are not counted */
#define PAYLOAD 36        /* an IPv4 packet of 64 bytes */
#define PAUSE_NS 200000   /* all that a trip woke sleeps again */
#define ANSWER_MS 100
#define NS_PER_S INT64_C(1000000000)

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void serve(int fd, int64_t end)
{
    char data[2048];

    while (now_ns() < end) {
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        ssize_t len = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &from_len);

        if (len >= 0) {
            sendto(fd, data, (size_t)len, 0, (struct sockaddr *)&from, from_len);
        }
    }
}

static int compare(const void *left, const void *right)
{
    const int64_t *a = left;
    const int64_t *b = right;

    return (*a > *b) - (*a < *b);
}

static int measure(int fd, int64_t end)
{
    static int64_t trips[TRIPS_MAX];
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    unsigned count = 0;
    unsigned lost = 0;
    uint64_t number = 0;

    while (now_ns() < end && count < TRIPS_MAX) {
        char data[PAYLOAD] = {0};
        uint64_t answer = 0;
        int64_t start;

        number++;
        memcpy(data, &number, sizeof(number));
        start = now_ns();
        if (send(fd, data, sizeof(data), 0) < 0) {
            perror("ping_pong: send");
            return 1;
        }
        while (answer != number && recv(fd, data, sizeof(data), 0) > 0) { /* a late answer is passed over */
            memcpy(&answer, data, sizeof(answer));
        }
        if (answer != number) {
            lost++;
        } else if (number > WARM_UP) {
            trips[count++] = now_ns() - start;
        }
        nanosleep(&pause, NULL);
    }
    if (count == 0) {
        fprintf(stderr, "ping_pong: no answer\n");
        return 1;
    }
    qsort(trips, count, sizeof(trips[0]), compare);
    printf("{\"trips\": %u, \"lost\": %u, \"p50\": %lld, \"p99\": %lld}\n", count, lost, (long long)trips[count / 2],
           (long long)trips[(uint64_t)count * 99 / 100]);
    return 0;
}

int main(int argc, char *argv[])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct timeval timeout = {.tv_usec = ANSWER_MS * 1000};
    const struct sockaddr *at = (const struct sockaddr *)&address;
    bool server = argc == 5 && strcmp(argv[1], "server") == 0;
    int64_t end;
    int fd;

    if (argc != 5 || (!server && strcmp(argv[1], "client") != 0) ||
        inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) {
        fprintf(stderr, "usage: %s server|client ADDRESS PORT SECONDS\n", argv[0]);
        return 2;
    }
    address.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
    end = now_ns() + (int64_t)(strtod(argv[4], NULL) * (double)NS_PER_S);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
        (server ? bind(fd, at, sizeof(address)) : connect(fd, at, sizeof(address))) < 0) {
        perror("ping_pong: socket");
        return 1;
    }
    if (!server) {
        return measure(fd, end);
    }
    serve(fd, end);
    return 0;
}
