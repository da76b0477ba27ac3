/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keep - declares an area of each kind, and logs in each open() what is in them. It counts the packets that it is asked
 * about in the areas that workers may write to.
 *
 * `do` says what it does with a marked datagram: crash, hang, or write into the TABLE. `len` is the length of the QUEUE
 * area, `large` that of one more. load() logs the errors of what must be refused.
 */
#include "crash.h"
#include "marked.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLE_WORDS 100000

enum deed { NONE, CRASH, HANG, WRITE };

struct config {
    uint32_t deed;
    uint64_t len;
    uint64_t large;
};

struct counts {
    uint64_t packets;
};

struct self {
    enum deed deed;
    uint64_t *table;
    struct counts *worker;
    struct counts *queue;
    struct counts *shared;
};

static const struct nfqe_option options[] = {
    {.name = "do",
     .type = NFQE_OPTION_CHOICE,
     NFQE_MEMBER(struct config, deed),
     .choices = "none|crash|hang|write",
     .default_value = "none",
     .help = "with marked datagrams"},
    {.name = "len",
     .type = NFQE_OPTION_SIZE,
     NFQE_MEMBER(struct config, len),
     .default_value = "64",
     .help = "of QUEUE"},
    {.name = "large",
     .type = NFQE_OPTION_SIZE,
     NFQE_MEMBER(struct config, large),
     .help = "of another SHARED; 0: none"},
};

/* What each word of the table is: also its own address is part of it, which is the same in each process. */
static uint64_t word_of(const uint64_t *table, unsigned index)
{
    return (uintptr_t)&table[index] * 31 + index;
}

static int fill_table(const struct nfqe_host *host)
{
    const struct nfqe_area *area = host->area(host, "table");
    uint64_t *table;

    if (area == NULL || area->len != TABLE_WORDS * sizeof(*table)) {
        return host->fail(host, -EINVAL, "no table");
    }
    table = area->bytes;
    for (unsigned i = 0; i < TABLE_WORDS; i++) {
        table[i] = word_of(table, i);
    }
    return 0;
}

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;
    int code = host->area_declare(host, NFQE_AREA_TABLE, "table", TABLE_WORDS * sizeof(uint64_t));

    (void)shared;
    if (code == 0) {
        code = host->area_declare(host, NFQE_AREA_WORKER, "worker", sizeof(struct counts));
    }
    if (code == 0) {
        code = host->area_declare(host, NFQE_AREA_QUEUE, "queue", config->len);
    }
    if (code == 0) {
        code = host->area_declare(host, NFQE_AREA_SHARED, "shared", sizeof(struct counts));
    }
    if (code == 0 && config->large > 0) {
        code = host->area_declare(host, NFQE_AREA_SHARED, "large", config->large);
    }
    if (code != 0) {
        return host->fail(host, code, "an area is refused (%d)", -code);
    }
    host->log(host, NFQE_LOG_INFO, "load: again %d, nameless %d, no kind %d, no length %d, other process's %d",
              -host->area_declare(host, NFQE_AREA_QUEUE, "shared", 1),
              -host->area_declare(host, NFQE_AREA_QUEUE, "", 1), -host->area_declare(host, 5, "five", 1),
              -host->area_declare(host, NFQE_AREA_QUEUE, "empty", 0), host->area(host, "queue") == NULL ? errno : 0);
    return fill_table(host);
}

static bool table_is_right(const uint64_t *table)
{
    for (unsigned i = 0; i < TABLE_WORDS; i++) {
        if (table[i] != word_of(table, i)) {
            return false;
        }
    }
    return true;
}

static int open(const struct nfqe_host *host, const void *config, const void *shared, void **data)
{
    static struct self self;
    const struct nfqe_area *table = host->area(host, "table");
    const struct nfqe_area *worker = host->area(host, "worker");
    const struct nfqe_area *queue = host->area(host, "queue");
    const struct nfqe_area *all = host->area(host, "shared");

    (void)shared;
    if (table == NULL || worker == NULL || queue == NULL || all == NULL || host->area(host, "none") != NULL) {
        return host->fail(host, -EINVAL, "an area is missing");
    }
    self = (struct self){.deed = ((const struct config *)config)->deed,
                         .table = table->bytes,
                         .worker = worker->bytes,
                         .queue = queue->bytes,
                         .shared = all->bytes};
    *data = &self;
    host->log(host, NFQE_LOG_INFO,
              "open %u: table %s, made writable %d, declared %d, worker %u %" PRIu64 ", queue %u %" PRIu64
              ", shared %u %" PRIu64,
              host->worker_index, table_is_right(self.table) ? "right" : "wrong",
              mprotect(self.table, 4096, PROT_READ | PROT_WRITE) == 0 ? 0 : errno,
              -host->area_declare(host, NFQE_AREA_SHARED, "late", 1), worker->fresh, self.worker->packets, queue->fresh,
              self.queue->packets, all->fresh, self.shared->packets);
    return 0;
}

static void act(const struct self *self)
{
    switch (self->deed) {
    case CRASH:
        crash();
        break;
    case HANG:
        for (;;) {
            pause();
        }
    case WRITE:
        *(volatile uint64_t *)self->table = 0;
        break;
    case NONE:
        break;
    }
}

static nfqe_verdict handle(void *data, struct nfqe_packet *packet)
{
    const struct self *self = data;

    self->worker->packets++;
    __atomic_fetch_add(&self->queue->packets, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&self->shared->packets, 1, __ATOMIC_RELAXED);
    if (is_marked(packet)) {
        act(self);
    }
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "keep", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .config_size = sizeof(struct config),
            .options = NFQE_OPTIONS(options), .load = load, .open = open, .handle = handle)
