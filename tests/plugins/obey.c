/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * obey - gives each packet the verdict that the packet itself asks for, and records that it was asked.
 *
 * A packet asks with the mark byte of the head that marked.h describes, in the payload of UDP or of TCP. obey leaves
 * packets without such a head undecided. The trace is a file that the test has made, `trace`: a count of all packets
 * it was asked about, then one byte for each numbered datagram (sequence * flows + flow), which counts how often it
 * was asked about that one. It is shared memory, so it outlives the worker. `work` is how many microseconds of CPU
 * each packet costs. `others` is the order of packets without a head, 0: none.
 *
 * CMakeLists.txt builds it more than once, as a need or a function cannot be chosen at run time. OBEY_BATCH: it has
 * handle_batch(), too. OBEY_WITNESS: it only records packets and leaves all undecided; for use before an obey.
 */
#include "crash.h"
#include "marked.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* As in tests/live/orders.py. */
#define ORDER_ACCEPT 1
#define ORDER_DROP 2
#define ORDER_ACCEPT_FLOW 3
#define ORDER_DROP_FLOW 4
#define ORDER_CRASH 5

#define FLOW_OFFSET 4 /* of the flow in the head, 32 bits */
#define SEQUENCE_OFFSET 8 /* of the sequence number, 64 bits; both in this machine's byte order */

struct trace {
    uint64_t asked;
    uint8_t datagrams[];
};

/* Built by load(), never changed afterwards. */
static struct {
    struct trace *trace;
    uint64_t datagrams; /* that the trace has room for */
    uint64_t flows;
    int64_t work_ns;
    uint8_t others;
} state;

struct config {
    const char *trace;
    int64_t flows;
    int64_t work;
    int64_t others;
};

#define BOUNDED (NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)

static const struct nfqe_option options[] = {
    {.name = "trace",
     .type = NFQE_OPTION_PATH,
     NFQE_MEMBER(struct config, trace),
     .help = "a file of 8 bytes and one for each datagram"},
    {.name = "flows",
     .type = NFQE_OPTION_INTEGER,
     .flags = BOUNDED,
     NFQE_MEMBER(struct config, flows),
     .min = 1,
     .max = 65536,
     .default_value = "1",
     .help = "of the sender"},
    {.name = "work",
     .type = NFQE_OPTION_INTEGER,
     .flags = BOUNDED,
     NFQE_MEMBER(struct config, work),
     .max = 1000,
     .help = "microseconds a packet"},
    {.name = "others",
     .type = NFQE_OPTION_INTEGER,
     .flags = BOUNDED,
     NFQE_MEMBER(struct config, others),
     .max = ORDER_DROP_FLOW,
     .help = "order of packets without a head"},
    {.name = NULL},
};

static const uint8_t *find_head(const struct nfqe_packet *packet)
{
    uint32_t len = 0;
    const uint8_t *payload = nfqe_payload(packet, &len);

    return payload != NULL && len > MARKED_OFFSET && memcmp(payload, MARKED_MAGIC, MARKED_MAGIC_SIZE) == 0 ? payload
                                                                                                           : NULL;
}

static void leave_trace(const uint8_t *head)
{
    uint64_t index;
    uint64_t sequence;
    uint32_t flow;

    if (state.trace == NULL) {
        return;
    }
    __atomic_fetch_add(&state.trace->asked, 1, __ATOMIC_RELAXED);
    if (head != NULL) {
        memcpy(&flow, head + FLOW_OFFSET, sizeof(flow));
        memcpy(&sequence, head + SEQUENCE_OFFSET, sizeof(sequence));
        index = sequence * state.flows + flow;
        if (index < state.datagrams) {
            __atomic_fetch_add(&state.trace->datagrams[index], 1, __ATOMIC_RELAXED);
        }
    }
}

static void work(void)
{
    struct timespec now;
    int64_t end_ns = 0;
    int64_t now_ns;

    if (state.work_ns == 0) {
        return;
    }
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        end_ns = end_ns == 0 ? now_ns + state.work_ns : end_ns;
    } while (now_ns < end_ns);
}

#ifdef OBEY_WITNESS
static nfqe_verdict answer(const uint8_t *head)
{
    (void)head;
    return NFQE_CONTINUE;
}
#else
static nfqe_verdict answer(const uint8_t *head)
{
    switch (head != NULL ? head[MARKED_OFFSET] : state.others) {
    case ORDER_ACCEPT:
        return NFQE_ACCEPT;
    case ORDER_DROP:
        return NFQE_DROP;
    case ORDER_ACCEPT_FLOW:
        return NFQE_ACCEPT | NFQE_FLOW;
    case ORDER_DROP_FLOW:
        return NFQE_DROP | NFQE_FLOW;
    case ORDER_CRASH:
        crash();
        return NFQE_CONTINUE;
    default:
        return NFQE_CONTINUE;
    }
}
#endif

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const uint8_t *head = find_head(packet);

    (void)self;
    leave_trace(head);
    work();
    return answer(head);
}

#ifdef OBEY_BATCH
static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}
#endif

static int open_trace(const struct nfqe_host *host, const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    void *memory;

    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size < (off_t)sizeof(struct trace)) {
        return host->fail(host, -EINVAL, "trace=%s: no such file, or shorter than its head", path);
    }
    memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        return host->fail(host, -errno, "trace=%s: cannot be mapped", path);
    }
    state.trace = memory;
    state.datagrams = (uint64_t)status.st_size - sizeof(struct trace);
    return 0;
}

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;

    (void)shared;
    state.flows = (uint64_t)config->flows;
    state.work_ns = config->work * 1000;
    state.others = (uint8_t)config->others;
    return config->trace != NULL ? open_trace(host, config->trace) : 0;
}

#if defined(OBEY_WITNESS)
NFQE_PLUGIN(.id = OBEY_ID, .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .config_size = sizeof(struct config),
            .options = options, .load = load, .handle = handle)
#elif defined(OBEY_BATCH)
NFQE_PLUGIN(.id = OBEY_ID, .version = "1.0.0", .needs = NFQE_NEED_HEADERS | NFQE_NEED_FLOW,
            .config_size = sizeof(struct config), .options = options, .load = load, .handle = handle,
            .handle_batch = handle_batch)
#else
NFQE_PLUGIN(.id = OBEY_ID, .version = "1.0.0", .needs = NFQE_NEED_HEADERS | NFQE_NEED_FLOW,
            .config_size = sizeof(struct config), .options = options, .load = load, .handle = handle)
#endif
