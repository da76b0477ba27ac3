/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the description of a plugin: one line for each thing, its name first, so that people and grep can read it.
 *
 * The head was copied from the file. Everything else is where the plugin put it, so the pointers are followed only if they
 * lead to text; what the text is, nothing here looks at. Needs have the names that an author writes, NFQE_NEED_ left out.
 * Processes: [supervisor] the head, and the process that maps the plugin the rest.
 */
#include "plugin/plugin_describe.h"

#include "base/arith.h"
#include "base/clock.h"
#include "plugin/need_names.h"
#include "plugin/option_list.h"
#include "plugin/option_values.h"

#include <inttypes.h>
#include <string.h>

static void write_line(FILE *file, const char *label, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void write_line(FILE *file, const char *label, const char *format, ...)
{
    va_list arguments;

    fprintf(file, "%-11s ", label);
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fputc('\n', file);
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static void write_needs(FILE *file, const char *label, uint64_t bits, uint32_t header_bytes)
{
    const char *separator = "";

    if (bits == 0) {
        return;
    }
    fprintf(file, "%-11s ", label);
    for (unsigned bit = 0; bit < NEED_BITS; bit++) {
        if ((bits >> bit & 1) == 0 || need_name(bit) == NULL) {
            continue;
        }
        fprintf(file, "%s%s", separator, need_name(bit));
        if (bit == NFQE_NEED_HEADERS_BIT) {
            fprintf(file, " (%" PRIu32 " bytes)", header_bytes);
        }
        separator = ", ";
    }
    fputc('\n', file);
}

void plugin_describe_head(FILE *file, const struct plugin *plugin)
{
    struct nfqe_plugin head;

    memcpy(&head, plugin->head, NFQE_HEAD_SIZE);
    write_line(file, "file", "%s", plugin->path);
    write_line(file, "id", "%s", plugin->id);
    write_line(file, "version", "%s", plugin->version);
    write_line(file, "ABI", "%u.%u", NFQE_ABI_MAJOR(plugin->abi), NFQE_ABI_MINOR(plugin->abi));
    write_line(file, "built with", "%.*s", (int)strnlen(head.built_with, sizeof(head.built_with)), head.built_with);
    write_needs(file, "needs", plugin->needs, plugin->header_bytes);
    write_needs(file, "uses", plugin->uses, plugin->header_bytes);
    if ((plugin->flags & NFQE_PLUGIN_MULTIPLE) != 0) {
        write_line(file, "flags", "MULTIPLE");
    }
    if (head.flow_data_size > 0) {
        write_line(file, "flow data", "%" PRIu32 " bytes for each flow", head.flow_data_size);
    }
}

/* ---- texts and functions ----------------------------------------------------------------------------------------- */

static void write_text(FILE *file, const char *label, const char *text)
{
    if (text != NULL && plugin_lists_is_text(text)) {
        write_line(file, label, "%s", text);
    }
}

static void write_functions(FILE *file, const struct nfqe_plugin *table)
{
    const struct {
        bool there;
        const char *name;
    } functions[] = {
        {table->load != NULL, "load"},     {table->open != NULL, "open"},
        {table->handle != NULL, "handle"}, {table->handle_batch != NULL, "handle_batch"},
        {table->save != NULL, "save"},     {table->restore != NULL, "restore"},
        {table->close != NULL, "close"},   {table->unload != NULL, "unload"},
        {table->ext != NULL, "ext"},
    };

    fprintf(file, "%-11s", "functions");
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        if (functions[i].there) {
            fprintf(file, " %s", functions[i].name);
        }
    }
    fputc('\n', file);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static void write_help(FILE *file, const char *help)
{
    if (help != NULL) {
        fprintf(file, "      %s\n", help);
    }
}

static bool has(const struct nfqe_option *option, uint32_t flag)
{
    return (option->flags & flag) != 0;
}

/* Durations in the largest unit in which they are a whole number. */
static void write_limit(FILE *file, const struct nfqe_option *option, int64_t limit)
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{NS_PER_S, "s"}, {NS_PER_MS, "ms"}, {1000, "us"}, {1, "ns"}};
    size_t unit = 0;

    if (option->type != NFQE_OPTION_DURATION) {
        fprintf(file, "%" PRId64, limit);
        return;
    }
    while (limit % units[unit].ns != 0) {
        unit++;
    }
    fprintf(file, "%" PRId64 "%s", limit / units[unit].ns, units[unit].name);
}

static void write_limits(FILE *file, const struct nfqe_option *option)
{
    bool has_min = has(option, NFQE_OPTION_HAS_MIN);
    bool has_max = has(option, NFQE_OPTION_HAS_MAX);

    if (!has_min && !has_max) {
        return;
    }
    fprintf(file, has_min && has_max ? ", " : has_min ? ", at least " : ", at most ");
    if (has_min) {
        write_limit(file, option, option->min);
    }
    if (has_min && has_max) {
        fprintf(file, " to ");
    }
    if (has_max) {
        write_limit(file, option, option->max);
    }
    if (option->type == NFQE_OPTION_STRING || option->type == NFQE_OPTION_SIZE) {
        fprintf(file, " bytes");
    }
}

static void write_option(FILE *file, const struct nfqe_option *option)
{
    const struct option_type *type = option_type_find(option->type);

    if (type == NULL) {
        fprintf(file, "  %s: of type %" PRIu32 ", which this engine (" NFQE_VERSION ") does not know\n", option->name,
                option->type);
        write_help(file, option->help);
        return;
    }
    fprintf(file, "  %s: %s", option->name, type->name);
    if (option->choices != NULL) {
        fprintf(file, " %s", option->choices);
    }
    write_limits(file, option);
    fprintf(file, "%s%s%s", has(option, NFQE_OPTION_REQUIRED) ? ", required" : "",
            has(option, NFQE_OPTION_REPEATABLE) ? ", repeatable" : "",
            has(option, NFQE_OPTION_WRITABLE) ? ", writable" : "");
    if (option->default_value != NULL) {
        fprintf(file, ", default %s", option->default_value);
    }
    fputc('\n', file);
    write_help(file, option->help);
}

static int write_options(FILE *file, const struct nfqe_plugin *table, struct error *error)
{
    struct option_list list;
    int code = option_list_init(&list, table, error);

    if (code == 0 && list.count > 0) {
        fprintf(file, "options\n");
    }
    for (size_t i = 0; code == 0 && i < list.count; i++) {
        write_option(file, &list.options[i]);
    }
    option_list_done(&list);
    return code;
}

static void write_counters(FILE *file, const struct plugin *plugin)
{
    if (plugin->lists.counter_count > 0) {
        fprintf(file, "counters\n");
    }
    for (size_t i = 0; i < plugin->lists.counter_count; i++) {
        const struct nfqe_counter counter = plugin_lists_counter(&plugin->table, i);

        fprintf(file, "  %s%s%s\n", counter.name, counter.unit != NULL ? ", in " : "",
                counter.unit != NULL ? counter.unit : "");
        write_help(file, counter.help);
    }
}

static void write_reasons(FILE *file, const struct plugin *plugin)
{
    if (plugin->lists.reason_count > 0) {
        fprintf(file, "reasons\n");
    }
    for (size_t i = 0; i < plugin->lists.reason_count; i++) {
        const struct nfqe_reason reason = plugin_lists_reason(&plugin->table, i);

        fprintf(file, "  %s\n", reason.name);
        write_help(file, reason.help);
    }
}

int plugin_describe_lists(FILE *file, const struct plugin *plugin, struct error *error)
{
    const struct nfqe_plugin *table = &plugin->table;
    int code;

    write_text(file, "summary", table->summary);
    write_text(file, "vendor", table->vendor);
    write_text(file, "license", table->license);
    write_functions(file, table);
    code = write_options(file, table, error);
    write_counters(file, plugin);
    write_reasons(file, plugin);
    return code;
}
