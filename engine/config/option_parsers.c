/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parsers of option values, one function for each kind of value.
 *
 * A parser checks what does not depend on other options or on this machine: the form of the value, its limits, that a
 * list has room for it, and that no queue is named twice. The error names the option and the value as the user wrote
 * them. Runs before any process is forked.
 */
#include "config/option_parsers.h"

#include "base/arith.h"
#include "base/text_value.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define WORDS_MAX 64 /* the lists of words in the table are shorter */

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789-_."
#define ITEM_SHOWN_MAX 64

#define UID_NOBODY 65534
#define UID_NONE_16_BIT 65535 /* means "no user" where user ids have 16 bits */

static bool contains(uint64_t first, uint64_t last, uint64_t number)
{
    return first <= number && number <= last;
}

static int check_range(const struct option_entry *option, uint64_t number, const char *text, struct error *error)
{
    if (!contains(option->min, option->max, number)) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be %" PRIu64 " to %" PRIu64, option->name,
                         text, option->min, option->max);
    }
    return 0;
}

int option_parse_number(const struct option_entry *option, struct options *options, void *target, const char *text,
                        struct error *error)
{
    uint64_t number;

    (void)options;
    if (!text_value_read_number(text, &number)) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be a number from %" PRIu64 " to %" PRIu64,
                         option->name, text, option->min, option->max);
    }
    *(uint64_t *)target = number;
    return check_range(option, number, text, error);
}

int option_parse_size(const struct option_entry *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    (void)options;
    if (!text_value_read_size(text, target)) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--%s %s: must be a number of bytes, such as 65536, 512K or 64M", option->name, text);
    }
    return check_range(option, *(const uint64_t *)target, text, error);
}

int option_parse_time(const struct option_entry *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    uint64_t ms;

    (void)options;
    if (!text_value_read_time(text, &ms) || !contains(option->min, option->max, ms)) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--%s %s: must be a time with its unit, such as 500ms or 5s, from %" PRIu64 "ms to %" PRIu64
                         "m",
                         option->name, text, option->min, option->max / (60 * 1000));
    }
    *(uint64_t *)target = ms;
    return 0;
}

int option_parse_crash_limit(const struct option_entry *option, struct options *options, void *target, const char *text,
                             struct error *error)
{
    struct crash_limit_setting limit = {0};

    (void)options;
    if (strcmp(text, "off") != 0 &&
        (!text_value_read_rate(text, &limit.count, &limit.window_ms) || !contains(1, CRASH_LIMIT_MAX, limit.count) ||
         !contains(option->min, option->max, limit.window_ms))) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--%s %s: must be off, or a number from 1 to %d and a time with its unit up to %" PRIu64
                         "m, such as 20/1m",
                         option->name, text, CRASH_LIMIT_MAX, option->max / (60 * 1000));
    }
    *(struct crash_limit_setting *)target = limit;
    return 0;
}

int option_parse_mark(const struct option_entry *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    struct mark_setting *mark = target;

    (void)options;
    if (!text_value_read_mark(text, &mark->bits, &mark->mask)) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--%s %s: must be bits and their mask in 32 bits, such as 0x1/0x1", option->name, text);
    }
    if (mark->bits == 0 || (mark->bits & ~mark->mask) != 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--%s %s: must set at least one bit, and none outside of its mask", option->name, text);
    }
    return 0;
}

/* A field of the mark that can count to option->min. */
int option_parse_mark_field(const struct option_entry *option, struct options *options, void *target, const char *text,
                            struct error *error)
{
    uint32_t bits;
    uint32_t mask;
    uint32_t most; /* that the field counts to, if its bits are side by side */

    (void)options;
    if (strchr(text, '/') != NULL || !text_value_read_mark(text, &bits, &mask)) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be a mask in 32 bits, such as 0x70000000",
                         option->name, text);
    }
    most = bits != 0 ? bits / (bits & -bits) : 0;
    if ((most & (most + 1)) != 0 || most < option->min) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be three bits or more, side by side",
                         option->name, text);
    }
    *(uint32_t *)target = bits;
    return 0;
}

int option_parse_verdict(const struct option_entry *option, struct options *options, void *target, const char *text,
                         struct error *error)
{
    (void)options;
    if (strcmp(text, "accept") == 0) {
        *(uint32_t *)target = NFQE_ACCEPT;
    } else if (strcmp(text, "drop") == 0) {
        *(uint32_t *)target = NFQE_DROP;
    } else {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be accept or drop", option->name, text);
    }
    return 0;
}

/* "a|b|c" as "a, b or c" */
static const char *list_words(const char *words, char list[WORDS_MAX])
{
    char *to = list;

    for (; *words != '\0'; words++) {
        if (*words != '|') {
            *to++ = *words;
        } else {
            to = stpcpy(to, strchr(words + 1, '|') != NULL ? ", " : " or ");
        }
    }
    *to = '\0';
    return list;
}

int option_parse_word(const struct option_entry *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    unsigned index = 0;
    char list[WORDS_MAX];

    (void)options;
    for (const char *word = option->value; *word != '\0'; index++) {
        size_t len = strcspn(word, "|");

        if (strlen(text) == len && strncmp(text, word, len) == 0) {
            *(unsigned *)target = index;
            return 0;
        }
        word += len + (word[len] == '|');
    }
    return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be %s", option->name, text,
                     list_words(option->value, list));
}

int option_parse_rules(const struct option_entry *option, struct options *options, void *target, const char *text,
                       struct error *error)
{
    enum rules_form *form = target;

    (void)options;
    if (text != NULL && strcmp(text, "nft") != 0 && strcmp(text, "iptables") != 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s=%s: must be nft or iptables, or nothing for both",
                         option->name, text);
    }
    *form = text == NULL ? RULES_BOTH : strcmp(text, "nft") == 0 ? RULES_NFT : RULES_IPTABLES;
    return 0;
}

int option_parse_switch(const struct option_entry *option, struct options *options, void *target, const char *text,
                        struct error *error)
{
    (void)options;
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be on or off", option->name, text);
    }
    *(bool *)target = strcmp(text, "on") == 0;
    return 0;
}

int option_parse_flag(const struct option_entry *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    (void)options;
    if (text != NULL) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s: takes no value", option->name);
    }
    *(bool *)target = true;
    return 0;
}

/*
 * Reads `N` or `A-B` at the start of `text`; at most the option's maximum. *end gets the place after it. dashes: the
 * characters that may be between A and B.
 */
static bool read_range(const struct option_entry *option, const char *dashes, const char *text, const char **end,
                       uint64_t *first, uint64_t *last)
{
    if (!text_value_read_digits(text, end, first)) {
        return false;
    }
    *last = *first;
    if (**end != '\0' && strchr(dashes, **end) != NULL && !text_value_read_digits(*end + 1, end, last)) {
        return false;
    }
    return *first <= *last && *last <= option->max;
}

static int add_queue(struct options *options, uint64_t number, struct error *error)
{
    for (unsigned i = 0; i < options->queue_count; i++) {
        if (options->queues[i] == number) {
            return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                             "--queue %" PRIu64 ": given twice; name each queue once", number);
        }
    }
    if (options->queue_count == QUEUES_MAX) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL,
                         "--queue: more than %d queues; run a second engine for the rest", QUEUES_MAX);
    }
    options->queues[options->queue_count++] = (uint16_t)number;
    return 0;
}

int option_parse_queues(const struct option_entry *option, struct options *options, void *target, const char *text,
                        struct error *error)
{
    int code = 0;
    uint64_t first;
    uint64_t last;
    const char *end;

    (void)target;
    if (!read_range(option, "-:", text, &end, &first, &last) || *end != '\0') {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--queue %s: must be a number from 0 to %" PRIu64 " or a range such as 0-3", text,
                         option->max);
    }
    for (uint64_t number = first; number <= last && code == 0; number++) {
        code = add_queue(options, number, error);
    }
    return code;
}

int option_parse_uids(const struct option_entry *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    struct uid_range *range = target;
    uint64_t first;
    uint64_t last;
    const char *end;

    (void)options;
    if (strcmp(text, "off") == 0) {
        *range = (struct uid_range){0};
        return 0;
    }
    if (!read_range(option, "-", text, &end, &first, &last) || *end != '\0' || first < option->min ||
        contains(first, last, UID_NOBODY) || contains(first, last, UID_NONE_16_BIT)) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--%s %s: must be off, or a range from %" PRIu64 " to %" PRIu64
                         " without %d and %d, such as 70000-94999",
                         option->name, text, option->min, option->max, UID_NOBODY, UID_NONE_16_BIT);
    }
    *range = (struct uid_range){(uint32_t)first, (uint32_t)last};
    return 0;
}

int option_parse_cpus(const struct option_entry *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    const char *next = text;

    (void)target;
    options->cpu_count = 0;
    for (;;) {
        uint64_t first;
        uint64_t last;

        if (!read_range(option, "-", next, &next, &first, &last) || (*next != ',' && *next != '\0')) {
            return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--cpu %s: must be a list of CPU numbers such as 0,2-5",
                             text);
        }
        for (uint64_t cpu = first; cpu <= last; cpu++) {
            if (options->cpu_count == CPUS_MAX) {
                return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--cpu %s: more than %d CPUs", text, CPUS_MAX);
            }
            options->cpus[options->cpu_count++] = (uint16_t)cpu;
        }
        if (*next == '\0') {
            return 0;
        }
        next++;
    }
}

/* Up to the comma that ends an item, or to the end of the text. A double comma is part of the item. */
static size_t item_length(const char *text)
{
    size_t len = 0;

    while (text[len] != '\0' && (text[len] != ',' || text[len + 1] == ',')) {
        len += text[len] == ',' ? 2 : 1;
    }
    return len;
}

/* Takes an item for the engine itself, which begins with @. Puts the name at *to, and sets *to after it. */
static int parse_plugin_name(struct plugin_setting *setting, const char *item, size_t len, char **to,
                             struct error *error)
{
    static const char key[] = "@name=";
    const char *name = item + sizeof(key) - 1;
    size_t name_len = len - (sizeof(key) - 1);

    if (len < sizeof(key) - 1 || memcmp(item, key, sizeof(key) - 1) != 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--plugin: \"%.*s\": of options with @ there is @name=NAME",
                         (int)min_u64(len, ITEM_SHOWN_MAX), item);
    }
    if (setting->name != NULL) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--plugin: @name: given twice");
    }
    if (name_len == 0 || name_len >= NFQE_ID_SIZE || strspn(name, NAME_CHARACTERS) < name_len) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--plugin: \"%.*s\": the name must be 1 to %d characters a-z 0-9 - _ .",
                         (int)min_u64(len, ITEM_SHOWN_MAX), item, NFQE_ID_SIZE - 1);
    }
    setting->name = memcpy(*to, name, name_len);
    *to += name_len;
    *(*to)++ = '\0';
    return 0;
}

/* The items after the file name: those of the plugin stay as they are. */
static int parse_plugin_items(struct plugin_setting *setting, const char *text, char *to, struct error *error)
{
    char *values;

    for (const char *item = text; *item != '\0';) {
        size_t len = item_length(item);

        if (*item == '@') {
            int code = parse_plugin_name(setting, item, len, &to, error);

            if (code < 0) {
                return code;
            }
        }
        item += len + (item[len] == ',');
    }
    values = to;
    for (const char *item = text; item != NULL;) {
        size_t len = item_length(item);

        if (*item != '@') {
            if (to != values) {
                *to++ = ',';
            }
            memcpy(to, item, len);
            to += len;
        }
        item = item[len] == ',' ? item + len + 1 : NULL;
    }
    *to = '\0';
    setting->values = to != values ? values : NULL;
    return 0;
}

/*
 * Where the next string in options->text begins: options_init() made room for all of them, and the first empty string is
 * where the free part starts.
 */
static char *free_text(const struct options *options)
{
    char *text = options->text;

    while (*text != '\0') {
        text += strlen(text) + 1;
    }
    return text;
}

int option_parse_plugin_info(const struct option_entry *option, struct options *options, void *target, const char *text,
                             struct error *error)
{
    if (text[0] == '\0') {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s: the file name is empty", option->name);
    }
    *(const char **)target = strcpy(free_text(options), text);
    return 0;
}

/* Copies `text` into options->text, as the file name up to its first single comma, and the values after that. */
int option_parse_plugin(const struct option_entry *option, struct options *options, void *target, const char *text,
                        struct error *error)
{
    struct plugin_setting *setting = &options->plugins[options->plugin_count];
    char *path = free_text(options);
    char *to;
    int code;

    (void)option;
    (void)target;
    if (options->plugin_count == PLUGINS_MAX) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL, "--plugin: more than %d plugins in a chain",
                         PLUGINS_MAX);
    }
    for (to = path; *text != '\0'; text++) {
        if (*text == ',' && *++text != ',') {
            break;
        }
        *to++ = *text;
    }
    *to++ = '\0';
    if (path[0] == '\0') {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--plugin: the file name is empty");
    }
    setting->path = path;
    code = parse_plugin_items(setting, text, to, error);
    if (code == 0) {
        options->plugin_count++;
    }
    return code;
}
