/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * describe - logs what the engine tells a plugin about a packet, and leaves every packet undecided.
 *
 * It describes a packet with a packet mark, or with the mark of marked.h in its payload: one line each, and at most
 * DESCRIBED_MAX lines, so that the log limit suppresses none. close() writes one line about all packets, described or
 * not. If the payload was captured, the checksum of TCP and UDP is computed and compared.
 *
 * CMakeLists.txt builds it once for each need, since a need cannot be chosen at run time: DESCRIBE_ID is the name
 * of the plugin, DESCRIBE_NEEDS what it declares.
 */
#include "marked.h"

#include <inttypes.h>
#include <sys/socket.h>

#define DESCRIBED_MAX 16
#define LINK_HEADER_MAX 18 /* of Ethernet with a tag */
#define NS_PER_SECOND UINT64_C(1000000000)

enum checksum { CHECKSUM_UNKNOWN, CHECKSUM_VALID, CHECKSUM_WRONG };

/* Static: one worker a process. */
static struct {
    const struct nfqe_host *host;
    unsigned described;
    uint64_t packets;
    uint64_t gso;
    uint64_t pending;
    uint64_t truncated;
    uint64_t valid;
    uint64_t wrong;
    uint32_t shortest;
    uint32_t longest;
} state;

static uint64_t sum(const uint8_t *bytes, uint32_t len)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < len; i++) {
        total += i % 2 == 0 ? (uint64_t)bytes[i] << 8 : bytes[i];
    }
    return total;
}

/* The checksum of the transport header, over it, what follows, and the addresses. */
static enum checksum check(const struct nfqe_packet *packet)
{
    const uint16_t incomplete = NFQE_PACKET_CHECKSUM_PENDING | NFQE_PACKET_TRUNCATED | NFQE_PACKET_FRAGMENT;
    const struct nfqe_ipv4_header *ipv4 = nfqe_ipv4(packet);
    const struct nfqe_ipv6_header *ipv6 = nfqe_ipv6(packet);
    const struct nfqe_udp_header *udp = nfqe_udp(packet);
    const uint8_t *segment;
    uint32_t end;
    uint64_t total;

    if ((nfqe_tcp(packet) == NULL && udp == NULL) || (packet->flags & incomplete) != 0 ||
        (udp != NULL && nfqe_be16(udp->checksum) == 0)) {
        return CHECKSUM_UNKNOWN;
    }
    if (ipv4 != NULL) {
        end = packet->network + (uint32_t)nfqe_be16(ipv4->total_len);
        total = sum(ipv4->source, sizeof(ipv4->source) + sizeof(ipv4->dest));
    } else if (ipv6 != NULL) {
        end = packet->network + (uint32_t)sizeof(*ipv6) + nfqe_be16(ipv6->payload_len);
        total = sum(ipv6->source, sizeof(ipv6->source) + sizeof(ipv6->dest));
    } else {
        return CHECKSUM_UNKNOWN;
    }
    segment = end > packet->transport ? nfqe_bytes(packet, packet->transport, end - packet->transport) : NULL;
    if (segment == NULL) {
        return CHECKSUM_UNKNOWN;
    }
    total += packet->protocol + (end - packet->transport) + sum(segment, end - packet->transport);
    while (total >> 16 != 0) {
        total = (total & 0xffff) + (total >> 16);
    }
    return total == 0xffff ? CHECKSUM_VALID : CHECKSUM_WRONG;
}

static void count(const struct nfqe_packet *packet, enum checksum checksum)
{
    state.shortest = state.packets == 0 || packet->len < state.shortest ? packet->len : state.shortest;
    state.longest = packet->len > state.longest ? packet->len : state.longest;
    state.packets++;
    state.gso += (packet->flags & NFQE_PACKET_GSO) != 0;
    state.pending += (packet->flags & NFQE_PACKET_CHECKSUM_PENDING) != 0;
    state.truncated += (packet->flags & NFQE_PACKET_TRUNCATED) != 0;
    state.valid += checksum == CHECKSUM_VALID;
    state.wrong += checksum == CHECKSUM_WRONG;
}

/* The link-layer header in hexadecimal digits, or as much of it as there is room for. */
static void write_link_header(const struct nfqe_packet *packet, char text[2 * LINK_HEADER_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned len = packet->link_header_len < LINK_HEADER_MAX ? packet->link_header_len : LINK_HEADER_MAX;

    for (unsigned i = 0; i < len; i++) {
        text[2 * i] = digits[packet->link_header[i] >> 4];
        text[2 * i + 1] = digits[packet->link_header[i] & 0xf];
    }
    text[2 * len] = '\0';
}

/* The addresses of a connection in hexadecimal digits: of IPv4 the first 4 bytes, and so on. */
static void write_address(const uint8_t address[16], unsigned family, char text[33])
{
    for (unsigned i = 0; i < (family == AF_INET ? 4U : 16U); i++) {
        text[2 * i] = "0123456789abcdef"[address[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[address[i] & 0xf];
        text[2 * i + 2] = '\0';
    }
}

static void describe_tuple(const char *name, const struct nfqe_tuple *tuple)
{
    char source[33];
    char dest[33];

    write_address(tuple->source, tuple->family, source);
    write_address(tuple->dest, tuple->family, dest);
    state.host->log(state.host, NFQE_LOG_INFO, "%s: source=0x%s dest=0x%s sport=%u dport=%u zone=%u protocol=%u", name,
                    source, dest, tuple->source_port, tuple->dest_port, tuple->zone, tuple->protocol);
}

static void describe_connection(struct nfqe_packet *packet)
{
    const struct nfqe_conntrack_entry *entry = nfqe_conntrack(packet);

    if (entry == NULL) {
        return;
    }
    state.host->log(state.host, NFQE_LOG_INFO,
                    "entry: present=0x%x state=%u is_reply=%u mark=0x%x id=0x%x status=0x%x timeout=%u zone=%u "
                    "start_s=%" PRIu64 " packets=%" PRIu64 ":%" PRIu64 " bytes=%" PRIu64 ":%" PRIu64,
                    entry->present, entry->state, entry->is_reply, entry->mark, entry->id, entry->status,
                    entry->timeout_s, entry->zone, entry->start_ns / NS_PER_SECOND, entry->original_packets,
                    entry->reply_packets, entry->original_bytes, entry->reply_bytes);
    describe_tuple("original", &entry->original);
    describe_tuple("reply", &entry->reply);
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    static const char *const checksums[] = {
        [CHECKSUM_UNKNOWN] = "unknown", [CHECKSUM_VALID] = "valid", [CHECKSUM_WRONG] = "wrong"};
    enum checksum checksum = check(packet);
    char link_header[2 * LINK_HEADER_MAX + 1];

    (void)self;
    count(packet, checksum);
    if ((packet->mark == 0 && !is_marked(packet)) || state.described == DESCRIBED_MAX) {
        return NFQE_CONTINUE;
    }
    state.described++;
    write_link_header(packet, link_header);
    state.host->log(
        state.host, NFQE_LOG_INFO,
        "packet: queue=%" PRIu32 " len=%" PRIu32 " wire_len=%" PRIu32 " flags=0x%x uid=%" PRIu32 " gid=%" PRIu32
        " present=0x%" PRIx32 " mark=0x%" PRIx32 " family=%u hook=%u in=%" PRIu32 " out=%" PRIu32 " phys_in=%" PRIu32
        " phys_out=%" PRIu32 " hw_protocol=0x%x hw_address_len=%u hw_address=%02x%02x%02x%02x%02x%02x seconds=%" PRIu64
        " conntrack_mark=0x%" PRIx32 " secctx_len=%" PRIu32 " checksum=%s protocol=%u priority=%" PRIu32
        " cgroup_class=0x%" PRIx32 " vlan=0x%04x:0x%04x link_header_len=%u link_header=0x%s",
        packet->queue, packet->len, packet->wire_len, packet->flags, packet->uid, packet->gid, packet->present,
        packet->mark, packet->family, packet->hook, packet->in_ifindex, packet->out_ifindex, packet->phys_in_ifindex,
        packet->phys_out_ifindex, packet->hw_protocol, packet->hw_address_len, packet->hw_address[0],
        packet->hw_address[1], packet->hw_address[2], packet->hw_address[3], packet->hw_address[4],
        packet->hw_address[5], packet->timestamp_ns / NS_PER_SECOND, packet->conntrack_mark, packet->secctx_len,
        checksums[checksum], packet->protocol, packet->priority, packet->cgroup_class, packet->vlan_protocol,
        packet->vlan_tci, packet->link_header_len, link_header);
    describe_connection(packet);
    return NFQE_CONTINUE;
}

static int open_worker(const struct nfqe_host *host, const void *config, const void *shared, void **self)
{
    (void)shared;
    (void)config;
    (void)self;
    state.host = host;
    return 0;
}

static void close_worker(void *self)
{
    (void)self;
    state.host->log(state.host, NFQE_LOG_INFO,
                    "total: packets=%" PRIu64 " shortest=%" PRIu32 " longest=%" PRIu32 " gso=%" PRIu64
                    " pending=%" PRIu64 " truncated=%" PRIu64 " valid=%" PRIu64 " wrong=%" PRIu64,
                    state.packets, state.shortest, state.longest, state.gso, state.pending, state.truncated,
                    state.valid, state.wrong);
}

NFQE_PLUGIN(.id = DESCRIBE_ID, .version = "1.0.0", .needs = DESCRIBE_NEEDS, .open = open_worker, .handle = handle,
            .close = close_worker)
