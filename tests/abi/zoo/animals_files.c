/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that are refused because of their file: no file, no ELF file, one of another machine, an incomplete one, or
 * one that every user may change.
 */
#include "scratch.h"
#include "zoo.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define TOO_LARGE (256L * 1024 * 1024 + 1)

/* ---- things that are no files ------------------------------------------------------------------------ */

static const char *make_nothing(const struct animal *animal)
{
    (void)animal;
    return scratch_path("animal.so");
}

static const char *make_directory(const struct animal *animal)
{
    (void)animal;
    return scratch_directory("animal.so", 0755);
}

/* animal->number: S_IFIFO, or S_IFCHR for a copy of /dev/zero. */
static const char *make_node(const struct animal *animal)
{
    const char *path = scratch_path("animal.so");

    assert_int_equal(mknod(path, (mode_t)animal->number | 0644, (1 << 8) | 5), 0);
    return path;
}

static const char *make_socket(const struct animal *animal)
{
    const char *path = scratch_path("animal.so");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)animal;
    assert_true(strlen(path) < sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    return path;
}

static const char *link_to(const char *target, const char *name)
{
    const char *path = scratch_path(name);

    assert_int_equal(symlink(target, path), 0);
    return path;
}

static const char *make_dangling_link(const struct animal *animal)
{
    (void)animal;
    return link_to("nowhere.so", "animal.so");
}

static const char *make_link_to_itself(const struct animal *animal)
{
    (void)animal;
    return link_to("animal.so", "animal.so");
}

/* ---- permissions ------------------------------------------------------------------------------------- */

/* animal->number: the mode. */
static const char *make_with_mode(const struct animal *animal)
{
    const char *path = make_copy(animal);

    assert_int_equal(chmod(path, (mode_t)animal->number), 0);
    return path;
}

/* animal->number: the mode of its directory. */
static const char *make_in_directory(const struct animal *animal)
{
    scratch_directory("directory", (unsigned)animal->number);
    return make_copy_at("directory/animal.so", animal);
}

static const char *make_link_in_directory(const struct animal *animal)
{
    const char *target = make_copy(animal);

    scratch_directory("directory", (unsigned)animal->number);
    return link_to(target, "directory/link.so");
}

static const char *make_link_into_directory(const struct animal *animal)
{
    return link_to(make_in_directory(animal), "animal.so");
}

/* ---- contents ---------------------------------------------------------------------------------------- */

static const char *make_text(const struct animal *animal)
{
    static const char text[] = "#!/bin/sh\n"
                               "echo this is a script, and longer than the header of an ELF file\n";

    return scratch_write("animal.so", text, animal->number != 0 ? animal->number : sizeof(text) - 1);
}

static const char *make_empty(const struct animal *animal)
{
    (void)animal;
    return scratch_write("animal.so", "", 0);
}

static const char *make_too_large(const struct animal *animal)
{
    const char *path = make_copy(animal);

    assert_int_equal(truncate(path, TOO_LARGE), 0);
    return path;
}

/* animal->number: the length; if it is above 1,000,000: what is above is cut off at the end. */
static const char *make_cut(const struct animal *animal)
{
    const char *path = make_copy(animal);
    size_t number = animal->number;
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, number < 1000000 ? (off_t)number : status.st_size - (off_t)(number - 1000000)), 0);
    return path;
}

static const char *make_half(const struct animal *animal)
{
    const char *path = make_copy(animal);
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size / 2), 0);
    return path;
}

/* The header of a 32-bit ELF file; nothing else of it is read. */
static const char *make_32_bit(const struct animal *animal)
{
    union {
        Elf32_Ehdr header;
        char bytes[4096];
    } file = {.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_DYN,
                         .e_machine = EM_386,
                         .e_version = EV_CURRENT,
                         .e_ehsize = sizeof(Elf32_Ehdr)}};

    (void)animal;
    return scratch_write("animal.so", &file, sizeof(file));
}

static const char *write_elf(const struct animal *animal, void (*change)(char *data, size_t number))
{
    size_t len;
    char *data = scratch_read(scratch_built(animal->plugin), &len);
    const char *path;

    change(data, animal->number);
    path = scratch_write("animal.so", data, len);
    free(data);
    return path;
}

static void set_machine(char *data, size_t number)
{
    Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)data;

    header->e_machine = (Elf64_Half)number;
}

static void set_type(char *data, size_t number)
{
    Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)data;

    header->e_type = (Elf64_Half)number;
}

static void set_byte_order(char *data, size_t number)
{
    data[EI_DATA] = (char)number;
}

/* The headers are correct, but an address that the dynamic loader uses is wrong. */
static void damage_dynamic_section(char *data, size_t number)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)data;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(const void *)(data + header->e_phoff);

    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Dyn *entry = (Elf64_Dyn *)(void *)(data + segments[i].p_offset);

        for (; segments[i].p_type == PT_DYNAMIC && entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == (Elf64_Sxword)number) {
                entry->d_un.d_ptr = UINT64_C(1) << 45;
            }
        }
    }
}

static const char *make_other_machine(const struct animal *animal)
{
    return write_elf(animal, set_machine);
}

static const char *make_other_type(const struct animal *animal)
{
    return write_elf(animal, set_type);
}

static const char *make_other_byte_order(const struct animal *animal)
{
    return write_elf(animal, set_byte_order);
}

static const char *make_damaged_dynamic_section(const struct animal *animal)
{
    return write_elf(animal, damage_dynamic_section);
}

const struct animal zoo_files[] = {
    {.name = "missing", .make = make_nothing},
    {.name = "directory", .make = make_directory},
    {.name = "fifo", .make = make_node, .number = S_IFIFO},
    {.name = "device", .make = make_node, .number = S_IFCHR},
    {.name = "socket", .make = make_socket},
    {.name = "dangling-link", .make = make_dangling_link},
    {.name = "link-to-itself", .make = make_link_to_itself},
    {.name = "unreadable", .plugin = "good", .make = make_with_mode, .number = 0, .as_anybody = true},

    {.name = "world-writable-file", .plugin = "good", .make = make_with_mode, .number = 0646},
    {.name = "world-writable-directory", .plugin = "good", .make = make_in_directory, .number = 0777},
    {.name = "link-in-world-writable-directory", .plugin = "good", .make = make_link_in_directory, .number = 0777},
    {.name = "link-into-world-writable-directory", .plugin = "good", .make = make_link_into_directory, .number = 0777},
    {.name = "sticky-directory", .plugin = "good", .make = make_in_directory, .number = 01777, .shows = "plugin good"},

    {.name = "text", .make = make_text},
    {.name = "text-of-three-bytes", .make = make_text, .number = 3},
    {.name = "empty", .make = make_empty},
    {.name = "too-large", .plugin = "good", .make = make_too_large},
    {.name = "cut-in-magic", .plugin = "good", .make = make_cut, .number = 3},
    {.name = "cut-after-magic", .plugin = "good", .make = make_cut, .number = 4},
    {.name = "cut-in-header", .plugin = "good", .make = make_cut, .number = 63},
    {.name = "cut-after-header", .plugin = "good", .make = make_cut, .number = 64},
    {.name = "cut-in-segment-table", .plugin = "good", .make = make_cut, .number = 100},
    {.name = "cut-in-first-page", .plugin = "good", .make = make_cut, .number = 1000},
    {.name = "cut-after-first-page", .plugin = "good", .make = make_cut, .number = 4096},
    {.name = "cut-in-half", .plugin = "good", .make = make_half},
    {.name = "cut-by-one-byte", .plugin = "good", .make = make_cut, .number = 1000001},
    {.name = "damaged-string-table-address",
     .plugin = "misbehave", /* it needs a library in every build */
     .make = make_damaged_dynamic_section,
     .number = DT_STRTAB},
    {.name = "32-bit", .make = make_32_bit},
    {.name = "other-machine", .plugin = "good", .make = make_other_machine, .number = EM_SPARC},
    {.name = "other-byte-order", .plugin = "good", .make = make_other_byte_order, .number = ELFDATA2MSB},
    {.name = "object-file", .plugin = "good", .make = make_other_type, .number = ET_REL},
    {.name = "program", .plugin = "zoo_program"},
    {.name = "program-pie", .plugin = "zoo_program_pie"},
    {.name = NULL},
};
