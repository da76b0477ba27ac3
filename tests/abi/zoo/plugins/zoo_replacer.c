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
#include <stdio.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum { TARGET, SOURCE, IN_PLACE };

static const struct nfqe_option options[] = {
    [TARGET] = {.name = "target", .type = NFQE_OPTION_STRING, .flags = NFQE_OPTION_REQUIRED},
    [SOURCE] = {.name = "source", .type = NFQE_OPTION_STRING, .flags = NFQE_OPTION_REQUIRED},
    [IN_PLACE] = {.name = "in-place", .type = NFQE_OPTION_BOOLEAN, .default_value = "off"},
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

static int load(const struct nfqe_host *host, const struct nfqe_value *values, size_t n, void **shared)
{
    const char *target = values[TARGET].text;
    const char *source = values[SOURCE].text;

    (void)n;
    *shared = NULL;
    if ((values[IN_PLACE].integer ? overwrite(target, source) : rename(source, target)) < 0) {
        return host->fail(host, -errno, "%s cannot be replaced", target);
    }
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    (void)packet;
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "zoo_replacer", .version = "1.0.0", .options = options, .load = load, .handle = handle)
