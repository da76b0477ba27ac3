/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parses a command line as main() does, with writable arguments, and with options that are not zero before the call.
 */
#include "parsed_command_line.h"

#include "unit.h"

#include <string.h>

struct options parsed_options;
struct error parsed_error;

enum exit_code parsed_command_line(unsigned count, const char *const *arguments)
{
    static char texts[PARSED_ARGUMENTS_MAX + 1][256];
    char *argv[PARSED_ARGUMENTS_MAX + 2];
    int code;

    assert_true(count <= PARSED_ARGUMENTS_MAX);
    argv[0] = strcpy(texts[0], "nfq-engine");
    for (unsigned i = 0; i < count; i++) {
        assert_true(strlen(arguments[i]) < sizeof(texts[0]));
        argv[i + 1] = strcpy(texts[i + 1], arguments[i]);
    }
    argv[count + 1] = NULL;
    memset(&parsed_error, 0, sizeof(parsed_error));
    memset(&parsed_options, 0xee, sizeof(parsed_options));
    code = command_line_parse(&parsed_options, (int)count + 1, argv, &parsed_error);
    assert_int_equal(code, parsed_error.code); /* 0 where the error is empty */
    assert_int_equal(code < 0, parsed_error.exit_code != EXIT_CODE_OK);
    return parsed_error.exit_code;
}
