/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options as the user gave them, and the table that describes every option: its name, value, limits and help. The
 * command line parser and --help read the same table.
 *
 * Nothing here depends on the machine. Whether a queue can be bound or a plugin loaded is checked later, in the
 * supervisor.
 */
#ifndef ENGINE_CONFIG_OPTIONS_H
#define ENGINE_CONFIG_OPTIONS_H

#include "base/error.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which the help lists the words. */
enum gso_setting { GSO_AUTO, GSO_ON, GSO_OFF };
enum priority_setting { PRIORITY_NORMAL, PRIORITY_REALTIME };
enum crash_limit_action { CRASH_LIMIT_OUTAGE, CRASH_LIMIT_SKIP, CRASH_LIMIT_STOP };
enum outage_action { OUTAGE_ACCEPT, OUTAGE_DROP, OUTAGE_STOP };

enum rules_form { RULES_NONE, RULES_BOTH, RULES_NFT, RULES_IPTABLES };

/* Bits of a 32-bit mark, and the mask through which they are written and compared. */
struct mark_setting {
    uint32_t bits;
    uint32_t mask; /* 0: not given */
};

/* So many crashes within a time are too many. */
struct crash_limit_setting {
    uint64_t count; /* 0: off, never too many */
    uint64_t window_ms;
};

/* User ids, each also used as a group id. */
struct uid_range {
    uint32_t first; /* 0: off, no user ids of their own */
    uint32_t last;
};

struct plugin_setting {
    const char *path;
    const char *name;   /* of this one in the chain, from @name=NAME; NULL: none */
    const char *values; /* "key=value,key=value"; NULL: none */
};

struct options {
    struct plugin_setting plugins[PLUGINS_MAX];
    unsigned plugin_count;
    uint16_t queues[QUEUES_MAX];
    unsigned queue_count;
    uint16_t cpus[CPUS_MAX];
    unsigned cpu_count;           /* 0: workers run where the scheduler puts them */
    struct crash_limit_setting crash_limit;
    enum crash_limit_action on_crash_limit;
    uint64_t outage_timeout_ms;
    enum outage_action on_outage;
    uint64_t outage_retry_ms;     /* from a worker that failed to the next one, in an outage */
    uint64_t workers;             /* of each queue */
    uint64_t spares;              /* of each queue, besides the workers */
    struct uid_range worker_uids; /* of workers and spares */
    enum priority_setting priority;
    bool core_dumps;              /* of workers and fork server */
    uint64_t plugin_memory;       /* bytes of all areas that plugins declare */
    unsigned plugin_log;          /* enum nfqe_log_level: plugins' lines of later levels are not shown */
    uint64_t max_len;             /* packets */
    uint64_t receive_buffer;      /* bytes; 0: sized from max_len and the copy range */
    uint64_t copy_range;          /* bytes; 0: what the plugins need */
    uint64_t drain_timeout_ms;
    uint64_t load_timeout_ms;
    uint64_t handle_timeout_ms;
    uint64_t flow_table;          /* flows of each queue; 0: not given */
    uint64_t flow_timeout_ms;     /* 0: not given */
    struct mark_setting bypass_mark;
    uint32_t repeat_mask;         /* 0: not given */
    struct mark_setting reject_mark;
    struct mark_setting reject_by_rule;
    uint64_t reject_rate;         /* answers a second of each queue; 0: not given */
    enum rules_form print_rules;
    const char *plugin_info;      /* the plugin to print what it says of itself; NULL: none */
    enum gso_setting gso;
    bool fail_open;
    bool conntrack;
    bool uid_gid;
    bool secctx;
    bool no_enobufs;              /* the kernel does not report a full socket as a receive error */
    uint32_t default_verdict;     /* NFQE_ACCEPT or NFQE_DROP, also the next two */
    uint32_t on_crash;
    uint32_t on_stop;
    bool help;
    bool version;
    const char *plugin_directory; /* where installed plugins are; NULL: unknown. Not an option, and not owned */
    bool nft_queue_missing; /* this kernel has no queue statement for nft. Not an option */
    uint64_t given;               /* bit n: options_table[n] was */
    char *text;                   /* owns the strings that plugins[] and plugin_info point to */
};

struct option_entry;

/* Parses `text` into *target. text: NULL if no value was given. Returns 0 or a negative errno with the error filled. */
typedef int option_parser(const struct option_entry *option, struct options *options, void *target, const char *text,
                          struct error *error);

struct option_entry {
    const char *name;
    const char
        *value; /* how the help writes the value; NULL: takes none; if it starts with '[', the value may be left out */
    option_parser *parse;
    size_t offset; /* of the target in struct options */
    uint64_t min;
    uint64_t max;
    const char *help;
};

extern const struct option_entry options_table[];
extern const size_t options_table_count;

/* The option with this name, or NULL. */
const struct option_entry *options_find(const char *name, size_t len);

/* Whether the user gave the option with this name, which must be in the table. */
bool options_given(const struct options *options, const char *name);

/*
 * Sets the defaults. text_size: at least the lengths of all plugin settings plus 2 bytes for each. Returns 0 or -ENOMEM
 * with the error filled. Call options_done() also after a failure; calling it again does nothing.
 */
int options_init(struct options *options, size_t text_size, struct error *error);

void options_done(struct options *options);

#endif
