/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plugin that changes a packet in any way, and any packet: packet/change.c against the model of the unit tests.
 *
 * Input: see change_moves.h. The received packet ends where its allocation does, and so do the two buffers. After each
 * move: the model says the same, byte by byte; the parser and its promises hold; what was received is as it was. In the
 * end the lengths and checksums are right.
 */
#include "change_model.h"
#include "change_moves.h"
#include "input.h"
#include "packet/change.h"
#include "packet/change_rules.h"
#include "packet/parse.h"
#include "packet_promises.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define PACKET_MAX 3000
#define PUT_IN_MAX (CHANGE_MODEL_MAX + 16)
#define MOVES_MAX 16 /* the model is slow */
#define PUT_IN_INSIDE 2048

static struct change_model model;
static struct packet_change change;
static struct nfqe_packet packet;
static uint8_t *spare;

/* At the end of an allocation. The caller frees it. */
static uint8_t *make_bytes(uint32_t count, uint8_t first)
{
    uint8_t *bytes = malloc(count + 1);

    PROMISE(bytes != NULL);
    bytes++;
    for (uint32_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(first + i * 7);
    }
    return bytes;
}

static uint32_t read_offset(struct input *input, uint8_t move)
{
    uint32_t offset = input_u32(input);

    return (move & CHANGE_INSIDE) != 0 ? offset % ((uint32_t)model.len + 1) : offset;
}

/* How many bytes are put in: with CHANGE_INSIDE never very many. */
static uint32_t read_count(struct input *input, uint8_t move, uint32_t limit)
{
    uint32_t count = input_u32(input);

    return count % ((move & CHANGE_INSIDE) != 0 && limit > PUT_IN_INSIDE ? PUT_IN_INSIDE : limit);
}

static void move_write(struct input *input, uint8_t move)
{
    uint32_t offset = read_offset(input, move);
    uint32_t len = input_u32(input);
    uint8_t value = input_u8(input);
    uint8_t *bytes = NULL;
    int code = packet_change_writable(&change, &packet, offset, len, &bytes);

    PROMISE(code == change_model_writable(&model, offset, len));
    PROMISE((bytes != NULL) == (code == 0));
    for (uint32_t i = 0; code == 0 && i < len; i++) {
        PROMISE(bytes[i] == model.bytes[offset + i]);
        bytes[i] ^= value;
        model.bytes[offset + i] ^= value;
    }
}

static void move_splice(struct input *input, uint8_t move)
{
    uint32_t offset = read_offset(input, move);
    uint32_t remove = input_u32(input);
    uint32_t count = read_count(input, move, PUT_IN_MAX);
    uint8_t *bytes = make_bytes(count, input_u8(input));

    PROMISE(packet_change_splice(&change, &packet, offset, remove, bytes, count) ==
            change_model_splice(&model, offset, remove, bytes, count));
    free(bytes - 1);
}

static void move_replace(struct input *input, uint8_t move)
{
    uint32_t keep = input_u32(input) % ((uint32_t)model.len + 1);
    uint32_t count = read_count(input, move, PUT_IN_MAX - keep);
    uint8_t *bytes = make_bytes(keep + count, input_u8(input));

    memcpy(bytes, model.bytes, keep);
    PROMISE(packet_change_replace(&change, &packet, bytes, keep + count) ==
            change_model_replace(&model, bytes, keep + count));
    free(bytes - 1);
}

static void check_packet(void)
{
    struct nfqe_packet again = packet;

    PROMISE(change.is_changed == model.changed);
    if (!change.is_changed) {
        return;
    }
    PROMISE(packet.data == change.buffer && packet.len == model.len);
    PROMISE(memcmp(packet.data, model.bytes, model.len) == 0);
    packet_promises_check(&packet);
    packet_parse(&again);
    PROMISE(memcmp(&packet, &again, sizeof(packet)) == 0);
}

static void run_move(struct input *input)
{
    uint8_t move = input_u8(input);

    switch ((move & ~CHANGE_INSIDE) % CHANGE_MOVES) {
    case CHANGE_WRITE:
        move_write(input, move);
        return; /* what was written is looked at later */
    case CHANGE_SPLICE:
        move_splice(input, move);
        break;
    case CHANGE_REPLACE:
        move_replace(input, move);
        break;
    default:
        break;
    }
    PROMISE(packet_change_check(&change, &packet) == change_model_check(&model));
    check_packet();
}

static void finish(void)
{
    int code = packet_change_finish(&change, &packet);
    const char *wrong;

    PROMISE(code == change_model_check(&model));
    if (code < 0 || !model.changed) {
        return;
    }
    wrong = change_model_compare(&model, packet.data, packet.len);
    if (wrong != NULL) {
        fprintf(stderr, "%s\n", wrong);
    }
    PROMISE(wrong == NULL);
    PROMISE(change_rules_check(&change.received, packet.data, packet.len, CHANGE_RULES_ALL) == CHANGE_RULES);
    packet_promises_check(&packet);
}

static void begin(uint8_t *bytes, size_t len, uint8_t flags)
{
    bool ipv6 = len > 0 && bytes[0] >> 4 == 6;

    if ((flags & CHANGE_RIGHT) != 0 && len >= 20) {
        change_model_make_right(bytes, len);
    }
    packet = (struct nfqe_packet){.size = sizeof(packet),
                                  .data = len > 0 ? bytes : NULL,
                                  .len = (uint32_t)len,
                                  .wire_len = (uint32_t)len,
                                  .hw_protocol = ipv6 ? 0x86dd : 0x0800,
                                  .family = ipv6 ? AF_INET6 : AF_INET};
    if ((flags & CHANGE_BRIDGE) != 0) {
        packet.family = AF_BRIDGE;
    }
    packet.flags = (uint16_t)(((flags & CHANGE_TRUNCATED) != 0 ? NFQE_PACKET_TRUNCATED : 0) |
                              ((flags & CHANGE_GSO) != 0 ? NFQE_PACKET_GSO : 0) |
                              ((flags & CHANGE_PENDING) != 0 ? NFQE_PACKET_CHECKSUM_PENDING : 0));
    packet_parse(&packet);
    change_model_init(&model, bytes, len);
    model.truncated = (flags & CHANGE_TRUNCATED) != 0;
    model.gso = (flags & CHANGE_GSO) != 0;
    model.pending = (flags & CHANGE_PENDING) != 0;
    model.ip_hook = (flags & CHANGE_BRIDGE) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t *rooms[2];
    struct input input = {data, len};
    uint8_t flags = input_u8(&input);
    size_t received_len = input_u32(&input) % PACKET_MAX;
    uint8_t *received = input_copy(&input, received_len, &received_len);
    uint8_t *copy = malloc(received_len + 1);

    for (unsigned i = 0; i < 2 && rooms[i] == NULL; i++) {
        rooms[i] = malloc(PACKET_CHANGE_ROOM);
        PROMISE(rooms[i] != NULL);
    }
    PROMISE(copy != NULL);
    begin(received, received_len, flags);
    if (received_len > 0) {
        memcpy(copy, received, received_len);
    }
    spare = rooms[1];
    packet_change_init(&change, rooms[0], &spare, CHANGE_RULES_ALL);
    for (unsigned moves = 0; moves < MOVES_MAX && input.len > 0; moves++) {
        run_move(&input);
    }
    finish();
    PROMISE(received_len == 0 || memcmp(copy, received, received_len) == 0);
    free(copy);
    free(received);
    return 0;
}
