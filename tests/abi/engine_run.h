/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_run.h - the real engine (the program in NFQE_ENGINE) in a network namespace of its own.
 *
 * Always: the engine dies with the test program (PR_SET_PDEATHSIG). What it leaves behind becomes a child of
 * the test program, which is a subreaper, so a process that outlives the engine is seen, whatever it is
 * called. Standard error is read as it comes: a full pipe never blocks the engine. No wait is without a limit,
 * and a limit that passes ends the engine and fails the test.
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

struct engine_run {
    pid_t pid;
    int pidfd;
    int error_output; /* what the engine's standard error writes to, our end */
    uint64_t started_ns;
    unsigned took_ms;               /* from start to end */
    int status;                     /* exit status, or -1 when a signal ended it */
    bool left_behind;               /* some process outlived it */
    char output[ENGINE_OUTPUT_MAX]; /* its standard error so far, a string */
    size_t len;
};

/*
 * 0 if engines can be run here. Otherwise prints the reason and returns what the test program exits with: 77
 * (skipped), or 1 where the environment says CI=true.
 */
int engine_run_possible(void);

/* Starts it with these arguments, ending with NULL. */
void engine_start(struct engine_run *run, const char *const arguments[]);

/* Waits until its output contains `text` at or behind `from`. Returns the place behind it. */
const char *engine_wait_for(struct engine_run *run, const char *text, const char *from);

/* Waits for its end, which must come within limit_ms. */
void engine_wait_end(struct engine_run *run, unsigned limit_ms);

void engine_signal(const struct engine_run *run, int number);

/* The pid of the process with this name (as in ps) among the engine's children. */
pid_t engine_child(const struct engine_run *run, const char *name);

/* How many lines of the output contain `text`. */
unsigned engine_count_lines(const struct engine_run *run, const char *text);

/* Ends what is still running; for a test's tear-down. */
void engine_kill(struct engine_run *run);

#endif
