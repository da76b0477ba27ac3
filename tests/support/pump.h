/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pump.h - what the two files of the traffic generator share: pump.c, which sends, receives and accounts,
 * and pump_setup.c, which reads the command line, opens the sockets and prints the report.
 *
 * Always: datagram number `index` belongs to flow `index % flows` and is number `index / flows` in it, and
 * is marked or not by its index alone, so the test can compute which datagrams were marked, and in which
 * order they entered the queue.
 */
#ifndef NFQE_TEST_PUMP_H
#define NFQE_TEST_PUMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define PAYLOAD_MAX 1400
#define BURST_MAX 64
#define SOURCES_MAX 256
#define FLOWS_MAX 4096
#define COUNT_MAX 100000000
#define CONTROL_SIZE 64

struct payload_head {
    char magic[4];
    uint32_t flow; /* of this machine's byte order: both ends are one process */
    uint64_t sequence;
    uint8_t mark;
};

struct pump_options {
    const char *send_namespace;
    const char *receive_namespace;
    const char *sources[SOURCES_MAX];
    uint32_t source_count;
    const char *destination_ipv4;
    const char *destination_ipv6;
    uint16_t port;
    uint64_t count;
    uint32_t flows;
    uint64_t window;
    uint64_t mark_every; /* 0: no marks */
    const char *marks;   /* a file: byte number `index` is the mark of that datagram */
    const char *arrivals; /* a file to write: bit number `index` says whether that datagram arrived */
    uint32_t payload;    /* bytes of UDP payload */
    int cpu;             /* -1: any */
    int64_t release_ms;
    int64_t settle_ms;
    int64_t give_up_ms;
    int64_t time_limit_ms;
};

struct flow {
    int socket;
    struct sockaddr_storage destination;
    socklen_t destination_len;
    _Alignas(16) uint8_t control[CONTROL_SIZE]; /* the source address, as IP_PKTINFO or IPV6_PKTINFO */
    size_t control_len;
    uint64_t sent;
    uint64_t next;    /* one more than the highest sequence number that arrived */
    uint64_t settled; /* below this: arrived, or taken as lost */
};

struct burst_fixture {
    struct mmsghdr message[BURST_MAX];
    struct iovec iov[BURST_MAX];
    _Alignas(16) uint8_t payload[BURST_MAX][PAYLOAD_MAX + 8];
};

struct pump {
    struct pump_options options;
    struct flow *flows;
    uint8_t *arrived; /* one bit for each index */
    const uint8_t *marks; /* NULL: see mark_every */
    int receiver;
    uint64_t sent, sent_marked, settled;
    uint64_t received, received_marked, duplicates, out_of_order, foreign;
    uint64_t send_errors, releases;
    int last_send_errno;
    int64_t released_ns, longest_pause_ms, duration_ms;
    const char *ended;
};

int64_t pump_now_ns(void);
bool pump_arrived(const struct pump *pump, uint64_t index);
uint8_t pump_mark(const struct pump *pump, uint64_t index);

/* These three end the process with a message on stderr when something is wrong. */
void pump_parse_options(struct pump *pump, int argc, char **argv);
void pump_open_sockets(struct pump *pump);
void pump_print_report(const struct pump *pump);

void pump_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
