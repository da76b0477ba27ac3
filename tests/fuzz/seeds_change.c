/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seeds of packets that are changed: one of each protocol with a checksum, in each form of an IP packet, and the moves
 * of a plugin.
 */
#include "seed.h"

#include "builder.h"
#include "change_moves.h"

#include <stdbool.h>
#include <string.h>

#define PAYLOAD 60
#define FORMS 7

static void put_move(struct seed *seed, uint8_t move, uint32_t first, uint32_t second)
{
    seed_put_u8(seed, move);
    seed_put_u32(seed, first);
    seed_put_u32(seed, second);
}

static void put_write(struct seed *seed, uint32_t offset, uint32_t len)
{
    put_move(seed, CHANGE_WRITE, offset, len);
    seed_put_u8(seed, 0x41);
}

static void put_splice(struct seed *seed, uint32_t offset, uint32_t remove, uint32_t count)
{
    put_move(seed, count < 2048 ? CHANGE_SPLICE | CHANGE_INSIDE : CHANGE_SPLICE, offset, remove);
    seed_put_u32(seed, count);
    seed_put_u8(seed, 9);
}

static void put_replace(struct seed *seed, uint32_t keep, uint32_t count)
{
    put_move(seed, CHANGE_REPLACE | CHANGE_INSIDE, keep, count);
    seed_put_u8(seed, 5);
}

static void build(struct builder *builder, unsigned form, uint8_t protocol)
{
    uint8_t *header;

    switch (form) {
    case 0:
        builder_ipv4(builder, 0, 0x4000);
        break;
    case 1:
        builder_ipv4(builder, 12, 0);
        break;
    case 2:
        builder_ipv4(builder, 0, 0x2000);
        break;
    case 3:
        builder_ipv4(builder, 0, 0x0009);
        break;
    case 4:
        builder_ipv6(builder);
        break;
    case 5:
        builder_ipv6(builder);
        builder_extension(builder, IPV6_HOP_BY_HOP, 8);
        header = builder->bytes + builder->len;
        builder_extension(builder, IPV6_ROUTING, 40);
        header[2] = 4;
        header[3] = 1;
        break;
    default:
        builder_ipv6(builder);
        builder_fragment(builder, 0, true);
        break;
    }
    builder_protocol(builder, protocol);
    builder->transport = builder->len;
    header = builder->bytes + builder->len;
    builder_bytes(builder, PAYLOAD);
    memset(header, 0, 20);
    header[4] = protocol == 33 ? 3 : 0;
    header[5] = protocol == 17 ? PAYLOAD - 6 : protocol == 136 ? 8 : 0;
    header[12] = 0x50;
    builder_finish(builder);
}

static void put_moves(struct seed *seed, unsigned kind, uint32_t transport)
{
    switch (kind) {
    case 0:
        put_write(seed, transport, 2);
        put_splice(seed, transport + 30, 0, 20);
        break;
    case 1:
        put_splice(seed, transport + 25, 7, 2);
        put_write(seed, 8, 1);
        break;
    case 2:
        put_replace(seed, transport + 20, 33);
        put_write(seed, transport + 22, 1);
        break;
    default:
        put_write(seed, 0, 1);
        put_move(seed, CHANGE_CHECK, 0, 0);
        put_write(seed, 0, 1);
        put_splice(seed, transport + PAYLOAD, 0, 65400);
        put_splice(seed, UINT32_MAX, 1, 1);
        break;
    }
}

void make_changes(void)
{
    static const uint8_t protocols[] = {6, 17, 1, 58, 132, 33, 136, 47};
    static const uint8_t flags[] = {CHANGE_RIGHT, 0, CHANGE_PENDING, CHANGE_RIGHT | CHANGE_GSO, CHANGE_TRUNCATED,
                                    CHANGE_BRIDGE};
    unsigned number = 0;

    for (unsigned form = 0; form < FORMS; form++) {
        for (size_t i = 0; i < sizeof(protocols); i++) {
            for (unsigned kind = 0; kind < 4; kind++, number++) {
                struct seed seed = {.len = 0};
                struct builder builder;

                build(&builder, form, protocols[i]);
                seed_put_u8(&seed, kind < 2 ? CHANGE_RIGHT : flags[number / 4 % sizeof(flags)]);
                seed_put_u32(&seed, (uint32_t)builder.len);
                seed_put(&seed, builder.bytes, builder.len);
                put_moves(&seed, kind, (uint32_t)builder.transport);
                seed_save_number("change", "packet", number, &seed);
            }
        }
    }
}
