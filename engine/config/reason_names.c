/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes the reasons over from the fork server.
 *
 * Each word is read once, then checked: code of plugins runs in the fork server, and can write there at any time. The
 * names end up in the log. Process: [fork server] [supervisor].
 */
#include "config/reason_names.h"

#include <ctype.h>
#include <string.h>

bool reason_name_is_valid(const char name[REASON_NAME_SIZE])
{
    unsigned len = 0;

    while (len < REASON_NAME_SIZE && (islower((unsigned char)name[len]) || isdigit((unsigned char)name[len]) ||
                                      name[len] == '-' || name[len] == '_')) {
        len++;
    }
    return len > 0 && len < REASON_NAME_SIZE && name[len] == '\0';
}

void reason_names_take(struct reason_names *to, const struct reason_names *from, unsigned plugins)
{
    const volatile uint32_t *first = from->first;
    uint32_t end = 0;

    memset(to, 0, sizeof(*to));
    for (unsigned i = 1; i <= PLUGINS_MAX; i++) {
        uint32_t next = i <= plugins ? first[i] : end;

        end = next >= end && next <= REASONS_MAX ? next : end;
        to->first[i] = end;
    }
    memcpy(to->names, from->names, (size_t)end * REASON_NAME_SIZE);
    for (uint32_t i = 0; i < end; i++) {
        if (!reason_name_is_valid(to->names[i])) {
            strcpy(to->names[i], "?");
        }
    }
}
