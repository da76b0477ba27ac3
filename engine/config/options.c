/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of options, their defaults, and the memory that holds their strings.
 *
 * An entry of the table has an option's name, the form of its value, its parser, the member of struct options that it
 * sets, its limits and its help. A default that depends on what the plugins need is made by plan.c; the option is 0
 * here if it was not given. Runs before any process is forked.
 */
#include "config/options.h"

#include "base/arith.h"
#include "config/option_parsers.h"

#include <nfqe/plugin.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_NUMBER_MAX 65535
#define MAX_LEN_MAX (1024 * 1024)
#define REJECT_RATE_MAX 1000000
#define RECEIVE_BUFFER_MIN 4096
#define RECEIVE_BUFFER_MAX (1024 * 1024 * 1024)
#define TIMEOUT_MAX_MS (60 * 60 * 1000)
#define FLOW_TABLE_MAX (16 * 1024 * 1024) /* 1.1 GiB a queue */
#define FLOW_TIMEOUT_MIN_MS 1000
#define FLOW_TIMEOUT_MAX_MS (24 * 60 * 60 * 1000)

#define OUTAGE_RETRY_MIN_MS 100 /* a worker that fails at once must not keep a CPU busy */
#define OUTAGE_TIMEOUT_MIN_MS 10 /* another worker may need some milliseconds to start */

#define WORKER_UID_MIN 1000             /* lower ones are those of system users */
#define WORKER_UID_MAX (UINT32_MAX - 2) /* the last two mean "nobody" and "no user" */

#define PLUGIN_MEMORY_DEFAULT (UINT64_C(256) << 20)
#define PLUGIN_MEMORY_MAX (UINT64_C(1) << 40)

#define TARGET(member) .offset = offsetof(struct options, member)

const struct option_entry options_table[] = {
    {"plugin", "FILE[,KEY=VALUE...]", option_parse_plugin, TARGET(plugins), 0, 0,
     "Run this plugin. Repeat it for a chain: the first verdict other than CONTINUE\n"
     "decides. A comma inside a value is written twice. A name without / and .so is\n"
     "that of an installed plugin."},
    {"queue", "N|A-B", option_parse_queues, TARGET(queues), 0, QUEUE_NUMBER_MAX,
     "Serve this netfilter queue, or these; also A:B. May be repeated."},
    {"default-verdict", "accept|drop", option_parse_verdict, TARGET(default_verdict), 0, 0,
     "For packets on which no plugin decides. Default: accept."},
    {"on-crash", "drop|accept", option_parse_verdict, TARGET(on_crash), 0, 0,
     "For the one packet that a plugin crashed or hung on, or gave no valid verdict\nfor. Default: drop."},
    {"crash-limit", "N/TIME|off", option_parse_crash_limit, TARGET(crash_limit), 1, TIMEOUT_MAX_MS,
     "How often a plugin may crash, hang or fail to open within this time. At the Nth\n"
     "time, --on-crash-limit says what happens. Default: 20/1m."},
    {"on-crash-limit", "outage|skip|stop", option_parse_word, TARGET(on_crash_limit), 0, 0,
     "outage: packets are decided by --on-outage, and a worker is tried again every\n"
     "--outage-retry. skip: the plugin is left out of the chain. stop: the engine\n"
     "answers what is queued and exits with status 6. Default: outage."},
    {"outage-timeout", "TIME", option_parse_time, TARGET(outage_timeout_ms), OUTAGE_TIMEOUT_MIN_MS, TIMEOUT_MAX_MS,
     "How long a queue may be without a worker until --on-outage decides its packets.\n"
     "Default: 2s."},
    {"on-outage", "accept|drop|stop", option_parse_word, TARGET(on_outage), 0, 0,
     "For packets of a queue that has no worker, until it has one. stop: exit with\n"
     "status 6. Default: drop."},
    {"outage-retry", "TIME", option_parse_time, TARGET(outage_retry_ms), OUTAGE_RETRY_MIN_MS, TIMEOUT_MAX_MS,
     "How long an outage by --on-crash-limit lasts until a worker is tried again.\n"
     "Default: 10s."},
    {"on-stop", "accept|drop", option_parse_verdict, TARGET(on_stop), 0, 0,
     "For packets that arrive while the engine stops; what is queued already is\n"
     "decided by the plugins. Default: drop."},
    {"max-len", "N", option_parse_number, TARGET(max_len), 1, MAX_LEN_MAX,
     "Packets that may wait in a queue. Default: 8192."},
    {"receive-buffer", "BYTES", option_parse_size, TARGET(receive_buffer), RECEIVE_BUFFER_MIN, RECEIVE_BUFFER_MAX,
     "Socket buffer of each queue. Default: enough for max-len packets, up to 256M."},
    {"copy-range", "BYTES", option_parse_number, TARGET(copy_range), 1, COPY_RANGE_MAX,
     "Bytes of each packet that the kernel copies. Default: what the plugins need."},
    {"fail-open", NULL, option_parse_flag, TARGET(fail_open), 0, 0,
     "Accept packets that do not fit a full queue, instead of dropping them."},
    {"gso", "auto|on|off", option_parse_word, TARGET(gso), 0, 0,
     "Take segmentation offload packets whole. Default: auto, on unless a plugin\nneeds the payload, or packets as on "
     "the wire."},
    {"conntrack", NULL, option_parse_flag, TARGET(conntrack), 0, 0,
     "Ask for conntrack attributes, also if no plugin needs them."},
    {"uid-gid", NULL, option_parse_flag, TARGET(uid_gid), 0, 0,
     "Ask for the owner of local sockets, also if no plugin needs it."},
    {"secctx", NULL, option_parse_flag, TARGET(secctx), 0, 0,
     "Ask for the security context, also if no plugin needs it."},
    {"flow-table", "N", option_parse_number, TARGET(flow_table), 1, FLOW_TABLE_MAX,
     "Decided flows that each queue remembers, for plugins that decide for flows; 72\n"
     "to 80 bytes each. When full, one-packet flows make room first. Default: 65536."},
    {"flow-timeout", "TIME", option_parse_time, TARGET(flow_timeout_ms), FLOW_TIMEOUT_MIN_MS, FLOW_TIMEOUT_MAX_MS,
     "How long an accepted flow may be idle, and a dropped one lasts, until it is\n"
     "forgotten. Default: 5m."},
    {"bypass-mark", "BITS[/MASK]", option_parse_mark, TARGET(bypass_mark), 0, 0,
     "Set these bits in the mark of packets of accepted flows. With the rules that\n"
     "--print-rules prints, the kernel then lets the rest of the flow pass by itself."},
    {"repeat-mark", "MASK", option_parse_mark_field, TARGET(repeat_mask), REPEATS_MAX, 0,
     "Bits of the packet mark, side by side, in which is counted how often a plugin\n"
     "has the rules run again for a packet. Default: 0x70000000."},
    {"reject-by-rule", "BITS[/MASK]", option_parse_mark, TARGET(reject_by_rule), 0, 0,
     "Leave it to a rule to tell senders of dropped packets: those packets get this\n"
     "mark, and the rules that --print-rules prints reject them. Default: none."},
    {"reject-mark", "BITS[/MASK]", option_parse_mark, TARGET(reject_mark), 0, 0,
     "The packet mark of answers to senders of dropped packets. The rules that\n"
     "--print-rules prints let packets with these bits pass. Default: none."},
    {"reject-rate", "N", option_parse_number, TARGET(reject_rate), 1, REJECT_RATE_MAX,
     "Senders of dropped packets that each queue tells so in a second, if plugins ask\n"
     "for it. Default: 1000."},
    {"print-rules", "[=nft|iptables]", option_parse_rules, TARGET(print_rules), 0, 0,
     "Print firewall rules for the given queues and mark, IPv4 and IPv6, and exit."},
    {"plugin-info", "FILE", option_parse_plugin_info, TARGET(plugin_info), 0, 0,
     "Print what this plugin says of itself: version, needs, options, counters,\n"
     "reasons. Its load() is not called. Then exit."},
    {"no-enobufs", "on|off", option_parse_switch, TARGET(no_enobufs), 0, 0,
     "off: count each time that a socket was full as a receive error, too. The\n"
     "packets lost by it are counted by the kernel in any case. Default: on."},
    {"cpu", "LIST", option_parse_cpus, TARGET(cpus), 0, CPUS_MAX - 1,
     "Pin the workers to these CPUs in turn, e.g. 0,2-5."},
    {"workers", "N", option_parse_number, TARGET(workers), 1, WORKERS_MAX,
     "Workers of each queue. All packets of a flow go to the same one. Default: 1."},
    {"spares", "N", option_parse_number, TARGET(spares), 0, SPARES_MAX,
     "Workers of each queue that wait, with opened plugins, to replace one that\n"
     "crashed. Default: 1."},
    {"worker-uids", "FIRST-LAST|off", option_parse_uids, TARGET(worker_uids), WORKER_UID_MIN, WORKER_UID_MAX,
     "If the engine runs as root: user ids for workers, of which each has its own.\n"
     "Four for each worker and spare, one for each queue, and two are needed. off:\n"
     "they run as the engine's user. Default: 70000-94999."},
    {"priority", "normal|realtime", option_parse_word, TARGET(priority), 0, 0,
     "Of the processes that own the queues. normal: a short time slice. realtime:\n"
     "SCHED_RR: a flood of packets can take a CPU from everything else. Default:\n"
     "normal."},
    {"core-dumps", NULL, option_parse_flag, TARGET(core_dumps), 0, 0,
     "For authors of plugins: workers and the fork server leave a core when they\n"
     "crash, as ulimit -c and kernel.core_pattern say. It can hold packets."},
    {"plugin-memory", "BYTES", option_parse_size, TARGET(plugin_memory), 0, PLUGIN_MEMORY_MAX,
     "Memory that all plugins together may have the engine keep for them (areas).\n"
     "Default: 256m."},
    {"plugin-log", "error|warning|info|debug", option_parse_word, TARGET(plugin_log), 0, 0,
     "Lines that plugins log are shown from this level on. Default: info."},
    {"drain-timeout", "TIME", option_parse_time, TARGET(drain_timeout_ms), 1, TIMEOUT_MAX_MS,
     "How long a stop may take to answer what is queued. Default: 5s."},
    {"load-timeout", "TIME", option_parse_time, TARGET(load_timeout_ms), 1, TIMEOUT_MAX_MS,
     "How long a plugin may take to load and open. Default: 10s."},
    {"handle-timeout", "TIME", option_parse_time, TARGET(handle_timeout_ms), 10, TIMEOUT_MAX_MS,
     "How long a plugin may take over one packet, or one burst. Default: 1s."},
    {"help", NULL, option_parse_flag, TARGET(help), 0, 0, "Print this text. Also: -h."},
    {"version", NULL, option_parse_flag, TARGET(version), 0, 0,
     "Print the versions of the engine and the plugin ABI. Also: -v."},
};

const size_t options_table_count = ARRAY_SIZE(options_table);

_Static_assert(ARRAY_SIZE(options_table) <= 64, "options.given has a bit for each");

const struct option_entry *options_find(const char *name, size_t len)
{
    for (size_t i = 0; i < options_table_count; i++) {
        if (strlen(options_table[i].name) == len && strncmp(options_table[i].name, name, len) == 0) {
            return &options_table[i];
        }
    }
    return NULL;
}

bool options_given(const struct options *options, const char *name)
{
    return (options->given >> (options_find(name, strlen(name)) - options_table) & 1) != 0;
}

int options_init(struct options *options, size_t text_size, struct error *error)
{
    *options = (struct options){
        .max_len = 8192,
        .drain_timeout_ms = 5000,
        .load_timeout_ms = 10000,
        .handle_timeout_ms = 1000,
        .default_verdict = NFQE_ACCEPT,
        .on_crash = NFQE_DROP,
        .on_stop = NFQE_DROP,
        .no_enobufs = true,
        .crash_limit = {20, 60 * 1000},
        .plugin_log = NFQE_LOG_INFO,
        .plugin_memory = PLUGIN_MEMORY_DEFAULT,
        .on_crash_limit = CRASH_LIMIT_OUTAGE,
        .outage_timeout_ms = 2000,
        .on_outage = OUTAGE_DROP,
        .outage_retry_ms = 10 * 1000,
        .workers = 1,
        .spares = 1,
        .worker_uids = {WORKER_UIDS_FIRST, WORKER_UIDS_LAST},
        .text = calloc(1, text_size + 1),
    };
    return options->text != NULL ? 0 : error_set(error, EXIT_CODE_RUN_TIME, -ENOMEM, "out of memory");
}

void options_done(struct options *options)
{
    free(options->text);
    options->text = NULL;
}
