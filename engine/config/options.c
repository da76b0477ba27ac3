/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of options, and the command line parser that it drives.
 *
 * An option is one line of the table: how it is written, where its value goes, what it may be and what the
 * help says. A kind of value is one parse function, which fills the error when it fails.
 */
#include "config/options.h"

#include "base/error.h"
#include "base/text_value.h"
#include "base/util.h"

#include <nfqe/plugin.h>
#include <nfqe/version.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_NUMBER_MAX 65535
#define MAX_LEN_MAX (1024 * 1024)
#define RECEIVE_BUFFER_MIN 4096
#define RECEIVE_BUFFER_MAX (1024 * 1024 * 1024)
#define TIMEOUT_MAX_MS (60 * 60 * 1000)
#define FLOW_TABLE_MAX (16 * 1024 * 1024) /* 1.1 GiB a queue */
#define FLOW_TIMEOUT_MIN_MS 1000
#define FLOW_TIMEOUT_MAX_MS (24 * 60 * 60 * 1000)

struct option;

/* Parses `text` into *target. Returns 0, or a negative errno with the error filled. */
typedef int parse_value(const struct option *option, struct options *options, void *target, const char *text,
                        struct error *error);

struct option {
    const char *name;
    const char *value; /* how the help writes the value; NULL: takes none; with '[' first, it may be left out */
    parse_value *parse;
    size_t offset;     /* of the target in struct options */
    uint64_t min;
    uint64_t max;
    const char *help;
};

static parse_value parse_plugin, parse_queues, parse_cpus, parse_number, parse_size, parse_time, parse_verdict,
    parse_gso, parse_switch, parse_flag, parse_mark, parse_rules;

#define TARGET(member) .offset = offsetof(struct options, member)

static const struct option option_table[] = {
    {"plugin", "FILE[,KEY=VALUE...]", parse_plugin, TARGET(plugins), 0, 0,
     "Run this plugin. Repeat it for a chain: the first verdict other than CONTINUE\n"
     "decides. A comma inside a value is written twice."},
    {"queue", "N|A-B", parse_queues, TARGET(queues), 0, QUEUE_NUMBER_MAX,
     "Serve this netfilter queue, or these. May be repeated."},
    {"default-verdict", "accept|drop", parse_verdict, TARGET(default_verdict), 0, 0,
     "For packets on which no plugin has an opinion. Default: accept."},
    {"on-crash", "drop|accept", parse_verdict, TARGET(on_crash), 0, 0,
     "For the one packet that a plugin crashed, hung or answered nonsense on.\nDefault: drop."},
    {"on-stop", "accept|drop", parse_verdict, TARGET(on_stop), 0, 0,
     "For packets that arrive while the engine stops; what is queued already is\n"
     "decided by the plugins. Default: drop."},
    {"max-len", "N", parse_number, TARGET(max_len), 1, MAX_LEN_MAX, "Packets that may wait in a queue. Default: 8192."},
    {"receive-buffer", "BYTES", parse_size, TARGET(receive_buffer), RECEIVE_BUFFER_MIN, RECEIVE_BUFFER_MAX,
     "Socket buffer of each queue. Default: enough for max-len packets."},
    {"copy-range", "BYTES", parse_number, TARGET(copy_range), 1, COPY_RANGE_MAX,
     "Bytes of each packet that the kernel copies. Default: what the plugins need."},
    {"fail-open", NULL, parse_flag, TARGET(fail_open), 0, 0,
     "Accept packets that do not fit a full queue, instead of dropping them."},
    {"gso", "on|off|auto", parse_gso, TARGET(gso), 0, 0,
     "Take segmentation offload packets whole. Default: auto, on unless a plugin\ncannot live with it."},
    {"conntrack", NULL, parse_flag, TARGET(conntrack), 0, 0,
     "Ask for conntrack attributes, also if no plugin needs them."},
    {"uid-gid", NULL, parse_flag, TARGET(uid_gid), 0, 0,
     "Ask for the owner of local sockets, also if no plugin needs it."},
    {"secctx", NULL, parse_flag, TARGET(secctx), 0, 0, "Ask for the security context, also if no plugin needs it."},
    {"flow-table", "N", parse_number, TARGET(flow_table), 1, FLOW_TABLE_MAX,
     "Decided flows that each queue remembers, for plugins that decide for flows; 72\n"
     "to 80 bytes each. When full, the longest idle one makes room. Default: 65536."},
    {"flow-timeout", "TIME", parse_time, TARGET(flow_timeout_ms), FLOW_TIMEOUT_MIN_MS, FLOW_TIMEOUT_MAX_MS,
     "How long a decided flow may be idle until it is forgotten. Default: 5m."},
    {"bypass-mark", "BITS[/MASK]", parse_mark, TARGET(bypass_mark), 0, 0,
     "Set these bits in the mark of packets of accepted flows. With the rules that\n"
     "--print-rules prints, the kernel then lets the rest of the flow pass by itself."},
    {"print-rules", "[=nft|iptables]", parse_rules, TARGET(print_rules), 0, 0,
     "Print firewall rules for the given queues and mark, and exit."},
    {"no-enobufs", "on|off", parse_switch, TARGET(no_enobufs), 0, 0,
     "off: count each time that a socket was full as a receive error, too. The\n"
     "packets lost by it are counted by the kernel in any case. Default: on."},
    {"cpu", "LIST", parse_cpus, TARGET(cpus), 0, CPUS_MAX - 1, "Pin the workers to these CPUs in turn, e.g. 0,2-5."},
    {"drain-timeout", "TIME", parse_time, TARGET(drain_timeout_ms), 1, TIMEOUT_MAX_MS,
     "How long a stop may take to answer what is queued. Default: 5s."},
    {"load-timeout", "TIME", parse_time, TARGET(load_timeout_ms), 1, TIMEOUT_MAX_MS,
     "How long a plugin may take to load and open. Default: 10s."},
    {"handle-timeout", "TIME", parse_time, TARGET(handle_timeout_ms), 10, TIMEOUT_MAX_MS,
     "How long a plugin may take over one packet, or one burst. Default: 1s."},
    {"help", NULL, parse_flag, TARGET(help), 0, 0, "Print this text."},
    {"version", NULL, parse_flag, TARGET(version), 0, 0, "Print the versions of the engine and the plugin ABI."},
};

static int check_range(const struct option *option, uint64_t number, const char *text, struct error *error)
{
    if (number < option->min || number > option->max) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be %" PRIu64 " to %" PRIu64, option->name,
                         text, option->min, option->max);
    }
    return 0;
}

static int parse_number(const struct option *option, struct options *options, void *target, const char *text,
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

static int parse_size(const struct option *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    (void)options;
    if (!text_value_read_size(text, target)) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--%s %s: must be a number of bytes, such as 65536, 512K or 64M", option->name, text);
    }
    return check_range(option, *(const uint64_t *)target, text, error);
}

static int parse_time(const struct option *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    uint64_t ms;

    (void)options;
    if (!text_value_read_time(text, &ms) || ms < option->min || ms > option->max) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--%s %s: must be a time with its unit, such as 500ms or 5s, from %" PRIu64 "ms to %" PRIu64
                         "m",
                         option->name, text, option->min, option->max / (60 * 1000));
    }
    *(uint64_t *)target = ms;
    return 0;
}

static int parse_mark(const struct option *option, struct options *options, void *target, const char *text,
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

static int parse_verdict(const struct option *option, struct options *options, void *target, const char *text,
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

static int parse_gso(const struct option *option, struct options *options, void *target, const char *text,
                     struct error *error)
{
    static const char *const names[] = {[GSO_AUTO] = "auto", [GSO_ON] = "on", [GSO_OFF] = "off"};

    (void)options;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *(enum gso_setting *)target = (enum gso_setting)i;
            return 0;
        }
    }
    return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be on, off or auto", option->name, text);
}

static int parse_rules(const struct option *option, struct options *options, void *target, const char *text,
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

static int parse_switch(const struct option *option, struct options *options, void *target, const char *text,
                        struct error *error)
{
    (void)options;
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s %s: must be on or off", option->name, text);
    }
    *(bool *)target = strcmp(text, "on") == 0;
    return 0;
}

static int parse_flag(const struct option *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    (void)options;
    if (text != NULL) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "--%s: takes no value", option->name);
    }
    *(bool *)target = true;
    return 0;
}

/* `N` or `A-B` at the start of `text`, within the option's limits. */
static bool read_range(const struct option *option, const char *text, const char **end, uint64_t *first, uint64_t *last)
{
    if (!text_value_read_digits(text, end, first)) {
        return false;
    }
    *last = *first;
    if (**end == '-' && !text_value_read_digits(*end + 1, end, last)) {
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

static int parse_queues(const struct option *option, struct options *options, void *target, const char *text,
                        struct error *error)
{
    int code = 0;
    uint64_t first;
    uint64_t last;
    const char *end;

    (void)target;
    if (!read_range(option, text, &end, &first, &last) || *end != '\0') {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL,
                         "--queue %s: must be a number from 0 to %d or a range such as 0-3", text, QUEUE_NUMBER_MAX);
    }
    for (uint64_t number = first; number <= last && code == 0; number++) {
        code = add_queue(options, number, error);
    }
    return code;
}

static int parse_cpus(const struct option *option, struct options *options, void *target, const char *text,
                      struct error *error)
{
    const char *next = text;

    (void)target;
    options->cpu_count = 0;
    for (;;) {
        uint64_t first;
        uint64_t last;

        if (!read_range(option, next, &next, &first, &last) || (*next != ',' && *next != '\0')) {
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

/* Copies `text` into the strings that options owns, and cuts it at its first single comma. */
static int parse_plugin(const struct option *option, struct options *options, void *target, const char *text,
                        struct error *error)
{
    struct plugin_setting *setting = &options->plugins[options->plugin_count];
    char *path;
    char *to;

    (void)option;
    (void)target;
    if (options->plugin_count == PLUGINS_MAX) {
        return error_set(error, EXIT_CODE_CONFIGURATION, -EINVAL, "--plugin: more than %d plugins in a chain",
                         PLUGINS_MAX);
    }
    /* The text area is as long as all arguments together; each copy is at most as long as its argument. */
    for (path = options->text; *path != '\0'; path += strlen(path) + 1) {
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
    if (text[0] != '\0') {
        setting->values = strcpy(to, text);
    }
    options->plugin_count++;
    return 0;
}

static const struct option *find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(option_table); i++) {
        if (strlen(option_table[i].name) == len && strncmp(option_table[i].name, name, len) == 0) {
            return &option_table[i];
        }
    }
    return NULL;
}

/* One option at argv[*index], as `--name value` or `--name=value`. */
static int parse_argument(struct options *options, int argc, char *const argv[], int *index, struct error *error)
{
    const char *argument = argv[*index];
    const struct option *option;
    const char *value;
    size_t name_len;

    if (strncmp(argument, "--", 2) != 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "%s: not an option; see nfq-engine --help", argument);
    }
    name_len = strcspn(argument + 2, "=");
    option = find_option(argument + 2, name_len);
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
    return option->parse(option, options, (char *)options + option->offset, value, error);
}

int options_parse(struct options *options, int argc, char *const argv[], struct error *error)
{
    int code = 0;
    size_t text_size = 1;

    *options = (struct options){
        .max_len = 8192,
        .drain_timeout_ms = 5000,
        .load_timeout_ms = 10000,
        .handle_timeout_ms = 1000,
        .default_verdict = NFQE_ACCEPT,
        .on_crash = NFQE_DROP,
        .on_stop = NFQE_DROP,
        .no_enobufs = true,
    };
    for (int i = 1; i < argc; i++) {
        text_size += strlen(argv[i]) + 2;
    }
    options->text = calloc(1, text_size);
    if (options->text == NULL) {
        return error_set(error, EXIT_CODE_RUN_TIME, -EINVAL, "out of memory");
    }
    for (int i = 1; i < argc && code == 0; i++) {
        code = parse_argument(options, argc, argv, &i, error);
    }
    if (code != 0 || options->help || options->version) {
        return code;
    }
    if (options->plugin_count == 0 && options->print_rules == RULES_NONE) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "no plugin given: add --plugin FILE; see nfq-engine --help");
    }
    if (options->queue_count == 0) {
        return error_set(error, EXIT_CODE_USAGE, -EINVAL, "no queue given: add --queue N; see nfq-engine --help");
    }
    return 0;
}

void options_done(struct options *options)
{
    free(options->text);
    options->text = NULL;
}

void options_print_help(void)
{
    printf("Usage: nfq-engine --plugin FILE[,KEY=VALUE...] --queue N [OPTION...]\n"
           "\n"
           "Takes the packets of netfilter queues and lets plugins decide: accept or drop.\n"
           "\n");
    for (size_t i = 0; i < ARRAY_SIZE(option_table); i++) {
        const struct option *option = &option_table[i];

        printf("  --%s%s%s\n", option->name, option->value != NULL && option->value[0] != '[' ? " " : "",
               option->value != NULL ? option->value : "");
        for (const char *line = option->help; line != NULL;) {
            const char *end = strchr(line, '\n');

            printf("        %.*s\n", end != NULL ? (int)(end - line) : (int)strlen(line), line);
            line = end != NULL ? end + 1 : NULL;
        }
    }
    printf("\n"
           "Exit status: 0 stopped in order, 1 run time error, 2 usage, 3 configuration,\n"
           "4 plugin refused, 5 queue cannot be bound.\n");
}
