/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo_replacer - its load() replaces the file `target`, which is another plugin's, by the content of the file `source`.
 *
 * At that time the files of all plugins were checked, and the plugins after this one are not linked yet. With
 * in-place=on the file is overwritten, as cp does; otherwise a new file is renamed to the old one's name.
 */
#include <nfqe/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <unistd.h>

struct config {
    const char *target;
    const char *source;
    bool in_place;
};

static const struct nfqe_option options[] = {
    {.name = "target", .type = NFQE_OPTION_PATH, NFQE_MEMBER(struct config, target), .flags = NFQE_OPTION_REQUIRED},
    {.name = "source", .type = NFQE_OPTION_PATH, NFQE_MEMBER(struct config, source), .flags = NFQE_OPTION_REQUIRED},
    {.name = "in-place", .type = NFQE_OPTION_BOOLEAN, NFQE_MEMBER(struct config, in_place), .default_value = "off"},
    {.name = NULL},
};

static int overwrite(const char *target, const char *source)
{
    int from = open(source, O_RDONLY | O_CLOEXEC);
    int to = open(target, O_WRONLY | O_TRUNC | O_CLOEXEC);
    int code = from < 0 || to < 0 ? -1 : 0;
    ssize_t part = 1;

    while (code == 0 && part > 0) {
        part = sendfile(to, from, NULL, 1 << 20);
        code = part < 0 ? -1 : 0;
    }
    close(from);
    close(to);
    return code;
}

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = config_of_engine;

    (void)shared;
    if ((config->in_place ? overwrite(config->target, config->source) : rename(config->source, config->target)) < 0) {
        return host->fail(host, -errno, "%s cannot be replaced", config->target);
    }
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "zoo_replacer", .version = "1.0.0", .config_size = sizeof(struct config), .options = options,
            .load = load, .handle = handle)
