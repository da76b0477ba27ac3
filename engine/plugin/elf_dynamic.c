/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the dynamic section by the program headers, as the loader does: section headers may be missing.
 *
 * The section has its string table as an address in memory; the segment that is loaded there says where it is in the
 * file. Each read is checked for its length, and none depends on a mapping, since others may cut the file short
 * meanwhile. Runs in the supervisor; executes nothing of the file.
 */
#include "plugin/elf_dynamic.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static bool read_at(int fd, uint64_t offset, void *to, size_t len)
{
    return offset <= INT64_MAX && pread(fd, to, len, (off_t)offset) == (ssize_t)len;
}

/*
 * In the order of the loader, which skips a library of another class or machine, but refuses one of another byte order.
 */
static int check_header(const ElfW(Ehdr) *header)
{
    const ElfW(Ehdr) *ours = &__ehdr_start;

    if (memcmp(header->e_ident, ours->e_ident, SELFMAG) != 0) {
        return -ENOEXEC;
    }
    if (header->e_ident[EI_CLASS] != ours->e_ident[EI_CLASS]) {
        return -ENOTSUP;
    }
    if (header->e_ident[EI_DATA] != ours->e_ident[EI_DATA]) {
        return -ENOEXEC;
    }
    if (header->e_machine != ours->e_machine) {
        return -ENOTSUP;
    }
    return header->e_phentsize == sizeof(ElfW(Phdr)) ? 0 : -ENOEXEC;
}

static bool read_segment(int fd, const ElfW(Ehdr) *header, unsigned index, ElfW(Phdr) *segment)
{
    return index < header->e_phnum &&
           read_at(fd, header->e_phoff + index * sizeof(*segment), segment, sizeof(*segment));
}

static bool read_entry(const struct elf_dynamic *dynamic, uint64_t index, ElfW(Dyn) *entry)
{
    return index < dynamic->count &&
           read_at(dynamic->fd, dynamic->entries + index * sizeof(*entry), entry, sizeof(*entry)) &&
           entry->d_tag != DT_NULL;
}

/* Where the byte at this address is in the file. False: in no segment. */
static bool find_address(int fd, const ElfW(Ehdr) *header, uint64_t address, uint64_t *offset)
{
    ElfW(Phdr) segment;

    for (unsigned i = 0; read_segment(fd, header, i, &segment); i++) {
        if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz) {
            *offset = segment.p_offset + (address - segment.p_vaddr);
            return true;
        }
    }
    return false;
}

int elf_dynamic_open(int fd, struct elf_dynamic *dynamic)
{
    struct elf_dynamic found = {.fd = fd};
    ElfW(Ehdr) header;
    ElfW(Phdr) segment;
    ElfW(Dyn) entry;
    uint64_t strings = 0;
    int code = read_at(fd, 0, &header, sizeof(header)) ? check_header(&header) : -ENOEXEC;

    if (code < 0) {
        return code;
    }
    for (unsigned i = 0; read_segment(fd, &header, i, &segment); i++) {
        if (segment.p_type == PT_DYNAMIC) {
            found.entries = segment.p_offset;
            found.count = segment.p_filesz / sizeof(entry);
        }
    }
    for (uint64_t i = 0; read_entry(&found, i, &entry); i++) {
        if (entry.d_tag == DT_STRTAB) {
            strings = entry.d_un.d_ptr;
        } else if (entry.d_tag == DT_STRSZ) {
            found.strings_size = entry.d_un.d_val;
        }
    }
    if (!find_address(fd, &header, strings, &found.strings)) {
        found.strings_size = 0;
    }
    *dynamic = found;
    return 0;
}

/* At most PATH_MAX bytes with the end. */
static int read_string(const struct elf_dynamic *dynamic, uint64_t offset, char *text)
{
    size_t len;
    ssize_t got;

    if (offset >= dynamic->strings_size) {
        return -ENOEXEC;
    }
    len = dynamic->strings_size - offset < PATH_MAX ? (size_t)(dynamic->strings_size - offset) : PATH_MAX;
    got = pread(dynamic->fd, text, len, (off_t)(dynamic->strings + offset));
    return got > 0 && memchr(text, '\0', (size_t)got) != NULL ? 0 : -ENOEXEC;
}

int elf_dynamic_next(const struct elf_dynamic *dynamic, int64_t tag, uint64_t *next, char *text)
{
    ElfW(Dyn) entry;

    while (read_entry(dynamic, *next, &entry)) {
        (*next)++;
        if (entry.d_tag == tag) {
            return read_string(dynamic, entry.d_un.d_val, text) == 0 ? 1 : -ENOEXEC;
        }
    }
    return 0;
}
