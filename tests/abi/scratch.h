/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scratch.h - the temporary directory of a test program, and the files in it.
 *
 * Always: a program has one directory with mode 0700. It is made by mkdtemp() at the first use, and scratch_remove()
 * removes it with its content. Plugins are copied there, so that the result of a test does not depend on owner and mode
 * of the build directory. If a step fails, the program ends.
 *
 * Names are relative to the directory; returned paths stay valid until scratch_remove().
 */
#ifndef TESTS_ABI_SCRATCH_H
#define TESTS_ABI_SCRATCH_H

#include <stddef.h>

/* The path of `name` in the directory. Nothing is created. */
const char *scratch_path(const char *name);

/* Makes a subdirectory with exactly this mode. */
const char *scratch_directory(const char *name, unsigned mode);

/* Writes a file with mode 0644; overwrites it in place if it exists. */
const char *scratch_write(const char *name, const void *data, size_t len);

/* Copies the built plugin `plugin`.so (from NFQE_ABI_PLUGINS) to `name`, as cp does. */
const char *scratch_copy(const char *name, const char *plugin);

/* Returns the content of the file, which the caller frees. */
char *scratch_read(const char *path, size_t *len);

/* The path of a built plugin in the directory NFQE_ABI_PLUGINS; valid until the next call. */
const char *scratch_built(const char *plugin);

void scratch_remove(void);

#endif
