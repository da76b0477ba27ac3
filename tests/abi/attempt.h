/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attempt.h - takes a plugin through check, link, load and open in the test's own process, as far as it gets.
 *
 * The engine makes these calls in three processes; here they follow each other in one, so that a test sees
 * the exact message, the error number and the stage of a refusal without any process around it. Only for
 * plugins that return from their functions: crashes and hangs are the business of the engine tests.
 *
 * Always: attempt_done() leaves nothing behind, no descriptor and, where the language allows it, no mapping.
 */
#ifndef TESTS_ABI_ATTEMPT_H
#define TESTS_ABI_ATTEMPT_H

#include "base/error.h"
#include "plugin/plugin.h"

#define ATTEMPT_LOG_MAX 4096

/* Where it was refused. */
enum attempt_stage { ATTEMPT_CHECK, ATTEMPT_LINK, ATTEMPT_LOAD, ATTEMPT_OPEN, ATTEMPT_ACCEPTED };

struct attempt {
    struct plugin plugin;
    enum attempt_stage stage;
    int code;
    struct error error; /* its text is empty when it was accepted */
    const char *log;              /* what the plugin logged, one line each; valid until the next attempt */
    unsigned descriptors;         /* open before the attempt */
};

/* values: "key=value,..." or NULL. */
void attempt_run(struct attempt *attempt, const char *path, const char *values);

/* Calls close() and unload() if it got that far, and unmaps the plugin. */
void attempt_done(struct attempt *attempt);

/*
 * One attempt. Whether it is refused at `stage` with `code` and exactly this message; if not, prints what
 * happened instead, so that a table of cases can go on.
 */
bool attempt_is_refused(const char *path, const char *values, enum attempt_stage stage, int code, const char *message);

/* One attempt that must be accepted, and log exactly these lines. log: NULL: whatever it logs. */
void attempt_expect_success(const char *path, const char *values, const char *log);

#endif
