/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * header_c - drops TCP to a port; written in the C that the public headers promise to compile as.
 *
 * It is built as C99 and as C11, without GNU extensions and with warnings as errors. It uses every part of the
 * headers: options, the host table, load(), open(), both handle functions and all accessors. NFQE_TEST_STANDARD is
 * the value that __STDC_VERSION__ must have, so that the build cannot silently use another standard.
 */
#include <nfqe/plugin.h>

#include <errno.h>
#include <stdlib.h>

#if __STDC_VERSION__ != NFQE_TEST_STANDARD
#error "not compiled as the standard that this variant is about"
#endif

struct config {
    int64_t port;
    struct nfqe_list hosts;
};

struct settings {
    uint16_t port;
};

static const struct nfqe_option options[] = {
    {.name = "port",
     .type = NFQE_OPTION_INTEGER,
     .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
     NFQE_MEMBER(struct config, port),
     .min = 1,
     .max = 65535,
     .default_value = "80",
     .help = "port"},
    {.name = "host",
     .type = NFQE_OPTION_ADDRESS,
     .flags = NFQE_OPTION_REPEATABLE,
     NFQE_MEMBER(struct config, hosts),
     .default_value = "::1"},
};

static int load(const struct nfqe_host *host, const void *config_of_engine, void **shared)
{
    const struct config *config = (const struct config *)config_of_engine;
    struct settings *settings;

    if (host->size < sizeof(*host) || host->abi != NFQE_ABI_VERSION || host->ext(host, "nfqe.none/1") != NULL) {
        return host->fail(host, -EINVAL, "the host's table is not the one of ABI %u.%u",
                          NFQE_ABI_MAJOR(NFQE_ABI_VERSION), NFQE_ABI_MINOR(NFQE_ABI_VERSION));
    }
    settings = (struct settings *)malloc(sizeof(*settings));
    if (settings == NULL || config->hosts.count != 1) {
        free(settings);
        return host->fail(host, -ENOMEM, "no memory, or %lu hosts", (unsigned long)config->hosts.count);
    }
    settings->port = (uint16_t)config->port;
    *shared = settings;
    return 0;
}

static int open(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    struct settings *own = (struct settings *)malloc(sizeof(*own));

    if (own == NULL || ((const struct config *)config)->port != ((const struct settings *)shared)->port) {
        free(own);
        return host->fail(host, -ENOMEM, "no memory, or another config struct than in load()");
    }
    *own = *(const struct settings *)shared;
    *self = own;
    return 0;
}

/* Calls every accessor. A packet without any of these headers is undecided. */
static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct settings *settings = (const struct settings *)self;
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);
    uint32_t payload_len = 0;

    if (nfqe_ipv4(packet) == NULL && nfqe_ipv6(packet) == NULL) {
        return NFQE_CONTINUE;
    }
    if (nfqe_udp(packet) != NULL || nfqe_icmp(packet) != NULL || nfqe_icmpv6(packet) != NULL) {
        return NFQE_ACCEPT;
    }
    (void)nfqe_payload(packet, &payload_len);
    return tcp != NULL && nfqe_be16(tcp->dest) == settings->port ? NFQE_DROP : NFQE_CONTINUE;
}

static void handle_batch(void *self, struct nfqe_packet *const *packets, size_t n, nfqe_verdict *out)
{
    size_t i;

    for (i = 0; i < n; i++) {
        out[i] = handle(self, packets[i]);
    }
}

static void close(void *self)
{
    free(self);
}

static void unload(void *shared)
{
    free(shared);
}

static const void *ext(const char *name)
{
    (void)name;
    return NULL;
}

NFQE_PLUGIN(.id = NFQE_TEST_ID, .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .header_bytes = 128,
            .config_size = sizeof(struct config), .summary = "drops TCP to a port", .vendor = "nfq-engine",
            .license = "GPL-2.0-or-later", .options = NFQE_OPTIONS(options), .load = load, .open = open,
            .handle = handle, .handle_batch = handle_batch, .close = close, .unload = unload, .ext = ext)
