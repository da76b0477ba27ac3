/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * narrator - logs each call of its functions, with the name of the process.
 *
 * Options of load(): `lines` logs that number of lines; `pause` then waits, so that a new period of the log limit
 * begins, and logs one more line; `text` logs this text. The build sets the id, so that a plugin chain can have two of
 * them.
 */
#include <nfqe/plugin.h>

#include <inttypes.h>
#include <sys/prctl.h>
#include <time.h>

struct config {
    int64_t lines;
    uint64_t pause_ns;
    const char *text;
};

static const struct nfqe_option options[] = {
    {.name = "lines", .type = NFQE_OPTION_INTEGER, NFQE_MEMBER(struct config, lines)},
    {.name = "pause", .type = NFQE_OPTION_DURATION, NFQE_MEMBER(struct config, pause_ns)},
    {.name = "text", .type = NFQE_OPTION_STRING, NFQE_MEMBER(struct config, text)},
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

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;
    const struct timespec pause = {.tv_sec = (time_t)(config->pause_ns / 1000000000),
                                   .tv_nsec = (long)(config->pause_ns % 1000000000)};

    host_of_process = host;
    *shared = &host_of_process;
    for (int64_t i = 0; i < config->lines; i++) {
        host->log(host, NFQE_LOG_INFO, "line %" PRId64, i);
    }
    if (config->text != NULL) {
        host->log(host, NFQE_LOG_WARNING, "%s", config->text);
    }
    if (config->pause_ns != 0) {
        nanosleep(&pause, NULL);
    }
    if (config->lines == 0 || config->pause_ns != 0) {
        say(host, "load");
    }
    return 0;
}

static int open(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)config;
    (void)shared;
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

NFQE_PLUGIN(.id = NFQE_TEST_ID, .version = "1.0.0", .config_size = sizeof(struct config), .options = options,
            .load = load, .open = open, .handle = handle, .close = close, .unload = unload)
