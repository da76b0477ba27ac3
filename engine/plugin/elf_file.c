/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks an ELF file before dlopen() sees it. dlopen() maps a file as its headers say without checking them against the
 * file's size, so a truncated file would end the process with SIGBUS. Here every segment and the section table must lie
 * inside the file.
 *
 * The class, byte order and machine that are accepted are those of the engine's own ELF header. The file is
 * untrusted: each read is checked against its size, and structures are copied out, since their offsets need not be
 * aligned. Runs in the supervisor; executes nothing of the file.
 */
#include "plugin/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The ELF header of this program; the linker defines the symbol. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* Whether [offset, offset + len) lies inside a file of `size` bytes. */
static bool inside(uint64_t offset, uint64_t len, size_t size)
{
    return offset <= size && len <= size - offset;
}

/* Copies a structure out of the file. False: it does not lie inside. */
static bool read_at(const void *data, size_t size, uint64_t offset, void *to, size_t len)
{
    if (!inside(offset, len, size)) {
        return false;
    }
    memcpy(to, (const char *)data + offset, len);
    return true;
}

static const char *check_header(const ElfW(Ehdr) *header, size_t size)
{
    const ElfW(Ehdr) *ours = &__ehdr_start;

    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
        return "not an ELF file; a plugin is a shared object (.so)";
    }
    if (header->e_ident[EI_CLASS] != ours->e_ident[EI_CLASS]) {
        return ours->e_ident[EI_CLASS] == ELFCLASS64 ? "a 32-bit ELF file, this engine is 64-bit; rebuild the plugin"
                                                     : "a 64-bit ELF file, this engine is 32-bit; rebuild the plugin";
    }
    if (header->e_ident[EI_DATA] != ours->e_ident[EI_DATA]) {
        return "an ELF file of the other byte order; rebuild the plugin for this machine";
    }
    if (header->e_machine != ours->e_machine) {
        return "an ELF file of another kind of machine; rebuild the plugin for this one";
    }
    if (header->e_type != ET_DYN) {
        return "an ELF file, but not a shared object; link the plugin with -shared";
    }
    if (header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_shentsize != sizeof(ElfW(Shdr)) ||
        !inside(header->e_phoff, (uint64_t)header->e_phnum * sizeof(ElfW(Phdr)), size) ||
        !inside(header->e_shoff, (uint64_t)header->e_shnum * sizeof(ElfW(Shdr)), size)) {
        return "a truncated or damaged ELF file; copy or build it again";
    }
    return NULL;
}

static const char *check_segments(const void *data, size_t size, const ElfW(Ehdr) *header)
{
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;

        if (!read_at(data, size, header->e_phoff + i * sizeof(segment), &segment, sizeof(segment)) ||
            (segment.p_type == PT_LOAD && !inside(segment.p_offset, segment.p_filesz, size))) {
            return "a truncated or damaged ELF file; copy or build it again";
        }
    }
    return NULL;
}

/* Whether `name` is at `offset` of the string table `names`. */
static bool has_name(const void *data, size_t size, const ElfW(Shdr) *names, uint64_t offset, const char *name)
{
    size_t len = strlen(name) + 1;

    return inside(names->sh_offset, names->sh_size, size) && inside(offset, len, names->sh_size) &&
           memcmp((const char *)data + names->sh_offset + offset, name, len) == 0;
}

int elf_file_find_section(const void *data, size_t size, const char *name, size_t *offset, size_t *section_size,
                          struct error *error)
{
    ElfW(Ehdr) header;
    ElfW(Shdr) names;
    const char *reason;

    if (!read_at(data, size, 0, &header, sizeof(header))) {
        reason = size >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0
                     ? "a truncated or damaged ELF file; copy or build it again"
                     : "not an ELF file; a plugin is a shared object (.so)";
    } else {
        reason = check_header(&header, size);
        if (reason == NULL) {
            reason = check_segments(data, size, &header);
        }
    }
    if (reason != NULL) {
        return error_set(error, EXIT_CODE_PLUGIN, -ENOEXEC, "%s", reason);
    }
    if (header.e_shstrndx < header.e_shnum &&
        read_at(data, size, header.e_shoff + header.e_shstrndx * sizeof(names), &names, sizeof(names))) {
        for (unsigned i = 0; i < header.e_shnum; i++) {
            ElfW(Shdr) section;

            if (read_at(data, size, header.e_shoff + i * sizeof(section), &section, sizeof(section)) &&
                section.sh_type == SHT_PROGBITS && has_name(data, size, &names, section.sh_name, name) &&
                inside(section.sh_offset, section.sh_size, size)) {
                *offset = section.sh_offset;
                *section_size = section.sh_size;
                return 0;
            }
        }
    }
    return error_set(error, EXIT_CODE_PLUGIN, -ENOENT,
                     "no section %s: not a plugin of nfq-engine; it must use NFQE_PLUGIN(...)", name);
}
