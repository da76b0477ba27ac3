/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fuzzer's input, read field by field: numbers in the machine's byte order, then bytes and strings. After its
 * end all fields are 0, so that every input is a case.
 *
 * make_seeds.c writes its seeds with the same layout.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "promise.h"

struct input {
    const uint8_t *data;
    size_t len;
};

/* What libFuzzer calls for each input. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline void input_bytes(struct input *input, void *to, size_t len)
{
    size_t part = len < input->len ? len : input->len;

    memset(to, 0, len);
    if (part > 0) {
        memcpy(to, input->data, part);
        input->data += part;
        input->len -= part;
    }
}

static inline uint8_t input_u8(struct input *input)
{
    uint8_t value;

    input_bytes(input, &value, sizeof(value));
    return value;
}

static inline uint32_t input_u32(struct input *input)
{
    uint32_t value;

    input_bytes(input, &value, sizeof(value));
    return value;
}

static inline uint64_t input_u64(struct input *input)
{
    uint64_t value;

    input_bytes(input, &value, sizeof(value));
    return value;
}

/* A copy of the next `len` bytes, or of those that are left, at the end of an allocation. The caller frees it. */
void *input_copy(struct input *input, size_t len, size_t *copied);

/* A copy of the text up to the next NUL, or to the end, in an allocation of its size. The caller frees it. */
char *input_text(struct input *input);

#endif
