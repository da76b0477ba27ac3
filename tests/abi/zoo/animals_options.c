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

    {.name = "duration-no-time", .plugin = "option_types", .values = "wait=soon"},
    {.name = "duration-no-unit", .plugin = "option_types", .values = "wait=5"},
    {.name = "duration-above-64-bit", .plugin = "option_types", .values = "wait=18446744073710s"},
    {.name = "duration-too-long", .plugin = "option_types", .values = "wait=91s"},
    {.name = "duration-too-short", .plugin = "option_types", .values = "wait=0s"},
    {.name = "size-no-number", .plugin = "option_types", .values = "room=64kb"},
    {.name = "size-too-large", .plugin = "option_types", .values = "room=1048577"},
    {.name = "address-none", .plugin = "option_types", .values = "host=10.0.0"},
    {.name = "address-with-prefix", .plugin = "option_types", .values = "host=10.0.0.1/8"},
    {.name = "address-with-interface", .plugin = "option_types", .values = "host=fe80::1%eth0"},
    {.name = "prefix-none", .plugin = "option_types", .values = "net=/8"},
    {.name = "prefix-too-long", .plugin = "option_types", .values = "net=10.0.0.0/33"},
    {.name = "prefix-no-number", .plugin = "option_types", .values = "net=10.0.0.0/"},
    {.name = "prefix-with-more-bits", .plugin = "option_types", .values = "net=10.1.2.3/9"},
    {.name = "prefix-of-ipv6-with-more-bits", .plugin = "option_types", .values = "nets=::/0,nets=fc00::1/7"},
    {.name = "choice-unknown", .plugin = "option_types", .values = "mode=fas"},
    {.name = "choice-empty", .plugin = "option_types", .values = "mode="},
    {.name = "path-empty", .plugin = "option_types", .values = "where="},
    {.name = "file-empty", .plugin = "option_types", .values = "file="},
    {.name = "file-missing", .plugin = "option_types", .values = "file=/no/such/file"},
    {.name = "file-is-a-directory", .plugin = "option_types", .values = "files=/etc/passwd,files=/etc"},
    {.name = "file-is-a-device", .plugin = "option_types", .values = "out=/dev/null"},
    {.name = "file-in-a-writable-option-missing", .plugin = "option_types", .values = "out=/no/such/file"},
    {.name = "directory-is-a-file", .plugin = "option_types", .values = "directory=/etc/passwd"},
    {.name = "directory-missing", .plugin = "option_types", .values = "directory=/no/such/directory"},
    {.name = "one-of-a-list-too-large", .plugin = "option_types", .values = "level=1,level=10,level=2"},
    {.name = "type-of-a-later-engine", .plugin = "option_types", .values = "later=1"},

    {.name = "declared-type-none", .plugin = "options_no_type"},
    {.name = "declared-type-of-a-later-engine-required", .plugin = "options_later_type"},
    {.name = "declared-name-bad", .plugin = "options_wrong_name"},
    {.name = "declared-twice", .plugin = "options_same_name"},
    {.name = "declared-default-bad", .plugin = "options_wrong_default"},
    {.name = "declared-default-bad-and-not-used", .plugin = "options_wrong_default", .values = "rate=1"},
    {.name = "declared-default-of-a-file", .plugin = "options_file_default"},
    {.name = "declared-default-and-required", .plugin = "options_wasted_default"},
    {.name = "declared-min-above-max", .plugin = "options_range"},
    {.name = "declared-limits-of-a-boolean", .plugin = "options_limits"},
    {.name = "declared-writable-string", .plugin = "options_writable"},
    {.name = "declared-no-choices", .plugin = "options_no_choices"},
    {.name = "declared-choice-empty", .plugin = "options_empty_choice"},
    {.name = "declared-choice-twice", .plugin = "options_same_choice"},
    {.name = "declared-choices-of-an-integer", .plugin = "options_choices"},
    {.name = "declared-member-of-another-size", .plugin = "options_wrong_size"},
    {.name = "declared-member-no-list", .plugin = "options_wrong_list"},
    {.name = "declared-member-of-two", .plugin = "options_same_member"},
    {.name = "declared-member-beyond-the-config", .plugin = "options_small_config"},
    {.name = "declared-without-config", .plugin = "options_no_config"},
    {.name = "declared-config-too-large", .plugin = "options_large_config"},
    {.name = "declared-without-load-and-open", .plugin = "options_no_load"},

    /* These must load, and log their config struct. */
    {.name = "option-of-a-later-engine-not-given", .plugin = "option_types", .shows = "room "},
    {.name = "duration-at-its-min", .plugin = "option_types", .values = "wait=1ms", .shows = "wait "},
    {.name = "size-at-its-max", .plugin = "option_types", .values = "room=1M", .shows = "room "},
    {.name = "prefix-without-length", .plugin = "option_types", .values = "net=10.1.2.3", .shows = "types: net "},
    {.name = "choice-last", .plugin = "option_types", .values = "mode=fast", .shows = "mode "},
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
