/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pump - sends numbered UDP datagrams from one network namespace and records each of them in another one: which
 * arrived, which twice, which too late, which never. It prints one JSON object at the end.
 *
 * Always: at most --window datagrams are in flight, so that no socket buffer or backlog overflows, and only the
 * program under test can lose one. One thread on one CPU sends and receives, so the order of sending is exact. A flow
 * is one source address and port; its datagrams have the numbers 0, 1, 2, ... A lost datagram does not stop the
 * others: it counts as lost when a later one of its flow arrives, or after --release-ms without any arrival. SIGTERM
 * ends the sending; SIGUSR1 says that nothing which was sent can still arrive. Every wait and every run is bounded.
 *
 * The payload, also read by tests/plugins/marked.h: "nfqp", flow (32 bits), sequence (64 bits), mark (8).
 */
#include "pump.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_MS 2
#define LINGER_MS 100 /* after the last arrival: time for a duplicate to show up */
#define NS_PER_MS 1000000

static volatile sig_atomic_t stop_requested;
static volatile sig_atomic_t all_decided;

static void on_signal(int number)
{
    if (number == SIGUSR1) {
        all_decided = 1;
    } else {
        stop_requested = 1;
    }
}

int64_t pump_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool bit_test_and_set(uint8_t *bits, uint64_t index)
{
    uint8_t mask = (uint8_t)(1u << (index % 8));
    bool was_set = (bits[index / 8] & mask) != 0;

    bits[index / 8] |= mask;
    return was_set;
}

bool pump_arrived(const struct pump *pump, uint64_t index)
{
    return (pump->arrived[index / 8] >> (index % 8)) & 1;
}

uint8_t pump_mark(const struct pump *pump, uint64_t index)
{
    uint64_t every = pump->options.mark_every;

    if (pump->marks != NULL) {
        return pump->marks[index];
    }
    return every != 0 && index % every == every / 2;
}

/* Datagram number `index` into slot `slot` of the burst; its flow says which address it comes from. */
static void fill_slot(struct pump *pump, struct burst_fixture *burst, size_t slot, uint64_t index)
{
    struct flow *flow = &pump->flows[index % pump->options.flows];
    struct payload_head *head = (struct payload_head *)burst->payload[slot];

    memcpy(head->magic, "nfqp", sizeof(head->magic));
    head->flow = (uint32_t)(index % pump->options.flows);
    head->sequence = index / pump->options.flows;
    head->mark = pump_mark(pump, index);
    burst->iov[slot] = (struct iovec){burst->payload[slot], pump->options.payload};
    burst->message[slot].msg_hdr = (struct msghdr){
        .msg_name = &flow->destination,
        .msg_namelen = flow->destination_len,
        .msg_iov = &burst->iov[slot],
        .msg_iovlen = 1,
        .msg_control = flow->control,
        .msg_controllen = flow->control_len,
    };
}

/* Up to one burst of consecutive datagrams that leave through the same socket. Returns how many left. */
static unsigned send_some(struct pump *pump, struct burst_fixture *burst, uint64_t most)
{
    int socket = pump->flows[pump->sent % pump->options.flows].socket;
    unsigned count = 0;
    int sent;

    while (count < BURST_MAX && count < most) {
        uint64_t index = pump->sent + count;

        if (pump->flows[index % pump->options.flows].socket != socket) {
            break;
        }
        fill_slot(pump, burst, count, index);
        count++;
    }
    sent = sendmmsg(socket, burst->message, count, MSG_DONTWAIT);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            pump->send_errors++;
            pump->last_send_errno = errno;
        }
        return 0;
    }
    for (int i = 0; i < sent; i++) {
        pump->flows[pump->sent % pump->options.flows].sent++;
        pump->sent_marked += pump_mark(pump, pump->sent) != 0;
        pump->sent++;
    }
    return (unsigned)sent;
}

static void account(struct pump *pump, const struct payload_head *head, unsigned len)
{
    struct flow *flow;
    uint64_t index;

    if (len < sizeof(*head) || memcmp(head->magic, "nfqp", sizeof(head->magic)) != 0 ||
        head->flow >= pump->options.flows || head->sequence >= pump->flows[head->flow].sent) {
        pump->foreign++;
        return;
    }
    flow = &pump->flows[head->flow];
    index = head->sequence * pump->options.flows + head->flow;
    if (bit_test_and_set(pump->arrived, index)) {
        pump->duplicates++;
        return;
    }
    pump->received++;
    pump->received_marked += pump_mark(pump, index) != 0;
    if (head->sequence < flow->next) {
        pump->out_of_order++;
        return;
    }
    flow->next = head->sequence + 1;
    if (flow->next > flow->settled) {
        pump->settled += flow->next - flow->settled;
        flow->settled = flow->next;
    }
}

static unsigned receive_some(struct pump *pump, struct burst_fixture *burst)
{
    int count;

    for (size_t i = 0; i < BURST_MAX; i++) {
        burst->iov[i] = (struct iovec){burst->payload[i], PAYLOAD_MAX};
        burst->message[i].msg_hdr = (struct msghdr){.msg_iov = &burst->iov[i], .msg_iovlen = 1};
    }
    count = recvmmsg(pump->receiver, burst->message, BURST_MAX, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        account(pump, (const struct payload_head *)burst->payload[i], burst->message[i].msg_len);
    }
    return count > 0 ? (unsigned)count : 0;
}

/* Nothing has arrived for a long time: datagrams in flight count as lost, so that sending continues. */
static void release_window(struct pump *pump)
{
    for (uint32_t i = 0; i < pump->options.flows; i++) {
        pump->flows[i].settled = pump->flows[i].sent;
    }
    pump->settled = pump->sent;
    pump->releases++;
}

/* The last datagram of every flow has arrived: no earlier one is in flight, if the order is kept. */
static bool all_flows_ended(const struct pump *pump)
{
    for (uint32_t i = 0; i < pump->options.flows; i++) {
        if (pump->flows[i].next != pump->flows[i].sent) {
            return false;
        }
    }
    return true;
}

static void run(struct pump *pump)
{
    const struct pump_options *options = &pump->options;
    static struct burst_fixture burst;
    int64_t start_ns = pump_now_ns();
    int64_t arrival_ns = start_ns;
    int64_t decided_ns = 0;

    for (;;) {
        bool sending = pump->sent < options->count && !stop_requested;
        uint64_t on_their_way = pump->sent - pump->settled;
        unsigned progress = 0;
        int64_t now_ns;
        int64_t backoff_ms;

        if (sending && on_their_way < options->window) {
            uint64_t most = options->window - on_their_way;
            uint64_t left = options->count - pump->sent;

            progress = send_some(pump, &burst, most < left ? most : left);
        }
        now_ns = pump_now_ns();
        if (receive_some(pump, &burst) > 0) {
            backoff_ms = (now_ns - arrival_ns) / NS_PER_MS;
            pump->longest_pause_ms = backoff_ms > pump->longest_pause_ms ? backoff_ms : pump->longest_pause_ms;
            arrival_ns = now_ns;
            continue;
        }
        backoff_ms = (now_ns - arrival_ns) / NS_PER_MS;
        if (now_ns - start_ns > options->time_limit_ms * NS_PER_MS) {
            pump->ended = "time limit";
            break;
        }
        if (!sending && backoff_ms > LINGER_MS && all_flows_ended(pump)) {
            pump->ended = "complete";
            break;
        }
        if (all_decided && decided_ns == 0) {
            decided_ns = now_ns;
        }
        if (!sending && decided_ns != 0 && backoff_ms > LINGER_MS && now_ns - decided_ns > LINGER_MS * NS_PER_MS) {
            pump->ended = "decided";
            break;
        }
        if (!sending && backoff_ms > options->settle_ms) {
            pump->ended = "settled";
            break;
        }
        if (sending && backoff_ms > options->give_up_ms) {
            pump->ended = "nothing arrives";
            break;
        }
        if (sending && on_their_way >= options->window &&
            now_ns - (arrival_ns > pump->released_ns ? arrival_ns : pump->released_ns) >
                options->release_ms * NS_PER_MS) {
            release_window(pump);
            pump->released_ns = now_ns;
        }
        if (progress == 0) {
            poll(&(struct pollfd){.fd = pump->receiver, .events = POLLIN}, 1, POLL_MS);
        }
    }
    pump->duration_ms = (pump_now_ns() - start_ns) / NS_PER_MS;
}

int main(int argc, char **argv)
{
    static struct pump pump;
    struct sigaction action = {.sa_handler = on_signal};
    cpu_set_t cpus;

    pump_parse_options(&pump, argc, argv);
    if (pump.options.cpu >= 0) {
        /* One CPU, or packets of one flow could take two backlogs and overtake each other there. */
        CPU_ZERO(&cpus);
        CPU_SET((size_t)pump.options.cpu, &cpus);
        if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) {
            pump_die("sched_setaffinity to CPU %d: %s", pump.options.cpu, strerror(errno));
        }
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    pump_open_sockets(&pump);
    run(&pump);
    pump_print_report(&pump);
    return 0;
}
