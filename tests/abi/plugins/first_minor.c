/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * first_minor - a plugin as compiled for ABI 1.0: it drops TCP to a port, leaves other TCP undecided, and accepts the
 * rest.
 *
 * It does not include the public headers, since they change and a compiled plugin does not. The layout and the numbers
 * of ABI 1.0 are repeated here, and are never changed to follow the headers.
 */
#include <stddef.h>
#include <stdint.h>

#define ABI_1_0 0x00010000
#define MAJOR 1
#define NEED_HEADERS 1
#define OPTION_INTEGER 2
#define CONTINUE 0
#define ACCEPT 1
#define DROP 2
#define PROTOCOL_TCP 6
#define EINVAL_1_0 22

struct packet;

struct host {
    uint32_t size;
    uint32_t abi;
    const char *engine_version;
    void *context;
    void (*log)(const struct host *host, int level, const char *format, ...);
    int (*fail)(const struct host *host, int error, const char *format, ...);
    const void *(*ext)(const struct host *host, const char *name);
};

struct option {
    const char *name;
    uint32_t type;
    uint32_t required;
    int64_t min;
    int64_t max;
    const char *default_value;
    const char *help;
};

struct value {
    const char *name;
    const char *text;
    int64_t integer;
    uint32_t type;
    uint32_t given;
};

struct plugin {
    char magic[8];
    uint32_t size;
    uint32_t abi;
    uint32_t abi_min;
    uint32_t header_bytes;
    uint64_t needs;
    char id[48];
    char version[24];
    char built_with[40];
    uint32_t option_size;
    uint32_t counter_size;
    const char *summary;
    const char *vendor;
    const char *license;
    const struct option *options;
    const void *counters;
    int (*load)(const struct host *host, const struct value *values, size_t n, void **shared);
    int (*open)(const struct host *host, const void *shared, const void *old, void **self);
    uint32_t (*handle)(void *self, struct packet *packet);
    void (*handle_batch)(void *self, struct packet *const *packets, size_t n, uint32_t *out);
    void (*tick)(void *self, uint64_t now_ns);
    int (*save)(void *self, void *out);
    void (*close)(void *self);
    void (*unload)(void *shared);
    const void *(*ext)(const char *name);
};

/* Up to the last member that is read here. */
struct packet {
    uint32_t size;
    uint32_t present;
    const uint8_t *data;
    uint32_t len;
    uint32_t wire_len;
    uint8_t between[90 - 24];
    uint8_t protocol;
    uint8_t reserved;
    uint16_t flags;
    uint16_t network;
    uint16_t transport;
    uint16_t payload;
};

_Static_assert(sizeof(struct plugin) == 264 && sizeof(struct option) == 48, "as compiled for ABI 1.0");
_Static_assert(sizeof(struct host) == 48 && sizeof(struct value) == 32, "as compiled for ABI 1.0");
_Static_assert(offsetof(struct packet, protocol) == 90 && offsetof(struct packet, transport) == 96, "likewise");

static const struct option options[] = {
    {.name = "port", .type = OPTION_INTEGER, .min = 1, .max = 65535, .default_value = "80", .help = "port"},
    {.name = NULL},
};

static uint16_t port; /* the workers are forked after load() */

static int load(const struct host *host, const struct value *values, size_t n, void **shared)
{
    (void)shared;
    if (host->size < sizeof(*host) || host->abi >> 16 != MAJOR || n != 1) {
        return host->fail(host, -EINVAL_1_0, "the host's table is not one that ABI 1.0 can read");
    }
    port = (uint16_t)values[0].integer;
    return 0;
}

static uint32_t handle(void *self, struct packet *packet)
{
    const uint8_t *tcp = packet->data + packet->transport;

    (void)self;
    if (packet->protocol != PROTOCOL_TCP || packet->len < packet->transport + 20U) {
        return ACCEPT;
    }
    return (tcp[2] << 8 | tcp[3]) == port ? DROP : CONTINUE;
}

extern const struct plugin nfqe_plugin_v1 __attribute__((visibility("default")));
const struct plugin nfqe_plugin_v1 __attribute__((section(".nfqe_plugin"), used, aligned(8))) = {
    .magic = "nfqe-so",
    .size = sizeof(struct plugin),
    .abi = ABI_1_0,
    .abi_min = ABI_1_0,
    .needs = NEED_HEADERS,
    .id = "first_minor",
    .version = "1.0.0",
    .built_with = "nfqe 0.1.0, gcc 12.2",
    .option_size = sizeof(struct option),
    .options = options,
    .load = load,
    .handle = handle,
};
