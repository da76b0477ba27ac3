/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory in which a worker counts for its plugins: a cell of 64 bits for each counter that they declare.
 *
 * Each worker has a memory file of its own, made by the supervisor, so workers share no cells, and an increment is a plain
 * store. When a worker has ended, the supervisor adds its cells to those of its queue; so nothing is counted twice, and
 * neither a crash nor the end of the fork server takes away what was counted.
 *
 * In the file, each plugin with counters has whole pages, with its cells at their end; the worker maps a guard after
 * them. So a plugin that writes past its cells faults, and does not change those of another one.
 *
 * What a worker has counted is a claim. The supervisor only adds it up; it does not look at the file before the worker
 * has sealed it, since its pages could be taken away meanwhile (base/shm.h).
 *
 * `first`: of each position in the plugin chain, and the end, the number of its first cell: PLUGINS_MAX + 1 values.
 * Functions return 0 or a negative errno. Process: [supervisor] [worker].
 */
#ifndef ENGINE_PROCESS_COUNTER_CELLS_H
#define ENGINE_PROCESS_COUNTER_CELLS_H

#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

#define COUNTER_CELLS_NAME "nfqe-counters" /* as /proc/PID/maps shows it */

/* Bytes of the file; 0: no plugin declares a counter. */
size_t counter_cells_size(const uint32_t first[PLUGINS_MAX + 1]);

/* ---- the supervisor's side ---- */

struct counter_cells {
    int fd; /* -1: none */
    size_t size;
    const char *memory;
};

void counter_cells_init(struct counter_cells *cells);

/* Makes the file of a new worker; its descriptor is to be passed. size: not 0. */
int counter_cells_new(size_t size, struct counter_cells *cells);

/* Adds what a worker has counted to sums[], by cell. Before the worker has sealed its file, it has counted nothing. */
void counter_cells_add(const struct counter_cells *cells, const uint32_t first[PLUGINS_MAX + 1], uint64_t *sums);

/* Also for none. */
void counter_cells_done(struct counter_cells *cells);

/* ---- the worker's side ---- */

/*
 * Maps the file and seals it. places[i] is then where the cells of the plugin at position i begin; it is not touched for a
 * plugin without any. The memory is not inherited over fork(). fd: still the caller's. -EPROTO: the file has another
 * size.
 */
int counter_cells_enter(int fd, const uint32_t first[PLUGINS_MAX + 1], uint64_t *places[PLUGINS_MAX]);

#endif
