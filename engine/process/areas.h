/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of all areas, as the supervisor keeps it: it makes memory files when they are needed, with sealed sizes, and
 * passes them to workers.
 *
 * A WORKER area has a file for each worker slot, a QUEUE area one for each queue, a SHARED area one. They outlive the
 * processes that use them: fork servers, workers and queue processes. A TABLE is built by each fork server, so the
 * supervisor passes its file on and keeps none.
 *
 * Each fork server declares its areas while it loads. When it is ready, its list takes the place of the list before it, and
 * areas that are the same in both keep their memory. Until then new workers are given what the list before had.
 *
 * A worker that is given up may still write to its WORKER areas, so these are forgotten with it. Declarations are claims:
 * code of plugins runs in the fork server.
 *
 * Functions return 0 or a negative errno. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_AREAS_H
#define ENGINE_PROCESS_AREAS_H

#include "process/area.h"

/* Memory of one owner of an area: a slot, a queue, or all. */
struct area_file {
    int fd;    /* -1: not made yet */
    bool used; /* some worker has it, or had it */
};

struct area {
    struct area_declaration declared;
    struct area_file *files; /* of a TABLE: NULL */
    unsigned file_count;
};

struct area_list {
    struct area areas[AREAS_MAX];
    unsigned count;
    uint64_t size; /* bytes of all their files, made or not */
};

struct areas {
    unsigned queues;
    unsigned slots;  /* of each queue */
    unsigned plugins;
    uint64_t limit;  /* bytes of a list */
    uint32_t number; /* changes when a list takes the place of another one that differs */
    struct area_list current;
    struct area_list next; /* of a fork server that loads */
};

/* What a worker gets of them: files in the order of declaration, without those of TABLEs. */
struct areas_passed {
    unsigned count;
    int fds[AREAS_MAX];
    uint32_t fresh; /* bit i: no worker had the file i before */
};

void areas_init(struct areas *areas, unsigned queues, unsigned slots, unsigned plugins, uint64_t limit);
void areas_done(struct areas *areas);

/* A fork server begins to load. */
void areas_begin(struct areas *areas);

/*
 * It declares this one. Of a TABLE, *table becomes its file, to be passed on and closed; otherwise it is untouched. -EINVAL:
 * it is none; -EEXIST: the plugin has one of this name; -ENOSPC: they are too many, or too large together.
 */
int areas_declare(struct areas *areas, const struct area_declaration *declared, int *table);

/* It is ready: its areas are those of the workers that it makes from now on. */
void areas_commit(struct areas *areas);

/* Makes, for a worker in this slot, the files that are not there yet. They stay the supervisor's. */
int areas_get(struct areas *areas, unsigned queue, unsigned slot, struct areas_passed *passed);

/* They were passed to the worker. */
void areas_note_passed(struct areas *areas, unsigned queue, unsigned slot);

/* The worker in this slot is given up: the next one there gets other WORKER areas. */
void areas_abandon(struct areas *areas, unsigned queue, unsigned slot);

#endif
