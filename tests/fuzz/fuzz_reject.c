/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reject_answer() for any packet, as the parser reads it, with any tuple.
 *
 * Input: a byte that is the kind; a byte whose bit 0 says that checksums are not known yet, and bit 1 that a tuple comes
 * next; then the packet, which ends where its allocation does.
 */
#include "checksums.h"
#include "input.h"
#include "packet/parse.h"
#include "packet/reject.h"
#include "promise.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct nfqe_packet parse(const uint8_t *data, size_t len, uint16_t flags)
{
    struct nfqe_packet packet = {.size = sizeof(packet),
                                 .data = len > 0 ? data : NULL,
                                 .len = (uint32_t)len,
                                 .wire_len = (uint32_t)len,
                                 .flags = flags,
                                 .family = AF_INET};

    packet_parse(&packet);
    return packet;
}

static void check_answer(const struct nfqe_packet *packet, const uint8_t *answer, size_t len)
{
    bool is_ipv4 = nfqe_ipv4(packet) != NULL;
    const uint8_t *to = answer + (is_ipv4 ? 16 : 24);
    uint8_t second[REJECT_ANSWER_MAX];
    struct nfqe_packet back;

    PROMISE(len <= (is_ipv4 ? 576 : 1280));
    PROMISE(answer[0] / 16 == (is_ipv4 ? 4 : 6));
    PROMISE(checksums_are_right(answer, len));
    PROMISE(is_ipv4 ? to[0] != 0 && to[0] < 224 : to[0] != 0xff);
    back = parse(answer, len, 0);
    for (unsigned kind = 0; kind < REJECT_KINDS; kind++) {
        PROMISE(reject_answer(&back, NULL, NULL, kind, second) == -EOPNOTSUPP);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};
    enum reject_kind kind = input_u8(&input);
    uint8_t choices = input_u8(&input);
    uint8_t answer[REJECT_ANSWER_MAX];
    struct nfqe_tuple tuple = {.family = 0};
    struct nfqe_packet packet;
    size_t packet_len;
    uint8_t *bytes;
    int code;

    if ((choices & 2) != 0) {
        input_bytes(&input, &tuple, sizeof(tuple));
    }
    bytes = input_copy(&input, input.len, &packet_len);
    packet = parse(bytes, packet_len, (choices & 1) != 0 ? NFQE_PACKET_CHECKSUM_PENDING : 0);
    code = reject_answer(&packet, (choices & 2) != 0 ? &tuple : NULL, NULL, kind, answer);
    PROMISE(code > 0 || code == -EOPNOTSUPP);
    if (code > 0) {
        check_answer(&packet, answer, (size_t)code);
    }
    free(bytes);
    return 0;
}
