/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of --help: the usage line, every option of the table with its help, and the exit statuses.
 *
 * The help of an option has its line breaks in the table; together with the indentation written here, no line is longer
 * than 80 characters. An option of the table needs no further code to be in the help. Runs before any process is forked;
 * a failed write is noticed by the caller, which checks the stream.
 */
#include "config/help.h"

#include "config/options.h"

#include <string.h>

void help_print(FILE *file)
{
    fprintf(file, "Usage: nfq-engine --plugin FILE[,KEY=VALUE...] --queue N [OPTION...]\n"
                  "\n"
                  "Takes the packets of netfilter queues and lets plugins decide: accept, drop or change.\n"
                  "\n");
    for (size_t i = 0; i < options_table_count; i++) {
        const struct option_entry *option = &options_table[i];

        fprintf(file, "  --%s%s%s\n", option->name, option->value != NULL && option->value[0] != '[' ? " " : "",
                option->value != NULL ? option->value : "");
        for (const char *line = option->help; line != NULL;) {
            const char *end = strchr(line, '\n');

            fprintf(file, "        %.*s\n", end != NULL ? (int)(end - line) : (int)strlen(line), line);
            line = end != NULL ? end + 1 : NULL;
        }
    }
    fprintf(file, "\n"
                  "Exit status: 0 stopped in order, 1 run time error, 2 usage, 3 configuration,\n"
                  "4 plugin refused, 5 queue cannot be bound or was unbound by another program,\n"
                  "6 stopped by --on-crash-limit or --on-outage.\n");
}
