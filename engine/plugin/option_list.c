/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the options that a plugin declares, and copies them.
 *
 * A list without its last element, whose name is NULL, goes on in whatever lies after it. So an element is copied, and a
 * text is looked at, by a system call that copies memory of this process and fails where an access would be a crash.
 * Elements are found by the plugin's element size, which may be larger than ours; what it has more is left out.
 *
 * Always: of a list that was copied, each name is another one, each member of a type that is known has the type's size and
 * lies in the config struct beside all others, the limits allow a value, and a default is a value. Runs in the fork
 * server, before load().
 */
#include "plugin/option_list.h"

#include "plugin/option_values.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* The size of an element in ABI 2.0, which every plugin of major version 2 has at least. */
#define OPTION_SIZE_2_0 (offsetof(struct nfqe_option, help) + sizeof(const char *))

#define TEXT_STEP 64 /* divides a page: a step is all there, or not at all */
#define TEXT_MAX 65536
#define MEMBER_MAX sizeof(struct nfqe_address) /* the largest member of all types */

struct reader {
    const struct nfqe_plugin *plugin;
    struct option_list *list;
    struct error *error;
};

static int refuse(const struct reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(const struct reader *reader, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    error_set_list(reader->error, EXIT_CODE_PLUGIN, -EBADMSG, format, arguments);
    va_end(arguments);
    return -EBADMSG;
}

/* How the plugin says where its list ends: the reason of most that is wrong with a list as a whole. */
static const char *hint(const struct reader *reader)
{
    return reader->plugin->option_count != 0 ? "option_count must be the number of elements"
                                             : "the list must end with an element whose name is NULL";
}

/* ---- reading what may not be there ------------------------------------------------------------------------------- */

/* Copies memory that may not be there. Where the call itself is not allowed, nothing is said of the memory. */
static bool can_read(uintptr_t from, void *to, size_t size)
{
    struct iovec local = {.iov_base = to, .iov_len = size};
    struct iovec remote = {.iov_base = (void *)from, .iov_len = size};
    ssize_t len = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

    if (len < 0 && errno != EFAULT) {
        memcpy(to, (const void *)from, size);
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
        if (!can_read((uintptr_t)text + used, step, len)) {
            return false;
        }
        if (memchr(step, '\0', len) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_text_or_none(const char *text)
{
    return text == NULL || is_text(text);
}

/* Copies element `index` of the plugin's list. Returns whether it, and the texts that it points to, can be read. */
static bool copy_element(const struct reader *reader, size_t index, struct nfqe_option *option)
{
    uintptr_t address = (uintptr_t)reader->plugin->options + index * reader->plugin->option_size;

    return can_read(address, option, sizeof(*option)) &&
           (option->name == NULL || (is_text(option->name) && is_text_or_none(option->default_value) &&
                                     is_text_or_none(option->choices) && is_text_or_none(option->help)));
}

/* ---- one option -------------------------------------------------------------------------------------------------- */

static bool has(const struct nfqe_option *option, uint32_t flag)
{
    return (option->flags & flag) != 0;
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
static int check_name(const struct reader *reader, const struct nfqe_option *option)
{
    if (!is_name(option->name)) {
        return refuse(reader, "its option %zu has a name that is not letters, digits, - and _; %s",
                      reader->list->count + 1, hint(reader));
    }
    if (option->type == 0) {
        return refuse(reader, "its option %s has no type; %s", option->name, hint(reader));
    }
    for (size_t i = 0; i < reader->list->count; i++) {
        if (strcmp(reader->list->options[i].name, option->name) == 0) {
            return refuse(reader, "declares its option %s twice", option->name);
        }
    }
    return 0;
}

/* With REPEATABLE it holds for each of the values. */
static int check_flags(const struct reader *reader, const struct nfqe_option *option, const struct option_type *type)
{
    if (!type->has_limits && has(option, NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)) {
        return refuse(reader,
                      "its option %s has HAS_MIN or HAS_MAX, which only STRING, INTEGER, DURATION and SIZE can have",
                      option->name);
    }
    if (option->type != NFQE_OPTION_FILE && has(option, NFQE_OPTION_WRITABLE)) {
        return refuse(reader, "its option %s is WRITABLE, which only a FILE can be", option->name);
    }
    return 0;
}

static int check_limits(const struct reader *reader, const struct nfqe_option *option, const struct option_type *type)
{
    int64_t min = has(option, NFQE_OPTION_HAS_MIN) && option->min > type->lowest ? option->min : type->lowest;

    if (has(option, NFQE_OPTION_HAS_MAX) && min > option->max) {
        return refuse(reader, "its option %s has min %" PRId64 " above max %" PRId64 ", so that no value is allowed",
                      option->name, min, option->max);
    }
    return 0;
}

static int check_choices(const struct reader *reader, const struct nfqe_option *option)
{
    const char *rest = option->choices;
    const char *choice;
    const char *other;

    if ((option->type == NFQE_OPTION_CHOICE) != (rest != NULL)) {
        return refuse(reader,
                      rest != NULL ? "its option %s has choices, which only a CHOICE can have"
                                   : "its option %s has no choices; set .choices, such as \"one|two\"",
                      option->name);
    }
    while (rest != NULL) {
        const char *others;
        size_t len = option_choice_next(&rest, &choice);

        if (len == 0) {
            return refuse(reader, "its option %s has an empty choice: \"%.128s\"", option->name, option->choices);
        }
        for (others = rest; others != NULL;) {
            if (option_choice_next(&others, &other) == len && memcmp(choice, other, len) == 0) {
                return refuse(reader, "its option %s has the choice %.*s twice", option->name, (int)len, choice);
            }
        }
    }
    return 0;
}

static int check_default(const struct reader *reader, const struct nfqe_option *option, const struct option_type *type)
{
    uint8_t member[MEMBER_MAX];
    struct option_reason reason;

    if (option->default_value == NULL) {
        return 0;
    }
    if (type->is_descriptor) {
        return refuse(reader, "its option %s is a %s and has a default; only the user can name one", option->name,
                      type->name);
    }
    if (type->parse(option, option->default_value, member, &reason) != 0) {
        return refuse(reader, "its option %s has the default %.64s: %s", option->name, option->default_value,
                      reason.text);
    }
    return 0;
}

static int check_member(const struct reader *reader, const struct nfqe_option *option, const struct option_type *type)
{
    bool is_list = has(option, NFQE_OPTION_REPEATABLE);
    size_t size = is_list ? sizeof(struct nfqe_list) : type->size;

    if (option->member_size != size) {
        return refuse(reader,
                      "its option %s has a member of %" PRIu32 " bytes, %s%s has %zu (%s); use NFQE_MEMBER(...)",
                      option->name, option->member_size, is_list ? "REPEATABLE " : "", type->name, size,
                      is_list ? "struct nfqe_list" : type->member);
    }
    return 0;
}

static int check_place(const struct reader *reader, const struct nfqe_option *option)
{
    uint64_t end = (uint64_t)option->offset + option->member_size;

    if (reader->plugin->config_size == 0) {
        return refuse(reader, "declares options and no config_size; set it to the size of the struct that they fill");
    }
    if (end > reader->plugin->config_size) {
        return refuse(reader,
                      "its option %s has bytes up to %" PRIu64 " of a config struct of %" PRIu32
                      "; .config_size must be the size of the struct that NFQE_MEMBER(...) names",
                      option->name, end, reader->plugin->config_size);
    }
    for (size_t i = 0; i < reader->list->count; i++) {
        const struct nfqe_option *other = &reader->list->options[i];

        if (option->offset < (uint64_t)other->offset + other->member_size && other->offset < end) {
            return refuse(reader, "its options %s and %s have the same member of the config struct", other->name,
                          option->name);
        }
    }
    return 0;
}

static int check_option(const struct reader *reader, const struct nfqe_option *option)
{
    const struct option_type *type = option_type_find(option->type);
    int code = check_name(reader, option);

    if (code == 0 && has(option, NFQE_OPTION_REQUIRED) && option->default_value != NULL) {
        code = refuse(reader, "its option %s is REQUIRED and has a default, which is never used", option->name);
    }
    if (type != NULL) { /* a type of a later engine is refused if it is given */
        code = code == 0 ? check_flags(reader, option, type) : code;
        code = code == 0 ? check_limits(reader, option, type) : code;
        code = code == 0 ? check_choices(reader, option) : code;
        code = code == 0 ? check_default(reader, option, type) : code;
        code = code == 0 ? check_member(reader, option, type) : code;
    }
    return code == 0 ? check_place(reader, option) : code;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static int check_plugin(const struct reader *reader)
{
    const struct nfqe_plugin *plugin = reader->plugin;

    if (plugin->config_size > PLUGIN_CONFIG_SIZE_MAX) {
        return refuse(reader, "its config_size is %" PRIu32 ", at most %d is possible", plugin->config_size,
                      PLUGIN_CONFIG_SIZE_MAX);
    }
    if (plugin->options == NULL) {
        return plugin->option_count == 0
                   ? 0
                   : refuse(reader, "its option_count is %" PRIu32 ", and it has no options", plugin->option_count);
    }
    if (plugin->option_size < OPTION_SIZE_2_0 || plugin->option_size % _Alignof(struct nfqe_option) != 0) {
        return refuse(reader, "its option_size is %" PRIu32 ", ABI 2.0 has %zu; the plugin must use NFQE_PLUGIN(...)",
                      plugin->option_size, OPTION_SIZE_2_0);
    }
    if (plugin->option_count > PLUGIN_OPTIONS_MAX) {
        return refuse(reader, "declares %" PRIu32 " options, at most %d are possible", plugin->option_count,
                      PLUGIN_OPTIONS_MAX);
    }
    return 0;
}

static int read_all(const struct reader *reader)
{
    struct option_list *list = reader->list;
    size_t wanted = reader->plugin->option_count;

    while (wanted == 0 || list->count < wanted) {
        struct nfqe_option *option = &list->options[list->count];
        int code;

        if (!copy_element(reader, list->count, option)) {
            return refuse(reader, "its option %zu points to memory that is not there; %s", list->count + 1,
                          hint(reader));
        }
        if (option->name == NULL) {
            return wanted == 0
                       ? 0
                       : refuse(reader, "its option %zu of %zu has no name; %s", list->count + 1, wanted, hint(reader));
        }
        if (list->count == PLUGIN_OPTIONS_MAX) {
            return refuse(reader, "declares more than %d options; %s", PLUGIN_OPTIONS_MAX, hint(reader));
        }
        code = check_option(reader, option);
        if (code != 0) {
            return code;
        }
        list->count++;
    }
    return 0;
}

int option_list_init(struct option_list *list, const struct nfqe_plugin *plugin, struct error *error)
{
    const struct reader reader = {plugin, list, error};
    int code;

    *list = (struct option_list){0};
    code = check_plugin(&reader);
    if (code != 0 || plugin->options == NULL) {
        return code;
    }
    list->options = calloc(PLUGIN_OPTIONS_MAX + 1, sizeof(*list->options));
    if (list->options == NULL) {
        return error_set(error, EXIT_CODE_RUN_TIME, -ENOMEM, "out of memory");
    }
    code = read_all(&reader);
    if (code != 0) {
        option_list_done(list);
    }
    return code;
}

void option_list_done(struct option_list *list)
{
    free(list->options);
    *list = (struct option_list){0};
}
