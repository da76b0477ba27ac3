/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zoo.h - an animal: a plugin that must be refused, or must load for all its oddness, and how it is made.
 *
 * The tables animals_*.c describe them; test_zoo.c runs the engine on each and compares what it says with
 * golden/NAME.txt. Nothing in an animal says which message that is: it stands in one place.
 */
#ifndef TESTS_ABI_ZOO_ZOO_H
#define TESTS_ABI_ZOO_ZOO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZOO_PATCH_MAX 49 /* one more than the longest text, for its NUL */

/* Bytes that are changed in the frozen head. The places are numbers on purpose: the head never changes. */
struct patch {
    size_t offset;
    size_t len;
    uint8_t bytes[ZOO_PATCH_MAX];
};

struct animal {
    const char *name;
    const char *plugin;    /* the built plugin that it is a copy of */
    struct patch patches[2];
    const char *(*make)(const struct animal *animal); /* NULL: copies and patches; returns the file's path */
    size_t number;         /* for make() */
    const char *values;    /* "key=value,..." or NULL */
    unsigned padding;      /* as many x after the values */

    /* The argument of a plugin in front of it in the chain, when there is one. */
    const char *(*in_front)(const char *path);

    /* NULL: it is refused, by one line. Otherwise it loads, and this is what only the line in golden/ has. */
    const char *shows;
    void (*when_ready)(void); /* what happens to a running engine with it */

    unsigned limit_ms;     /* 0: the usual one */
    bool as_anybody;       /* the engine may not read every file */
};

/* Tables, each ending with an animal without a name. */
extern const struct animal zoo_files[];     /* refused for what the file is */
extern const struct animal zoo_heads[];     /* for what its head says */
extern const struct animal zoo_options[];   /* for what the user wrote behind its name */
extern const struct animal zoo_functions[]; /* for what its functions are, or do */

/* A copy of animal->plugin with its patches, in the file animal.so. */
const char *make_copy(const struct animal *animal);

/* The same at `name` in the scratch directory. */
const char *make_copy_at(const char *name, const struct animal *animal);

/*
 * Compares one line with golden/NAME.txt, or writes it there (NFQE_UPDATE_GOLDEN=1). Says what is different.
 */
bool golden_matches(const char *name, const char *line);

/* Whether every file of golden/ belongs to an animal of these tables, the last of which is NULL. */
bool golden_is_complete(const struct animal *const tables[]);

/* Into to[size]: the line as it stands in golden/: paths and versions of the engine replaced. */
void golden_normalize(const char *line, size_t len, const char *path, char *to, size_t size);

#endif
