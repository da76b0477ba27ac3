/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that are refused because of their section or their head, and animals with an unusual head that must load.
 */
#include "zoo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    MAGIC = 0,
    SIZE = 8,
    ABI = 12,
    ABI_MIN = 16,
    HEADER_BYTES = 20,
    NEEDS = 24,
    ID = 40,
    VERSION = 88,
    FLOW_DATA = 156
};

/* A little-endian number as bytes. */
#define U32(number) (number) & 0xff, ((number) >> 8) & 0xff, ((number) >> 16) & 0xff, ((number) >> 24) & 0xff

#define NUMBER_AT(place, number)                                                                                       \
    {                                                                                                                  \
        .offset = (place), .len = 4, .bytes = { U32(number) }                                                          \
    }
#define TEXT_AT(place, count, text)                                                                                    \
    {                                                                                                                  \
        .offset = (place), .len = (count), /* NOLINTNEXTLINE(bugprone-macro-parentheses): an initialiser */            \
            .bytes = text                                                                                              \
    }
#define A_12 "aaaaaaaaaaaa"

/* The plugin `good` with changed bytes. */
#define CHANGED(label, ...) .name = (label), .plugin = "good", .patches = {__VA_ARGS__}

const struct animal zoo_heads[] = {
    {.name = "no-section", .plugin = "no_section"},
    {.name = "short-section", .plugin = "short_section"},
    {.name = "no-symbol", .plugin = "no_symbol"},
    {.name = "other-symbol", .plugin = "other_symbol"},

    {CHANGED("wrong-magic", TEXT_AT(MAGIC, 1, "N"))},
    {CHANGED("major-0", NUMBER_AT(ABI, 0x00009), NUMBER_AT(ABI_MIN, 0))},
    {CHANGED("major-1", NUMBER_AT(ABI, 0x10001), NUMBER_AT(ABI_MIN, 0x10000))},
    {CHANGED("major-3", NUMBER_AT(ABI, 0x30000), NUMBER_AT(ABI_MIN, 0x30000))},
    {CHANGED("minimum-major-3", NUMBER_AT(ABI_MIN, 0x30000))},
    {CHANGED("minimum-minor-1", NUMBER_AT(ABI, 0x20003), NUMBER_AT(ABI_MIN, 0x20001))},
    {CHANGED("minimum-minor-2", NUMBER_AT(ABI, 0x20003), NUMBER_AT(ABI_MIN, 0x20002))},
    {CHANGED("minimum-minor-65535", NUMBER_AT(ABI, 0x2ffff), NUMBER_AT(ABI_MIN, 0x2ffff))},

    {CHANGED("size-0", NUMBER_AT(SIZE, 0))},
    {CHANGED("size-of-less-than-the-head", NUMBER_AT(SIZE, 191))},
    {CHANGED("size-of-the-head", NUMBER_AT(SIZE, 192))},
    {CHANGED("size-beyond-the-section", NUMBER_AT(SIZE, 313))},
    {CHANGED("size-4-gib", NUMBER_AT(SIZE, 0xffffffff))},

    {CHANGED("id-empty", TEXT_AT(ID, 1, ""))},
    {CHANGED("id-without-nul", TEXT_AT(ID, 48, A_12 A_12 A_12 A_12))},
    {CHANGED("id-with-a-capital", TEXT_AT(ID, 4, "Good"))},
    {CHANGED("id-with-a-slash", TEXT_AT(ID, 4, "go/d"))},
    {CHANGED("id-with-a-newline", TEXT_AT(ID, 4, "go\nd"))},
    {CHANGED("id-beyond-ascii", TEXT_AT(ID, 4, "go\xc3\xb6"))},
    {CHANGED("version-empty", TEXT_AT(VERSION, 1, ""))},
    {CHANGED("version-without-nul", TEXT_AT(VERSION, 24, A_12 A_12))},
    {CHANGED("version-with-a-space", TEXT_AT(VERSION, 5, "1 0.0"))},
    {CHANGED("header-bytes-65532", NUMBER_AT(HEADER_BYTES, 65532))},

    {CHANGED("needs-hold", NUMBER_AT(NEEDS, 0x8))},
    {CHANGED("needs-metadata-and-headers", NUMBER_AT(NEEDS, 0x801))},
    {CHANGED("flow-data", NUMBER_AT(FLOW_DATA, 8))},
    {CHANGED("needs-unknown", NUMBER_AT(NEEDS, 0x80000000))},
    {CHANGED("needs-everything", NUMBER_AT(NEEDS, 0xfffff7ff), NUMBER_AT(NEEDS + 4, 0xffffffff))},

    /* These must load. */
    {.name = "size-larger-than-ours", .plugin = "zoo_larger", .shows = "plugin zoo_larger"},
    {CHANGED("needs-flow-and-segments", NUMBER_AT(NEEDS, 0x410)), .shows = "plugin good"},
    {CHANGED("needs-requeue", NUMBER_AT(NEEDS, 0x20)), .shows = "plugin good"},
    {CHANGED("needs-modify", NUMBER_AT(NEEDS, 0x4)), .shows = "plugin good"},
    {CHANGED("needs-inject", NUMBER_AT(NEEDS, 0x1000)), .shows = "plugin good"},
    {.name = "later-minor", .plugin = "later_minor", .shows = "plugin later_minor"},
    {CHANGED("later-minor-of-our-size", NUMBER_AT(ABI, 0x20009)), .shows = "plugin good"},
    {CHANGED("id-of-47-characters", TEXT_AT(ID, 47, A_12 A_12 A_12 "aaaaaaaaaaa")), .shows = "plugin aaaaaaaaaaaa"},
    {.name = NULL},
};
