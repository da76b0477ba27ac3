/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of a verdict that says what the sender of a dropped packet is told: NFQE_REJECT, and in the bits above
 * NFQE_QUEUE_BYPASS, as a number, what exactly. Flow table and journal keep it with the verdict.
 *
 * Process: [worker] [queue process].
 */
#ifndef ENGINE_PACKET_REJECT_PART_H
#define ENGINE_PACKET_REJECT_PART_H

#include <nfqe/abi.h>

#include <stdbool.h>
#include <stdint.h>

enum reject_kind {
    REJECT_AUTO, /* TCP: a reset; otherwise port unreachable */
    REJECT_TCP_RESET,
    REJECT_PORT_UNREACHABLE,
    REJECT_HOST_UNREACHABLE,
    REJECT_PROHIBITED, /* communication administratively prohibited */
    REJECT_KINDS,
};

#define REJECT_PART_MASK UINT32_C(0x3a00)
#define REJECT_PART_SHIFT 11

_Static_assert(NFQE_REJECT_PROHIBITED == (NFQE_REJECT | REJECT_PROHIBITED << REJECT_PART_SHIFT), "the ABI's");

/* enum reject_kind, if the verdict has a valid part. */
static inline uint32_t reject_part_kind(uint32_t verdict)
{
    return (verdict & REJECT_PART_MASK) >> REJECT_PART_SHIFT;
}

static inline bool reject_part_is_valid(uint32_t part)
{
    return (part & ~REJECT_PART_MASK) == 0 && (part & NFQE_REJECT) != 0 && reject_part_kind(part) < REJECT_KINDS;
}

#endif
