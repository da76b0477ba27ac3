/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line parser. Each argument is an option of the table in options.c, as `--name value` or `--name=value`.
 *
 * The parser of the option's kind reads the value. After the last argument, the parser checks that a plugin and a
 * queue were given and that the options agree, unless the help, the version or a plugin's description is asked for.
 * Strings are copied, so argv may change afterwards. Runs before any process is forked; reads nothing of the machine.
 */
#include "config/command_line.h"

#include "base/arith.h"
#include "config/option_conflicts.h"

#include <errno.h>
#include <string.h>

/* The options that have a short form, too. */
static const char *const short_forms[][2] = {{"-h", "--help"}, {"-v", "--version"}};

static const char *long_form(const char *argument)
{
    for (size_t i = 0; i < ARRAY_SIZE(short_forms); i++) {
        if (strcmp(argument, short_forms[i][0]) == 0) {
            return short_forms[i][1];
        }
    }
    return argument;
}

/* Parses the option at argv[*index]; if its value is the next argument, *index moves to that. */
static int parse_argument(struct options *options, int argc, char *const argv[], int *index, struct error *error)
{
    const char *argument = long_form(argv[*index]);
    const struct option_entry *option;
    const char *value;
    size_t name_len;

    if (strncmp(argument, "--", 2) != 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "%s: not an option; see nfq-engine --help", argument);
    }
    name_len = strcspn(argument + 2, "=");
    option = options_find(argument + 2, name_len);
    if (option == NULL) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%.*s: unknown option; see nfq-engine --help",
                         (int)name_len, argument + 2);
    }
    value = argument[2 + name_len] == '=' ? argument + 2 + name_len + 1 : NULL;
    if (option->value != NULL && option->value[0] != '[' && value == NULL) {
        if (*index + 1 >= argc) {
            return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s: needs a value: --%s %s", option->name,
                             option->name, option->value);
        }
        value = argv[++*index];
    }
    options->given |= UINT64_C(1) << (option - options_table);
    return option->parse(option, options, (char *)options + option->offset, value, error);
}

int command_line_parse(struct options *options, int argc, char *const argv[], struct error *error)
{
    size_t text_size = 0;
    int code;

    for (int i = 1; i < argc; i++) {
        text_size += strlen(argv[i]) + 2;
    }
    code = options_init(options, text_size, error);
    for (int i = 1; i < argc && code == 0; i++) {
        code = parse_argument(options, argc, argv, &i, error);
    }
    if (code != 0 || options->help || options->version || options->plugin_info != NULL) {
        return code;
    }
    if (options->plugin_count == 0 && options->print_rules == RULES_NONE) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "no plugin given: add --plugin FILE; see nfq-engine --help");
    }
    if (options->queue_count == 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "no queue given: add --queue N; see nfq-engine --help");
    }
    return option_conflicts_check(options, error);
}
