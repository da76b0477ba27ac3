/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pump_setup.c - the command line, the sockets and the report of the traffic generator pump.
 *
 * Always: a wrong option, address or namespace ends the process with exit code 2 and one line on stderr,
 * before anything is sent. The sending sockets live in one network namespace, the receiving socket in the
 * other; the process stays in the second one, which does not matter, since a socket stays in the namespace in
 * which it was made. Flows share a socket (so that one sendmmsg carries many flows) unless they share the source
 * address: then they need different ports, and so different sockets.
 */
#include "pump.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_BUFFER_BYTES (64 << 20) /* a whole window of any size must fit */
#define LISTED_MAX 20                  /* how many lost datagrams the report names */

void pump_die(const char *format, ...)
{
    va_list arguments;

    fputs("pump: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
        pump_die("--%s %s: must be a number from %" PRIu64 " to %" PRIu64, name, text, min, max);
    }
    return value;
}

/* What each long option sets; the same order as the table below. */
enum pump_option {
    OPTION_SEND_NAMESPACE = 1,
    OPTION_RECEIVE_NAMESPACE,
    OPTION_SOURCE,
    OPTION_DESTINATION,
    OPTION_PORT,
    OPTION_COUNT,
    OPTION_FLOWS,
    OPTION_WINDOW,
    OPTION_MARK_EVERY,
    OPTION_MARKS,
    OPTION_ARRIVALS,
    OPTION_PAYLOAD,
    OPTION_CPU,
    OPTION_RELEASE_MS,
    OPTION_SETTLE_MS,
    OPTION_GIVE_UP_MS,
    OPTION_TIME_LIMIT_MS,
};

static const struct option option_table[] = {
    {"send-namespace", required_argument, NULL, OPTION_SEND_NAMESPACE},
    {"receive-namespace", required_argument, NULL, OPTION_RECEIVE_NAMESPACE},
    {"source", required_argument, NULL, OPTION_SOURCE},
    {"destination", required_argument, NULL, OPTION_DESTINATION},
    {"port", required_argument, NULL, OPTION_PORT},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"flows", required_argument, NULL, OPTION_FLOWS},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {"mark-every", required_argument, NULL, OPTION_MARK_EVERY},
    {"marks", required_argument, NULL, OPTION_MARKS},
    {"arrivals", required_argument, NULL, OPTION_ARRIVALS},
    {"payload", required_argument, NULL, OPTION_PAYLOAD},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"release-ms", required_argument, NULL, OPTION_RELEASE_MS},
    {"settle-ms", required_argument, NULL, OPTION_SETTLE_MS},
    {"give-up-ms", required_argument, NULL, OPTION_GIVE_UP_MS},
    {"time-limit-ms", required_argument, NULL, OPTION_TIME_LIMIT_MS},
    {NULL, 0, NULL, 0},
};

static bool is_ipv6(const char *address)
{
    return strchr(address, ':') != NULL;
}

static void apply_option(struct pump_options *options, int option, const char *name)
{
    switch (option) {
    case OPTION_SEND_NAMESPACE:
        options->send_namespace = optarg;
        break;
    case OPTION_RECEIVE_NAMESPACE:
        options->receive_namespace = optarg;
        break;
    case OPTION_SOURCE:
        if (options->source_count == SOURCES_MAX) {
            pump_die("more than %d sources", SOURCES_MAX);
        }
        options->sources[options->source_count++] = optarg;
        break;
    case OPTION_DESTINATION:
        *(is_ipv6(optarg) ? &options->destination_ipv6 : &options->destination_ipv4) = optarg;
        break;
    case OPTION_PORT:
        options->port = (uint16_t)number(name, optarg, 1, UINT16_MAX);
        break;
    case OPTION_COUNT:
        options->count = number(name, optarg, 1, COUNT_MAX);
        break;
    case OPTION_FLOWS:
        options->flows = (uint32_t)number(name, optarg, 1, FLOWS_MAX);
        break;
    case OPTION_WINDOW:
        options->window = number(name, optarg, 1, COUNT_MAX);
        break;
    case OPTION_MARK_EVERY:
        options->mark_every = number(name, optarg, 0, COUNT_MAX);
        break;
    case OPTION_MARKS:
        options->marks = optarg;
        break;
    case OPTION_ARRIVALS:
        options->arrivals = optarg;
        break;
    case OPTION_PAYLOAD:
        options->payload = (uint32_t)number(name, optarg, sizeof(struct payload_head), PAYLOAD_MAX);
        break;
    case OPTION_CPU:
        options->cpu = (int)number(name, optarg, 0, CPU_SETSIZE - 1);
        break;
    case OPTION_RELEASE_MS:
        options->release_ms = (int64_t)number(name, optarg, 1, 600000);
        break;
    case OPTION_SETTLE_MS:
        options->settle_ms = (int64_t)number(name, optarg, 1, 600000);
        break;
    case OPTION_GIVE_UP_MS:
        options->give_up_ms = (int64_t)number(name, optarg, 1, 600000);
        break;
    case OPTION_TIME_LIMIT_MS:
        options->time_limit_ms = (int64_t)number(name, optarg, 1, 600000);
        break;
    default:
        pump_die("unknown or incomplete option; see the table in pump_setup.c");
    }
}

/* The mark of each datagram. */
static void map_marks(struct pump *pump)
{
    int fd = open(pump->options.marks, O_RDONLY | O_CLOEXEC);
    struct stat status;
    void *memory;

    if (fd < 0 || fstat(fd, &status) != 0 || (uint64_t)status.st_size < pump->options.count) {
        pump_die("--marks %s: must be a file with a byte for each datagram", pump->options.marks);
    }
    memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        pump_die("--marks %s: %s", pump->options.marks, strerror(errno));
    }
    pump->marks = memory;
}

static void write_arrivals(const struct pump *pump)
{
    FILE *file = fopen(pump->options.arrivals, "we");
    size_t size = (size_t)(pump->options.count + 7) / 8;

    if (file == NULL || fwrite(pump->arrived, 1, size, file) != size || fclose(file) != 0) {
        pump_die("--arrivals %s: %s", pump->options.arrivals, strerror(errno));
    }
}

void pump_parse_options(struct pump *pump, int argc, char **argv)
{
    struct pump_options *options = &pump->options;
    int index = 0;
    int option;

    *options = (struct pump_options){
        .flows = 1,
        .window = 256,
        .payload = 32,
        .cpu = -1,
        .release_ms = 500,
        .settle_ms = 2000,
        .give_up_ms = 10000,
        .time_limit_ms = 60000,
    };
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", option_table, &index)) != -1) {
        apply_option(options, option, option_table[index].name);
    }
    if (options->send_namespace == NULL || options->receive_namespace == NULL || options->source_count == 0 ||
        options->port == 0 || options->count == 0) {
        pump_die("needed: --send-namespace --receive-namespace --source --destination --port --count");
    }
    pump->flows = calloc(options->flows, sizeof(*pump->flows));
    /* Rounded up to whole rounds over the flows, since an index is computed from flow and sequence. */
    pump->arrived = calloc((options->count + options->flows) / 8 + 1, 1);
    if (pump->flows == NULL || pump->arrived == NULL) {
        pump_die("no memory");
    }
    if (options->marks != NULL) {
        map_marks(pump);
    }
}

static void enter_namespace(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
        pump_die("network namespace %s: %s", path, strerror(errno));
    }
    close(fd);
}

static int open_udp(int family)
{
    int bytes = SOCKET_BUFFER_BYTES;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0) {
        pump_die("UDP socket with %d bytes of buffer: %s", bytes, strerror(errno));
    }
    return fd;
}

static void set_address(int family, const char *text, void *address)
{
    if (text == NULL || inet_pton(family, text, address) != 1) {
        pump_die("%s address %s: not valid", family == AF_INET6 ? "IPv6" : "IPv4", text == NULL ? "(none)" : text);
    }
}

static void *control_data(struct flow *flow, int level, int type, size_t len)
{
    struct cmsghdr *header = (struct cmsghdr *)flow->control;

    flow->control_len = CMSG_SPACE(len);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(len);
    return CMSG_DATA(header);
}

static void init_flow(const struct pump_options *options, struct flow *flow, const char *source)
{
    if (is_ipv6(source)) {
        struct sockaddr_in6 *destination = (struct sockaddr_in6 *)&flow->destination;
        struct in6_pktinfo *information = control_data(flow, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(*information));

        destination->sin6_family = AF_INET6;
        destination->sin6_port = htons(options->port);
        flow->destination_len = sizeof(*destination);
        set_address(AF_INET6, options->destination_ipv6, &destination->sin6_addr);
        set_address(AF_INET6, source, &information->ipi6_addr);
    } else {
        struct sockaddr_in *destination = (struct sockaddr_in *)&flow->destination;
        struct in_pktinfo *information = control_data(flow, IPPROTO_IP, IP_PKTINFO, sizeof(*information));

        destination->sin_family = AF_INET;
        destination->sin_port = htons(options->port);
        flow->destination_len = sizeof(*destination);
        set_address(AF_INET, options->destination_ipv4, &destination->sin_addr);
        set_address(AF_INET, source, &information->ipi_spec_dst);
    }
}

void pump_open_sockets(struct pump *pump)
{
    const struct pump_options *options = &pump->options;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(options->port)};
    int no = 0;

    enter_namespace(options->send_namespace);
    for (uint32_t i = 0; i < options->flows; i++) {
        const char *source = options->sources[i % options->source_count];
        uint32_t first = i - i % options->source_count;
        int family = is_ipv6(source) ? AF_INET6 : AF_INET;

        init_flow(options, &pump->flows[i], source);
        pump->flows[i].socket = -1;
        for (uint32_t j = first; j < i && pump->flows[i].socket < 0; j++) {
            if (pump->flows[j].destination.ss_family == family) {
                pump->flows[i].socket = pump->flows[j].socket;
            }
        }
        if (pump->flows[i].socket < 0) {
            pump->flows[i].socket = open_udp(family);
        }
    }
    enter_namespace(options->receive_namespace);
    pump->receiver = open_udp(AF_INET6);
    if (setsockopt(pump->receiver, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) != 0 ||
        bind(pump->receiver, (struct sockaddr *)&any, sizeof(any)) != 0) {
        pump_die("receive on port %u: %s", options->port, strerror(errno));
    }
}

void pump_print_report(const struct pump *pump)
{
    uint64_t lost_marked = 0;
    uint64_t lost = 0;
    const char *separator = "";

    if (pump->options.arrivals != NULL) {
        write_arrivals(pump);
    }
    printf("{\"lost_list\": [");
    for (uint64_t index = 0; index < pump->sent; index++) {
        if (pump_arrived(pump, index)) {
            continue;
        }
        lost++;
        lost_marked += pump_mark(pump, index) != 0;
        if (lost <= LISTED_MAX) {
            printf("%s%" PRIu64, separator, index);
            separator = ", ";
        }
    }
    printf("], \"lost\": %" PRIu64 ", \"lost_marked\": %" PRIu64 ", \"sent\": %" PRIu64 ", \"sent_marked\": %" PRIu64
           ", \"received\": %" PRIu64 ", \"received_marked\": %" PRIu64 ", \"duplicates\": %" PRIu64
           ", \"out_of_order\": %" PRIu64 ", \"foreign\": %" PRIu64,
           lost, lost_marked, pump->sent, pump->sent_marked, pump->received, pump->received_marked, pump->duplicates,
           pump->out_of_order, pump->foreign);
    printf(", \"send_errors\": %" PRIu64 ", \"send_error\": \"%s\", \"releases\": %" PRIu64
           ", \"longest_pause_ms\": %" PRId64 ", \"duration_ms\": %" PRId64 ", \"ended\": \"%s\"}\n",
           pump->send_errors, pump->send_errors ? strerror(pump->last_send_errno) : "", pump->releases,
           pump->longest_pause_ms, pump->duration_ms, pump->ended);
    if (fflush(stdout) != 0) {
        pump_die("report: %s", strerror(errno));
    }
}
