/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * count - counts packets and bytes in counters of its own, and does what its option says for each marked datagram, which
 * it has counted before.
 *
 * do=crash: a crash. do=past: writes into the memory after its cells. do=lie: says that it has counted the largest number.
 * Without, nothing. It gives each packet NFQE_CONTINUE. CMakeLists.txt builds it twice, so that a chain can have two.
 */
#include "crash.h"
#include "marked.h"

enum counter { PACKETS, BYTES, MARKED, NEVER, COUNTERS };

enum deed { NONE, CRASH, PAST, LIE };

struct config {
    uint32_t deed;
};

struct self {
    const struct nfqe_host *host;
    enum deed deed;
};

static const struct nfqe_option options[] = {
    {.name = "do",
     .type = NFQE_OPTION_CHOICE,
     NFQE_MEMBER(struct config, deed),
     .choices = "none|crash|past|lie",
     .default_value = "none",
     .help = "for marked datagrams"},
};

static const struct nfqe_counter counters[COUNTERS] = {
    [PACKETS] = {.name = "packets", .unit = "packets", .help = "that it was asked about"},
    [BYTES] = {.name = "bytes", .unit = "bytes", .help = "of these on the wire"},
    [MARKED] = {.name = "marked", .unit = "packets", .help = "with a mark"},
    [NEVER] = {.name = "never", .help = "is not counted"},
};

static int open(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    static struct self worker;

    (void)shared;
    worker = (struct self){.host = host, .deed = ((const struct config *)config)->deed};
    *self = &worker;
    return host->counter_count == COUNTERS ? 0 : host->fail(host, -1, "%u counters", host->counter_count);
}

static void act(const struct self *self)
{
    volatile uint64_t *cells = self->host->counters;

    switch (self->deed) {
    case CRASH:
        crash();
        break;
    case PAST:
        cells[COUNTERS] = UINT64_MAX;
        break;
    case LIE:
        cells[NEVER] = UINT64_MAX;
        break;
    case NONE:
        break;
    }
}

static nfqe_verdict handle(void *data, struct nfqe_packet *packet)
{
    const struct self *self = data;

    nfqe_count(self->host, PACKETS, 1);
    nfqe_count(self->host, BYTES, packet->wire_len);
    nfqe_count(self->host, COUNTERS, 1); /* there is no such counter */
    if (is_marked(packet)) {
        nfqe_count(self->host, MARKED, 1);
        act(self);
    }
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = COUNT_ID, .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .config_size = sizeof(struct config),
            .options = NFQE_OPTIONS(options), .counters = NFQE_COUNTERS(counters), .open = open, .handle = handle)
