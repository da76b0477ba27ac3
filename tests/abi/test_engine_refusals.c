/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * If the engine cannot run a plugin, it prints one line, exits with status 4 and leaves no process. The zoo has the
 * cases with one plugin and one queue; here are a plugin chain, eight queues, and a long path.
 *
 * Each case runs the real engine on a queue in a new network namespace.
 */
#include "abi_main.h"
#include "engine_run.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LOAD_TIMEOUT "1s" /* of plugins that hang; its argument is left out with all after it for others */
#define HANG_LIMIT_MS 2000 /* one that computes, and gets less CPU than it could use, has twice the time */
#define REPETITIONS 10

static struct engine_run run = {.pidfd = -1};

/* Runs an engine that must refuse `path` with `message`. limit_ms: longer than ENGINE_PROMPT_MS: the plugin hangs. */
static bool is_refused(const char *path, const char *values, const char *queues, const char *message, unsigned limit_ms)
{
    char argument[1024];
    char expected[1024];

    snprintf(argument, sizeof(argument), "%s%s%s", path, values != NULL ? "," : "", values != NULL ? values : "");
    snprintf(expected, sizeof(expected), "nfq-engine: %s: %s\n", path, message);
    engine_start(&run,
                 (const char *const[]){"--plugin", argument, "--queue", queues,
                                       limit_ms > ENGINE_PROMPT_MS ? "--load-timeout" : NULL, LOAD_TIMEOUT, NULL});
    return engine_ended(&run, 4, expected, limit_ms);
}

/* The workers of eight queues fail one after the other; the failure is printed once. */
static void a_failure_in_every_worker_is_reported_once(void **state)
{
    const char *path = scratch_copy("plugin.so", "misbehave");
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < REPETITIONS; i++) {
        failures += !is_refused(path, "do=fail,in=open", "0-7", "open() failed: the list /etc/list cannot be read",
                                ENGINE_PROMPT_MS);
        failures += !is_refused(path, "do=crash,in=open", "0-7", "open() crashed (SIGSEGV)", ENGINE_PROMPT_MS);
    }
    failures += !is_refused(path, "do=hang,in=open", "0-7", "open() did not return within 1000 ms",
                            HANG_LIMIT_MS + ENGINE_PROMPT_MS);
    assert_int_equal(failures, 0);
}

/* Other plugins were loaded before; the message is about the one that failed. */
static void the_plugin_that_failed_is_named_in_a_chain(void **state)
{
    static const char *const ways[][2] = {
        {"do=crash,in=load", "load() crashed (SIGSEGV)"},
        {"do=fail,in=load", "load() failed: the list /etc/list cannot be read"},
        {"do=hang,in=load", "load() did not return within 1000 ms"},
        {"do=crash,in=open", "open() crashed (SIGSEGV)"},
        {"do=fail,in=open", "open() failed: the list /etc/list cannot be read"},
        {"do=hang,in=open", "open() did not return within 1000 ms"},
    };
    const char *first = scratch_copy("first.so", "good");
    const char *second = scratch_copy("second.so", "misbehave");
    const char *third = scratch_copy("third.so", "later_minor");
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        const bool hangs = strncmp(ways[i][0], "do=hang", strlen("do=hang")) == 0;
        char argument[512];
        char expected[1024];

        snprintf(argument, sizeof(argument), "%s,%s", second, ways[i][0]);
        snprintf(expected, sizeof(expected), "nfq-engine: %s: %s\n", second, ways[i][1]);
        engine_start(&run, (const char *const[]){"--plugin", first, "--plugin", argument, "--plugin", third, "--queue",
                                                 "1", hangs ? "--load-timeout" : NULL, LOAD_TIMEOUT, NULL});
        failures += !engine_ended(&run, 4, expected, (hangs ? HANG_LIMIT_MS : 0) + ENGINE_PROMPT_MS);
    }
    assert_int_equal(failures, 0);
}

/* Build systems make paths of 600 bytes; such a path must not push the reason out of the line. */
static void a_long_path_does_not_hide_the_reason(void **state)
{
    static const char *const ways[][2] = {
        {"do=fail,in=load", "load() failed: the list /etc/list cannot be read"},
        {"do=crash,in=load", "load() crashed (SIGSEGV)"},
        {"do=fail,in=open", "open() failed: the list /etc/list cannot be read"},
        {"do=crash,in=open", "open() crashed (SIGSEGV)"},
    };
    char name[1024] = "";
    char directory[251];
    const char *path;
    unsigned failures = 0;

    (void)state;
    memset(directory, 'd', sizeof(directory) - 1);
    directory[sizeof(directory) - 1] = '\0';
    for (unsigned i = 0; i < 2; i++) {
        strcat(name, i > 0 ? "/" : "");
        strcat(name, directory);
        scratch_directory(name, 0755);
    }
    strcat(name, "/plugin.so");
    path = scratch_copy(name, "misbehave");
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        failures += !is_refused(path, ways[i][0], "1", ways[i][1], ENGINE_PROMPT_MS);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_in_every_worker_is_reported_once),
        cmocka_unit_test(the_plugin_that_failed_is_named_in_a_chain),
        cmocka_unit_test(a_long_path_does_not_hide_the_reason),
    };

    return abi_main(tests, sizeof(tests) / sizeof(tests[0]), &run);
}
