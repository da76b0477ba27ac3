/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that attack memory.
 *
 *     scribble           writes random bytes over every mapping that can be written, the stack last
 *     ring:N             writes N random values into random fields or records of the ring's answers
 *     ring-all:N         the same, and wakes the queue process each time
 *     remap              tries every way to write to the packets of the ring, and to take memory away from either file
 *     hog:N              takes N MiB and writes to them
 *
 * The memory of the ring is found by its name in /proc/self/maps. Runs in the worker.
 */
#include "zoo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAPPINGS_MAX 512
#define MIB ((size_t)1 << 20)
#define PAGE 4096
#define RECORD 16
#define KIND_VERDICT 1
#define KIND_BYTES 9

struct mapping {
    char *begin;
    size_t size;
    bool writable;
    bool stack;
    bool packets; /* of the ring */
    bool answers;
};

static struct mapping mappings[MAPPINGS_MAX];
static unsigned mapping_count;

static void read_maps(void)
{
    char line[512];
    FILE *file = fopen("/proc/self/maps", "re");

    mapping_count = 0;
    while (file != NULL && mapping_count < MAPPINGS_MAX && fgets(line, sizeof(line), file) != NULL) {
        uintptr_t begin;
        uintptr_t end;
        char rights[8];

        /* A coverage build's counters are a file that all processes share: no memory of the engine. */
        if (strstr(line, ".profraw") == NULL &&
            sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &begin, &end, rights) == 3) {
            mappings[mapping_count++] = (struct mapping){.begin = (char *)begin,
                                                         .size = end - begin,
                                                         .writable = rights[1] == 'w',
                                                         .stack = strstr(line, "[stack]") != NULL,
                                                         .packets = strstr(line, "memfd:nfqe-packets") != NULL,
                                                         .answers = strstr(line, "memfd:nfqe-answers") != NULL};
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static const struct mapping *find_answers(void)
{
    read_maps();
    for (unsigned i = 0; i < mapping_count; i++) {
        if (mappings[i].answers) {
            return &mappings[i];
        }
    }
    return NULL;
}

/* The compiler must not make a call of it: the library's memory is written over, too. */
static __attribute__((noinline, no_sanitize("address", "undefined"))) void scribble_over(const struct mapping *mapping,
                                                                                         uint32_t seed)
{
    volatile uint32_t *words = (volatile uint32_t *)(void *)mapping->begin;

    for (size_t i = 0; i < mapping->size / sizeof(*words); i++) {
        seed = seed * 1664525u + 1013904223u;
        words[i] = seed;
    }
}

/* The ring first, then all but the table itself, which is in the data of this library, then the stack. */
static void scribble(const struct deed *deed)
{
    uint32_t seed = zoo_random();

    (void)deed;
    read_maps();
    for (unsigned pass = 0; pass < 4; pass++) {
        for (unsigned i = 0; i < mapping_count; i++) {
            const struct mapping *mapping = &mappings[i];
            const char *table = (const char *)mappings;
            bool own = table >= mapping->begin && table < mapping->begin + mapping->size;
            unsigned turn = mapping->answers ? 0 : own ? 3 : mapping->stack ? 2 : 1;

            if (mapping->writable && turn == pass) {
                scribble_over(mapping, seed);
            }
        }
    }
}

/* A random value, often one that is nearly right. */
static uint32_t value_near(uint32_t now)
{
    static const uint32_t steps[] = {1, RECORD, 2 * RECORD, 64 * RECORD, 0x10000, 0x10000 + RECORD};
    uint32_t choice = zoo_random() % 16;

    return choice < 6 ? now + steps[choice] : choice < 12 ? now - steps[choice - 6] : zoo_random();
}

static void change_one(const struct mapping *answers)
{
    static const unsigned words[] = {0, 4, 64, 128, 192, 196, 200, PAGE - 8, PAGE - 4};
    volatile uint32_t *published = (volatile uint32_t *)(void *)(answers->begin + 64);
    uint32_t place = zoo_random() % 4 == 0   ? PAGE + (*published + zoo_random() % (8 * RECORD) / 4 * 4) % 0x10000
                     : zoo_random() % 4 == 0 ? zoo_random() % PAGE / 4 * 4
                                             : words[zoo_random() % (sizeof(words) / sizeof(words[0]))];
    volatile uint32_t *word = (volatile uint32_t *)(void *)(answers->begin + place);

    *word = value_near(*word);
}

static void change_ring(const struct deed *deed)
{
    const struct mapping *answers = find_answers();

    for (long i = 0; answers != NULL && i < deed->number; i++) {
        change_one(answers);
    }
}

/* The eventfd is one of the descriptors; a pipe is none. */
static void signal_all(void)
{
    const uint64_t one = 1;

    for (int fd = STDERR_FILENO + 1; fd < 32; fd++) {
        if (write(fd, &one, sizeof(one)) < 0) {
            continue;
        }
    }
}

static void change_ring_often(const struct deed *deed)
{
    const struct mapping *answers = find_answers();

    for (long i = 0; answers != NULL && i < deed->number; i++) {
        change_one(answers);
        signal_all();
        sched_yield();
    }
}

/*
 * Publishes an answer whose new bytes lie where the worker may not name any: before the places for changed packets, or
 * beyond the end of the file. It is for the packet after the last one that was answered, as this one is in most frames.
 */
static void claim(const struct deed *deed)
{
    static const uint32_t offsets[] = {0, PAGE, PAGE + 0x10000, 0x1000000, 0x7ffffff0, UINT32_MAX};
    const struct mapping *answers = find_answers();
    volatile uint32_t *published;
    uint32_t at;

    if (answers == NULL) {
        return;
    }
    published = (volatile uint32_t *)(void *)(answers->begin + 64);
    at = *published;
    for (unsigned part = 0; part < 2; part++) { /* the bytes, then the verdict */
        volatile uint16_t *last = (volatile uint16_t *)(void *)(answers->begin + PAGE + (at - RECORD) % 0x10000);
        volatile uint16_t *record = (volatile uint16_t *)(void *)(answers->begin + PAGE + at % 0x10000);
        volatile uint32_t *words = (volatile uint32_t *)(volatile void *)record;

        record[0] = part == 0 ? KIND_BYTES : KIND_VERDICT;
        record[1] = RECORD;
        record[2] = last[2];
        record[3] = (uint16_t)(last[3] + (part == 0));
        words[2] =
            part == 0 ? offsets[(unsigned long)deed->number % (sizeof(offsets) / sizeof(offsets[0]))] : NFQE_ACCEPT;
        words[3] = part == 0 ? 1500 : 0;
        at += RECORD;
    }
    *published = at;
    signal_all();
    poll(NULL, 0, 100); /* the worker writes over it as soon as it goes on */
}

/* ---- ways around the seals -------------------------------------------------------------------------------- */

static long succeeded_if(bool success)
{
    return success ? 0 : -1;
}

static void try_mapping(const struct mapping *mapping)
{
    char path[96];
    char byte = 1;
    struct iovec from = {&byte, 1};
    struct iovec to = {mapping->begin, 1};
    void *copy = mremap(mapping->begin, 0, mapping->size, MREMAP_MAYMOVE);
    int fd;

    if (mapping->packets) {
        zoo_refused("mprotect of the packets", mprotect(mapping->begin, mapping->size, PROT_READ | PROT_WRITE));
        zoo_refused("mprotect of a second mapping of the packets",
                    copy == MAP_FAILED ? -1 : mprotect(copy, mapping->size, PROT_READ | PROT_WRITE));
        zoo_refused("process_vm_writev to the packets", process_vm_writev(getpid(), &from, 1, &to, 1, 0));
    }
    zoo_refused("MADV_REMOVE", madvise(mapping->begin, mapping->size, MADV_REMOVE));
    snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)mapping->begin,
             (unsigned long)(mapping->begin + mapping->size));
    fd = open(path, O_RDWR | O_CLOEXEC);
    zoo_refused("opening a ring's file for writing", fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        zoo_refused("ftruncate", ftruncate(fd, 0));
        zoo_refused("punch hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
        zoo_refused("another seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    }
    fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    if (mapping->packets && fd >= 0) {
        zoo_refused("/proc/self/mem over the packets",
                    succeeded_if(pwrite(fd, &byte, 1, (off_t)(uintptr_t)mapping->begin) == 1));
    }
}

/* Again as a process that is dumpable: some files of /proc are then its own. */
static void remap(const struct deed *deed)
{
    (void)deed;
    for (unsigned pass = 0; pass < 2; pass++) {
        read_maps();
        for (unsigned i = 0; i < mapping_count; i++) {
            if (mappings[i].packets || mappings[i].answers) {
                try_mapping(&mappings[i]);
            }
        }
        prctl(PR_SET_DUMPABLE, 1);
    }
    zoo_say_refused();
}

static void hog(const struct deed *deed)
{
    for (long i = 0; i < deed->number; i++) {
        char *memory = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED) {
            dprintf(STDERR_FILENO, "%ld MiB\n", i);
            return;
        }
        memset(memory, 1, MIB);
    }
    dprintf(STDERR_FILENO, "%ld MiB\n", deed->number);
}

const struct animal zoo_memory[] = {
    {"scribble", scribble}, {"ring", change_ring}, {"ring-all", change_ring_often}, {"remap", remap}, {"hog", hog},
    {"claim", claim},       {.name = NULL},
};
