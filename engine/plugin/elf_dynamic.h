/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dynamic section of an ELF file: the libraries that it needs, and where the loader searches for them.
 *
 * The file is read by pread(), part by part, and may have any content.
 */
#ifndef ENGINE_PLUGIN_ELF_DYNAMIC_H
#define ENGINE_PLUGIN_ELF_DYNAMIC_H

#include <limits.h>
#include <stdint.h>

struct elf_dynamic {
    int fd;                /* of the caller */
    uint64_t entries;      /* where the section is in the file */
    uint64_t count;        /* entries that it has room for */
    uint64_t strings;      /* where its string table is */
    uint64_t strings_size;
};

/*
 * Finds the section. Returns 0; -ENOTSUP: an ELF file of another class or for another machine; or -ENOEXEC: not one, or
 * damaged. No section: it has no entries. [supervisor]
 */
int elf_dynamic_open(int fd, struct elf_dynamic *dynamic);

/*
 * The next entry with this tag, DT_NEEDED, DT_RPATH or DT_RUNPATH, whose string goes to text[PATH_MAX]. *next: 0 at
 * first. Returns 1; 0: there is none; -ENOEXEC: damaged, or the string is longer. [supervisor]
 */
int elf_dynamic_next(const struct elf_dynamic *dynamic, int64_t tag, uint64_t *next, char *text);

#endif
