/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes a declaration of memory valid, and two of them the same.
 *
 * A declaration comes from a plugin, or from memory that plugins can write to: the name may lack its NUL. Both sides
 * check with this; the supervisor a copy. Process: [supervisor] [fork server].
 */
#include "process/area.h"

#include <ctype.h>
#include <string.h>

bool area_name_is_valid(const char name[AREA_NAME_SIZE])
{
    unsigned len = 0;

    while (len < AREA_NAME_SIZE && (isalnum((unsigned char)name[len]) || name[len] == '-' || name[len] == '_')) {
        len++;
    }
    return len > 0 && len < AREA_NAME_SIZE && name[len] == '\0';
}

bool area_is_valid(const struct area_declaration *declared)
{
    return declared->kind >= NFQE_AREA_TABLE && declared->kind <= NFQE_AREA_SHARED && declared->len > 0 &&
           declared->len <= AREA_LEN_MAX && area_name_is_valid(declared->name);
}

bool area_is_same(const struct area_declaration *one, const struct area_declaration *other)
{
    return one->plugin == other->plugin && one->kind == other->kind && one->len == other->len &&
           strcmp(one->name, other->name) == 0;
}
