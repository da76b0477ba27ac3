/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fills the config struct of a plugin.
 *
 * A copy of the user's text is split in place and each name is looked up. Then it is known how long each list is, and all
 * lists get their memory in one block. Then the values are parsed in the order of the text. Last, each option that was
 * not given gets its default. The first error ends it, and then nothing stays allocated.
 *
 * Always: strings of the config struct are in the copy of the text, or are the plugin's own; a list is complete before the
 * next step, and neither moves. Runs in the fork server, before load().
 */
#include "plugin/plugin_options.h"

#include "base/arith.h"
#include "plugin/option_list.h"
#include "plugin/option_text.h"
#include "plugin/option_values.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct given {
    size_t index; /* of the option in the list */
    const char *value;
};

struct parser {
    struct option_list list;
    struct plugin_config config; /* the caller's, once all is well */
    struct error *error;

    struct given *given; /* one for each item of the text */
    size_t given_count;
    unsigned times[PLUGIN_OPTIONS_MAX]; /* how often each option was given */
};

static int refuse_memory(const struct parser *parser)
{
    return error_set(parser->error, EXIT_CODE_RUN_TIME, -ENOMEM, "out of memory");
}

static bool is_list(const struct nfqe_option *option)
{
    return (option->flags & NFQE_OPTION_REPEATABLE) != 0;
}

/* ---- what is given ----------------------------------------------------------------------------------------------- */

static int refuse_unknown(const struct parser *parser, const char *name)
{
    char known[256] = "";

    for (size_t i = 0, used = 0; i < parser->list.count && used < sizeof(known); i++) {
        int len = snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "", parser->list.options[i].name);

        used += len > 0 ? (size_t)len : 0;
    }
    if (parser->list.count == 0) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "unknown option %.64s; this plugin takes none",
                         name);
    }
    return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "unknown option %.64s; known are: %s", name, known);
}

static int add_given(struct parser *parser, const char *name, const char *value)
{
    for (size_t i = 0; i < parser->list.count; i++) {
        const struct nfqe_option *option = &parser->list.options[i];

        if (strcmp(option->name, name) != 0) {
            continue;
        }
        if (option_type_find(option->type) == NULL) {
            return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL,
                             "option %s has type %u, which this engine (" NFQE_VERSION
                             ") does not know; leave it out, or use a later engine",
                             name, option->type);
        }
        if (parser->times[i]++ > 0 && !is_list(option)) {
            return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "option %s: given twice", name);
        }
        parser->given[parser->given_count++] = (struct given){i, value};
        return 0;
    }
    return refuse_unknown(parser, name);
}

static size_t count_items(const char *text)
{
    size_t count = 1;

    for (; *text != '\0'; text++) {
        count += *text == ',';
    }
    return count;
}

static int split_text(struct parser *parser, const char *text)
{
    size_t most = text != NULL ? count_items(text) : 0;
    char *rest = NULL;
    char *name;
    char *value;
    int code;

    if (text != NULL) {
        rest = parser->config.text = strdup(text);
    }
    parser->given = calloc(most + 1, sizeof(*parser->given));
    if (parser->given == NULL || (text != NULL && rest == NULL)) {
        return refuse_memory(parser);
    }
    while ((code = option_text_next(&rest, &name, &value, parser->error)) > 0) {
        code = add_given(parser, name, value);
        if (code != 0) {
            return code;
        }
    }
    return code;
}

/* ---- the config struct ------------------------------------------------------------------------------------------- */

/* NULL: its type is not known, so it has no value. */
static const struct option_type *type_of(const struct nfqe_option *option)
{
    return option_type_find(option->type);
}

static char *member_of(const struct parser *parser, const struct nfqe_option *option)
{
    return (char *)parser->config.members + option->offset;
}

/* How many values a list gets. */
static size_t list_len(const struct parser *parser, size_t index)
{
    const struct nfqe_option *option = &parser->list.options[index];

    return parser->times[index] > 0 ? parser->times[index] : type_of(option) != NULL && option->default_value != NULL;
}

/* Where in the block a list begins that follows `used` bytes. */
static size_t list_place(size_t used)
{
    return round_up(used, _Alignof(max_align_t));
}

static int make_lists(struct parser *parser)
{
    size_t used = 0;

    for (size_t i = 0; i < parser->list.count; i++) {
        const struct nfqe_option *option = &parser->list.options[i];

        if (is_list(option) && list_len(parser, i) > 0) {
            used = list_place(used) + list_len(parser, i) * type_of(option)->size;
        }
    }
    parser->config.items = used > 0 ? calloc(1, used) : NULL;
    if (used > 0 && parser->config.items == NULL) {
        return refuse_memory(parser);
    }
    used = 0;
    for (size_t i = 0; i < parser->list.count; i++) {
        const struct nfqe_option *option = &parser->list.options[i];

        if (is_list(option) && list_len(parser, i) > 0) {
            const struct nfqe_list list = {(char *)parser->config.items + list_place(used), 0};

            memcpy(member_of(parser, option), &list, sizeof(list));
            used = list_place(used) + list_len(parser, i) * type_of(option)->size;
        }
    }
    return 0;
}

static int make_config(struct parser *parser, size_t size)
{
    const int none = -1;
    size_t paths = 0;

    parser->config.members = size > 0 ? calloc(1, size) : NULL;
    if (size > 0 && parser->config.members == NULL) {
        return refuse_memory(parser);
    }
    for (size_t i = 0; i < parser->list.count; i++) {
        const struct nfqe_option *option = &parser->list.options[i];
        const struct option_type *type = type_of(option);

        if (type == NULL || !type->is_descriptor) {
            continue;
        }
        paths += parser->times[i];
        if (!is_list(option)) {
            memcpy(member_of(parser, option), &none, sizeof(none));
        }
    }
    parser->config.paths = calloc(paths + 1, sizeof(*parser->config.paths));
    return parser->config.paths != NULL ? make_lists(parser) : refuse_memory(parser);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Where the next value of the option is to be written. */
static void *next_place(const struct parser *parser, const struct nfqe_option *option)
{
    struct nfqe_list list;
    char *place = member_of(parser, option);

    if (is_list(option)) {
        memcpy(&list, place, sizeof(list));
        list.count++;
        memcpy(place, &list, sizeof(list));
        place = (char *)(uintptr_t)list.items + (list.count - 1) * type_of(option)->size;
    }
    return place;
}

static int set_value(const struct parser *parser, const struct nfqe_option *option, const char *value, void *place)
{
    struct option_reason reason;

    if (type_of(option)->parse(option, value, place, &reason) != 0) {
        return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "option %s=%.64s: %s", option->name, value,
                         reason.text);
    }
    return 0;
}

static enum path_access access_of(const struct nfqe_option *option)
{
    if (option->type == NFQE_OPTION_DIRECTORY) {
        return PATH_DIRECTORY;
    }
    return (option->flags & NFQE_OPTION_WRITABLE) != 0 ? PATH_WRITABLE_FILE : PATH_FILE;
}

static int set_given(struct parser *parser)
{
    for (size_t i = 0; i < parser->given_count; i++) {
        const char *value = parser->given[i].value;
        const struct nfqe_option *option = &parser->list.options[parser->given[i].index];
        void *place = next_place(parser, option);
        int code = set_value(parser, option, value, place);

        if (code != 0) {
            return code;
        }
        if (type_of(option)->is_descriptor) {
            parser->config.paths[parser->config.path_count++] = (struct plugin_path){
                .option = option->name,
                .path = value,
                .item = (unsigned)i,
                .access = access_of(option),
                .member = place,
            };
        }
    }
    return 0;
}

static int set_defaults(const struct parser *parser)
{
    for (size_t i = 0; i < parser->list.count; i++) {
        const struct nfqe_option *option = &parser->list.options[i];
        int code;

        if (parser->times[i] > 0) {
            continue;
        }
        if ((option->flags & NFQE_OPTION_REQUIRED) != 0) {
            return error_set(parser->error, EXIT_CODE_PLUGIN, -EINVAL, "option %s is missing: %s", option->name,
                             option->help != NULL ? option->help : "it must be given");
        }
        if (type_of(option) == NULL || option->default_value == NULL) {
            continue;
        }
        code = set_value(parser, option, option->default_value, next_place(parser, option));
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int plugin_options_parse(const struct nfqe_plugin *plugin, const char *text, struct plugin_config *config,
                         struct error *error)
{
    struct parser parser = {.error = error};
    int code;

    *config = (struct plugin_config){0};
    code = option_list_init(&parser.list, plugin, error);
    if (code != 0) {
        return code;
    }
    code = split_text(&parser, text);
    code = code == 0 ? make_config(&parser, plugin->config_size) : code;
    code = code == 0 ? set_given(&parser) : code;
    code = code == 0 ? set_defaults(&parser) : code;
    free(parser.given);
    option_list_done(&parser.list);
    if (code != 0) {
        plugin_options_done(&parser.config);
        return code;
    }
    *config = parser.config;
    return 0;
}

void plugin_options_done(struct plugin_config *config)
{
    free(config->members);
    free(config->paths);
    free(config->text);
    free(config->items);
    *config = (struct plugin_config){0};
}
