/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * misbehave - a plugin that does one thing wrong, in one of its functions, and accepts every packet otherwise.
 *
 *     --plugin misbehave.so,do=WAY[,in=FUNCTION][,on=PACKETS][,after=N][,times=N][,file=PATH]
 *
 * do=WAY, what goes wrong:
 *     crash             writes through NULL: SIGSEGV
 *     crash-thread      starts a thread that does so, and waits for it
 *     abort             SIGABRT
 *     exit:STATUS       calls exit(), as some libraries do
 *     _exit:STATUS      calls _exit()
 *     kill-group:SIGNAL sends the signal to its process group
 *     hang              loops for ever and burns its CPU
 *     sleep:MS          sleeps as long, then continues
 *     work:US           burns as many microseconds of CPU, then continues
 *     print:LINES       prints "printed line 0", ..., and then "printed last words" without an end of the line
 *     print-and-crash:LINES        does the same and crashes
 *     print-mib:MIB     prints so many MiB of dots to standard error, in lines of 64 bytes
 *     wait-for-file     waits until file=PATH is there               (load, open)
 *     fail              fails with ENOENT and a reason               (load, open)
 *     fail-at-length    fails with a reason of 260 bytes             (load, open)
 *     fail-silently     fails with EIO and without a reason          (load, open)
 *     start-thread      leaves a thread that sleeps                  (load, open)
 *     invalid           answers a datagram of mark 1 with 0x7, of mark 2 with NFQE_HELD, of mark 3 with
 *                       NFQE_ACCEPT | NFQE_FLOW: each no verdict of this plugin, which declares no such need (handle)
 *     overrun:BYTES     writes as many bytes from the begin of the packet on, and over its end          (handle)
 *     overwrite-memory             writes over all shared memory of the engine that its process can write to, or can
 *                                  make so                                                              (handle)
 *     close-descriptors            closes every descriptor but the standard ones
 *     close-all-descriptors        closes those, too
 *     replace-descriptors          makes a copy of standard error of every other descriptor              (handle)
 *     change-descriptors           turns over flags of the files of all descriptors                     (handle)
 *     fork-twice                   the call returns in four processes                                   (handle)
 *     attack                       unbinds queue 1, kills and traces the supervisor, and prints whether it could
 *     drop-capabilities            gives up every capability
 *     change-user                  becomes the user nobody, and loses every capability with that
 *     change-user-keep-capability  the same, but keeps CAP_NET_ADMIN
 *
 * in=FUNCTION, where: load, open, handle (the default), handle_batch, close or unload. In misbehave_batch, in=handle
 * means both functions: handle_batch() goes wrong at the end of the burst, after it has written every verdict, so
 * that only handle(), which goes wrong on the packet itself, tells the engine which packet was the reason. With
 * in=handle_batch it goes wrong at the packet, and handle() never does.
 *
 * on=PACKETS, for handle and handle_batch only: marked (the default) or every. Marked are the datagrams of marked.h
 * with a mark of 1 to 254. The mark 255 is no misbehaviour: it is answered with NFQE_DROP, so that a test can tell
 * whether a packet next to the misbehaviour kept its own verdict.
 *
 * after=N: the first N occasions pass (default 0). times=N: it goes wrong N times (default: always), then never again.
 * Both count in memory that all workers share, so `in=open,do=fail,after=1,times=6` is a plugin that opens once, fails
 * in the next six workers, and then opens again; `after=2,times=1` is the third occasion alone.
 *
 * An option or a combination that is not listed here is refused by load(), so that a test cannot pass by a typing
 * error. CMakeLists.txt builds it more than once, as the id and handle_batch() cannot be chosen by an option:
 * misbehave, misbehave_second (for a plugin chain with two of them), misbehave_batch (MISBEHAVE_BATCH: has
 * handle_batch(), too). What happens before load() cannot be chosen by an option either: see the plugins
 * constructor_* of the ABI tests.
 */
#include "misbehave.h"

#include "marked.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MISBEHAVE_ID
#define MISBEHAVE_ID "misbehave"
#endif
#ifdef MISBEHAVE_BATCH
#define MISBEHAVE_VERSION "2.3.4"
#define PLACES ANYWHERE
#define HANDLE_BATCH handle_batch
#else
#define MISBEHAVE_VERSION "1.2.3"
#define PLACES (ANYWHERE & ~IN_HANDLE_BATCH)
#define HANDLE_BATCH NULL
#endif

#define MARK_DROP 255
#define COUNT_MAX INT64_C(1000000000)

struct config {
    const char *what;
    const char *in;
    const char *on;
    const char *file;
    int64_t after;
    int64_t times;
};

#define BOUNDED (NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)
#define MEMBER(name) NFQE_MEMBER(struct config, name)

static const struct nfqe_option options[] = {
    {.name = "do",
     .type = NFQE_OPTION_STRING,
     MEMBER(what),
     .flags = NFQE_OPTION_REQUIRED | NFQE_OPTION_HAS_MIN,
     .min = 1,
     .help = "what"},
    {.name = "in", .type = NFQE_OPTION_STRING, MEMBER(in), .default_value = "handle", .help = "where"},
    {.name = "on", .type = NFQE_OPTION_STRING, MEMBER(on), .help = "marked or every"},
    {.name = "after", .type = NFQE_OPTION_INTEGER, MEMBER(after), .flags = BOUNDED, .max = COUNT_MAX},
    {.name = "times",
     .type = NFQE_OPTION_INTEGER,
     MEMBER(times),
     .flags = BOUNDED,
     .min = 1,
     .max = COUNT_MAX,
     .default_value = "1000000000"},
    {.name = "file", .type = NFQE_OPTION_PATH, MEMBER(file)},
    {.name = NULL},
};

static const struct {
    const char *name;
    enum place place;
} places[] = {
    {"load", IN_LOAD},   {"open", IN_OPEN},     {"handle", IN_HANDLE}, {"handle_batch", IN_HANDLE_BATCH},
    {"close", IN_CLOSE}, {"unload", IN_UNLOAD}, {.name = NULL},
};

/* Set by load() and inherited by the workers. */
static struct {
    const struct nfqe_host *host;
    const struct way *way;
    unsigned in; /* of enum place */
    bool on_every_packet;
    long number;
    int64_t after;
    int64_t times;
    const char *file;
    atomic_llong *occasions; /* so far, in all processes; mapped for the life of each of them */
} plan;

/* ---- the options ------------------------------------------------------------------------------------------ */

static int plan_what(const struct nfqe_host *host, const char *text)
{
    size_t name_len = strcspn(text, ":");
    char *end = NULL;

    for (plan.way = misbehave_ways; plan.way->name != NULL; plan.way++) {
        if (strlen(plan.way->name) == name_len && strncmp(plan.way->name, text, name_len) == 0) {
            break;
        }
    }
    if (plan.way->name == NULL) {
        return host->fail(host, -EINVAL, "do=%s: no such misbehaviour", text);
    }
    if (plan.way->takes_number != (text[name_len] == ':')) {
        return host->fail(host, -EINVAL, "do=%s: %s", text,
                          plan.way->takes_number ? "needs :NUMBER" : "takes no number");
    }
    if (plan.way->takes_number) {
        plan.number = strtol(text + name_len + 1, &end, 10);
        if (end == text + name_len + 1 || *end != '\0' || plan.number < 0 || plan.number > COUNT_MAX) {
            return host->fail(host, -EINVAL, "do=%s: must be a number of 0 to %" PRId64, text, COUNT_MAX);
        }
    }
    return 0;
}

static int plan_where(const struct nfqe_host *host, const char *text)
{
    unsigned i = 0;

    while (places[i].name != NULL && strcmp(places[i].name, text) != 0) {
        i++;
    }
    plan.in = places[i].place;
    if ((plan.in & PLACES) == 0) {
        return host->fail(host, -EINVAL, "in=%s: this plugin has no such function", text);
    }
    if ((plan.in & plan.way->places) == 0) {
        return host->fail(host, -EINVAL, "do=%s is not possible with in=%s", plan.way->name, text);
    }
    return 0;
}

static int plan_packets(const struct nfqe_host *host, const char *text)
{
    plan.on_every_packet = text != NULL && strcmp(text, "every") == 0;
    if (text != NULL && !plan.on_every_packet && strcmp(text, "marked") != 0) {
        return host->fail(host, -EINVAL, "on=%s: must be marked or every", text);
    }
    if (text != NULL && (plan.in & IN_PACKET) == 0) {
        return host->fail(host, -EINVAL, "on=%s: only with in=handle or in=handle_batch", text);
    }
    return 0;
}

static int plan_file(const struct nfqe_host *host, const char *text)
{
    bool waits = strcmp(plan.way->name, "wait-for-file") == 0;

    if ((text != NULL) != waits) {
        return host->fail(host, -EINVAL, "do=wait-for-file needs file=PATH, and nothing else takes it");
    }
    plan.file = waits ? text : "";
    return 0;
}

static int plan_all(const struct nfqe_host *host, const struct config *config)
{
    int error = plan_what(host, config->what);

    error = error != 0 ? error : plan_where(host, config->in);
    error = error != 0 ? error : plan_packets(host, config->on);
    error = error != 0 ? error : plan_file(host, config->file);
    if (error != 0) {
        return error;
    }
    plan.after = config->after;
    plan.times = config->times;
    plan.occasions = mmap(NULL, sizeof(*plan.occasions), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return plan.occasions == MAP_FAILED ? host->fail(host, -errno, "no memory") : 0;
}

/* ---- when ------------------------------------------------------------------------------------------------- */

/* Whether this occasion, which is counted with that, is one of those that go wrong. */
static bool is_its_turn(void)
{
    int64_t before = atomic_fetch_add(plan.occasions, 1);

    return before >= plan.after && before - plan.after < plan.times;
}

static bool is_meant(unsigned mark)
{
    return mark != MARK_DROP && (plan.on_every_packet || mark != 0) && is_its_turn();
}

static nfqe_verdict misbehave_on(const struct nfqe_packet *packet)
{
    struct occasion occasion = {
        .host = plan.host, .packet = packet, .verdict = NFQE_ACCEPT, .number = plan.number, .file = plan.file};

    plan.way->act(&occasion);
    return occasion.verdict;
}

/* In a function that has no packet. */
static int misbehave_in(enum place place)
{
    struct occasion occasion = {.host = plan.host, .number = plan.number, .file = plan.file};

    return plan.in == place && is_its_turn() ? plan.way->act(&occasion) : 0;
}

/* ---- the plugin ------------------------------------------------------------------------------------------- */

static int load(const struct nfqe_host *host, const void *config, void **shared)
{
    int error = plan_all(host, config);

    (void)shared;
    plan.host = host;
    return error != 0 ? error : misbehave_in(IN_LOAD);
}

static int open_worker(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)config;
    (void)shared;
    *self = NULL;
    plan.host = host;
    return misbehave_in(IN_OPEN);
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    unsigned mark = mark_of(packet);

    (void)self;
    if (plan.in == IN_HANDLE && is_meant(mark)) {
        return misbehave_on(packet);
    }
    return mark == MARK_DROP ? NFQE_DROP : NFQE_ACCEPT;
}

#ifdef MISBEHAVE_BATCH
static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    size_t at_the_end = n; /* the packet that the end of the burst goes wrong for */

    (void)self;
    for (size_t i = 0; i < n; i++) {
        unsigned mark = mark_of(packets[i]);

        if (plan.in == IN_HANDLE_BATCH && is_meant(mark)) {
            out[i] = misbehave_on(packets[i]);
            continue;
        }
        out[i] = mark == MARK_DROP ? NFQE_DROP : NFQE_ACCEPT;
        if (plan.in == IN_HANDLE && at_the_end == n && is_meant(mark)) {
            at_the_end = i;
        }
    }
    if (at_the_end < n) {
        out[at_the_end] = misbehave_on(packets[at_the_end]);
    }
}
#endif

static void close_worker(void *self)
{
    (void)self;
    misbehave_in(IN_CLOSE);
}

static void unload(void *shared)
{
    (void)shared;
    misbehave_in(IN_UNLOAD);
}

NFQE_PLUGIN(.id = MISBEHAVE_ID, .version = MISBEHAVE_VERSION, .needs = NFQE_NEED_HEADERS,
            .config_size = sizeof(struct config), .options = options, .load = load, .open = open_worker,
            .handle = handle, .handle_batch = HANDLE_BATCH, .close = close_worker, .unload = unload)
