/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes the calls of supervisor, fork server and worker for one plugin, one after the other in the test's process.
 *
 * The plugin's log lines are collected. Descriptors are counted before and after, so each test of a refusal also finds
 * leaked descriptors. Runs in the test program.
 */
#include "attempt.h"

#include "plugin/plugin_file.h"
#include "plugin/plugin_load.h"
#include "plugin/plugin_options.h"

#include <dirent.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char log_text[ATTEMPT_LOG_MAX];

static void write_log(void *context, int level, const char *id, const char *text)
{
    size_t used = strlen(log_text);

    (void)context;
    (void)level;
    (void)id;
    snprintf(log_text + used, sizeof(log_text) - used, "%s\n", text);
}

static const struct host_services services = {.log = write_log};

static unsigned count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

void attempt_run(struct attempt *attempt, const char *path, const char *values)
{
    struct plugin *plugin = &attempt->plugin;

    memset(attempt, 0, sizeof(*attempt));
    log_text[0] = '\0';
    attempt->log = log_text;
    attempt->descriptors = count_descriptors();
    plugin->path = path;
    plugin->values_text = values;
    attempt->stage = ATTEMPT_CHECK;
    attempt->code = plugin_file_check(plugin, &attempt->error);
    if (attempt->code != 0) {
        return;
    }
    attempt->stage = ATTEMPT_LINK;
    attempt->code = plugin_link(plugin, &services, &attempt->error);
    if (attempt->code != 0) {
        return;
    }
    attempt->stage = ATTEMPT_LOAD;
    attempt->code = plugin_load(plugin, &attempt->error);
    if (attempt->code != 0) {
        return;
    }
    attempt->stage = ATTEMPT_OPEN;
    attempt->code = plugin_open(plugin, &attempt->error);
    if (attempt->code != 0) {
        return;
    }
    attempt->stage = ATTEMPT_ACCEPTED;
}

/*
 * Whether the plugin is mapped after dlclose(), as a C++ plugin may be. Then its copy must stay open, as in the engine:
 * the dynamic loader would take a later plugin with the same /proc/self/fd name for this one.
 */
static bool stays_mapped(const struct plugin *plugin)
{
    char name[32];
    void *library;

    snprintf(name, sizeof(name), "/proc/self/fd/%d", plugin->memfd);
    library = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (library != NULL) {
        dlclose(library);
    }
    return library != NULL;
}

void attempt_done(struct attempt *attempt)
{
    unsigned kept = 0;

    if (attempt->stage == ATTEMPT_ACCEPTED) {
        plugin_close(&attempt->plugin);
    }
    if (attempt->stage >= ATTEMPT_OPEN) {
        plugin_unload(&attempt->plugin);
    }
    plugin_options_done(&attempt->plugin.config);
    if (attempt->plugin.library != NULL) {
        dlclose(attempt->plugin.library);
        kept = stays_mapped(&attempt->plugin);
    }
    if (kept == 0) {
        plugin_file_close(&attempt->plugin);
    }
    assert_int_equal(count_descriptors(), attempt->descriptors + kept);
}

bool attempt_is_refused(const char *path, const char *values, enum attempt_stage stage, int code, const char *message)
{
    struct attempt attempt;
    bool as_expected;

    attempt_run(&attempt, path, values);
    as_expected = strcmp(attempt.error.text, message) == 0 && attempt.stage == stage && attempt.code == code;
    if (!as_expected) {
        print_error("%s,%s\n  expected: stage %d, %d, %s\n  got:      stage %d, %d, %s\n", path,
                    values != NULL ? values : "", stage, code, message, attempt.stage, attempt.code,
                    attempt.error.text);
    }
    attempt_done(&attempt);
    return as_expected;
}

void attempt_expect_success(const char *path, const char *values, const char *log)
{
    struct attempt attempt;

    attempt_run(&attempt, path, values);
    assert_string_equal(attempt.error.text, "");
    assert_int_equal(attempt.stage, ATTEMPT_ACCEPTED);
    if (log != NULL) {
        assert_string_equal(attempt.log, log);
    }
    attempt_done(&attempt);
}
