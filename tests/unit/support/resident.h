/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of which the kernel says how much is in use: what was never written takes none.
 */
#ifndef UNIT_RESIDENT_H
#define UNIT_RESIDENT_H

#include <stddef.h>

/* Memory that begins with a page and that nothing has written to. Fails the running test if there is none. */
void *resident_new(size_t size);
void resident_free(void *memory, size_t size);

/* How many bytes of it are in use, in whole pages. */
size_t resident_bytes(void *memory, size_t size);

#endif
