/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo.h - an animal: a plugin that must be refused, or an unusual one that must load, and how it is made.
 *
 * The tables animals_*.c have the animals. test_zoo.c runs the engine with each one and compares its output with
 * golden/NAME.txt, which is the only place that has the message.
 */
#ifndef TESTS_ABI_ZOO_ZOO_H
#define TESTS_ABI_ZOO_ZOO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZOO_PATCH_MAX 49 /* one more than the longest text, for its NUL */

/* Bytes that are changed in the head. Offsets are numbers on purpose: the head never changes. */
struct patch {
    size_t offset;
    size_t len;
    uint8_t bytes[ZOO_PATCH_MAX];
};

struct animal {
    const char *name;
    const char *plugin;    /* the built plugin that is copied */
    struct patch patches[2];
    const char *(*make)(const struct animal *animal); /* NULL: copies and patches; returns the file's path */
    size_t number;         /* for make() */
    const char *values;    /* "key=value,..." or NULL */
    unsigned padding;      /* number of x after the values */

    /* The argument for a plugin before it in the plugin chain, or NULL. */
    const char *(*in_front)(const char *path);

    /* NULL: it is refused with one line. Else it loads, and this text selects the line for golden/. */
    const char *shows;
    void (*when_ready)(void); /* what is done while the engine runs with it */

    bool hangs;    /* it is given up after --load-timeout, which is short then */
    bool one_user; /* plugins run as the user who owns their files, so that one can replace another */
    bool as_anybody;       /* the engine may not read every file */
};

/* Tables, each ending with an animal without a name. */
extern const struct animal zoo_files[];     /* refused because of the file */
extern const struct animal zoo_heads[];     /* because of the head */
extern const struct animal zoo_options[];   /* because of the options */
extern const struct animal zoo_functions[]; /* because of the functions */

/* A copy of animal->plugin with its patches, in the file animal.so. */
const char *make_copy(const struct animal *animal);

/* The same at `name` in the scratch directory. */
const char *make_copy_at(const char *name, const struct animal *animal);

/*
 * Compares one line with golden/NAME.txt and prints a difference; with NFQE_UPDATE_GOLDEN=1, writes the line there.
 */
bool golden_matches(const char *name, const char *line);

/* Whether every file of golden/ belongs to an animal of these tables, the last of which is NULL. */
bool golden_is_complete(const struct animal *const tables[]);

/* Writes into to[size] the line as in golden/, with paths and the engine's version replaced. */
void golden_normalize(const char *line, size_t len, const char *path, char *to, size_t size);

#endif
