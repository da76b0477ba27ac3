/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of areas and their memory files.
 *
 * Files are made for the first worker that needs them, so a limit on descriptors or memory shows at a birth, which is
 * tried again. The size of a file is sealed; the kernel takes its pages when they are touched, which is why the limit is
 * on what they can become. Process: [supervisor].
 */
#include "process/areas.h"

#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void areas_init(struct areas *areas, unsigned queues, unsigned slots, unsigned plugins, uint64_t limit)
{
    *areas = (struct areas){.queues = queues, .slots = slots, .plugins = plugins, .limit = limit};
}

static void free_files(struct area *area)
{
    for (unsigned i = 0; i < area->file_count; i++) {
        close_fd(&area->files[i].fd);
    }
    free(area->files);
    area->files = NULL;
    area->file_count = 0;
}

static void clear_list(struct area_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        free_files(&list->areas[i]);
    }
    list->count = 0;
    list->size = 0;
}

void areas_done(struct areas *areas)
{
    clear_list(&areas->current);
    clear_list(&areas->next);
}

void areas_begin(struct areas *areas)
{
    clear_list(&areas->next);
}

/* ---- declarations ------------------------------------------------------------------------------------------------ */

static unsigned count_files(const struct areas *areas, uint32_t kind)
{
    switch (kind) {
    case NFQE_AREA_WORKER:
        return areas->queues * areas->slots;
    case NFQE_AREA_QUEUE:
        return areas->queues;
    case NFQE_AREA_SHARED:
        return 1;
    default:
        return 0; /* of a TABLE, none is kept */
    }
}

static int check_declaration(const struct areas *areas, const struct area_declaration *declared)
{
    if (declared->plugin >= areas->plugins || !area_is_valid(declared)) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < areas->next.count; i++) {
        const struct area_declaration *other = &areas->next.areas[i].declared;

        if (other->plugin == declared->plugin && strcmp(other->name, declared->name) == 0) {
            return -EEXIST;
        }
    }
    return areas->next.count < AREAS_MAX ? 0 : -ENOSPC;
}

static int make_files(struct area *area, unsigned count)
{
    if (count == 0) {
        return 0;
    }
    area->files = malloc(count * sizeof(*area->files));
    if (area->files == NULL) {
        return -ENOMEM;
    }
    area->file_count = count;
    for (unsigned i = 0; i < count; i++) {
        area->files[i] = (struct area_file){.fd = -1};
    }
    return 0;
}

int areas_declare(struct areas *areas, const struct area_declaration *declared, int *table)
{
    struct area area = {.declared = *declared};
    unsigned files = count_files(areas, declared->kind);
    uint64_t size = area_size(declared);
    int code = check_declaration(areas, declared);

    if (code < 0) {
        return code;
    }
    size *= files > 0 ? files : 1;
    if (size > areas->limit - areas->next.size) {
        return -ENOSPC;
    }
    code = files > 0 ? make_files(&area, files) : shm_new_for_writer(AREA_FILE, (size_t)size, table);
    if (code < 0) {
        return code;
    }
    areas->next.areas[areas->next.count++] = area;
    areas->next.size += size;
    return 0;
}

static bool is_same_list(const struct area_list *one, const struct area_list *other)
{
    for (unsigned i = 0; i < one->count && i < other->count; i++) {
        if (!area_is_same(&one->areas[i].declared, &other->areas[i].declared)) {
            return false;
        }
    }
    return one->count == other->count;
}

/* Takes the files of the same area in the other list; its place there gets those of this one, which were not made. */
static void take_files(struct area *area, struct area_list *from)
{
    for (unsigned i = 0; i < from->count; i++) {
        struct area *other = &from->areas[i];

        if (area_is_same(&area->declared, &other->declared)) {
            struct area_file *files = area->files;

            area->files = other->files;
            other->files = files;
            return;
        }
    }
}

void areas_commit(struct areas *areas)
{
    areas->number += !is_same_list(&areas->current, &areas->next);
    for (unsigned i = 0; i < areas->next.count; i++) {
        take_files(&areas->next.areas[i], &areas->current);
    }
    clear_list(&areas->current);
    areas->current = areas->next;
    areas->next.count = 0;
    areas->next.size = 0;
}

/* ---- files of workers -------------------------------------------------------------------------------------------- */

static struct area_file *find_file(const struct areas *areas, const struct area *area, unsigned queue, unsigned slot)
{
    switch (area->declared.kind) {
    case NFQE_AREA_WORKER:
        return &area->files[queue * areas->slots + slot];
    case NFQE_AREA_QUEUE:
        return &area->files[queue];
    case NFQE_AREA_SHARED:
        return &area->files[0];
    default:
        return NULL;
    }
}

int areas_get(struct areas *areas, unsigned queue, unsigned slot, struct areas_passed *passed)
{
    struct areas_passed found = {.count = 0};

    for (unsigned i = 0; i < areas->current.count; i++) {
        const struct area *area = &areas->current.areas[i];
        struct area_file *file = find_file(areas, area, queue, slot);

        if (file == NULL) {
            continue;
        }
        if (file->fd < 0) {
            int code = shm_new(AREA_FILE, (size_t)area_size(&area->declared), &file->fd);

            if (code < 0) {
                return code;
            }
        }
        found.fresh |= (uint32_t)!file->used << found.count;
        found.fds[found.count++] = file->fd;
    }
    *passed = found;
    return 0;
}

void areas_note_passed(struct areas *areas, unsigned queue, unsigned slot)
{
    for (unsigned i = 0; i < areas->current.count; i++) {
        struct area_file *file = find_file(areas, &areas->current.areas[i], queue, slot);

        if (file != NULL) {
            file->used = true;
        }
    }
}

void areas_abandon(struct areas *areas, unsigned queue, unsigned slot)
{
    for (unsigned i = 0; i < areas->current.count; i++) {
        const struct area *area = &areas->current.areas[i];
        struct area_file *file = area->declared.kind == NFQE_AREA_WORKER ? find_file(areas, area, queue, slot) : NULL;

        if (file != NULL) {
            close_fd(&file->fd);
            file->used = false;
        }
    }
}
