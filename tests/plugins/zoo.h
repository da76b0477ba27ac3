/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo.h - the interface between the sources of the plugin zoo: zoo.c decides when, each other file has animals for one
 * subject, in a table that ends with a NULL name.
 */
#ifndef NFQE_TEST_ZOO_H
#define NFQE_TEST_ZOO_H

#include <nfqe/plugin.h>

#include <stdint.h>

struct deed {
    long number;      /* do=ANIMAL:NUMBER, or 0 */
    const char *file; /* file=PATH, or "" */
};

struct animal {
    const char *name;
    void (*act)(const struct deed *deed);
};

extern const struct animal zoo_memory[];
extern const struct animal zoo_descriptors[];
extern const struct animal zoo_processes[];
extern const struct animal zoo_rights[];

/* result: of a call that must fail; 0 or more: it has not, which is printed as a breach. */
void zoo_refused(const char *what, long result);

/* Prints how many calls were refused since the last time. */
void zoo_say_refused(void);

/* Pseudo-random, another sequence in each process. */
uint32_t zoo_random(void);

/* The engine's processes but this one: *count of them, up to `max`. */
void zoo_siblings(int *pids, unsigned max, unsigned *count);

#endif
