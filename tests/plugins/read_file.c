/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read_file - says in the log what the file of its option has, in load() and in open(), and accepts every packet.
 *
 *     --plugin read_file.so,file=PATH[,path=PATH]
 *
 * It reads the descriptor that it was given, and tries to open `path` itself.
 */
#include <nfqe/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 64

struct config {
    int file;
    const char *path;
};

static const struct nfqe_option options[] = {
    {.name = "file",
     .type = NFQE_OPTION_FILE,
     .flags = NFQE_OPTION_REQUIRED,
     NFQE_MEMBER(struct config, file),
     .help = "what to read"},
    {.name = "path", .type = NFQE_OPTION_PATH, NFQE_MEMBER(struct config, path), .help = "what to open itself"},
    {.name = NULL},
};

/* Returns whether the descriptor can be read. */
static bool say(const struct nfqe_host *host, const struct config *config, const char *function)
{
    char text[TEXT_MAX + 1] = "";
    ssize_t len = pread(config->file, text, TEXT_MAX, 0);
    int own = config->path != NULL ? open(config->path, O_RDONLY | O_CLOEXEC) : -1;

    text[strcspn(text, "\n")] = '\0';
    host->log(host, NFQE_LOG_INFO, "%s: given %s, own %s", function, len < 0 ? strerror(errno) : text,
              own < 0 ? "refused" : "opened");
    if (own >= 0) {
        close(own);
    }
    return len >= 0;
}

static int load(const struct nfqe_host *host, const void *config, void **shared)
{
    (void)shared;
    return say(host, config, "load") ? 0 : host->fail(host, 0, "the file cannot be read");
}

static int open_worker(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)shared;
    (void)self;
    return say(host, config, "open") ? 0 : host->fail(host, 0, "the file cannot be read");
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "read_file", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .config_size = sizeof(struct config),
            .options = options, .load = load, .open = open_worker, .handle = handle)
