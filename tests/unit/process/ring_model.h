/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Explores every order in which the two sides of a ring can run: a model checker of the real sources.
 *
 * Each side is a coroutine that runs a script, with the functions of process/ring. It stops before each step: an access
 * to a shared word, a system call, a wait. Then the model chooses who goes on. A choice is a side; or a store that
 * leaves the store buffer of its processor (x86-TSO: a store that is not sequentially consistent waits there, in order,
 * where only its own side sees it; a sequentially consistent store and a system call empty the buffer); or the death of
 * the worker. All choices are explored depth first; each run starts from the beginning and repeats the choices before
 * the one that is new. A run ends early at a state that was seen before: shared words, store buffers, who waits, what the
 * scripts keep, and what each side has read since its last model_mark(), all in a hash of 64 bits.
 *
 * Stores to packets and records are not delayed. They are followed by a store to a word that makes them visible, which
 * leaves the buffer after them, so their order is kept; seen too early, they can only be noticed more.
 *
 * One exploration at a time.
 */
#ifndef UNIT_RING_MODEL_H
#define UNIT_RING_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum model_side { MODEL_QUEUE, MODEL_WORKER, MODEL_SIDES };

/* What belongs to the state beside the steps. */
struct model_memory {
    const void *start;
    size_t size;
};

struct model {
    void (*reset)(void);              /* before each run */
    void (*scripts[MODEL_SIDES])(void);
    struct model_memory memories[6];  /* sizes are multiples of 8 bytes */
    bool deaths;                      /* the worker may die before any of its steps */
    bool weak[MODEL_SIDES];           /* all stores of this side wait in the buffer, as if they were releases */
};

struct model_result {
    const char *violation; /* NULL: none */
    uint64_t runs;
    uint64_t states;
};

/* Explores all runs, until one breaks a promise. */
struct model_result model_explore(const struct model *model);

/* ---- for the scripts ------------------------------------------------------------------------------------------ */

/* From here on, nothing that was read before matters but what is in the memories. place: which call it is. */
void model_mark(unsigned place);

/* Ends this run and the exploration unless the condition holds. */
void model_check(bool holds, const char *promise);

/* The queue process waits for `answered`, which is edge-triggered, and for the death of the worker. */
struct model_wake {
    bool rung;
    bool dead;
};
struct model_wake model_wait_queue(void);

/* Prints the steps of the last run. */
void model_print_run(void);

#endif
