/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a running engine promises a plugin: its options, its log, calls of its functions in the right order and process,
 * and that later changes of its file have no effect.
 *
 * Each test runs the real engine on a queue in a new network namespace. No test needs a packet; the plugin `narrator`
 * logs each call with the name of the process.
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
#include <unistd.h>

#include <cmocka.h>

#define STOP_LIMIT_MS 10000
#define STOP_PROMPT_MS 5000 /* 500 ms of drain-timeout and 1 s for the fork server; the rest is for a loaded machine */
#define LOG_LIMIT 20 /* lines a second in one process, as in nfqe/plugin.h */

static struct engine_run run = {.pidfd = -1};

/* Starts an engine on queue 1 with up to two plugins, and waits until it is ready. */
static void start(const char *first, const char *second)
{
    engine_start(&run, (const char *const[]){"--queue", "1", "--plugin", first, second != NULL ? "--plugin" : NULL,
                                             second, NULL});
    engine_wait_for(&run, "nfq-engine: ready\n", run.output);
}

static void stop(void)
{
    engine_signal(&run, SIGTERM);
    engine_wait_end(&run, STOP_LIMIT_MS);
    assert_int_equal(run.status, 0);
    assert_false(run.left_behind);
}

/* A copy of a built plugin and its options as one argument; valid until the next call. */
static const char *with_values(const char *plugin, const char *values)
{
    static char argument[2048];

    snprintf(argument, sizeof(argument), "%s,%s", scratch_copy("plugin.so", plugin), values);
    return argument;
}

/* The lines must be in the output, in this order. */
static void assert_in_order(const char *const lines[])
{
    const char *from = run.output;

    for (; *lines != NULL; lines++) {
        const char *found = strstr(from, *lines);

        if (found == NULL) {
            fail_msg("no line \"%s\" where it should be in:\n%s", *lines, run.output);
        }
        from = found + 1;
    }
}

/* A file of the scratch directory with this text. */
static const char *text_file(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

static void options_reach_load_with_types_and_defaults(void **state)
{
    (void)state;
    start(with_values("options", "name=a,,b,strict=no"), NULL);
    stop();
    assert_in_order((const char *const[]){
        "nfq-engine: plugin options: name \"a,b\"\n",
        "nfq-engine: plugin options: rate 16\n",
        "nfq-engine: plugin options: strict 0\n",
        "nfq-engine: plugin options: comment \"(none)\"\n",
        "nfq-engine: plugin options: any-number 0\n",
        "nfq-engine: ready\n",
        NULL,
    });
}

/* They are in a directory that the plugin's user may not search; it may search the one that it is given. */
static void files_and_directories_of_options_reach_load_opened(void **state)
{
    const char *directory = scratch_directory("directory", 0755);
    char values[1024];

    (void)state;
    text_file("directory/inside", "");
    snprintf(values, sizeof(values), "directory=%s,file=%s,out=%s,files=%s,files=%s", directory,
             text_file("file", "of file\n"), text_file("out", "of out\n"), text_file("first", "of first\n"),
             text_file("second", "of second\n"));
    start(with_values("option_types", values), NULL);
    stop();
    assert_in_order((const char *const[]){
        "nfq-engine: plugin option_types: file of file\n",
        "nfq-engine: plugin option_types: out of out, can be written\n",
        "nfq-engine: plugin option_types: directory with it\n",
        "nfq-engine: plugin option_types: files of first\n",
        "nfq-engine: plugin option_types: files of second\n",
        "nfq-engine: ready\n",
        NULL,
    });
}

/* Strings and lists are there in each worker, after load() has returned. */
static void the_config_struct_lives_on_in_the_workers(void **state)
{
    (void)state;
    start(with_values("option_types", "text=a,,b,word=one,word=two"), NULL);
    stop();
    assert_in_order((const char *const[]){
        "nfq-engine: plugin option_types: text \"a,b\"\n",
        "nfq-engine: plugin option_types: word \"one\"\n",
        "nfq-engine: plugin option_types: word \"two\"\n",
        "nfq-engine: queue 1: plugin option_types: text \"a,b\"\n",
        "nfq-engine: queue 1: plugin option_types: word \"one\"\n",
        "nfq-engine: queue 1: plugin option_types: word \"two\"\n",
        NULL,
    });
}

/* A comma in the file name is written twice, like one in a value. */
static void a_file_name_with_a_comma_is_written_with_two(void **state)
{
    char argument[512];
    const char *path = scratch_copy("a,b.so", "options");
    size_t directory_len = strlen(path) - strlen("a,b.so");

    (void)state;
    snprintf(argument, sizeof(argument), "%.*sa,,b.so,name=x", (int)directory_len, path);
    start(argument, NULL);
    stop();
    assert_int_equal(engine_count_lines(&run, "a,b.so), ABI 2.0"), 1);
}

static void each_function_is_called_once_in_its_process(void **state)
{
    (void)state;
    start(scratch_copy("plugin.so", "narrator_one"), NULL);
    stop();
    assert_in_order((const char *const[]){
        "nfq-engine: plugin narrator_one: load in nfqe-forkserver\n",
        "nfq-engine: queue 1: plugin narrator_one: open in nfqe-w1\n",
        "nfq-engine: ready\n",
        "nfq-engine: SIGTERM: ",
        "nfq-engine: queue 1: plugin narrator_one: close in nfqe-w1\n",
        "nfq-engine: plugin narrator_one: unload in nfqe-forkserver\n",
        NULL,
    });
    assert_int_equal(engine_count_lines(&run, "plugin narrator_one: "), 4);
}

/* load() is called once, before any worker exists, for any number of queues. */
static void each_worker_opens_and_closes_for_itself(void **state)
{
    static const char *const calls[] = {"open in nfqe-w", "close in nfqe-w"};
    const char *path = scratch_copy("plugin.so", "narrator_one");

    (void)state;
    engine_start(&run, (const char *const[]){"--queue", "5-7", "--plugin", path, NULL});
    engine_wait_for(&run, "nfq-engine: ready\n", run.output);
    stop();
    assert_int_equal(engine_count_lines(&run, "load in nfqe-forkserver"), 2); /* and unload */
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned queue = 5; queue <= 7; queue++) {
            char text[64];

            snprintf(text, sizeof(text), "plugin narrator_one: %s%u", calls[i], queue);
            assert_int_equal(engine_count_lines(&run, text), 1);
        }
    }
}

static void a_chain_goes_in_the_order_of_the_command_line(void **state)
{
    (void)state;
    start(scratch_copy("b.so", "narrator_two"), scratch_copy("a.so", "narrator_one"));
    stop();
    assert_in_order((const char *const[]){"plugin narrator_two: load", "plugin narrator_one: load",
                                          "plugin narrator_two: open", "plugin narrator_one: open",
                                          "plugin narrator_two 1.0.0 (", "plugin narrator_one 1.0.0 (", "ready", NULL});
    for (unsigned i = 0; i < 2; i++) {
        const char *id = i == 0 ? "narrator_one" : "narrator_two";
        char text[64];

        snprintf(text, sizeof(text), "plugin %s: close in nfqe-w1", id);
        assert_int_equal(engine_count_lines(&run, text), 1);
        snprintf(text, sizeof(text), "plugin %s: unload in nfqe-forkserver", id);
        assert_int_equal(engine_count_lines(&run, text), 1);
    }
}

static void a_cxx_plugin_runs(void **state)
{
    (void)state;
    start(scratch_copy("cxx.so", "header_cxx17"), scratch_copy("c.so", "header_c99"));
    stop();
    assert_int_equal(engine_count_lines(&run, "plugin header_cxx17 1.0.0 ("), 1);
}

static void a_file_of_another_user_is_warned_about(void **state)
{
    const char *path = scratch_copy("foreign.so", "good");
    char line[512];

    (void)state;
    assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
    start(path, NULL);
    stop();
    snprintf(line, sizeof(line),
             "nfq-engine: %s: warning: belongs to user 12345, who can change what the next start runs\n", path);
    assert_in_order((const char *const[]){line, "nfq-engine: ready\n", NULL});
}

/* ---- the log ----------------------------------------------------------------------------------------- */

static void log_lines_beyond_the_limit_are_counted(void **state)
{
    (void)state;
    start(with_values("narrator_one", "lines=100,pause=1100ms"), NULL);
    stop();
    assert_int_equal(engine_count_lines(&run, "plugin narrator_one: line "), LOG_LIMIT);
    assert_in_order((const char *const[]){
        "nfq-engine: plugin narrator_one: line 0\n",
        "nfq-engine: plugin narrator_one: line 19\n",
        "nfq-engine: plugin narrator_one: 80 more lines not shown (limit 20 a second)\n",
        "nfq-engine: plugin narrator_one: load in nfqe-forkserver\n",
        NULL,
    });
}

/* The limit counts each process's lines: the lines of load() in the fork server do not suppress the worker's first. */
static void each_process_has_a_log_limit_of_its_own(void **state)
{
    (void)state;
    start(with_values("narrator_one", "lines=20"), NULL);
    stop();
    assert_int_equal(engine_count_lines(&run, "plugin narrator_one: line "), LOG_LIMIT);
    assert_int_equal(engine_count_lines(&run, "plugin narrator_one: open in nfqe-w1"), 1);
}

static void a_log_line_is_cut_at_512_bytes(void **state)
{
    char values[1024];
    char line[1024];

    (void)state;
    snprintf(values, sizeof(values), "text=%0600d", 0);
    snprintf(line, sizeof(line), "nfq-engine: plugin narrator_one: warning: %0512d\n", 0);
    start(with_values("narrator_one", values), NULL);
    stop();
    assert_in_order((const char *const[]){line, NULL});
}

static void a_plugin_cannot_forge_a_log_line(void **state)
{
    (void)state;
    start(with_values("narrator_one", "text=a\nnfq-engine: ready\x1b[2J\x7f"), NULL);
    stop();
    assert_in_order((const char *const[]){"nfq-engine: plugin narrator_one: warning: a?nfq-engine: ready?[2J?\n",
                                          "nfq-engine: ready\n", NULL});
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* The fork server ignores a terminal's signals; a slow load() must not keep the engine from stopping. */
static void a_signal_during_load_ends_the_engine(void **state)
{
    (void)state;
    engine_start(
        &run, (const char *const[]){"--queue", "1", "--plugin", with_values("narrator_one", "lines=1,pause=5s"), NULL});
    engine_wait_for(&run, "plugin narrator_one: line 0\n", run.output);
    engine_signal(&run, SIGTERM);
    engine_wait_end(&run, 2000);
    assert_int_equal(run.status, 0);
    assert_false(run.left_behind);
}

/*
 * If a plugin fails in its last function, the engine still stops normally and in time. The log names the function,
 * and no process is started again.
 */
static bool stops_in_order(const char *function, const char *how)
{
    char values[64];
    char name[32];
    const char *stopping;
    bool good;

    snprintf(values, sizeof(values), "do=%s,in=%s", how, function);
    snprintf(name, sizeof(name), "%s()", function);
    engine_start(&run, (const char *const[]){"--queue", "1-2", "--drain-timeout", "500ms", "--plugin",
                                             with_values("misbehave", values), NULL});
    stopping = engine_wait_for(&run, "nfq-engine: ready\n", run.output);
    engine_signal(&run, SIGTERM);
    engine_wait_end(&run, STOP_LIMIT_MS);
    good = run.status == 0 && !run.left_behind && run.took_ms < STOP_PROMPT_MS && strstr(stopping, name) != NULL &&
           strstr(stopping, "is replaced") == NULL;
    if (!good) {
        print_error("%s: exit status %d, %u ms\n%s\n", values, run.status, run.took_ms, stopping);
    }
    return good;
}

static void a_plugin_that_misbehaves_at_the_end_does_not_disturb_the_stop(void **state)
{
    static const char *const ways[] = {"crash", "exit:3", "hang"};
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        failures += !stops_in_order("close", ways[i]);
        failures += !stops_in_order("unload", ways[i]);
    }
    assert_int_equal(failures, 0);
}

/* ---- the copy ---------------------------------------------------------------------------------------- */

/*
 * The file is overwritten in place, as cp does, with something that is no plugin. A new worker and a new fork server
 * still use the copy that was checked.
 */
static void a_plugin_replaced_on_disk_does_not_disturb_the_engine(void **state)
{
    static const char garbage[] = "this is no plugin any more";
    const char *seen;

    (void)state;
    start(scratch_copy("plugin.so", "narrator_one"), NULL);
    scratch_write("plugin.so", garbage, sizeof(garbage));

    seen = run.output + run.len;
    assert_int_equal(kill(engine_child(&run, "nfqe-w1"), SIGKILL), 0);
    seen = engine_wait_for(&run, "plugin narrator_one: open in nfqe-w1\n", seen);

    assert_int_equal(kill(engine_child(&run, "nfqe-forkserver"), SIGKILL), 0);
    seen = engine_wait_for(&run, "the fork server was killed (SIGKILL)\n", seen);
    seen = engine_wait_for(&run, "plugin narrator_one: load in nfqe-forkserver\n", seen);

    assert_int_equal(kill(engine_child(&run, "nfqe-w1"), SIGKILL), 0);
    engine_wait_for(&run, "plugin narrator_one: open in nfqe-w1\n", seen);
    stop();
    assert_int_equal(engine_count_lines(&run, "plugin narrator_one: close in nfqe-w1"), 1);
    assert_int_equal(engine_count_lines(&run, "plugin narrator_one: unload in nfqe-forkserver"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_reach_load_with_types_and_defaults),
        cmocka_unit_test(files_and_directories_of_options_reach_load_opened),
        cmocka_unit_test(the_config_struct_lives_on_in_the_workers),
        cmocka_unit_test(a_file_name_with_a_comma_is_written_with_two),
        cmocka_unit_test(each_function_is_called_once_in_its_process),
        cmocka_unit_test(each_worker_opens_and_closes_for_itself),
        cmocka_unit_test(a_chain_goes_in_the_order_of_the_command_line),
        cmocka_unit_test(a_cxx_plugin_runs),
        cmocka_unit_test(a_file_of_another_user_is_warned_about),
        cmocka_unit_test(log_lines_beyond_the_limit_are_counted),
        cmocka_unit_test(each_process_has_a_log_limit_of_its_own),
        cmocka_unit_test(a_log_line_is_cut_at_512_bytes),
        cmocka_unit_test(a_plugin_cannot_forge_a_log_line),
        cmocka_unit_test(a_signal_during_load_ends_the_engine),
        cmocka_unit_test(a_plugin_that_misbehaves_at_the_end_does_not_disturb_the_stop),
        cmocka_unit_test(a_plugin_replaced_on_disk_does_not_disturb_the_engine),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), &run);
}
