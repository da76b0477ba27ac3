/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A seed under construction: an input of a fuzzer, field by field, and the functions that make all seeds of a target.
 *
 * A failure ends the program.
 */
#ifndef FUZZ_SEED_H
#define FUZZ_SEED_H

#include <stddef.h>
#include <stdint.h>

#define SEED_MAX 4096

struct seed {
    _Alignas(8) uint8_t bytes[SEED_MAX];
    size_t len;
};

void seed_put(struct seed *seed, const void *bytes, size_t len);
void seed_put_u8(struct seed *seed, uint8_t value);
void seed_put_u32(struct seed *seed, uint32_t value);
void seed_put_u64(struct seed *seed, uint64_t value);
void seed_put_text(struct seed *seed, const char *text); /* with its NUL */

/* The directory for the seeds; it gets a directory for each target, with a file for each seed. */
void seed_set_directory(const char *directory);
void seed_save(const char *target, const char *name, const struct seed *seed);
void seed_save_number(const char *target, const char *name, unsigned number, const struct seed *seed);

void make_journals(void);
void make_changes(void);
void make_elf_files(void);
void make_messages(void);
void make_options(void);
void make_packets(void);
void make_rejects(void);
void make_rings(void);

#endif
