/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * destroy_arenas - on a marked datagram, overwrites every arena that its process can write to.
 *
 * An arena is the shared memory of one queue; /proc/self/maps names it. This is the worst that a wild pointer
 * can do there, and all at once. Everything is accepted, the marked datagram too.
 */
#include "marked.h"

#include <inttypes.h>
#include <stdio.h>

#define LINE_MAX_BYTES 512

static void destroy_arenas(void)
{
    char line[LINE_MAX_BYTES];
    FILE *maps = fopen("/proc/self/maps", "re");

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        uintptr_t begin;
        uintptr_t end;

        if (strstr(line, "/memfd:nfqe-arena") != NULL &&
            sscanf(line, "%" SCNxPTR "-%" SCNxPTR " rw", &begin, &end) == 2 && strstr(line, " rw") != NULL) {
            memset((void *)begin, 0xff, end - begin);
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
}

static nfqe_verdict handle(void *self, struct nfqe_packet *packet)
{
    (void)self;
    if (is_marked(packet)) {
        destroy_arenas();
    }
    return NFQE_ACCEPT;
}

NFQE_PLUGIN(.id = "destroy_arenas", .version = "1.0.0", .needs = NFQE_NEED_HEADERS, .handle = handle)
