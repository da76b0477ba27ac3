/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lays out the sections of a queue's shared memory, maps it, and checks the table of sections.
 *
 * The table is computed from the layout alone. So the supervisor, which knows the layout, can write the table again
 * after a plugin overwrote it, and a process that does not know the layout finds every section with the table alone.
 * Pointers into the memory are computed from the private layout, never from the table. A mapping is not inherited by
 * children (MADV_DONTFORK). Process: [supervisor] makes the memory, [queue process] attaches and prepares it.
 */
#include "queue/queue_shm.h"

#include "base/arith.h"
#include "base/fd.h"
#include "base/shm.h"
#include "flow/flow_memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS_VERSION 1 /* of the messages: the kernel's netlink ABI */
#define CHANGES_VERSION 1 /* places of packets, as they are on the wire */

static void add_section(struct queue_shm_header *header, enum queue_shm_kind kind, uint32_t version, uint64_t size)
{
    header->sections[header->section_count++] =
        (struct queue_shm_section){.kind = kind, .version = version, .offset = header->size, .size = size};
    header->size = round_up(header->size + size, SHM_PAGE_SIZE);
}

/* Of all bursts; those that are never received into take no memory. */
static uint64_t slots_size(const struct queue_shm_layout *layout)
{
    return (uint64_t)BURSTS_IN_FLIGHT * BURST_MAX * layout->slot_size;
}

/* The header of a layout. Offsets in it are the places of the sections. */
static struct queue_shm_header make_header(uint16_t queue, const struct queue_shm_layout *layout)
{
    struct queue_shm_header header = {.magic = QUEUE_SHM_MAGIC,
                                      .version = QUEUE_SHM_VERSION,
                                      .queue = queue,
                                      .size = round_up(sizeof(header), SHM_PAGE_SIZE)};

    add_section(&header, QUEUE_SHM_CONTROL, layout->control_version, layout->control_size);
    add_section(&header, QUEUE_SHM_JOURNAL, JOURNAL_VERSION, sizeof(struct journal));
    add_section(&header, QUEUE_SHM_SLOTS, SLOTS_VERSION, slots_size(layout));
    if (layout->changes) {
        add_section(&header, QUEUE_SHM_CHANGES, CHANGES_VERSION, QUEUE_SHM_CHANGES_SIZE);
    }
    if (layout->flows_size > 0) {
        add_section(&header, QUEUE_SHM_FLOWS, FLOW_MEMORY_VERSION, layout->flows_size);
    }
    return header;
}

uint64_t queue_shm_size(const struct queue_shm_layout *layout)
{
    return make_header(0, layout).size;
}

const struct queue_shm_section *queue_shm_find(const struct queue_shm_header *header, enum queue_shm_kind kind,
                                               uint32_t version)
{
    for (uint32_t i = 0; i < header->section_count; i++) {
        if (header->sections[i].kind == kind && header->sections[i].version == version) {
            return &header->sections[i];
        }
    }
    return NULL;
}

static bool overlap(const struct queue_shm_section *a, const struct queue_shm_section *b)
{
    return a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

int queue_shm_check(const struct queue_shm_header *header, size_t size)
{
    if (size < sizeof(*header) || header->magic != QUEUE_SHM_MAGIC || header->version != QUEUE_SHM_VERSION) {
        return -EPROTO;
    }
    if (header->section_count > QUEUE_SHM_SECTIONS_MAX || header->size != size) {
        return -EUCLEAN;
    }
    for (uint32_t i = 0; i < header->section_count; i++) {
        const struct queue_shm_section *section = &header->sections[i];

        if (section->offset < sizeof(*header) || section->offset % SHM_PAGE_SIZE != 0 || section->offset > size ||
            section->size > size - section->offset) {
            return -EUCLEAN;
        }
        for (uint32_t other = 0; other < i; other++) {
            if (overlap(section, &header->sections[other])) {
                return -EUCLEAN;
            }
        }
    }
    return 0;
}

/* Where a section lies in memory that begins with `memory`; NULL: there is no such section. */
static void *place(void *memory, const struct queue_shm_section *section)
{
    return section != NULL ? (char *)memory + section->offset : NULL;
}

void queue_shm_init(struct queue_shm *shm)
{
    *shm = (struct queue_shm){.fd = -1};
}

/* Where the flow table begins, or would. */
static size_t size_before_flows(const struct queue_shm_header *header, const struct queue_shm_layout *layout)
{
    return (size_t)header->size - round_up((size_t)layout->flows_size, SHM_PAGE_SIZE);
}

/* Maps the memory for this process alone and fills in *shm, from the header that the layout makes. */
static int map(int fd, const struct queue_shm_header *header, const struct queue_shm_layout *layout,
               struct queue_shm *shm)
{
    void *memory = NULL;
    int error = shm_map(fd, (size_t)header->size, true, &memory);

    if (error == 0) {
        error = shm_keep_from_children(memory, (size_t)header->size);
    }
    if (error < 0) {
        shm_unmap(memory, (size_t)header->size);
        return error;
    }
    *shm =
        (struct queue_shm){.fd = fd,
                           .layout = *layout,
                           .size = (size_t)header->size,
                           .header = memory,
                           .control = place(memory, queue_shm_find(header, QUEUE_SHM_CONTROL, layout->control_version)),
                           .journal = place(memory, queue_shm_find(header, QUEUE_SHM_JOURNAL, JOURNAL_VERSION)),
                           .slots = place(memory, queue_shm_find(header, QUEUE_SHM_SLOTS, SLOTS_VERSION)),
                           .changes = place(memory, queue_shm_find(header, QUEUE_SHM_CHANGES, CHANGES_VERSION)),
                           .flows = place(memory, queue_shm_find(header, QUEUE_SHM_FLOWS, FLOW_MEMORY_VERSION))};
    return 0;
}

int queue_shm_new(uint16_t queue, const struct queue_shm_layout *layout, struct queue_shm *shm)
{
    struct queue_shm_header header;
    int error;
    int fd;

    if (layout->slot_size == 0 || layout->slot_size % QUEUE_SHM_SLOT_ALIGN != 0 ||
        layout->slot_size > QUEUE_SHM_SLOT_MAX || layout->flows_size % QUEUE_SHM_SLOT_ALIGN != 0) {
        return -EINVAL;
    }
    header = make_header(queue, layout);
    error = shm_new(QUEUE_SHM_NAME, (size_t)header.size, &fd);
    if (error < 0) {
        return error;
    }
    if (layout->flows_size > 0) {
        error = shm_reserve(fd, size_before_flows(&header, layout), (size_t)layout->flows_size);
    }
    if (error == 0) {
        error = map(fd, &header, layout, shm);
    }
    if (error < 0) {
        close_fd(&fd);
        return error;
    }
    *shm->header = header;
    return 0;
}

/* Whether the table of sections is exactly that of the layout. It is read once, since others can write to it. */
static int compare_table(const struct queue_shm_header *memory, const struct queue_shm_header *expected)
{
    const struct queue_shm_header found = *memory;
    int error = queue_shm_check(&found, (size_t)expected->size);

    if (error < 0) {
        return error;
    }
    if (found.queue != expected->queue || found.section_count != expected->section_count) {
        return -EUCLEAN;
    }
    for (uint32_t i = 0; i < expected->section_count; i++) {
        const struct queue_shm_section *wanted = &expected->sections[i];
        const struct queue_shm_section *section = queue_shm_find(&found, wanted->kind, wanted->version);

        if (section == NULL || section->offset != wanted->offset || section->size != wanted->size) {
            return -EUCLEAN;
        }
    }
    return 0;
}

int queue_shm_attach(int fd, uint16_t queue, const struct queue_shm_layout *layout, struct queue_shm *shm)
{
    const struct queue_shm_header expected = make_header(queue, layout);
    struct queue_shm attached;
    struct stat file;
    int error;

    if (fstat(fd, &file) < 0) {
        return -errno;
    }
    if (file.st_size != (off_t)expected.size) {
        return -EUCLEAN;
    }
    error = map(fd, &expected, layout, &attached);
    if (error < 0) {
        return error;
    }
    error = compare_table(attached.header, &expected);
    if (error < 0) {
        shm_unmap(attached.header, attached.size);
        return error;
    }
    *shm = attached;
    return 0;
}

void queue_shm_done(struct queue_shm *shm)
{
    shm_unmap(shm->header, shm->size);
    close_fd(&shm->fd);
    queue_shm_init(shm);
}

void queue_shm_restore_table(const struct queue_shm *shm, uint16_t queue)
{
    *shm->header = make_header(queue, &shm->layout);
}

void queue_shm_prepare(const struct queue_shm *shm, uint16_t queue, unsigned bursts)
{
    const char *end = queue_shm_burst_slots(shm->slots, bursts, shm->layout.slot_size);

    queue_shm_restore_table(shm, queue);
    madvise(shm->header, shm->size, MADV_DONTDUMP); /* it holds packets; and a core dump must be short */
    shm_populate(shm->header, round_up((size_t)(end - (const char *)shm->header), SHM_PAGE_SIZE));
    for (unsigned i = 0; i < BURSTS_IN_FLIGHT; i++) {
        burst_attach_slots(&shm->journal->bursts[i], queue_shm_burst_slots(shm->slots, i, shm->layout.slot_size),
                           shm->layout.slot_size);
    }
}
