/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes an animal: copies a built plugin and changes bytes of its head. Runs in the test program.
 */
#include "plugin/elf_file.h"
#include "scratch.h"
#include "zoo.h"

#include <nfqe/plugin.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void apply(const struct animal *animal, char *data, size_t len)
{
    struct error error;
    size_t section_size;
    size_t offset;

    assert_int_equal(elf_file_find_section(data, len, NFQE_SECTION, &offset, &section_size, &error), 0);
    for (size_t i = 0; i < sizeof(animal->patches) / sizeof(animal->patches[0]); i++) {
        const struct patch *patch = &animal->patches[i];

        assert_true(patch->offset + patch->len <= section_size);
        memcpy(data + offset + patch->offset, patch->bytes, patch->len);
    }
}

const char *make_copy_at(const char *name, const struct animal *animal)
{
    size_t len;
    char *data = scratch_read(scratch_built(animal->plugin), &len);
    const char *path;

    if (animal->patches[0].len > 0) {
        apply(animal, data, len);
    }
    path = scratch_write(name, data, len);
    free(data);
    return path;
}

const char *make_copy(const struct animal *animal)
{
    return make_copy_at("animal.so", animal);
}
