/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Splits the text of a plugin's options at its single commas and each item at its first equals sign.
 *
 * The text is changed in place: a comma that separates becomes a NUL, two that follow each other become one, and what
 * comes after them moves to the front. A text never gets longer, so the parts that were cut off stay where they are as
 * long as the text does. Items are counted from 0 in the user's order, in every process alike: that is how the fork
 * server names a file to the supervisor. Runs in the supervisor and the fork server.
 */
#include "plugin/option_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Cuts the first item off *text, in place; a double comma becomes one. NULL: no item is left. */
static char *next_item(char **text)
{
    char *item = *text;
    char *to = item;
    bool separated = false;

    if (item == NULL) {
        return NULL;
    }
    for (char *from = item; *from != '\0' && !separated; from++) {
        if (*from == ',' && from[1] != ',') {
            separated = true;
            *text = from + 1;
        } else {
            from += *from == ',';
            *to++ = *from;
        }
    }
    *to = '\0';
    if (!separated) {
        *text = NULL;
    }
    return item;
}

int option_text_next(char **text, char **name, char **value, struct error *error)
{
    char *item = next_item(text);
    char *equals = item != NULL ? strchr(item, '=') : NULL;

    if (item == NULL) {
        return 0;
    }
    if (equals == NULL || equals == item) {
        return error_set(error, EXIT_CODE_PLUGIN, -EINVAL, "option \"%.64s\": must be KEY=VALUE", item);
    }
    *equals = '\0';
    *name = item;
    *value = equals + 1;
    return 1;
}

int option_text_copy_value(const char *text, unsigned index, char **value)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    char *rest = copy;
    char *item = next_item(&rest);
    const char *equals;
    int code = 0;

    if (text != NULL && copy == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < index && item != NULL; i++) {
        item = next_item(&rest);
    }
    equals = item != NULL ? strchr(item, '=') : NULL;
    if (item == NULL) {
        code = -ENOENT;
        goto free_copy;
    }
    if (equals == NULL || equals == item) {
        code = -EINVAL;
        goto free_copy;
    }
    memmove(copy, equals + 1, strlen(equals + 1) + 1);
    *value = copy;
    return 0;

free_copy:
    free(copy);
    return code;
}
