/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads an ELF file without running any of it: is it whole, is it for this machine, and where is a section.
 *
 * Everything is read from a buffer with bounds checks; the file may be anything at all.
 */
#ifndef ENGINE_PLUGIN_ELF_FILE_H
#define ENGINE_PLUGIN_ELF_FILE_H

#include "base/error.h"

#include <stddef.h>

/*
 * Finds section `name` of the shared object in data[size]. Returns 0 and the section's place in the file; or
 * -ENOEXEC (not a whole shared object of this machine) or -ENOENT (no such section) with the reason in *error.
 */
int elf_file_find_section(const void *data, size_t size, const char *name, size_t *offset, size_t *section_size,
                          struct error *error);

#endif
