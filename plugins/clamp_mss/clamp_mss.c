/* SPDX-License-Identifier: MIT */
/*
 * clamp_mss - lowers the maximum segment size that TCP connections announce.
 *
 *     nfq-engine --plugin clamp_mss,mss=1360
 *
 * For paths whose MTU is smaller than senders believe, where ICMP does not say so. Only segments with SYN have the option;
 * all others, and what cannot be changed, go on as they are. The engine makes the checksum.
 */
#include <nfqe/plugin.h>

enum tcp_option { TCP_OPTION_END = 0, TCP_OPTION_NOTHING = 1, TCP_OPTION_MSS = 2 };

#define MSS_OPTION_SIZE 4 /* kind, length, value */

struct config {
    int64_t mss;
};

static const struct nfqe_option options[] = {
    {.name = "mss",
     .type = NFQE_OPTION_INTEGER,
     NFQE_MEMBER(struct config, mss),
     .flags = NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX,
     .min = 88,
     .max = 65495,
     .default_value = "1360",
     .help = "the largest segment size, in bytes"},
};

/* All workers have the engine's struct. */
static int open_worker(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)host;
    (void)shared;
    *self = (void *)(uintptr_t)config;
    return 0;
}

/* The offset in the packet of the option's value; 0: there is none. */
static uint32_t find_mss(const struct nfqe_packet *packet, const struct nfqe_tcp_header *tcp)
{
    uint32_t offset = packet->transport + (uint32_t)sizeof(*tcp);
    uint32_t end = packet->transport + (uint32_t)(tcp->data_offset >> 4) * 4;

    while (offset + MSS_OPTION_SIZE <= end && end <= packet->len) {
        uint8_t kind = packet->data[offset];
        uint8_t len = packet->data[offset + 1];

        if (kind == TCP_OPTION_MSS && len == MSS_OPTION_SIZE) {
            return offset + 2;
        }
        if (kind == TCP_OPTION_END || (kind != TCP_OPTION_NOTHING && len < 2)) {
            return 0;
        }
        offset += kind == TCP_OPTION_NOTHING ? 1 : len;
    }
    return 0;
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    const struct config *config = self;
    const struct nfqe_tcp_header *tcp = nfqe_tcp(packet);
    uint32_t offset = tcp != NULL && (tcp->flags & NFQE_TCP_SYN) != 0 ? find_mss(packet, tcp) : 0;
    uint8_t *value;

    if (offset == 0 || (packet->data[offset] << 8 | packet->data[offset + 1]) <= config->mss) {
        return NFQE_CONTINUE;
    }
    value = nfqe_writable(packet, offset, 2); /* tcp leads nowhere from here on */
    if (value != NULL) {
        value[0] = (uint8_t)(config->mss >> 8);
        value[1] = (uint8_t)config->mss;
    }
    return NFQE_CONTINUE;
}

NFQE_PLUGIN(.id = "clamp_mss", .version = "1.0.0", .needs = NFQE_NEED_MODIFY, .config_size = sizeof(struct config),
            .options = NFQE_OPTIONS(options), .open = open_worker, .handle = handle,
            .summary = "lowers the segment size of TCP connections", .license = "MIT")
