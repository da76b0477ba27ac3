/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the fuzzer's input field by field, and ends the program if a promise is broken.
 *
 * Each copy has its own allocation, so that the address sanitizer notices a read beyond it.
 */
#include "input.h"

#include <stdio.h>
#include <stdlib.h>

void promise_broken(const char *file, int line, const char *promise)
{
    fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, promise);
    abort();
}

void *input_copy(struct input *input, size_t len, size_t *copied)
{
    uint8_t *copy;

    *copied = len < input->len ? len : input->len;
    copy = malloc(*copied);
    PROMISE(copy != NULL || *copied == 0);
    input_bytes(input, copy, *copied);
    return copy;
}

char *input_text(struct input *input)
{
    size_t len = strnlen((const char *)input->data, input->len);
    char *text = malloc(len + 1);

    PROMISE(text != NULL);
    input_bytes(input, text, len);
    text[len] = '\0';
    if (input->len > 0) {
        input_u8(input); /* its NUL */
    }
    return text;
}
