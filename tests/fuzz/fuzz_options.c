/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two option parsers: the command line, and "key=value,..." with the list that a plugin declares.
 *
 * Input: a byte. Even: the rest, cut at its NULs, is the command line. Odd: a declaration of a plugin, then the user's
 * text; see read_declaration(). Every string has its own allocation, so that a read beyond it is noticed.
 */
#include "base/arith.h"
#include "config/command_line.h"
#include "input.h"
#include "plugin/option_list.h"
#include "plugin/option_text.h"
#include "plugin/option_values.h"
#include "plugin/plugin_options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGUMENTS_MAX 400
#define TIMEOUT_MAX_MS (60 * 60 * 1000)

/* The error is one line, if the input has no newline. */
static void check_error(const struct error *error, bool one_line)
{
    PROMISE(error->code < 0);
    PROMISE(memchr(error->text, '\0', sizeof(error->text)) != NULL && error->text[0] != '\0');
    PROMISE(!one_line || strchr(error->text, '\n') == NULL);
}

/* ---- the command line ------------------------------------------------------------------------------- */

static bool is_verdict(uint32_t verdict)
{
    return verdict == NFQE_ACCEPT || verdict == NFQE_DROP;
}

static bool is_between(uint64_t number, uint64_t min, uint64_t max)
{
    return number >= min && number <= max;
}

static void check_lists(const struct options *options, size_t text_len)
{
    size_t used = 0;

    PROMISE(options->plugin_count <= PLUGINS_MAX && options->queue_count <= QUEUES_MAX &&
            options->cpu_count <= CPUS_MAX);
    for (unsigned i = 0; i < options->plugin_count; i++) {
        const struct plugin_setting *plugin = &options->plugins[i];

        PROMISE(plugin->path != NULL && plugin->path[0] != '\0');
        PROMISE(plugin->values == NULL || plugin->values[0] != '\0');
        PROMISE(plugin->name == NULL || (plugin->name[0] != '\0' && strlen(plugin->name) < NFQE_ID_SIZE));
        used += strlen(plugin->path) + (plugin->values != NULL ? strlen(plugin->values) : 0);
    }
    PROMISE(used <= text_len);
    for (unsigned i = 0; i < options->queue_count; i++) {
        for (unsigned k = 0; k < i; k++) {
            PROMISE(options->queues[i] != options->queues[k]);
        }
    }
    for (unsigned i = 0; i < options->cpu_count; i++) {
        PROMISE(options->cpus[i] < CPUS_MAX);
    }
}

/* Whether the options are for an engine, or for rules, and have to agree. */
static bool runs(const struct options *options)
{
    return !options->help && !options->version && options->plugin_info == NULL;
}

static void check_workers(const struct options *options)
{
    const struct uid_range *uids = &options->worker_uids;
    uint64_t slots = options->queue_count * (options->workers + options->spares) * 2;

    PROMISE(is_between(options->workers, 1, 16) && is_between(options->spares, 0, 8));
    PROMISE(options->priority == PRIORITY_NORMAL || options->priority == PRIORITY_REALTIME);
    PROMISE(uids->first == 0 ? uids->last == 0 : uids->first >= 1000 && uids->last < UINT32_MAX - 1);
    PROMISE(uids->first == 0 || uids->last < 65534 || uids->first > 65535);
    if (runs(options)) {
        PROMISE(uids->first == 0 || (uint64_t)uids->last - uids->first + 1 >= options->queue_count + 2 * (1 + slots));
        PROMISE(options->cpu_count == 0 || options->cpu_count >= options->workers);
    }
}

static void check_crashes(const struct options *options)
{
    const struct crash_limit_setting *limit = &options->crash_limit;

    PROMISE(limit->count == 0 ? limit->window_ms == 0 : is_between(limit->window_ms, 1, TIMEOUT_MAX_MS));
    PROMISE(limit->count <= 1000);
    PROMISE(is_between(options->on_crash_limit, CRASH_LIMIT_OUTAGE, CRASH_LIMIT_STOP));
    PROMISE(is_between(options->on_outage, OUTAGE_ACCEPT, OUTAGE_STOP));
    PROMISE(is_between(options->outage_timeout_ms, 10, TIMEOUT_MAX_MS));
    PROMISE(is_between(options->outage_retry_ms, 100, TIMEOUT_MAX_MS));
    if (runs(options)) {
        PROMISE(options->on_crash_limit != CRASH_LIMIT_SKIP || options->plugin_count != 1);
        PROMISE(options->on_crash_limit == CRASH_LIMIT_OUTAGE || limit->count > 0);
    }
}

static void check_understood(const struct options *options)
{
    if (runs(options)) {
        PROMISE(options->queue_count > 0 && (options->plugin_count > 0 || options->print_rules != RULES_NONE));
    }
    PROMISE(is_between(options->print_rules, RULES_NONE, RULES_IPTABLES));
    check_workers(options);
    check_crashes(options);
    PROMISE(is_between(options->max_len, 1, 1024 * 1024));
    PROMISE(options->receive_buffer == 0 || is_between(options->receive_buffer, 4096, 1024 * 1024 * 1024));
    PROMISE(is_between(options->copy_range, 0, 65531));
    PROMISE(is_between(options->drain_timeout_ms, 1, TIMEOUT_MAX_MS));
    PROMISE(is_between(options->load_timeout_ms, 1, TIMEOUT_MAX_MS));
    PROMISE(is_between(options->handle_timeout_ms, 10, TIMEOUT_MAX_MS));
    PROMISE(is_between(options->flow_table, 0, 16 * 1024 * 1024));
    PROMISE(options->flow_timeout_ms == 0 || is_between(options->flow_timeout_ms, 1000, 24 * TIMEOUT_MAX_MS));
    PROMISE((options->bypass_mark.bits & ~options->bypass_mark.mask) == 0);
    PROMISE((options->bypass_mark.bits == 0) == (options->bypass_mark.mask == 0));
    PROMISE(is_verdict(options->default_verdict) && is_verdict(options->on_crash) && is_verdict(options->on_stop));
    PROMISE(options->gso == GSO_AUTO || options->gso == GSO_ON || options->gso == GSO_OFF);
}

static void parse_command_line(struct input *input)
{
    char program[] = "nfq-engine";
    size_t text_len = input->len;
    bool one_line = memchr(input->data, '\n', input->len) == NULL;
    struct options options;
    struct error error;
    int code;
    char **argv;
    int argc = 1;

    argv = calloc(ARGUMENTS_MAX + 1, sizeof(*argv));
    PROMISE(argv != NULL);
    argv[0] = program;
    while (input->len > 0 && argc < ARGUMENTS_MAX) {
        argv[argc++] = input_text(input);
    }
    memset(&error, 'x', sizeof(error));
    code = command_line_parse(&options, argc, argv, &error);
    PROMISE(code == 0 || error.exit_code == EXIT_CODE_USAGE || error.exit_code == EXIT_CODE_CONFIGURATION);
    check_lists(&options, text_len);
    if (code == 0) {
        check_understood(&options);
    } else {
        check_error(&error, one_line);
    }
    options_done(&options);
    options_done(&options); /* twice is fine */
    for (int i = 1; i < argc; i++) {
        free(argv[i]);
    }
    free(argv);
}

/* ---- a plugin's options ------------------------------------------------------------------------------- */

#define UNKNOWN_SIZE 12 /* of the member of a type that the engine does not know */
#define ITEMS_MAX 64    /* that are looked at again */

struct declaration {
    uint8_t *elements;
    size_t count;
    size_t stride;
    struct nfqe_plugin plugin; /* what the plugin says of it */
    bool endless;              /* no NULL name after the last one */
};

/* The flags of a byte that are not those of the option. */
#define HAS_DEFAULT 0x20
#define HAS_HELP 0x40
#define OWN_PLACE 0x80 /* offset and size of the member are in the input */

static struct nfqe_option *option_at(const struct declaration *declaration, size_t index)
{
    return (void *)(declaration->elements + index * declaration->stride);
}

static size_t size_of_member(const struct nfqe_option *option)
{
    const struct option_type *type = option_type_find(option->type);

    if (type == NULL) {
        return UNKNOWN_SIZE;
    }
    return (option->flags & NFQE_OPTION_REPEATABLE) != 0 ? sizeof(struct nfqe_list) : type->size;
}

/* A byte of type and a byte of flags; the limits (two 64-bit numbers), if one has a flag; strings; its place. */
static void read_option(struct input *input, struct nfqe_option *option)
{
    uint8_t flags;

    option->type = input_u8(input) % 16;
    flags = input_u8(input);
    option->flags = flags & (NFQE_OPTION_WRITABLE * 2U - 1);
    if ((flags & (NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX)) != 0) {
        option->min = (int64_t)input_u64(input);
        option->max = (int64_t)input_u64(input);
    }
    option->name = input_text(input);
    option->choices = option->type == NFQE_OPTION_CHOICE ? input_text(input) : NULL;
    option->default_value = (flags & HAS_DEFAULT) != 0 ? input_text(input) : NULL;
    option->help = (flags & HAS_HELP) != 0 ? input_text(input) : NULL;
    option->member_size = (uint32_t)size_of_member(option);
    if ((flags & OWN_PLACE) != 0) {
        option->offset = input_u32(input);
        option->member_size = input_u32(input);
    }
}

/*
 * A byte: how many options, up to as many as are too many. A byte: how much longer than ours an element is, in units of
 * 8 bytes; from 240 on a wrong size of an element. A byte: the list says its count (1), the config struct is 1 byte too
 * short (2). Then the options; those without input are integers called by their number. Members follow each other.
 */
static void read_declaration(struct input *input, struct declaration *declaration)
{
    static const uint32_t wrong_strides[] = {0, 1, 8, sizeof(struct nfqe_option) - 8, sizeof(struct nfqe_option) + 4};
    uint8_t longer;
    uint8_t form;
    uint32_t end = 0;

    declaration->count = input_u8(input) % (PLUGIN_OPTIONS_MAX + 3);
    declaration->endless = declaration->count > PLUGIN_OPTIONS_MAX;
    longer = input_u8(input);
    form = input_u8(input);
    declaration->stride = sizeof(struct nfqe_option) + (longer < 240 ? 8U * (longer % 4) : 0);
    declaration->elements = calloc(declaration->count + !declaration->endless, declaration->stride);
    PROMISE(declaration->elements != NULL);
    for (size_t i = 0; i < declaration->count; i++) {
        struct nfqe_option *option = option_at(declaration, i);
        char name[24];

        option->offset = end;
        if (input->len > 0 && i < 16) {
            read_option(input, option);
        } else {
            snprintf(name, sizeof(name), "o%zu", i);
            option->name = strdup(name);
            option->type = NFQE_OPTION_INTEGER;
            option->member_size = sizeof(int64_t);
        }
        end += (uint32_t)size_of_member(option);
    }
    declaration->plugin = (struct nfqe_plugin){
        .options = (void *)declaration->elements,
        .option_count = (form & 1) != 0 ? (uint32_t)declaration->count : 0,
        .option_size = longer < 240 ? (uint32_t)declaration->stride : wrong_strides[longer % ARRAY_SIZE(wrong_strides)],
        .config_size = (form & 2) != 0 && end > 0 ? end - 1 : end,
    };
}

static void free_declaration(struct declaration *declaration)
{
    for (size_t i = 0; i < declaration->count; i++) {
        struct nfqe_option *option = option_at(declaration, i);

        free((void *)(uintptr_t)option->name);
        free((void *)(uintptr_t)option->default_value);
        free((void *)(uintptr_t)option->choices);
        free((void *)(uintptr_t)option->help);
    }
    free(declaration->elements);
}

/* Whether the engine filled the member as this value does. NULL: as if it was not given. */
static void check_value(const struct nfqe_option *option, const char *value, const void *member)
{
    const struct option_type *type = option_type_find(option->type);
    uint8_t expected[sizeof(struct nfqe_address)] = {0};
    struct option_reason reason;
    const char *text;
    int none = -1;

    if (value == NULL) {
        if (type->is_descriptor) {
            memcpy(expected, &none, sizeof(none));
        }
        PROMISE(memcmp(member, expected, type->size) == 0);
        return;
    }
    PROMISE(type->parse(option, value, expected, &reason) == 0);
    if (option->type == NFQE_OPTION_STRING || option->type == NFQE_OPTION_PATH) { /* another text with the same bytes */
        memcpy(&text, member, sizeof(text));
        PROMISE(strcmp(text, value) == 0);
    } else {
        PROMISE(memcmp(member, expected, type->size) == 0);
    }
}

/* The values that the user gave an option, up to `max`; *text is split. Returns how many there are. */
static size_t find_values(char *text, const char *wanted, const char **values, size_t max)
{
    struct error error;
    size_t count = 0;
    char *name;
    char *value;

    while (option_text_next(&text, &name, &value, &error) > 0) {
        if (strcmp(name, wanted) == 0) {
            if (count < max) {
                values[count] = value;
            }
            count++;
        }
    }
    return count;
}

/* Returns how many paths it names. */
static size_t check_option(const struct nfqe_option *option, const struct plugin_config *config, const char *text)
{
    const struct option_type *type = option_type_find(option->type);
    const char *member = (const char *)config->members + option->offset;
    char *copy = text != NULL ? strdup(text) : NULL;
    const char *values[ITEMS_MAX];
    size_t given = find_values(copy, option->name, values, ITEMS_MAX);
    size_t count = given;
    struct nfqe_list list;

    PROMISE(given > 0 || (option->flags & NFQE_OPTION_REQUIRED) == 0);
    if (type == NULL) {
        PROMISE(given == 0);
        free(copy);
        return 0;
    }
    if (given == 0 && option->default_value != NULL) {
        values[count++] = option->default_value;
    }
    if ((option->flags & NFQE_OPTION_REPEATABLE) != 0) {
        memcpy(&list, member, sizeof(list));
        PROMISE(list.count == count && (list.items != NULL) == (count > 0));
        for (size_t i = 0; i < count && i < ITEMS_MAX; i++) {
            check_value(option, values[i], (const char *)list.items + i * type->size);
        }
    } else {
        PROMISE(count <= 1);
        check_value(option, count > 0 ? values[0] : NULL, member);
    }
    free(copy);
    return type->is_descriptor ? given : 0;
}

static void check_paths(const struct plugin_config *config, const char *text)
{
    const int fd = 5;

    for (size_t i = 0; i < config->path_count; i++) {
        const struct plugin_path *path = &config->paths[i];
        char *value;

        PROMISE(i == 0 || path->item > path[-1].item);
        PROMISE(path->access < PATH_ACCESSES);
        PROMISE(option_text_copy_value(text, path->item, &value) == 0);
        PROMISE(strcmp(value, path->path) == 0);
        free(value);
        memcpy(path->member, &fd, sizeof(fd)); /* it is in memory of the options */
    }
}

static void parse_plugin_options(struct input *input)
{
    uint8_t choice = input_u8(input);
    bool one_line = memchr(input->data, '\n', input->len) == NULL;
    struct declaration declaration;
    struct plugin_config config;
    struct error error;
    size_t paths = 0;
    char *text;
    int code;

    read_declaration(input, &declaration);
    if (choice == 2) {
        declaration.plugin.options = NULL;
        declaration.plugin.option_count = 0;
    }
    text = choice == 1 ? NULL : input_text(input);
    memset(&error, 'x', sizeof(error));
    code = plugin_options_parse(&declaration.plugin, text, &config, &error);
    PROMISE(code == 0 || code == -EINVAL || code == -EBADMSG);
    if (code == 0) {
        PROMISE(choice == 2 || !declaration.endless);
        PROMISE((config.members != NULL) == (declaration.plugin.config_size > 0));
        for (size_t i = 0; choice != 2 && i < declaration.count; i++) {
            paths += check_option(option_at(&declaration, i), &config, text);
        }
        PROMISE(paths == config.path_count);
        check_paths(&config, text);
    } else {
        PROMISE(config.members == NULL && config.path_count == 0 && config.paths == NULL && config.text == NULL);
        check_error(&error, one_line);
    }
    plugin_options_done(&config);
    free(text);
    free_declaration(&declaration);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct input input = {data, len};

    if (input_u8(&input) % 2 == 0) {
        parse_command_line(&input);
    } else {
        parse_plugin_options(&input);
    }
    return 0;
}
