/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options that contradict a plugin: the engine prints one line that names the option and the plugin, exits with
 * status 3 within a limit, and leaves no process. Options that agree: the engine starts, and logs the settings in
 * force.
 *
 * Each case runs the real engine on a queue in a new network namespace. Of --print-rules only is checked that it needs
 * nothing but a queue; unit.firewall_rules checks the rules.
 */
#include "abi_main.h"
#include "engine_run.h"
#include "scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define PLUGINS_MAX 3
#define OPTIONS_MAX 10
#define LARGEST_FILE                                                                                                   \
    (3 * 1024 * 1024) /* larger than a plugin or the memory of a queue, smaller than the default flow table */

static struct engine_run run = {.pidfd = -1};

struct configuration {
    const char *plugins[PLUGINS_MAX]; /* in the order of the plugin chain; ends with NULL */
    const char *options[OPTIONS_MAX];
    const char *lines[2]; /* refused: the line without its prefix; else what the log must have before "ready" */
};

#define NO_FLOWS ": no plugin of the chain decides for flows (NFQE_NEED_FLOW); leave the option out"
#define SEGMENTS "--gso on: plugin fields needs packets one by one, as they are on the wire; leave the option out"
#define COPY(range, id, bytes)                                                                                         \
    "--copy-range " range ": plugin " id " needs " bytes " bytes; leave the option out or raise it"

static const struct configuration refused[] = {
    {{"good"}, {"--flow-table", "1000"}, {"--flow-table" NO_FLOWS}},
    {{"good"}, {"--flow-timeout", "5m"}, {"--flow-timeout" NO_FLOWS}},
    {{"good"}, {"--bypass-mark", "0x1/0xff"}, {"--bypass-mark" NO_FLOWS}},
    {{"good"}, {"--bypass-mark", "1", "--flow-table", "1"}, {"--flow-table" NO_FLOWS}},
    {{"good", "fields_segments"}, {"--bypass-mark", "1"}, {"--bypass-mark" NO_FLOWS}},
    {{"fields_segments"}, {"--gso", "on"}, {SEGMENTS}},
    {{"good", "fields_segments"}, {"--gso=on"}, {SEGMENTS}},
    {{"fields_flow"}, {"--copy-range", "127"}, {COPY("127", "fields", "128")}},
    {{"fields_flow_short"}, {"--copy-range", "40"}, {COPY("40", "fields", "128")}},
    {{"fields_flow_headers"}, {"--copy-range", "199"}, {COPY("199", "fields", "200")}},
    {{"good", "fields_flow_headers"}, {"--copy-range", "199"}, {COPY("199", "fields", "200")}},
    {{"good", "fields_flow_headers"}, {"--copy-range", "127"}, {COPY("127", "good", "128")}},
    {{NULL},
     {"--print-rules", "--queue", "3"},
     {"--print-rules: the queues between 1 and 3 are not all given; one "
      "rule takes a range such as --queue 1-3"}},
};

#define DEFAULT_TABLE "queue 1: flow table for 65536 flows, 5 MiB, idle time-out 300000 ms\n"

static const struct configuration accepted[] = {
    {{"fields_flow"}, {NULL}, {"queue 1: max-len 8192, copy packet 512 bytes, ", DEFAULT_TABLE}},
    {{"good", "fields_flow"}, {NULL}, {"copy packet 512 bytes, ", DEFAULT_TABLE}},
    {{"fields_flow_short"}, {"--copy-range", "128"}, {"copy packet 128 bytes, ", DEFAULT_TABLE}},
    {{"fields_flow_headers"}, {NULL}, {"copy packet 512 bytes, ", DEFAULT_TABLE}},
    {{"fields_flow"},
     {"--flow-table", "1000000", "--flow-timeout", "1440m", "--bypass-mark", "0x1/0xff", "--copy-range", "300"},
     {"copy packet 300 bytes, ", "queue 1: flow table for 1000000 flows, 70 MiB, idle time-out 86400000 ms\n"}},
    {{"fields_flow"}, {"--flow-table=1"}, {"queue 1: flow table for 1 flows, 1 MiB, "}},
    {{"fields_flow"}, {"--gso=on"}, {" bytes, flags gso\n"}},
    {{"fields_segments"}, {NULL}, {" copy metadata only, ", " bytes, flags none\n"}},
    {{"good", "fields_segments"}, {"--gso", "auto"}, {" copy packet 512 bytes, ", " bytes, flags none\n"}},
    {{"fields_segments"}, {"--gso=off"}, {" bytes, flags none\n"}},
};

static void start(const struct configuration *configuration)
{
    const char *arguments[ENGINE_ARGUMENTS_MAX] = {"--queue", "1"};
    unsigned count = 2;

    for (unsigned i = 0; i < PLUGINS_MAX && configuration->plugins[i] != NULL; i++) {
        char name[64];

        snprintf(name, sizeof(name), "%u.so", i);
        arguments[count++] = "--plugin";
        arguments[count++] = scratch_copy(name, configuration->plugins[i]);
    }
    for (unsigned i = 0; i < OPTIONS_MAX && configuration->options[i] != NULL; i++) {
        arguments[count++] = configuration->options[i];
    }
    engine_start(&run, arguments);
}

static void each_contradiction_is_one_line_and_exit_status_3(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char expected[512];

        snprintf(expected, sizeof(expected), "nfq-engine: %s\n", refused[i].lines[0]);
        start(&refused[i]);
        failures += !engine_ended(&run, 3, expected, ENGINE_PROMPT_MS);
    }
    assert_int_equal(failures, 0);
}

static void what_plugins_need_of_a_queue_is_in_force(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        start(&accepted[i]);
        engine_wait_for(&run, "nfq-engine: ready\n", run.output);
        for (unsigned k = 0; k < 2 && accepted[i].lines[k] != NULL; k++) {
            if (strstr(run.output, accepted[i].lines[k]) == NULL) {
                print_error("case %u: no \"%s\" in:\n%s", i, accepted[i].lines[k], run.output);
                failures++;
            }
        }
        engine_signal(&run, SIGTERM);
        engine_wait_end(&run, ENGINE_END_LIMIT_MS);
        failures += run.status != 0 || run.left_behind;
    }
    assert_int_equal(failures, 0);
}

static void a_chain_that_decides_for_no_flow_has_no_flow_table(void **state)
{
    (void)state;
    start(&(const struct configuration){.plugins = {"good", "fields_segments"}});
    engine_wait_for(&run, "nfq-engine: ready\n", run.output);
    engine_signal(&run, SIGTERM);
    engine_wait_end(&run, ENGINE_END_LIMIT_MS);
    assert_int_equal(run.status, 0);
    assert_int_equal(engine_count_lines(&run, "flow table"), 0);
}

static struct rlimit file_limit;

/* Set-up of a test whose engine may make no file, and so no shared memory, that is larger than LARGEST_FILE. */
static int limit_files(void **state)
{
    struct rlimit limit;

    (void)state;
    if (getrlimit(RLIMIT_FSIZE, &file_limit) < 0) {
        return -1;
    }
    limit = file_limit;
    limit.rlim_cur = LARGEST_FILE;
    signal(SIGXFSZ, SIG_IGN);
    return setrlimit(RLIMIT_FSIZE, &limit);
}

static int unlimit_files(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_DFL);
    return setrlimit(RLIMIT_FSIZE, &file_limit);
}

/* The refusal comes before a queue is bound, instead of a worker's crash when the table fills. */
static void a_flow_table_that_does_not_fit_the_memory_is_refused(void **state)
{
    static const struct configuration flows = {.plugins = {"fields_flow"}};
    static const struct configuration few_flows = {.plugins = {"fields_flow"}, .options = {"--flow-table=100"}};

    (void)state;
    start(&flows);
    assert_true(engine_ended(&run, 1,
                             "nfq-engine: queue 1: no shared memory: File too large; run: ulimit -f unlimited; its "
                             "flow table takes the most, see --flow-table\n",
                             ENGINE_PROMPT_MS));
    start(&few_flows); /* or the line would not be about the flow table */
    engine_wait_for(&run, "nfq-engine: ready\n", run.output);
    engine_signal(&run, SIGTERM);
    engine_wait_end(&run, ENGINE_END_LIMIT_MS);
    assert_int_equal(run.status, 0);
}

/* 256 tables of 1.1 GiB are more than this machine has. The limit: an engine that does not refuse them takes none. */
static void flow_tables_larger_than_the_memory_are_refused_before_they_are_taken(void **state)
{
    static const char start_of_line[] = "nfq-engine: the queues take ";
    struct rlimit before;
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = LARGEST_FILE; /* or the machine would be without memory if they were not refused */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    start(&(const struct configuration){{"fields_flow"}, {"--queue", "2-256", "--flow-table", "16777216"}, {NULL}});
    engine_wait_end(&run, ENGINE_END_LIMIT_MS);
    assert_int_equal(run.status, 3);
    assert_int_equal(strncmp(run.output, start_of_line, sizeof(start_of_line) - 1), 0);
    assert_non_null(strstr(run.output, " (256 queues: flow tables "));
    assert_non_null(strstr(run.output, " MiB left; lower --flow-table"));
    setrlimit(RLIMIT_FSIZE, &before);
}

/* ---- --print-rules ----------------------------------------------------------------------------------- */

static void rules_are_printed_without_a_plugin_and_without_a_word(void **state)
{
    static const char *const forms[] = {"--print-rules", "--print-rules=nft", "--print-rules=iptables"};

    (void)state;
    for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        start(&(const struct configuration){.options = {forms[i]}});
        assert_true(engine_ended(&run, 0, "", ENGINE_PROMPT_MS));
        start(&(const struct configuration){.options = {forms[i], "--bypass-mark", "0x1", "--plugin", "./none.so"}});
        assert_true(engine_ended(&run, 0, "", ENGINE_PROMPT_MS));
    }
}

static void rules_go_to_standard_output(void **state)
{
    char command[512];
    char text[4096];
    FILE *pipe;
    size_t len;

    (void)state;
    snprintf(command, sizeof(command), "'%s' --print-rules=iptables --queue 4-7 --bypass-mark 0x10/0xf0",
             getenv("NFQE_ENGINE"));
    pipe = popen(command, "re"); /* NOLINT(cert-env33-c): our own program, in a test */
    assert_non_null(pipe);
    len = fread(text, 1, sizeof(text) - 1, pipe);
    text[len] = '\0';
    assert_int_equal(pclose(pipe), 0);
    assert_non_null(strstr(text, "\n-A nfqe-queue -m connmark --mark 0x10/0xf0 -j ACCEPT\n"
                                 "-A nfqe-queue -m conntrack --ctstate INVALID -j DROP\n"
                                 "-A nfqe-queue -j NFQUEUE --queue-balance 4:7 --queue-bypass\n"));
}

int main(void)
{
#define LIMITED(test) cmocka_unit_test_setup_teardown(test, limit_files, unlimit_files)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_contradiction_is_one_line_and_exit_status_3),
        cmocka_unit_test(what_plugins_need_of_a_queue_is_in_force),
        cmocka_unit_test(a_chain_that_decides_for_no_flow_has_no_flow_table),
        LIMITED(a_flow_table_that_does_not_fit_the_memory_is_refused),
        LIMITED(flow_tables_larger_than_the_memory_are_refused_before_they_are_taken),
        cmocka_unit_test(rules_are_printed_without_a_plugin_and_without_a_word),
        cmocka_unit_test(rules_go_to_standard_output),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), &run);
}
