/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * narrator - logs each call of its functions, with the name of the process.
 *
 * Options of load(): `lines` logs that number of lines; `pause-ms` then waits, so that a new period of the log limit
 * begins, and logs one more line; `text` logs this text. The build sets the id, so that a plugin chain can have two of
 * them.
 */
#include <nfqe/plugin.h>

#include <inttypes.h>
#include <sys/prctl.h>
#include <time.h>

enum { LINES, PAUSE_MS, TEXT };

static const struct nfqe_option options[] = {
    [LINES] = {.name = "lines",
               .type = NFQE_OPTION_INTEGER,
               .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
               .min = 0,
               .max = 1000,
               .default_value = "0"},
    [PAUSE_MS] = {.name = "pause-ms",
                  .type = NFQE_OPTION_INTEGER,
                  .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
                  .min = 0,
                  .max = 5000,
                  .default_value = "0"},
    [TEXT] = {.name = "text", .type = NFQE_OPTION_STRING},
    {.name = NULL},
};

/* unload() and close() get no host; the table is valid for the life of the process. */
static const struct nfqe_host *host_of_process;

static void say(const struct nfqe_host *host, const char *function)
{
    char name[16] = "";

    prctl(PR_GET_NAME, name);
    host->log(host, NFQE_LOG_INFO, "%s in %s", function, name);
}

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    const struct timespec pause = {.tv_sec = values[PAUSE_MS].integer / 1000,
                                   .tv_nsec = values[PAUSE_MS].integer % 1000 * 1000000};

    (void)n;
    host_of_process = host;
    *shared = &host_of_process;
    for (int64_t i = 0; i < values[LINES].integer; i++) {
        host->log(host, NFQE_LOG_INFO, "line %" PRId64, i);
    }
    if (values[TEXT].text != NULL) {
        host->log(host, NFQE_LOG_WARNING, "%s", values[TEXT].text);
    }
    if (values[PAUSE_MS].integer != 0) {
        nanosleep(&pause, NULL);
    }
    if (values[LINES].integer == 0 || values[PAUSE_MS].integer != 0) {
        say(host, "load");
    }
    return 0;
}

static int open(const struct nfqe_host *host, const void *shared, const struct nfqe_state *old, void **self)
{
    (void)shared;
    (void)old;
    *self = &host_of_process;
    host_of_process = host;
    say(host, "open");
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

static void close(void *self)
{
    say(*(const struct nfqe_host **)self, "close");
}

static void unload(void *shared)
{
    say(*(const struct nfqe_host **)shared, "unload");
}

NFQE_PLUGIN(.id = NFQE_TEST_ID, .version = "1.0.0", .options = options, .load = load, .open = open, .handle = handle,
            .close = close, .unload = unload)
