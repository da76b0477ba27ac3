/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * environment - says in the log what an environment variable is in load() and in open(), and accepts every packet.
 *
 *     --plugin environment.so,name=VARIABLE (by default PATH)
 *
 * It looks in two ways, by getenv() and in environ itself, as a library does that runs other programs.
 */
#include <nfqe/plugin.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config {
    const char *name;
};

static const struct nfqe_option options[] = {
    {.name = "name", .type = NFQE_OPTION_STRING, NFQE_MEMBER(struct config, name), .default_value = "PATH"},
    {.name = NULL},
};

/* From its entry "NAME=VALUE" in environ. */
static const char *search_environment(const char *variable)
{
    size_t len = strlen(variable);

    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, variable, len) == 0 && (*entry)[len] == '=') {
            return *entry + len + 1;
        }
    }
    return NULL;
}

static void say(const struct nfqe_host *host, const char *function, const char *variable)
{
    const char *by_getenv = getenv(variable);
    const char *by_search = search_environment(variable);

    host->log(host, NFQE_LOG_INFO, "%s: getenv %s, environ %s", function, by_getenv != NULL ? by_getenv : "(none)",
              by_search != NULL ? by_search : "(none)");
}

static int load(const struct nfqe_host *host, const void *config, void **shared)
{
    (void)shared;
    say(host, "load", ((const struct config *)config)->name);
    return 0;
}

static int open_worker(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)shared;
    (void)self;
    say(host, "open", ((const struct config *)config)->name);
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "environment", .version = "1.0.0", .config_size = sizeof(struct config), .options = options,
            .load = load, .open = open_worker, .handle = handle)
