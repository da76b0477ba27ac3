/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parses the options that the user gives a plugin, by the list that the plugin declares.
 *
 * First the declaration is checked, as it comes from the plugin and may be anything. Then a copy of the user's text is
 * split in place and each key is looked up. Last, every option that was not given gets its default, through the same
 * checks as a given value. The first error ends it, and then nothing stays allocated.
 *
 * A list without its last element, whose name is NULL, goes on in whatever lies after it. So before an element or a text
 * is used, the kernel is asked whether it can be read: by a call that copies memory of this process and fails where an
 * access would be a crash.
 *
 * Elements of the list are found by the plugin's element size, which may be larger than ours. Runs in the fork server,
 * before load().
 */
#include "plugin/plugin_options.h"

#include "base/error.h"
#include "plugin/option_text.h"
#include "plugin/option_values.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* The size of an element in ABI 2.0, which every plugin of major version 2 has at least. */
#define OPTION_SIZE_2_0 (offsetof(struct nfqe_option, help) + sizeof(const char *))

#define END_HINT "the list must end with an element whose name is NULL"
#define TEXT_STEP 64 /* divides a page: a step is all there, or not at all */
#define TEXT_MAX 65536

struct parser {
    const struct nfqe_option *declared;
    size_t stride;
    struct plugin_values *values;
    struct error *error;
};

/* A plugin built for a later minor version may have longer elements, so the stride is the plugin's. */
static const struct nfqe_option *option_at(const struct parser *parser, size_t index)
{
    uintptr_t address = (uintptr_t)parser->declared + index * parser->stride;

    return (const struct nfqe_option *)address;
}

/* Copies memory that may not be there. Where the call itself is not allowed, nothing is said of the memory. */
static bool can_read(const void *from, void *to, size_t size)
{
    struct iovec local = {.iov_base = to, .iov_len = size};
    struct iovec remote = {.iov_base = (void *)(uintptr_t)from, .iov_len = size};
    ssize_t len = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

    if (len < 0 && errno != EFAULT) {
        memcpy(to, from, size);
        return true;
    }
    return len == (ssize_t)size;
}

/* Whether it can be read up to a NUL. */
static bool is_text(const char *text)
{
    char step[TEXT_STEP];
    size_t len;

    for (size_t used = 0; used < TEXT_MAX; used += len) {
        len = TEXT_STEP - (uintptr_t)(text + used) % TEXT_STEP;
        if (!can_read(text + used, step, len)) {
            return false;
        }
        if (memchr(step, '\0', len) != NULL) {
            return true;
        }
    }
    return false;
}

/* Whether the element, and the texts that it points to, can be read. */
static bool is_element(const struct nfqe_option *option)
{
    struct nfqe_option copy;

    return can_read(option, &copy, sizeof(copy)) &&
           (copy.name == NULL || (is_text(copy.name) && (copy.default_value == NULL || is_text(copy.default_value)) &&
                                  (copy.help == NULL || is_text(copy.help))));
}

static bool is_name(const char *name)
{
    const char *letter = name;

    while (isalnum((unsigned char)*letter) || *letter == '-' || *letter == '_') {
        letter++;
    }
    return letter != name && *letter == '\0';
}

/* A list without its end goes on with an element that is none: a name or a type that cannot be. */
static int check_option(const struct parser *parser, const struct nfqe_option *option)
{
    if (!is_name(option->name)) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EBADMSG,
                         "its option %zu has a name that is not letters, digits, - and _; " END_HINT,
                         parser->values->count + 1);
    }
    for (size_t i = 0; i < parser->values->count; i++) {
        if (strcmp(option_at(parser, i)->name, option->name) == 0) {
            return error_set(parser->error, EXIT_CODE_PLUGIN, -EBADMSG, "declares its option %s twice", option->name);
        }
    }
    if (option->type < NFQE_OPTION_STRING || option->type > NFQE_OPTION_FILE) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EBADMSG,
                         "its option %s has type %u, which this engine does not know; " END_HINT, option->name,
                         option->type);
    }
    if (option->type == NFQE_OPTION_FILE && option->default_value != NULL) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EBADMSG,
                         "its option %s is a file and has a default; only the user can name a file", option->name);
    }
    if ((option->flags & NFQE_OPTION_HAS_MIN) != 0 && (option->flags & NFQE_OPTION_HAS_MAX) != 0 &&
        option->min > option->max) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EBADMSG,
                         "its option %s has min %" PRId64 " above max %" PRId64 ", so that no value is allowed",
                         option->name, option->min, option->max);
    }
    return 0;
}

static int check_declaration(struct parser *parser)
{
    if (parser->declared == NULL) {
        return 0;
    }
    if (parser->stride < OPTION_SIZE_2_0 || parser->stride % _Alignof(struct nfqe_option) != 0) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EBADMSG,
                         "its option_size is %zu, ABI 2.0 has %zu; the plugin must use NFQE_PLUGIN(...)",
                         parser->stride, OPTION_SIZE_2_0);
    }
    for (;;) {
        const struct nfqe_option *option = option_at(parser, parser->values->count);
        int code;

        if (!is_element(option)) {
            return error_set(parser->error, EXIT_CODE_PLUGIN, -EBADMSG,
                             "its option %zu points to memory that is not there; " END_HINT, parser->values->count + 1);
        }
        if (option->name == NULL) {
            return 0;
        }
        code = check_option(parser, option);
        if (code != 0) {
            return code;
        }
        if (++parser->values->count > PLUGIN_OPTIONS_MAX) {
            return error_set(parser->error, EXIT_CODE_PLUGIN, -EBADMSG, "declares more than %d options; " END_HINT,
                             PLUGIN_OPTIONS_MAX);
        }
    }
}

static int set_value(const struct parser *parser, size_t index, const char *text, bool given)
{
    const struct nfqe_option *option = option_at(parser, index);
    struct nfqe_value *value = &parser->values->values[index];
    struct option_reason reason;
    union {
        int64_t integer;
        uint8_t boolean;
        const char *text;
    } member;

    value->text = text;
    value->given = given;
    if (option_type_find(option->type)->parse(option, text, &member, &reason) != 0) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "option %s=%.64s: %s", option->name, text,
                         reason.text);
    }
    if (option->type == NFQE_OPTION_INTEGER) {
        value->integer = member.integer;
    } else if (option->type == NFQE_OPTION_BOOLEAN) {
        value->integer = member.boolean;
    }
    return 0;
}

static int refuse_unknown(const struct parser *parser, const char *key)
{
    char known[256] = "";

    for (size_t i = 0, used = 0; i < parser->values->count && used < sizeof(known); i++) {
        int len = snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "", option_at(parser, i)->name);

        used += len > 0 ? (size_t)len : 0;
    }
    if (parser->values->count == 0) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "unknown option %.64s; this plugin takes none", key);
    }
    return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "unknown option %.64s; known are: %s", key, known);
}

static int set_given(const struct parser *parser, const char *key, const char *text)
{
    for (size_t i = 0; i < parser->values->count; i++) {
        if (strcmp(option_at(parser, i)->name, key) == 0) {
            if (parser->values->values[i].given) {
                return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "option %s: given twice", key);
            }
            return set_value(parser, i, text, true);
        }
    }
    return refuse_unknown(parser, key);
}

static int set_all_given(const struct parser *parser, char *text)
{
    char *name;
    char *value;
    int code;

    while ((code = option_text_next(&text, &name, &value, parser->error)) > 0) {
        code = set_given(parser, name, value);
        if (code != 0) {
            break;
        }
    }
    return code;
}

static int set_defaults(const struct parser *parser)
{
    for (size_t i = 0; i < parser->values->count; i++) {
        const struct nfqe_option *option = option_at(parser, i);
        struct nfqe_value *value = &parser->values->values[i];
        int code;

        value->name = option->name;
        value->type = option->type;
        if (value->given) {
            continue;
        }
        if ((option->flags & NFQE_OPTION_REQUIRED) != 0) {
            return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "option %s is missing: %s", option->name,
                             option->help != NULL ? option->help : "it must be given");
        }
        if (option->default_value == NULL) {
            continue;
        }
        code = set_value(parser, i, option->default_value, false);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int plugin_options_parse(const struct nfqe_option *declared, size_t stride, const char *text,
                         struct plugin_values *values, struct error *error)
{
    struct parser parser = {declared, stride, values, error};
    int code;

    *values = (struct plugin_values){0};
    code = check_declaration(&parser);
    if (code != 0) {
        goto free_values;
    }
    values->values = calloc(values->count + 1, sizeof(*values->values));
    values->text = strdup(text != NULL ? text : "");
    if (values->values == NULL || values->text == NULL) {
        code = error_set(error, EXIT_CODE_RUN_TIME, -ENOMEM, "out of memory");
        goto free_values;
    }
    code = text != NULL ? set_all_given(&parser, values->text) : 0;
    if (code != 0) {
        goto free_values;
    }
    code = set_defaults(&parser);
    if (code != 0) {
        goto free_values;
    }
    return 0;

free_values:
    plugin_options_done(values);
    return code;
}

struct nfqe_value *plugin_options_find_file(const struct plugin_values *values, const char *name)
{
    for (size_t i = 0; i < values->count; i++) {
        struct nfqe_value *value = &values->values[i];

        if (value->type == NFQE_OPTION_FILE && strcmp(value->name, name) == 0) {
            return value;
        }
    }
    return NULL;
}

void plugin_options_done(struct plugin_values *values)
{
    free(values->values);
    free(values->text);
    *values = (struct plugin_values){0};
}
