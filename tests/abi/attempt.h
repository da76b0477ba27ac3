/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attempt.h - checks, links, loads and opens a plugin in the test's process, until a step refuses it.
 *
 * The engine makes these calls in three processes. Here one process makes them all, so that a test can compare the
 * exact message, the error number and the stage of a refusal. It is only for plugins that return from their
 * functions; the tests that run the engine have the crashes and hangs.
 *
 * Always: after attempt_done(), no descriptor of the attempt is open, and the plugin is unmapped if dlclose() can do
 * so.
 */
#ifndef TESTS_ABI_ATTEMPT_H
#define TESTS_ABI_ATTEMPT_H

#include "base/error.h"
#include "plugin/plugin.h"

#define ATTEMPT_LOG_MAX 4096

/* The step that refused the plugin. */
enum attempt_stage { ATTEMPT_CHECK, ATTEMPT_LINK, ATTEMPT_LOAD, ATTEMPT_OPEN, ATTEMPT_ACCEPTED };

struct attempt {
    struct plugin plugin;
    enum attempt_stage stage;
    int code;
    struct error error; /* the text is empty if the plugin was accepted */
    const char *log;              /* the plugin's log lines; valid until the next attempt */
    unsigned descriptors;         /* open before the attempt */
};

/* values: "key=value,..." or NULL. */
void attempt_run(struct attempt *attempt, const char *path, const char *values);

/* Calls close() and unload() for what was opened and loaded, and unmaps the plugin. */
void attempt_done(struct attempt *attempt);

/*
 * Makes an attempt. Returns whether it is refused at `stage` with `code` and exactly this message; if not, prints what
 * happened instead. It does not fail the test, so that a table of cases can go on.
 */
bool attempt_is_refused(const char *path, const char *values, enum attempt_stage stage, int code, const char *message);

/* Asserts that the plugin is accepted and logs exactly these lines. log NULL: any lines. */
void attempt_expect_success(const char *path, const char *values, const char *log);

#endif
