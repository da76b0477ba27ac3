/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that are refused, or accepted, because of the options after the file name.
 */
#include "zoo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KIB_64 65536
#define COMMENT "comment \""
#define RATE "options: rate "

const struct animal zoo_options[] = {
    {.name = "option-of-a-plugin-without", .plugin = "good", .values = "rate=5"},
    {.name = "option-unknown", .plugin = "options", .values = "name=x,speed=5"},
    {.name = "option-unknown-and-long", .plugin = "options", .values = "name=x,speed=5,", .padding = KIB_64},
    {.name = "option-duplicate", .plugin = "options", .values = "name=x,rate=5,rate=6"},
    {.name = "option-missing", .plugin = "options"},
    {.name = "option-missing-among-others", .plugin = "options", .values = "rate=5"},
    {.name = "option-without-value", .plugin = "options", .values = "name"},
    {.name = "option-without-name", .plugin = "options", .values = "=x"},
    {.name = "option-after-last-comma", .plugin = "options", .values = "name=x,"},

    {.name = "integer-empty", .plugin = "options", .values = "name=x,rate="},
    {.name = "integer-no-number", .plugin = "options", .values = "name=x,rate=many"},
    {.name = "integer-with-unit", .plugin = "options", .values = "name=x,rate=5k"},
    {.name = "integer-above-64-bit", .plugin = "options", .values = "name=x,any-number=9223372036854775808"},
    {.name = "integer-too-large", .plugin = "options", .values = "name=x,rate=1001"},
    {.name = "integer-too-small", .plugin = "options", .values = "name=x,rate=-11"},
    {.name = "integer-long", .plugin = "options", .values = "name=x,rate=", .padding = KIB_64},
    {.name = "boolean-empty", .plugin = "options", .values = "name=x,strict="},
    {.name = "boolean-neither", .plugin = "options", .values = "name=x,strict=maybe"},
    {.name = "string-empty", .plugin = "options", .values = "name="},
    {.name = "string-too-long", .plugin = "options", .values = "name=123456789"},
    {.name = "string-a-byte-above-its-max", .plugin = "zoo_long_value", .values = "bounded=", .padding = KIB_64},

    {.name = "declared-type-none", .plugin = "options_no_type"},
    {.name = "declared-name-bad", .plugin = "options_wrong_name"},
    {.name = "declared-twice", .plugin = "options_same_name"},
    {.name = "declared-default-bad", .plugin = "options_wrong_default"},
    {.name = "declared-min-above-max", .plugin = "options_range"},
    {.name = "declared-without-config", .plugin = "options_no_config"},
    {.name = "declared-without-load-and-open", .plugin = "options_no_load"},

    /* These must load, and log their config struct. */
    {.name = "integer-at-its-max", .plugin = "options", .values = "name=x,rate=1000", .shows = RATE},
    {.name = "integer-default", .plugin = "options", .values = "name=x", .shows = RATE},
    {.name = "string-empty-without-bound", .plugin = "options", .values = "name=x,comment=", .shows = COMMENT},
    {.name = "string-of-64-kib", .plugin = "zoo_long_value", .values = "any=", .padding = KIB_64, .shows = "any has"},
    {.name = "string-at-its-max",
     .plugin = "zoo_long_value",
     .values = "bounded=",
     .padding = KIB_64 - 1,
     .shows = "bounded has"},
    {.name = "comma-inside", .plugin = "options", .values = "comment=a,,b,name=x", .shows = COMMENT},
    {.name = "comma-at-the-end", .plugin = "options", .values = "name=x,comment=a,,", .shows = COMMENT},
    {.name = "commas-alone", .plugin = "options", .values = "comment=,,,,,name=x", .shows = COMMENT},
    {.name = NULL},
};
