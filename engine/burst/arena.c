/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arena's protocol; see arena.h for what each phase promises.
 *
 * The phase word carries, beside the phase, which of the two counter sets is the live one. Ending a burst
 * is then a single store that makes its verdicts done and its counts valid together.
 */
#include "burst/arena.h"

#include "base/util.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define PHASE_MASK UINT32_C(0xff)
#define PHASE_COUNTERS UINT32_C(0x100)
#define PAGE_ALIGN 4096
#define GUARD_SIZE (64 * 1024) /* unmapped, before and behind: an overrun must not reach another queue's arena */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

static size_t slots_offset(void)
{
    return round_up(sizeof(struct arena), PAGE_ALIGN);
}

static size_t flows_offset(struct arena_shape shape)
{
    return round_up(slots_offset() + BURST_MAX * (size_t)shape.slot_size, PAGE_ALIGN);
}

static size_t arena_size(struct arena_shape shape)
{
    return round_up(flows_offset(shape) + shape.flows_size, PAGE_ALIGN);
}

static void set_layout(struct arena *arena, uint32_t queue, struct arena_shape shape)
{
    arena->magic = ARENA_MAGIC;
    arena->layout = ARENA_LAYOUT;
    arena->queue = queue;
    arena->slot_size = shape.slot_size;
    arena->size = arena_size(shape);
}

/* Maps the memfd between two guards. NULL: errno says why. */
static struct arena *map_guarded(int fd, size_t size, int protection)
{
    size_t reserved = size + 2 * (size_t)GUARD_SIZE;
    char *base = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *arena;

    if (base == MAP_FAILED) {
        return NULL;
    }
    arena = mmap(base + GUARD_SIZE, size, protection, MAP_SHARED | MAP_FIXED, fd, 0);
    if (arena == MAP_FAILED) {
        int error = errno;

        munmap(base, reserved);
        errno = error;
        return NULL;
    }
    return arena;
}

/* A memory file that cannot be made executable, where the kernel (6.3) knows how. */
static int create_memory_file(void)
{
    int fd = memfd_create("nfqe-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    return fd >= 0 || errno != EINVAL ? fd : memfd_create("nfqe-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int arena_map_view(int fd, struct arena_shape shape, const struct arena **view)
{
    const struct arena *mapped = map_guarded(fd, flows_offset(shape), PROT_READ);

    if (mapped == NULL) {
        return -errno;
    }
    *view = mapped;
    return 0;
}

int arena_new(uint32_t queue, struct arena_shape shape, struct arena **arena, int *fd)
{
    size_t size = arena_size(shape);
    struct arena *mapped;
    int error;
    int memfd;

    if (shape.slot_size == 0 || shape.slot_size % ARENA_SLOT_ALIGN != 0 || shape.slot_size > ARENA_SLOT_MAX ||
        shape.flows_size % ARENA_SLOT_ALIGN != 0) {
        return -EINVAL;
    }
    memfd = create_memory_file();
    if (memfd < 0) {
        return -errno;
    }
    if (ftruncate(memfd, (off_t)size) < 0 || fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        error = -errno;
        goto close_memfd;
    }
    /* Now rather than page by page: a page that cannot be had later is a SIGBUS in a worker. */
    if (shape.flows_size > 0 && fallocate(memfd, 0, (off_t)flows_offset(shape), (off_t)shape.flows_size) < 0) {
        error = -errno;
        goto close_memfd;
    }
    mapped = map_guarded(memfd, size, PROT_READ | PROT_WRITE);
    if (mapped == NULL) {
        error = -errno;
        goto close_memfd;
    }
    set_layout(mapped, queue, shape);
    mapped->cursor = ARENA_NOBODY;
    mapped->plugin = ARENA_NOBODY;
    *arena = mapped;
    *fd = memfd;
    return 0;

close_memfd:
    close(memfd);
    return error;
}

void arena_free(struct arena *arena, struct arena_shape shape, int *fd)
{
    if (arena != NULL) {
        munmap((char *)arena - GUARD_SIZE, arena_size(shape) + 2 * (size_t)GUARD_SIZE);
    }
    close_fd(fd);
}

void *arena_flows(struct arena *arena, struct arena_shape shape)
{
    return (char *)arena + flows_offset(shape);
}

void *arena_slot(const struct arena *arena, unsigned index)
{
    uintptr_t base = (uintptr_t)arena + slots_offset();

    return (void *)(base + (size_t)index * arena->slot_size);
}

/* For kernels before 5.14, which do not know MADV_POPULATE_WRITE: writes one byte of each page. */
static void touch_pages(struct arena *arena, size_t size)
{
    volatile unsigned char *byte = (volatile unsigned char *)arena;

    for (size_t offset = 0; offset < size; offset += PAGE_ALIGN) {
        byte[offset] = byte[offset]; // cppcheck-suppress selfAssignment ; the write is what makes the page
    }
}

void arena_prepare(struct arena *arena, uint32_t queue, struct arena_shape shape)
{
    set_layout(arena, queue, shape);
    madvise(arena, arena_size(shape), MADV_DONTDUMP); /* it holds packets; and a core must not take long */
#ifdef MADV_POPULATE_WRITE
    if (madvise(arena, flows_offset(shape), MADV_POPULATE_WRITE) < 0)
#endif
    {
        touch_pages(arena, flows_offset(shape));
    }
    for (unsigned i = 0; i < BURST_MAX; i++) {
        struct msghdr *header = &arena->messages[i].msg_hdr;

        arena->iovecs[i] = (struct iovec){.iov_base = arena_slot(arena, i), .iov_len = shape.slot_size};
        *header = (struct msghdr){.msg_iov = &arena->iovecs[i], .msg_iovlen = 1, .msg_flags = header->msg_flags};
    }
}

enum arena_phase arena_phase(const struct arena *arena)
{
    return (enum arena_phase)(atomic_load_explicit(&arena->phase, memory_order_acquire) & PHASE_MASK);
}

void arena_enter(struct arena *arena, enum arena_phase phase)
{
    uint32_t counters = atomic_load_explicit(&arena->phase, memory_order_relaxed) & PHASE_COUNTERS;

    atomic_store_explicit(&arena->phase, counters | (uint32_t)phase, memory_order_release);
}

void arena_begin_receive(struct arena *arena)
{
    for (unsigned i = 0; i < BURST_MAX && arena->messages[i].msg_len != 0; i++) {
        arena->messages[i].msg_len = 0; /* behind the first zero all are: arena_recover() sees to it */
    }
    arena->attempts = 0;
    atomic_store_explicit(&arena->sent, 0, memory_order_relaxed);
    atomic_store_explicit(&arena->one_by_one, 0, memory_order_relaxed);
    atomic_store_explicit(&arena->cursor, ARENA_NOBODY, memory_order_relaxed);
    atomic_store_explicit(&arena->plugin, ARENA_NOBODY, memory_order_relaxed);
    arena_enter(arena, ARENA_RECEIVING);
}

unsigned arena_received(const struct arena *arena)
{
    unsigned count = 0;

    while (count < BURST_MAX && arena->messages[count].msg_len != 0) {
        count++;
    }
    return count;
}

size_t arena_message_len(const struct arena *arena, unsigned index)
{
    return (size_t)min_u64(arena->messages[index].msg_len, arena->slot_size);
}

static unsigned live_counters(const struct arena *arena)
{
    return (atomic_load_explicit(&arena->phase, memory_order_acquire) & PHASE_COUNTERS) != 0;
}

const struct arena_counters *arena_counters(const struct arena *arena)
{
    return &arena->counters[live_counters(arena)];
}

void arena_commit(struct arena *arena, const struct arena_counters *delta)
{
    unsigned live = live_counters(arena);
    const uint64_t *from = (const uint64_t *)&arena->counters[live];
    const uint64_t *add = (const uint64_t *)delta;
    uint64_t *to = (uint64_t *)&arena->counters[!live];

    for (size_t i = 0; i < sizeof(*delta) / sizeof(uint64_t); i++) {
        to[i] = from[i] + add[i];
    }
    atomic_store_explicit(&arena->phase, (live ? 0 : PHASE_COUNTERS) | ARENA_IDLE, memory_order_release);
}

/* Every packet of the burst that has no verdict yet gets this one. Returns how many. */
static uint32_t decide_the_rest(struct arena *arena, uint32_t packets, uint32_t verdict)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < packets; i++) {
        if (!arena_decided(arena, i)) {
            arena_decide(arena, i, verdict);
            count++;
        }
    }
    return count;
}

void arena_assign_crash(struct arena *arena, uint32_t plugins, uint32_t verdict, struct arena_death *blame)
{
    uint32_t cursor = arena->cursor;
    uint32_t plugin = arena->plugin;
    uint32_t packets = (uint32_t)min_u64(arena->packets, arena_received(arena));

    *blame = (struct arena_death){.plugin = ARENA_NOBODY};
    if (arena_phase(arena) != ARENA_HANDLING) {
        return;
    }
    arena->cursor = ARENA_NOBODY;
    arena->plugin = ARENA_NOBODY;
    arena->one_by_one = 1;
    if (cursor < packets) {
        if (arena_decided(arena, cursor)) {
            return; /* it died between two packets */
        }
        blame->handling = true;
        blame->packet_known = true;
        blame->packet_id = arena->verdicts[cursor].id;
        arena_decide(arena, cursor, verdict);
        arena->crash_verdicts++;
    } else if (plugin != ARENA_NOBODY) {
        blame->handling = true;
        if (++arena->attempts >= ARENA_ATTEMPTS) {
            blame->abandoned = decide_the_rest(arena, packets, verdict);
            arena->crash_verdicts += blame->abandoned;
        }
    }
    blame->plugin = plugin < plugins ? plugin : ARENA_NOBODY;
}

/* What was received is still to be answered, but no verdict in the arena belongs to it. */
static void forget_verdicts(struct arena *arena)
{
    for (unsigned i = 0; i < BURST_MAX; i++) {
        arena->verdicts[i].flags = 0;
    }
}

enum arena_phase arena_recover(struct arena *arena)
{
    uint32_t word = arena->phase;
    enum arena_phase phase = (enum arena_phase)(word & PHASE_MASK);

    arena->cursor = ARENA_NOBODY;
    arena->plugin = ARENA_NOBODY;
    if (phase == ARENA_SENDING) {
        arena->sent = 1; /* whatever happens to this burst from here on */
    }
    if (phase != ARENA_IDLE && phase != ARENA_HANDLING && phase != ARENA_SENDING) {
        forget_verdicts(arena);
        phase = ARENA_RECEIVING;
    }
    for (unsigned i = 0; i < BURST_MAX; i++) {
        if (arena->verdicts[i].verdict != NFQE_ACCEPT && arena->verdicts[i].verdict != NFQE_DROP) {
            arena->verdicts[i].flags = 0;
        }
    }
    for (unsigned i = arena_received(arena); i < BURST_MAX; i++) {
        arena->messages[i].msg_len = 0;
    }
    arena->sequence &= ARENA_SEQUENCE_MASK;
    arena->packets = (uint32_t)min_u64(arena->packets, arena_received(arena));
    if (arena_received(arena) == 0) {
        phase = ARENA_IDLE;
    }
    arena->phase = (word & PHASE_COUNTERS) | (uint32_t)phase;
    return phase;
}

void arena_request_sweep(struct arena *arena, uint32_t last_kernel_id)
{
    arena->sweep_to = last_kernel_id;
    arena->sweep = 1;
}

bool arena_sweep_range(const struct arena *arena, bool has_next, uint32_t next_id, uint32_t *first, uint32_t *last)
{
    if (arena->sweep == 0) {
        return false;
    }
    *first = arena->last_id + 1;
    *last = has_next ? next_id - 1 : arena->sweep_to;
    return (int32_t)(*last - *first) >= 0; /* ids wrap: the sign of the difference orders them */
}

void arena_end_sweep(struct arena *arena)
{
    arena->sweep = 0;
}
