/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Areas: memory that plugins declare in load() and that the engine keeps for them. What is declared, and where each area
 * can be.
 *
 * The fork server says what a plugin declares, in its status, and asks by FORKSERVER_AREA; the supervisor checks a copy
 * (areas.h). Process: [supervisor] [fork server] [worker].
 */
#ifndef ENGINE_PROCESS_AREA_H
#define ENGINE_PROCESS_AREA_H

#include "base/arith.h"
#include "base/limits.h"
#include "base/shm.h"

#include <nfqe/abi.h>

#include <stdbool.h>
#include <stdint.h>

#define AREA_NAME_SIZE 32      /* with a NUL */
#define AREA_FILE "nfqe-area"  /* as /proc/PID/maps shows it */
#define AREA_LEN_MAX (UINT64_C(1) << 40) /* so that sums of sizes do not overflow; the limit is an option */

struct area_declaration {
    uint32_t plugin; /* its position */
    uint32_t kind;   /* enum nfqe_area_kind */
    uint64_t len;    /* bytes, as declared */
    char name[AREA_NAME_SIZE];
};

/* Letters, digits, - and _; at least one, and a NUL. */
bool area_name_is_valid(const char name[AREA_NAME_SIZE]);

/* Whether a plugin can declare it at all: kind, name and length. */
bool area_is_valid(const struct area_declaration *declared);

/* Whether both are the same area, so that what was in its memory stays. */
bool area_is_same(const struct area_declaration *one, const struct area_declaration *other);

/* Bytes of its memory file. */
static inline uint64_t area_size(const struct area_declaration *declared)
{
    return round_up(declared->len, SHM_PAGE_SIZE);
}

#endif
