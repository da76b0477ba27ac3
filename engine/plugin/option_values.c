/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of option types, with the parser of each.
 *
 * A parser gets the option for its limits and choices, and writes the member with memcpy(): a plugin says where the
 * member is, and may have packed its struct. Numbers, times, sizes and addresses are written as they are on the engine's
 * own command line. What is wrong is said in a few words, as the caller knows whose value it is.
 *
 * Pure functions of option and text. Runs in the fork server.
 */
#include "plugin/option_values.h"

#include "base/arith.h"
#include "base/clock.h"
#include "base/text_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NUMBER_TEXT_MAX 32 /* of a number with its unit */

/* It may have any address. Not inline: gcc's analyzer would take the value, read as a number of its size, for another one. */
static __attribute__((noinline)) void write_member(void *member, const void *value, size_t size)
{
    memcpy(member, value, size);
}

static int refuse(struct option_reason *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct option_reason *reason, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason->text, sizeof(reason->text), format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* A unit that numbers are shown in, if they have no rest. The last one of a list is 1. */
struct unit {
    int64_t size;
    const char *suffix;
};

static const struct unit plain_units[] = {{1, ""}};
static const struct unit time_units[] = {{60 * (int64_t)NS_PER_S, "m"}, {NS_PER_S, "s"}, {NS_PER_MS, "ms"}, {1, "ns"}};
static const struct unit size_units[] = {{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}, {1, ""}};

static const char *show(int64_t number, const struct unit *units, char *text)
{
    while (number % units->size != 0 || (number == 0 && units->size != 1)) {
        units++;
    }
    snprintf(text, NUMBER_TEXT_MAX, "%" PRId64 "%s", number / units->size, units->suffix);
    return text;
}

/* "1 to 5", "at least 1", "at most 5". */
static const char *show_limits(const struct nfqe_option *option, const struct unit *units,
                               char text[3 * NUMBER_TEXT_MAX])
{
    char min[NUMBER_TEXT_MAX];
    char max[NUMBER_TEXT_MAX];
    bool has_max = (option->flags & NFQE_OPTION_HAS_MAX) != 0;

    show(option->min, units, min);
    show(option->max, units, max);
    if ((option->flags & NFQE_OPTION_HAS_MIN) == 0) {
        snprintf(text, (size_t)3 * NUMBER_TEXT_MAX, "at most %s", max);
    } else {
        snprintf(text, (size_t)3 * NUMBER_TEXT_MAX, "%s%s%s%s", has_max ? "" : "at least ", min, has_max ? " to " : "",
                 has_max ? max : "");
    }
    return text;
}

static bool is_allowed(const struct nfqe_option *option, uint64_t number)
{
    if ((option->flags & NFQE_OPTION_HAS_MIN) != 0 && option->min > 0 && number < (uint64_t)option->min) {
        return false;
    }
    return (option->flags & NFQE_OPTION_HAS_MAX) == 0 || (option->max >= 0 && number <= (uint64_t)option->max);
}

static int store_number(const struct nfqe_option *option, uint64_t number, const struct unit *units, void *member,
                        struct option_reason *reason)
{
    char limits[3 * NUMBER_TEXT_MAX];

    if (!is_allowed(option, number)) {
        return refuse(reason, "must be %s", show_limits(option, units, limits));
    }
    write_member(member, &number, sizeof(number));
    return 0;
}

/* ---- texts and numbers ------------------------------------------------------------------------------------------- */

static int parse_string(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    char limits[3 * NUMBER_TEXT_MAX];
    size_t len = strlen(text);

    if (!is_allowed(option, len)) {
        return refuse(reason, "must have %s bytes, not %zu", show_limits(option, plain_units, limits), len);
    }
    write_member(member, &text, sizeof(text));
    return 0;
}

static int parse_path(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    (void)option;
    if (text[0] == '\0') {
        return refuse(reason, "must be a path");
    }
    write_member(member, &text, sizeof(text));
    return 0;
}

static int parse_integer(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    int base = strncasecmp(digits, "0x", 2) == 0 ? 16 : 10;
    char limits[3 * NUMBER_TEXT_MAX];
    char *end = NULL;
    int64_t number;

    errno = 0;
    number = strtoll(text, &end, base);
    if (digits[0] < '0' || digits[0] > '9' || *end != '\0' || errno != 0) {
        return refuse(reason, "must be a number");
    }
    if (((option->flags & NFQE_OPTION_HAS_MIN) != 0 && number < option->min) ||
        ((option->flags & NFQE_OPTION_HAS_MAX) != 0 && number > option->max)) {
        return refuse(reason, "must be %s", show_limits(option, plain_units, limits));
    }
    write_member(member, &number, sizeof(number));
    return 0;
}

static int parse_boolean(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};

    (void)option;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            const uint8_t value = i % 2;

            write_member(member, &value, sizeof(value));
            return 0;
        }
    }
    return refuse(reason, "must be on or off");
}

static int parse_duration(const struct nfqe_option *option, const char *text, void *member,
                          struct option_reason *reason)
{
    uint64_t ms;

    if (!text_value_read_time(text, &ms) || ms > UINT64_MAX / NS_PER_MS) {
        return refuse(reason, "must be a time with its unit, such as 200ms, 5s or 2m");
    }
    return store_number(option, ms * NS_PER_MS, time_units, member, reason);
}

static int parse_size(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    uint64_t bytes;

    if (!text_value_read_size(text, &bytes)) {
        return refuse(reason, "must be a number of bytes, such as 65536, 512K or 64M");
    }
    return store_number(option, bytes, size_units, member, reason);
}

/* ---- choices ----------------------------------------------------------------------------------------------------- */

size_t option_choice_next(const char **rest, const char **choice)
{
    size_t len = strcspn(*rest, "|");

    *choice = *rest;
    *rest = (*rest)[len] == '|' ? *rest + len + 1 : NULL;
    return len;
}

static int parse_choice(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    const char *rest = option->choices;
    const char *choice;

    for (uint32_t place = 0; rest != NULL; place++) {
        size_t len = option_choice_next(&rest, &choice);

        if (strlen(text) == len && memcmp(text, choice, len) == 0) {
            write_member(member, &place, sizeof(place));
            return 0;
        }
    }
    return refuse(reason, "must be one of %s", option->choices);
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static bool read_address(const char *text, struct nfqe_address *address)
{
    *address = (struct nfqe_address){.family = AF_INET, .prefix_len = 32};
    if (inet_pton(AF_INET, text, address->bytes) == 1) {
        return true;
    }
    *address = (struct nfqe_address){.family = AF_INET6, .prefix_len = 128};
    return inet_pton(AF_INET6, text, address->bytes) == 1;
}

static int parse_address(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    struct nfqe_address address;

    (void)option;
    if (!read_address(text, &address)) {
        return refuse(reason, "must be an IPv4 or IPv6 address");
    }
    write_member(member, &address, sizeof(address));
    return 0;
}

/* Sets all bits after the prefix to 0. Returns whether they were. */
static bool clear_after_prefix(struct nfqe_address *address)
{
    uint8_t set = 0;

    for (unsigned i = 0; i < sizeof(address->bytes); i++) {
        unsigned before = i * 8;
        unsigned kept = address->prefix_len > before ? address->prefix_len - before : 0;
        uint8_t after = kept < 8 ? (uint8_t)(0xff >> kept) : 0;

        set |= address->bytes[i] & after;
        address->bytes[i] &= (uint8_t)~after;
    }
    return set == 0;
}

static int parse_prefix(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    char name[INET6_ADDRSTRLEN + 1]; /* one more than an address can have: what was cut is none */
    struct nfqe_address address;
    uint64_t bits;

    (void)option;
    snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : (int)sizeof(name), text);
    if (!read_address(name, &address) || (slash != NULL && !text_value_read_number(slash + 1, &bits))) {
        return refuse(reason, "must be an IPv4 or IPv6 address with its prefix length, such as 10.0.0.0/8 or fc00::/7");
    }
    if (slash != NULL) {
        if (bits > address.prefix_len) {
            return refuse(reason, "its prefix length must be 0 to %u", address.prefix_len);
        }
        address.prefix_len = (uint8_t)bits;
    }
    if (!clear_after_prefix(&address)) {
        inet_ntop(address.family, address.bytes, name, sizeof(name));
        return refuse(reason, "has bits after its prefix; without them it is %s/%u", name, address.prefix_len);
    }
    write_member(member, &address, sizeof(address));
    return 0;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int store_no_descriptor(const char *text, void *member, struct option_reason *reason, const char *what)
{
    const int none = -1;

    if (text[0] == '\0') {
        return refuse(reason, "must be the path of %s", what);
    }
    write_member(member, &none, sizeof(none));
    return 0;
}

static int parse_file(const struct nfqe_option *option, const char *text, void *member, struct option_reason *reason)
{
    (void)option;
    return store_no_descriptor(text, member, reason, "a regular file");
}

static int parse_directory(const struct nfqe_option *option, const char *text, void *member,
                           struct option_reason *reason)
{
    (void)option;
    return store_no_descriptor(text, member, reason, "a directory");
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define MEMBER(type) #type, sizeof(type)

static const struct option_type types[] = {
    [NFQE_OPTION_STRING] = {"STRING", MEMBER(const char *), true, false, 0, parse_string},
    [NFQE_OPTION_INTEGER] = {"INTEGER", MEMBER(int64_t), true, false, INT64_MIN, parse_integer},
    [NFQE_OPTION_BOOLEAN] = {"BOOLEAN", MEMBER(uint8_t), false, false, 0, parse_boolean},
    [NFQE_OPTION_FILE] = {"FILE", MEMBER(int), false, true, 0, parse_file},
    [NFQE_OPTION_DURATION] = {"DURATION", MEMBER(uint64_t), true, false, 0, parse_duration},
    [NFQE_OPTION_SIZE] = {"SIZE", MEMBER(uint64_t), true, false, 0, parse_size},
    [NFQE_OPTION_ADDRESS] = {"ADDRESS", MEMBER(struct nfqe_address), false, false, 0, parse_address},
    [NFQE_OPTION_PREFIX] = {"PREFIX", MEMBER(struct nfqe_address), false, false, 0, parse_prefix},
    [NFQE_OPTION_CHOICE] = {"CHOICE", MEMBER(uint32_t), false, false, 0, parse_choice},
    [NFQE_OPTION_PATH] = {"PATH", MEMBER(const char *), false, false, 0, parse_path},
    [NFQE_OPTION_DIRECTORY] = {"DIRECTORY", MEMBER(int), false, true, 0, parse_directory},
};

const struct option_type *option_type_find(uint32_t type)
{
    return type < ARRAY_SIZE(types) && types[type].parse != NULL ? &types[type] : NULL;
}
