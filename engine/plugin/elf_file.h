/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads an ELF file without executing any of it: whether it is complete, whether it is for this machine, and where a
 * section is.
 *
 * The file is a buffer of any content; every read is checked against its size.
 */
#ifndef ENGINE_PLUGIN_ELF_FILE_H
#define ENGINE_PLUGIN_ELF_FILE_H

#include "base/error.h"

#include <stddef.h>

/*
 * Finds section `name` of the shared object in data[size]. Returns 0 and sets *offset and *section_size; or -ENOEXEC
 * (not a complete shared object for this machine) or -ENOENT (no such section) with the reason in *error.
 * [supervisor]
 */
int elf_file_find_section(const void *data, size_t size, const char *name, size_t *offset, size_t *section_size,
                          struct error *error);

#endif
