/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * elf_file_find_section() on any bytes, and plugin_file_check() on a file of them.
 *
 * Input: the file. plugin_file_check() needs a file in a directory that not all users can write to, so there is one
 * in a new directory below TMPDIR; it is overwritten for each input and removed at the end. elf_file_find_section()
 * gets the bytes at the end of an allocation, so that a read beyond them is noticed.
 */
#include "input.h"
#include "plugin/elf_file.h"
#include "plugin/plugin_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OFFERED                                                                                                        \
    (NFQE_NEED_HEADERS | NFQE_NEED_PAYLOAD | NFQE_NEED_MODIFY | NFQE_NEED_FLOW | NFQE_NEED_REQUEUE |                   \
     NFQE_NEED_CONNTRACK | NFQE_NEED_OWNER | NFQE_NEED_SECCTX | NFQE_NEED_SEGMENTS | NFQE_NEED_METADATA |              \
     NFQE_NEED_INJECT)
#define FILE_MAX (64 * 1024)
#define UNTOUCHED 0x5a
#define SOME 8 /* of the files without the section plugin_file_check() gets one in so many: it is slow */

static char directory[PATH_MAX];
static char path[PATH_MAX + 8];
static int file = -1;

static void remove_file(void)
{
    unlink(path);
    rmdir(directory);
}

static void make_file(void)
{
    const char *parent = getenv("TMPDIR");

    if (file >= 0) {
        return;
    }
    snprintf(directory, sizeof(directory), "%s/nfqe-fuzz-elf-XXXXXX", parent != NULL ? parent : "/tmp");
    PROMISE(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/plugin", directory);
    file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    PROMISE(file >= 0);
    atexit(remove_file);
}

/* A file that is not refused as damaged has all its segments, or dlopen() would get SIGBUS. */
static void check_segments(const uint8_t *data, size_t len)
{
    ElfW(Ehdr) header;

    PROMISE(len >= sizeof(header));
    memcpy(&header, data, sizeof(header));
    PROMISE(memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_type == ET_DYN);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;
        size_t place = header.e_phoff + i * sizeof(segment);

        PROMISE(place <= len && sizeof(segment) <= len - place);
        memcpy(&segment, data + place, sizeof(segment));
        PROMISE(segment.p_type != PT_LOAD || (segment.p_offset <= len && segment.p_filesz <= len - segment.p_offset));
    }
}

static void check_error(const struct error *error)
{
    PROMISE(error->exit_code == EXIT_CODE_PLUGIN && error->code < 0);
    PROMISE(memchr(error->text, '\0', sizeof(error->text)) != NULL && memchr(error->source, '\0', 1) != NULL);
    PROMISE(error->text[0] != '\0' && strchr(error->text, '\n') == NULL);
}

/* Looks for the section. */
static int find_section(const uint8_t *data, size_t len, size_t *offset, size_t *size)
{
    struct error error;
    int code;

    memset(&error, UNTOUCHED, sizeof(error));
    *offset = *size = SIZE_MAX;
    code = elf_file_find_section(data, len, NFQE_SECTION, offset, size, &error);
    PROMISE(code == 0 || code == -ENOEXEC || code == -ENOENT);
    if (code == 0) {
        PROMISE(*offset <= len && *size <= len - *offset);
    } else {
        PROMISE(*offset == SIZE_MAX && *size == SIZE_MAX);
        check_error(&error);
    }
    if (code != -ENOEXEC) {
        check_segments(data, len);
    }
    return code;
}

/* What plugin.h promises for an accepted plugin. */
static void check_plugin(const struct plugin *plugin, const uint8_t *data, size_t len, size_t section)
{
    const char *letters = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    uint8_t *copy = malloc(len);
    struct stat status;

    PROMISE(plugin->memfd >= 0);
    PROMISE((fcntl(plugin->memfd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) ==
            (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
    PROMISE(fstat(plugin->memfd, &status) == 0 && status.st_size == (off_t)len);
    PROMISE(copy != NULL && pread(plugin->memfd, copy, len, 0) == (ssize_t)len && memcmp(copy, data, len) == 0);
    free(copy);
    PROMISE(NFQE_HEAD_SIZE <= len - section && memcmp(plugin->head, data + section, NFQE_HEAD_SIZE) == 0);
    PROMISE(memchr(plugin->id, '\0', sizeof(plugin->id)) != NULL && plugin->id[0] != '\0');
    PROMISE(plugin->id[strspn(plugin->id, letters)] == '\0');
    PROMISE(memchr(plugin->version, '\0', sizeof(plugin->version)) != NULL && plugin->version[0] != '\0');
    PROMISE(NFQE_ABI_MAJOR(plugin->abi) == NFQE_ABI_MAJOR(NFQE_ABI_VERSION));
    PROMISE(plugin->header_bytes >= 1 && plugin->header_bytes <= 65531);
    PROMISE(plugin->needs != 0 && (plugin->needs & ~OFFERED) == 0); /* no unknown need */
    PROMISE((plugin->uses & ~OFFERED) == 0);
}

static void check_file(const uint8_t *data, size_t len, int found, size_t section)
{
    struct error error;
    struct plugin plugin = {.path = path};
    int lowest = dup(0); /* the descriptor that the next open() gets */
    int after;
    int code;

    close(lowest);
    PROMISE(ftruncate(file, 0) == 0 && pwrite(file, data, len, 0) == (ssize_t)len);
    memset(&error, UNTOUCHED, sizeof(error));
    code = plugin_file_check(&plugin, &error);
    PROMISE(code <= 0);
    if (code == 0) {
        PROMISE(found == 0);
        check_plugin(&plugin, data, len, section);
    } else {
        PROMISE(plugin.memfd == -1);
        check_error(&error);
    }
    if (found != 0 && len > 0) {
        PROMISE(code == found);
    }
    plugin_file_close(&plugin);
    after = dup(0);
    PROMISE(after == lowest); /* nothing stays open */
    close(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};
    size_t offset;
    size_t size;
    uint8_t *bytes = input_copy(&input, len < FILE_MAX ? len : FILE_MAX, &len);
    int found = find_section(bytes, len, &offset, &size);

    if (found == 0 || len % SOME == 0) {
        make_file();
        check_file(bytes, len, found, offset);
    }
    free(bytes);
    return 0;
}
