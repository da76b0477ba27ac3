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

static const struct nfqe_option options[] = {
    {.name = "name", .type = NFQE_OPTION_STRING, .default_value = "PATH"},
    {.name = NULL},
};

static const char *variable;

/* From its entry "NAME=VALUE" in environ. */
static const char *search_environment(void)
{
    size_t len = strlen(variable);

    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, variable, len) == 0 && (*entry)[len] == '=') {
            return *entry + len + 1;
        }
    }
    return NULL;
}

static void say(const struct nfqe_host *host, const char *function)
{
    const char *by_getenv = getenv(variable);
    const char *by_search = search_environment();

    host->log(host, NFQE_LOG_INFO, "%s: getenv %s, environ %s", function, by_getenv != NULL ? by_getenv : "(none)",
              by_search != NULL ? by_search : "(none)");
}

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    (void)n;
    (void)shared;
    variable = strdup(values[0].text); /* for the life of the process */
    if (variable == NULL) {
        return host->fail(host, 0, "no memory");
    }
    say(host, "load");
    return 0;
}

static int open_worker(const struct nfqe_host *host, const void *shared, const struct nfqe_state *old, void **self)
{
    (void)shared;
    (void)old;
    (void)self;
    say(host, "open");
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "environment", .version = "1.0.0", .options = options, .load = load, .open = open_worker,
            .handle = handle)
