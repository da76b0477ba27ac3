/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_run.h - runs the real engine (the program in NFQE_ENGINE) in a new network namespace.
 *
 * Always: the engine dies with the test program (PR_SET_PDEATHSIG). A process that outlives the engine becomes a child
 * of the test program, which is a subreaper, and so is found. Standard error is read all the time, so a full pipe never
 * blocks the engine. Every wait has a limit; when it passes, the engine is ended and the test fails.
 *
 * Needs root, for the namespace and the queue.
 */
#ifndef TESTS_ABI_ENGINE_RUN_H
#define TESTS_ABI_ENGINE_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ENGINE_ARGUMENTS_MAX 24
#define ENGINE_OUTPUT_MAX (256 * 1024)

#define ENGINE_PROMPT_MS 3000 /* for an engine that refuses to start: less than any time-out, also on a busy machine */
#define ENGINE_END_LIMIT_MS 10000 /* for any end; then the engine is killed and the test fails */
#ifdef __SANITIZE_ADDRESS__
#define ENGINE_EXTRA_MS 4000 /* for the sanitizers' start, and their search for leaks */
#else
#define ENGINE_EXTRA_MS 0
#endif

struct engine_run {
    pid_t pid;
    int pidfd;
    int error_output; /* our end of the pipe from its standard error */
    uint64_t started_ns;
    unsigned took_ms; /* from start to end */
    int status; /* exit status, or -1 if a signal ended it */
    bool left_behind; /* a process outlived it */
    char output[ENGINE_OUTPUT_MAX]; /* its standard error so far, as a string */
    size_t len;
};

/*
 * Returns 0 if engines can be run here. Otherwise prints the reason and returns the exit status of the test program: 77
 * (skipped), or 1 with CI=true in the environment.
 */
int engine_run_possible(void);

/* Starts it with these arguments; the last one is NULL. */
void engine_start(struct engine_run *run, const char *const arguments[]);

/* Waits until its output contains `text` at or after `from`. Returns the place after it. */
const char *engine_wait_for(struct engine_run *run, const char *text, const char *from);

/* Waits for its end, at most limit_ms. */
void engine_wait_end(struct engine_run *run, unsigned limit_ms);

/*
 * Waits for its end. Returns whether it exited with `status` within limit_ms of its start (with the sanitizers, somewhat
 * later), left no process, and wrote exactly `expected`; if not, prints what was different.
 */
bool engine_ended(struct engine_run *run, int status, const char *expected, unsigned limit_ms);

void engine_signal(const struct engine_run *run, int number);

/* The pid of the process with this name (as in ps) among the engine's children. */
pid_t engine_child(const struct engine_run *run, const char *name);

/* The number of lines of the output that contain `text`. */
unsigned engine_count_lines(const struct engine_run *run, const char *text);

/* Ends the engine if it still runs; for a test's tear-down. */
void engine_kill(struct engine_run *run);

#endif
