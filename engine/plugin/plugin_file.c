/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checking a plugin's file; see plugin.h.
 *
 * The file is copied first and checked afterwards: between a check of the file and its use, somebody could
 * replace it. The copy is sealed, so even its owner cannot change it any more. No code of the plugin runs here.
 */
#include "plugin/plugin.h"

#include "base/refuse.h"
#include "base/util.h"
#include "plugin/elf_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

/* What every plugin of major version 1 has at least, however long our struct has become. */
#define PLUGIN_SIZE_1_0 (offsetof(struct nfqe_plugin, ext) + sizeof(void (*)(void)))
#define NEEDS_OFFERED                                                                                                  \
    (NFQE_NEED_HEADERS | NFQE_NEED_PAYLOAD | NFQE_NEED_FLOW | NFQE_NEED_CONNTRACK | NFQE_NEED_OWNER |                  \
     NFQE_NEED_SECCTX | NFQE_NEED_SEGMENTS)
#define HEADER_BYTES_MAX 65531

static const struct {
    uint64_t need;
    const char *name;
} need_names[] = {
    {NFQE_NEED_MODIFY, "MODIFY"},
    {NFQE_NEED_HOLD, "HOLD"},
    {NFQE_NEED_REQUEUE, "REQUEUE"},
    {NFQE_NEED_TICK, "TICK"},
};

/* ---- the file ------------------------------------------------------------------------------------ */

/* The folder of `path` and every folder above: whoever may write to one can put another file there. */
static int check_folders(const char *path, char *error)
{
    char copy[PATH_MAX];
    char folder[PATH_MAX];
    char *end;

    snprintf(copy, sizeof(copy), "%s", path);
    if (realpath(dirname(copy), folder) == NULL) {
        return refuse(error, PLUGIN_ERROR_MAX, -errno, "its folder cannot be found: %s", strerror(errno));
    }
    do {
        struct stat status;

        if (stat(folder, &status) < 0) {
            return refuse(error, PLUGIN_ERROR_MAX, -errno, "its folder %s cannot be read: %s", folder, strerror(errno));
        }
        if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
            return refuse(error, PLUGIN_ERROR_MAX, -EACCES, "anybody may write to its folder %s; run: chmod o-w %s",
                          folder, folder);
        }
        end = strrchr(folder, '/');
        *end = '\0';
    } while (end != folder);
    return 0;
}

/* The name of what is open, whatever its path leads to by now. */
static int check_opened_folders(int fd, char *error)
{
    char name[32];
    char opened[PATH_MAX];
    ssize_t len;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    len = readlink(name, opened, sizeof(opened) - 1);
    if (len < 0) {
        return refuse(error, PLUGIN_ERROR_MAX, -errno, "its folder cannot be found: %s", strerror(errno));
    }
    opened[len] = '\0';
    return check_folders(opened, error);
}

static int check_file(struct plugin *plugin, int fd, size_t *size, char *error)
{
    struct stat status;
    int code;

    if (fstat(fd, &status) < 0) {
        return refuse(error, PLUGIN_ERROR_MAX, -errno, "cannot be read: %s", strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return refuse(error, PLUGIN_ERROR_MAX, -EINVAL, "not a regular file; a plugin is a shared object (.so)");
    }
    if ((status.st_mode & S_IWOTH) != 0) {
        return refuse(error, PLUGIN_ERROR_MAX, -EACCES, "anybody may write to it; run: chmod o-w %s", plugin->path);
    }
    if (status.st_size > PLUGIN_FILE_MAX) {
        return refuse(error, PLUGIN_ERROR_MAX, -EFBIG, "larger than %ld MiB", PLUGIN_FILE_MAX / (1024 * 1024));
    }
    plugin->owner = status.st_uid;
    plugin->foreign_owner = status.st_uid != 0 && status.st_uid != geteuid();
    *size = (size_t)status.st_size;
    /* A link can be pointed elsewhere by whoever may write to its own folder. */
    code = check_folders(plugin->path, error);
    return code != 0 ? code : check_opened_folders(fd, error);
}

/* Copies the file into a new memfd and seals it. */
static int copy_file(int from, size_t size, int *memfd, char *error)
{
    size_t copied = 0;
    int fd = memfd_create("nfqe-plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        return refuse(error, PLUGIN_ERROR_MAX, -errno, "no memory file for its copy: %s", strerror(errno));
    }
    while (copied < size) {
        ssize_t part = sendfile(fd, from, NULL, size - copied);

        if (part <= 0) {
            int code = part < 0 ? -errno : -EIO;

            close(fd);
            return refuse(error, PLUGIN_ERROR_MAX, code, "cannot be read: %s",
                          part < 0 ? strerror(errno) : "it became shorter");
        }
        copied += (size_t)part;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        int code = -errno;

        close(fd);
        return refuse(error, PLUGIN_ERROR_MAX, code, "its copy cannot be sealed: %s", strerror(-code));
    }
    *memfd = fd;
    return 0;
}

/* ---- the head ------------------------------------------------------------------------------------ */

static bool is_id(const char *text)
{
    size_t len = strnlen(text, NFQE_ID_SIZE);

    if (len == 0 || len == NFQE_ID_SIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && strchr("-_.", text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_version(const char *text)
{
    size_t len = strnlen(text, NFQE_VERSION_SIZE);

    if (len == 0 || len == NFQE_VERSION_SIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isgraph((unsigned char)text[i])) {
            return false;
        }
    }
    return true;
}

static int check_abi(const struct nfqe_plugin *head, char *error)
{
    unsigned major = NFQE_ABI_MAJOR(head->abi);
    unsigned minor = NFQE_ABI_MINOR(head->abi);
    unsigned min_minor = NFQE_ABI_MINOR(head->abi_min);

    if (memcmp(head->magic, NFQE_MAGIC, sizeof(head->magic)) != 0) {
        return refuse(error, PLUGIN_ERROR_MAX, -ENOEXEC,
                      "its section " NFQE_SECTION " does not start with \"" NFQE_MAGIC
                      "\": not a plugin of nfq-engine; it must use NFQE_PLUGIN(...)");
    }
    if (major != NFQE_ABI_MAJOR(NFQE_ABI_VERSION)) {
        return refuse(error, PLUGIN_ERROR_MAX, -ENOEXEC,
                      "built for plugin ABI %u.%u, this engine (" NFQE_VERSION
                      ") offers %u.%u; rebuild it against the headers of nfqe " NFQE_VERSION,
                      major, minor, NFQE_ABI_MAJOR(NFQE_ABI_VERSION), NFQE_ABI_MINOR(NFQE_ABI_VERSION));
    }
    if (NFQE_ABI_MAJOR(head->abi_min) != major || min_minor > NFQE_ABI_MINOR(NFQE_ABI_VERSION)) {
        return refuse(error, PLUGIN_ERROR_MAX, -ENOEXEC,
                      "needs plugin ABI %u.%u, this engine (" NFQE_VERSION
                      ") offers %u.%u; rebuild it against the headers of nfqe " NFQE_VERSION " or upgrade the engine",
                      NFQE_ABI_MAJOR(head->abi_min), min_minor, NFQE_ABI_MAJOR(NFQE_ABI_VERSION),
                      NFQE_ABI_MINOR(NFQE_ABI_VERSION));
    }
    return 0;
}

static int check_needs(const struct nfqe_plugin *head, char *error)
{
    uint64_t missing = head->needs & ~NEEDS_OFFERED;
    char names[128] = "";
    size_t used = 0;

    if (missing == 0) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(need_names) && used < sizeof(names); i++) {
        if ((missing & need_names[i].need) != 0) {
            int len = snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "", need_names[i].name);

            used += len > 0 ? (size_t)len : 0;
            missing &= ~need_names[i].need;
        }
    }
    if (missing != 0 && used < sizeof(names)) {
        snprintf(names + used, sizeof(names) - used, "%sbits 0x%" PRIx64, used > 0 ? ", " : "", missing);
    }
    return refuse(error, PLUGIN_ERROR_MAX, -ENOTSUP,
                  "needs %s, which this engine (" NFQE_VERSION ") does not offer; upgrade the engine", names);
}

static int check_head(struct plugin *plugin, const struct nfqe_plugin *head, size_t section_size, char *error)
{
    int code = check_abi(head, error);

    if (code != 0) {
        return code;
    }
    if (head->size < PLUGIN_SIZE_1_0 || head->size > section_size) {
        return refuse(error, PLUGIN_ERROR_MAX, -ENOEXEC,
                      "its struct nfqe_plugin has %" PRIu32 " bytes, its section %zu, ABI 1.0 has %zu; it must use "
                      "NFQE_PLUGIN(...)",
                      head->size, section_size, PLUGIN_SIZE_1_0);
    }
    if (!is_id(head->id)) {
        return refuse(error, PLUGIN_ERROR_MAX, -EINVAL,
                      "its id must be 1 to %d characters a-z 0-9 - _ . and end with NUL", NFQE_ID_SIZE - 1);
    }
    if (!is_version(head->version)) {
        return refuse(error, PLUGIN_ERROR_MAX, -EINVAL,
                      "its version must be 1 to %d printable characters without spaces and end with NUL",
                      NFQE_VERSION_SIZE - 1);
    }
    if (head->header_bytes > HEADER_BYTES_MAX) {
        return refuse(error, PLUGIN_ERROR_MAX, -EINVAL, "its header_bytes is %" PRIu32 ", at most %d is possible",
                      head->header_bytes, HEADER_BYTES_MAX);
    }
    memcpy(plugin->id, head->id, sizeof(plugin->id));
    memcpy(plugin->version, head->version, sizeof(plugin->version));
    plugin->abi = head->abi;
    plugin->needs = head->needs;
    plugin->header_bytes = head->header_bytes != 0 ? head->header_bytes : NFQE_HEADER_BYTES_DEFAULT;
    return check_needs(head, error);
}

/* Reads the head out of the copy, by its section. No pointer in it is valid: the file is not relocated. */
static int check_copy(struct plugin *plugin, size_t size, char *error)
{
    struct nfqe_plugin head = {0};
    size_t section_offset;
    size_t section_size;
    void *data;
    int code;

    if (size == 0) {
        return refuse(error, PLUGIN_ERROR_MAX, -ENOEXEC, "the file is empty");
    }
    data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, plugin->memfd, 0);
    if (data == MAP_FAILED) {
        return refuse(error, PLUGIN_ERROR_MAX, -errno, "its copy cannot be mapped: %s", strerror(errno));
    }
    code = elf_file_find_section(data, size, NFQE_SECTION, &section_offset, &section_size, error, PLUGIN_ERROR_MAX);
    if (code == 0 && section_size < NFQE_HEAD_SIZE) {
        code = refuse(error, PLUGIN_ERROR_MAX, -ENOEXEC,
                      "its section " NFQE_SECTION " has %zu bytes, too short for the head of %d; it must use "
                      "NFQE_PLUGIN(...)",
                      section_size, NFQE_HEAD_SIZE);
    }
    if (code == 0) {
        memcpy(&head, (const char *)data + section_offset, NFQE_HEAD_SIZE);
        memcpy(plugin->head, &head, NFQE_HEAD_SIZE);
        code = check_head(plugin, &head, section_size, error);
    }
    munmap(data, size);
    return code;
}

int plugin_check(struct plugin *plugin, char *error)
{
    int fd = open(plugin->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t size = 0;
    int code;

    plugin->memfd = -1;
    if (fd < 0) {
        return refuse(error, PLUGIN_ERROR_MAX, -errno, "cannot be opened: %s", strerror(errno));
    }
    code = check_file(plugin, fd, &size, error);
    if (code == 0) {
        code = copy_file(fd, size, &plugin->memfd, error);
    }
    close(fd);
    if (code == 0) {
        code = check_copy(plugin, size, error);
    }
    if (code != 0) {
        close_fd(&plugin->memfd);
    }
    return code;
}

void plugin_done(struct plugin *plugin)
{
    close_fd(&plugin->memfd);
}
