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

static void check_workers(const struct options *options)
{
    const struct uid_range *uids = &options->worker_uids;
    uint64_t slots = options->queue_count * (options->workers + options->spares) * 2;

    PROMISE(is_between(options->workers, 1, 16) && is_between(options->spares, 0, 8));
    PROMISE(options->priority == PRIORITY_NORMAL || options->priority == PRIORITY_REALTIME);
    PROMISE(uids->first == 0 ? uids->last == 0 : uids->first >= 1000 && uids->last < UINT32_MAX - 1);
    PROMISE(uids->first == 0 || uids->last < 65534 || uids->first > 65535);
    if (!options->help && !options->version) {
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
    if (!options->help && !options->version) {
        PROMISE(options->on_crash_limit != CRASH_LIMIT_SKIP || options->plugin_count != 1);
        PROMISE(options->on_crash_limit == CRASH_LIMIT_OUTAGE || limit->count > 0);
    }
}

static void check_understood(const struct options *options)
{
    if (!options->help && !options->version) {
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

struct declaration {
    uint8_t *elements;
    size_t count;
    size_t stride;
    size_t said_stride; /* what the plugin says of it */
    bool endless;       /* no NULL name after the last one */
};

#define HAS_DEFAULT 0x04
#define HAS_HELP 0x08
#define REQUIRED 0x10
#define BOUNDED 0x20

static struct nfqe_option *option_at(const struct declaration *declaration, size_t index)
{
    return (void *)(declaration->elements + index * declaration->stride);
}

/*
 * A byte: how many options, up to as many as are too many. A byte: how much longer than ours an element is, in units of
 * 8 bytes; from 240 on a wrong size of an element. For each option a byte of type and flags, the limits (two 64-bit
 * numbers, with BOUNDED) and its strings. Options without a byte of their own are called by their number.
 */
static void read_declaration(struct input *input, struct declaration *declaration)
{
    static const size_t wrong_strides[] = {0, 1, 8, sizeof(struct nfqe_option) - 8, sizeof(struct nfqe_option) + 4};
    uint8_t longer;

    declaration->count = input_u8(input) % (PLUGIN_OPTIONS_MAX + 3);
    declaration->endless = declaration->count > PLUGIN_OPTIONS_MAX;
    longer = input_u8(input);
    declaration->stride = sizeof(struct nfqe_option) + (longer < 240 ? 8U * (longer % 4) : 0);
    declaration->elements = calloc(declaration->count + !declaration->endless, declaration->stride);
    PROMISE(declaration->elements != NULL);
    for (size_t i = 0; i < declaration->count; i++) {
        struct nfqe_option *option = option_at(declaration, i);
        bool own = input->len > 0 && i < 16;
        uint8_t flags = own ? input_u8(input) : NFQE_OPTION_INTEGER;
        char name[16];

        snprintf(name, sizeof(name), "o%zu", i);
        option->type = flags % 4 != 0 ? flags % 4 : input_u8(input);
        option->flags = (flags & REQUIRED) != 0 ? NFQE_OPTION_REQUIRED : 0;
        if (own && (flags & BOUNDED) != 0) {
            option->flags |= NFQE_OPTION_HAS_MIN | NFQE_OPTION_HAS_MAX;
            option->min = (int64_t)input_u64(input);
            option->max = (int64_t)input_u64(input);
        }
        option->name = own ? input_text(input) : strdup(name);
        option->default_value = (flags & HAS_DEFAULT) != 0 ? input_text(input) : NULL;
        option->help = (flags & HAS_HELP) != 0 ? input_text(input) : NULL;
    }
    declaration->said_stride = longer < 240 ? declaration->stride : wrong_strides[longer % ARRAY_SIZE(wrong_strides)];
}

static void free_declaration(struct declaration *declaration)
{
    for (size_t i = 0; i < declaration->count; i++) {
        struct nfqe_option *option = option_at(declaration, i);

        free((void *)(uintptr_t)option->name);
        free((void *)(uintptr_t)option->default_value);
        free((void *)(uintptr_t)option->help);
    }
    free(declaration->elements);
}

static void check_value(const struct nfqe_option *option, const struct nfqe_value *value)
{
    bool bounded = (option->flags & NFQE_OPTION_HAS_MIN) != 0;

    PROMISE(value->name == option->name && value->type == option->type && value->given <= 1);
    PROMISE(value->given != 0 || (option->flags & NFQE_OPTION_REQUIRED) == 0);
    PROMISE(value->given != 0 || value->text == option->default_value);
    if (value->text == NULL) {
        PROMISE(option->default_value == NULL && value->integer == 0);
        return;
    }
    switch (option->type) {
    case NFQE_OPTION_INTEGER: {
        const char *digits = value->text + (value->text[0] == '-');

        PROMISE(value->integer == strtoll(value->text, NULL, digits[1] == 'x' || digits[1] == 'X' ? 16 : 10));
        PROMISE(!bounded || (value->integer >= option->min && value->integer <= option->max));
        break;
    }
    case NFQE_OPTION_BOOLEAN:
        PROMISE(value->integer == 0 || value->integer == 1);
        break;
    default:
        PROMISE(value->integer == 0);
        PROMISE(!bounded ||
                ((int64_t)strlen(value->text) >= option->min && (int64_t)strlen(value->text) <= option->max));
    }
}

/* The user's text put together again, from the values: every item once, commas doubled. In no particular order. */
static void check_given(const struct plugin_values *values, const char *text)
{
    size_t len = 0;
    size_t items = 0;

    for (size_t i = 0; i < values->count; i++) {
        const struct nfqe_value *value = &values->values[i];

        if (value->given == 0) {
            continue;
        }
        len += (items++ > 0) + strlen(value->name) + 1;
        for (const char *letter = value->text; *letter != '\0'; letter++) {
            len += *letter == ',' ? 2 : 1;
        }
    }
    PROMISE(text == NULL ? items == 0 : len == strlen(text));
}

static void parse_plugin_options(struct input *input)
{
    uint8_t choice = input_u8(input);
    bool one_line = memchr(input->data, '\n', input->len) == NULL;
    struct declaration declaration;
    struct plugin_values values;
    struct error error;
    char *text;
    int code;

    read_declaration(input, &declaration);
    text = choice == 1 ? NULL : input_text(input);
    memset(&error, 'x', sizeof(error));
    code = plugin_options_parse(choice == 2 ? NULL : (void *)declaration.elements, declaration.said_stride, text,
                                &values, &error);
    PROMISE(code == 0 || code == -EINVAL || code == -EBADMSG);
    if (code == 0) {
        PROMISE(choice == 2 ? values.count == 0 : values.count == declaration.count && !declaration.endless);
        for (size_t i = 0; i < values.count; i++) {
            check_value(option_at(&declaration, i), &values.values[i]);
        }
        check_given(&values, text);
    } else {
        PROMISE(values.values == NULL && values.count == 0 && values.text == NULL);
        check_error(&error, one_line);
    }
    plugin_options_done(&values);
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
