/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Declaring and mapping areas.
 *
 * The file of a TABLE is mapped twice: writable where the plugin sees it, and read-only. Then it is sealed against other
 * writers, and its descriptor is closed, so the plugin has none. After load(), mremap(2) moves the read-only mapping over the
 * writable one. No process can make it writable again: the seal takes that right from a mapping that is made after it.
 * A process that load() forks does not inherit the writable one.
 *
 * The supervisor is asked for each area, and answers before load() goes on. Process: [fork server] [worker].
 */
#include "process/plugin_areas.h"

#include "base/channel.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/shm.h"
#include "process/process.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct plugin_area {
    const struct plugin_host *owner;
    struct area_declaration declared;
    struct nfqe_area seen;  /* by the plugin */
    void *read_only;        /* of a TABLE until load() has returned */
};

/* Static: the plugins have pointers to what they see, and one process has one list. */
static struct {
    struct engine *engine;
    struct plugin_area areas[AREAS_MAX];
    unsigned count;
} list;

void plugin_areas_begin(struct engine *engine)
{
    list.engine = engine;
    list.count = 0;
}

static bool is_table(const struct plugin_area *area)
{
    return area->declared.kind == NFQE_AREA_TABLE;
}

static struct plugin_area *find(const struct plugin_host *host, const char *name)
{
    for (unsigned i = 0; i < list.count; i++) {
        if (list.areas[i].owner == host && strcmp(list.areas[i].declared.name, name) == 0) {
            return &list.areas[i];
        }
    }
    return NULL;
}

static void show(struct plugin_area *area, void *memory, bool fresh)
{
    area->seen =
        (struct nfqe_area){.size = sizeof(area->seen), .fresh = fresh, .bytes = memory, .len = area->declared.len};
}

/* ---- in load() --------------------------------------------------------------------------------------------------- */

static unsigned position_of(const struct plugin_host *host)
{
    for (unsigned i = 0; i < list.engine->generation->plugin_count; i++) {
        if (&list.engine->generation->plugins[i].host == host) {
            return i;
        }
    }
    return PLUGINS_MAX;
}

/* Returns the supervisor's answer; *fd: of a TABLE. If the supervisor is gone, there is none. */
static int ask(const struct area_declaration *declared, int *fd)
{
    struct process_message message = process_message_make(FORKSERVER_AREA, declared->plugin);
    ssize_t len;

    list.engine->status->area = *declared;
    if (channel_send(list.engine->channel, &message, sizeof(message), NULL, 0) < 0) {
        _exit(PROCESS_EXIT_FAILED);
    }
    len = channel_wait(list.engine->channel, &message, sizeof(message), fd, 1);
    if (len <= 0 || process_message_check(&message, (size_t)len, FROM_SUPERVISOR, list.engine->queue_count) < 0 ||
        message.kind != FORKSERVER_FILE) {
        _exit(PROCESS_EXIT_FAILED);
    }
    return -(int)message.value;
}

/* Two mappings, of which the second waits; then nothing else can become a writer. */
static int map_table(struct plugin_area *area, int fd)
{
    size_t size = (size_t)area_size(&area->declared);
    void *writable = NULL;
    void *read_only = NULL;
    int code = shm_map(fd, size, true, &writable);

    if (code == 0) {
        code = shm_keep_from_children(writable, size);
    }
    if (code == 0) {
        code = shm_seal_writers(fd);
    }
    if (code == 0) {
        code = shm_map(fd, size, false, &read_only);
    }
    if (code < 0) {
        shm_unmap(writable, size);
        return code;
    }
    area->read_only = read_only;
    show(area, writable, true);
    return 0;
}

static void say_refused(const struct plugin_host *host, const struct area_declaration *declared)
{
    log_line("plugin %s: area %s of %" PRIu64
             " bytes is refused: plugins may have %d areas, and --plugin-memory for all of "
             "them; one of kind WORKER or QUEUE counts for each worker or queue",
             host->id, declared->name, declared->len, AREAS_MAX);
}

int plugin_areas_declare(void *context, const struct plugin_host *host, uint32_t kind, const char *name, uint64_t len)
{
    struct plugin_area area = {.owner = host, .declared = {.kind = kind, .len = len}};
    int fd = -1;
    int code;

    (void)context;
    memcpy(area.declared.name, name, strnlen(name, AREA_NAME_SIZE)); /* without a NUL it is not valid */
    if (!area_is_valid(&area.declared)) {
        return -EINVAL;
    }
    if (list.count == AREAS_MAX) {
        say_refused(host, &area.declared);
        return -ENOSPC;
    }
    area.declared.plugin = position_of(host);
    code = ask(&area.declared, &fd);
    if (code == 0 && is_table(&area)) {
        code = fd >= 0 ? map_table(&area, fd) : -EPROTO;
    }
    if (code == -ENOSPC) {
        say_refused(host, &area.declared);
    }
    close_fd(&fd);
    if (code == 0) {
        list.areas[list.count++] = area;
    }
    return code;
}

int plugin_areas_seal(void)
{
    for (unsigned i = 0; i < list.count; i++) {
        struct plugin_area *area = &list.areas[i];
        size_t size = (size_t)area_size(&area->declared);

        if (area->read_only == NULL) {
            continue;
        }
        if (mremap(area->read_only, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, area->seen.bytes) == MAP_FAILED) {
            return -errno;
        }
        shm_unmap(area->read_only, size); /* its guards */
        area->read_only = NULL;
        area->seen.fresh = 0;
    }
    return 0;
}

/* ---- in a worker ------------------------------------------------------------------------------------------------- */

unsigned plugin_areas_passed(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < list.count; i++) {
        count += !is_table(&list.areas[i]);
    }
    return count;
}

static int map_area(struct plugin_area *area, int fd, bool fresh)
{
    size_t size = (size_t)area_size(&area->declared);
    void *memory = NULL;
    struct stat file;
    int code;

    if (fstat(fd, &file) < 0) {
        return -errno;
    }
    code = file.st_size == (off_t)size ? shm_map(fd, size, true, &memory) : -EPROTO;
    if (code == 0) {
        code = shm_keep_from_children(memory, size);
    }
    if (code < 0) {
        shm_unmap(memory, size);
        return code;
    }
    show(area, memory, fresh);
    return 0;
}

int plugin_areas_enter(int *fds, uint32_t fresh)
{
    unsigned next = 0;

    for (unsigned i = 0; i < list.count; i++) {
        if (!is_table(&list.areas[i])) {
            int code = map_area(&list.areas[i], fds[next], (fresh >> next & 1) != 0);

            if (code < 0) {
                return code;
            }
            close_fd(&fds[next++]);
        }
    }
    return 0;
}

/* ---- for plugins ------------------------------------------------------------------------------------------------- */

const struct nfqe_area *plugin_areas_find(void *context, const struct plugin_host *host, const char *name)
{
    const struct plugin_area *area = find(host, name);

    (void)context;
    if (area == NULL || area->seen.bytes == NULL) {
        errno = ENOENT;
        return NULL;
    }
    return &area->seen;
}
