/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the seeds of the fuzzers: make_seeds DIRECTORY, one directory for each target in it, one file for each seed.
 *
 * Real structures, made by the builders of the unit tests; the ELF files are made by hand, to be small. The layouts are
 * those that the fuzzers read.
 */
#include "seed.h"

#include "promise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 4096

static const char *seeds_directory;

void seed_put(struct seed *seed, const void *bytes, size_t len)
{
    PROMISE(len <= sizeof(seed->bytes) - seed->len);
    memcpy(seed->bytes + seed->len, bytes, len);
    seed->len += len;
}

void seed_put_u8(struct seed *seed, uint8_t value)
{
    seed_put(seed, &value, sizeof(value));
}

void seed_put_u32(struct seed *seed, uint32_t value)
{
    seed_put(seed, &value, sizeof(value));
}

void seed_put_u64(struct seed *seed, uint64_t value)
{
    seed_put(seed, &value, sizeof(value));
}

void seed_put_text(struct seed *seed, const char *text)
{
    seed_put(seed, text, strlen(text) + 1);
}

static void make_directory(const char *path)
{
    PROMISE(mkdir(path, 0755) == 0 || errno == EEXIST);
}

void seed_save(const char *target, const char *name, const struct seed *seed)
{
    char path[PATH_SIZE];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", seeds_directory, target);
    make_directory(path);
    snprintf(path, sizeof(path), "%s/%s/%s", seeds_directory, target, name);
    file = fopen(path, "wb");
    PROMISE(file != NULL);
    PROMISE(fwrite(seed->bytes, 1, seed->len, file) == seed->len);
    PROMISE(fclose(file) == 0);
}

void seed_save_number(const char *target, const char *name, unsigned number, const struct seed *seed)
{
    char full[64];

    snprintf(full, sizeof(full), "%s_%u", name, number);
    seed_save(target, full, seed);
}

void seed_set_directory(const char *directory)
{
    seeds_directory = directory;
    make_directory(directory);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_seeds DIRECTORY\n");
        return 2;
    }
    seed_set_directory(argv[1]);
    make_journals();
    make_changes();
    make_elf_files();
    make_messages();
    make_options();
    make_packets();
    make_rejects();
    make_rings();
    return 0;
}
