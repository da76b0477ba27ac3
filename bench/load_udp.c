/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load_udp - sends UDP datagrams of one size to one address for a limited time, many with each system call
 * (UDP_SEGMENT).
 *
 * The stack makes one large packet of each send. A queue that does not take such packets whole, or the receiving
 * socket, splits it into datagrams. So one CPU can send more than a queue can take. With a rate, it sends that many
 * datagrams a second, in small groups. With FLOWS, it uses that many sockets in turn. With SEGMENTS, it sends that
 * many datagrams with each system call; with 1, each is a separate packet on its whole path. It prints the number of
 * datagrams that it sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define SEGMENTS_MAX 64 /* what every kernel with UDP_SEGMENT takes */
#define PAYLOAD_MAX 1400
#define FLOWS_MAX 256
#define SENDS_PER_LOOK 16 /* at the clock, when it sends as fast as it can */
#define GROUPS_PER_SECOND 5000
#define NS_PER_S INT64_C(1000000000)

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void sleep_until(int64_t time_ns)
{
    struct timespec until = {.tv_sec = time_ns / NS_PER_S, .tv_nsec = time_ns % NS_PER_S};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

static double argument(char *const argv[], int index, double min, double max)
{
    char *end;
    double value = strtod(argv[index], &end);

    if (*end != '\0' || !(value >= min && value <= max)) {
        fprintf(stderr, "%s: %s: must be a number from %g to %g\n", argv[0], argv[index], min, max);
        exit(2);
    }
    return value;
}

/* A connected socket whose sends are cut into datagrams of `payload` bytes. */
static int open_socket(const char *address, int port, int payload)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        fprintf(stderr, "%s: not an IPv4 address\n", address);
        exit(2);
    }
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
        setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &payload, sizeof(payload)) < 0) {
        perror("load_udp: socket");
        exit(1);
    }
    return fd;
}

/* Sends a datagram or many from one socket. Returns how many were sent; 0 if the socket is full. */
static size_t send_datagrams(int fd, size_t segments, size_t payload)
{
    static const char data[SEGMENTS_MAX * PAYLOAD_MAX];

    if (send(fd, data, segments * payload, 0) >= 0) {
        return segments;
    }
    if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) {
        perror("load_udp: send");
        exit(1);
    }
    return 0;
}

int main(int argc, char *argv[])
{
    int sockets[FLOWS_MAX];
    unsigned next = 0;
    uint64_t sent = 0;
    unsigned flows;
    int64_t start;
    int64_t end;
    double rate;
    size_t payload;
    size_t segments;

    if (argc < 6 || argc > 8) {
        fprintf(stderr, "usage: %s ADDRESS PORT PAYLOAD_BYTES SECONDS PACKETS_PER_SECOND|0 [FLOWS [SEGMENTS]]\n",
                argv[0]);
        return 2;
    }
    payload = (size_t)argument(argv, 3, 1, PAYLOAD_MAX);
    flows = argc > 6 ? (unsigned)argument(argv, 6, 1, FLOWS_MAX) : 1;
    for (unsigned i = 0; i < flows; i++) {
        sockets[i] = open_socket(argv[1], (int)argument(argv, 2, 1, UINT16_MAX), (int)payload);
    }
    start = now_ns();
    end = start + (int64_t)(argument(argv, 4, 0, 3600) * (double)NS_PER_S);
    rate = argument(argv, 5, 0, 1e9);
    segments = rate > 0 ? (size_t)(rate / GROUPS_PER_SECOND) : SEGMENTS_MAX;
    segments = segments < 1 ? 1 : segments > SEGMENTS_MAX ? SEGMENTS_MAX : segments;
    segments = argc > 7 ? (size_t)argument(argv, 7, 1, SEGMENTS_MAX) : segments;
    for (int64_t now = start; now < end; now = now_ns()) {
        for (int i = 0; i < (rate > 0 ? 1 : SENDS_PER_LOOK); i++, next++) {
            sent += send_datagrams(sockets[next % flows], segments, payload);
        }
        if (rate > 0) {
            sleep_until(start + (int64_t)((double)sent / rate * (double)NS_PER_S));
        }
    }
    printf("%llu\n", (unsigned long long)sent);
    return 0;
}
