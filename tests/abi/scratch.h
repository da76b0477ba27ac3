/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scratch.h - the temporary directory of a test program, and the files in it.
 *
 * Always: one directory a program, mode 0700, made by mkdtemp() at first use and removed with all that is in it
 * by scratch_remove(). The plugins under test are copied there, so that neither the owner nor the mode of the
 * build directory decides a test. A step that fails ends the test: what comes after would mean nothing.
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

/* Writes a file, mode 0644, in place if it is there already. */
const char *scratch_write(const char *name, const void *data, size_t len);

/* Copies the built plugin `plugin`.so (from NFQE_ABI_PLUGINS) to `name`, as cp does. */
const char *scratch_copy(const char *name, const char *plugin);

/* The whole file, to be freed by the caller. */
char *scratch_read(const char *path, size_t *len);

/* The path of a built plugin, out of the directory in NFQE_ABI_PLUGINS; valid until the next call. */
const char *scratch_built(const char *plugin);

void scratch_remove(void);

#endif
