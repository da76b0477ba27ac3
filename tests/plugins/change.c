/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * change - changes packets as they say themselves, and accepts them.
 *
 * An order is the first bytes after the transport header, whatever that is: a magic, what to do, and numbers in this
 * machine's byte order, as in tests/live/test_changes.py. Offsets count from the order. A packet without one is
 * accepted as it is. A change that is refused is a drop with the reason `refused`, if the order does not expect it.
 */
#include <nfqe/plugin.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "chng"

/* As in tests/live/test_changes.py. */
enum what {
    PUT = 1,      /* `count` times `value` in place of `remove` bytes at `offset` */
    WRITE,        /* over `count` bytes at `offset` */
    REPLACE,      /* the whole packet, by itself with `count` times `value` at its end */
    WRITE_HEADER, /* over `count` bytes at `offset`, from the network header on */
    PUT_AND_DROP, /* PUT, and drops */
    PUT_AND_DIE,  /* PUT, and ends the worker */
    TRY_HEADER,   /* WRITE_HEADER, and undoes it if that is refused */
};

struct order {
    char magic[4];
    uint8_t what;
    uint8_t value;
    uint16_t offset;
    uint16_t remove;
    uint16_t count;
};

static int put(struct nfqe_packet *packet, const struct order *order)
{
    uint8_t bytes[2048];

    memset(bytes, order->value, sizeof(bytes));
    return nfqe_splice(packet, packet->payload + (uint32_t)order->offset, order->remove, bytes, order->count);
}

static int write_over(struct nfqe_packet *packet, uint32_t offset, const struct order *order)
{
    uint8_t *bytes = nfqe_writable(packet, offset, order->count);

    if (bytes == NULL) {
        return -errno;
    }
    memset(bytes, order->value, order->count);
    return 0;
}

static int replace(struct nfqe_packet *packet, const struct order *order)
{
    static uint8_t bytes[65536];

    memcpy(bytes, packet->data, packet->len);
    memset(bytes + packet->len, order->value, order->count);
    return nfqe_replace(packet, bytes, packet->len + order->count);
}

static int try_header(struct nfqe_packet *packet, const struct order *order)
{
    uint8_t before = packet->data[order->offset];
    int code = write_over(packet, order->offset, order);

    if (code == 0 && nfqe_check_change(packet) == -EOPNOTSUPP) {
        *nfqe_writable(packet, order->offset, 1) = before;
    }
    return code;
}

static int change(struct nfqe_packet *packet, const struct order *order)
{
    switch (order->what) {
    case WRITE:
        return write_over(packet, packet->payload + (uint32_t)order->offset, order);
    case REPLACE:
        return replace(packet, order);
    case WRITE_HEADER:
        return write_over(packet, order->offset, order);
    case TRY_HEADER:
        return try_header(packet, order);
    default:
        return put(packet, order);
    }
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    struct order order;
    uint32_t len = 0;
    const uint8_t *payload = nfqe_payload(packet, &len);

    (void)self;
    if (len < sizeof(order) || memcmp(payload, MAGIC, sizeof(order.magic)) != 0) {
        return NFQE_ACCEPT;
    }
    memcpy(&order, payload, sizeof(order));
    if (change(packet, &order) < 0) {
        return NFQE_DROP | NFQE_REASON(0);
    }
    if (order.what == PUT_AND_DIE) {
        abort();
    }
    return order.what == PUT_AND_DROP ? NFQE_DROP : NFQE_ACCEPT;
}

static const struct nfqe_reason reasons[] = {{.name = "refused"}};

NFQE_PLUGIN(.id = "change", .version = "1.0.0", .needs = NFQE_NEED_MODIFY, .handle = handle,
            .reasons = NFQE_REASONS(reasons))
