/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zoo: the real engine with every kind of bad plugin. Each animal is one test: exit status and message are as in
 * golden/, and the engine ends in time and leaves no process, no bound queue and no file.
 *
 * All runs share the network namespace of this program, so that a queue that stays bound is noticed. Since engine_run.h
 * starts each engine in a new namespace, NFQE_ENGINE is set to this program, which returns to the shared namespace and
 * then executes the engine.
 */
#include "abi_main.h"
#include "engine_run.h"
#include "scratch.h"
#include "zoo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE_BYTES 8192
#define ARGUMENT_BYTES (100 * 1024)
#define LOAD_TIMEOUT "1s"
#define HANG_LIMIT_MS 2000 /* a plugin that computes, and gets less CPU than it could use, has twice the time */

#define REAL_ENGINE "NFQE_ZOO_REAL_ENGINE"
#define NAMESPACE "NFQE_ZOO_NAMESPACE"
#define AS_ANYBODY "NFQE_ZOO_AS_ANYBODY"

static const struct animal *const tables[] = {zoo_files, zoo_heads, zoo_options, zoo_functions, NULL};
static struct engine_run run = {.pidfd = -1};

/* ---- one run ----------------------------------------------------------------------------------------- */

static void start(const struct animal *animal, const char *path)
{
    static char argument[ARGUMENT_BYTES];
    const char *in_front = animal->in_front != NULL ? animal->in_front(path) : NULL;
    const char *arguments[12] = {"--queue", "1"};
    unsigned count = 2;
    size_t len;

    snprintf(argument, sizeof(argument), "%s%s%s", path, animal->values != NULL ? "," : "",
             animal->values != NULL ? animal->values : "");
    len = strlen(argument);
    assert_true(len + animal->padding < sizeof(argument));
    memset(argument + len, 'x', animal->padding);
    argument[len + animal->padding] = '\0';
    if (animal->hangs) {
        arguments[count++] = "--load-timeout";
        arguments[count++] = LOAD_TIMEOUT;
    }
    if (animal->one_user) {
        arguments[count++] = "--worker-uids";
        arguments[count++] = "off";
    }
    if (in_front != NULL) {
        arguments[count++] = "--plugin";
        arguments[count++] = in_front;
    }
    arguments[count++] = "--plugin";
    arguments[count] = argument;
    if (animal->as_anybody) {
        setenv(AS_ANYBODY, "1", 1);
    }
    engine_start(&run, arguments);
    unsetenv(AS_ANYBODY);
}

/* The line for golden/. False, and an empty line: the output is not exactly one line. */
static bool find_line(const char *shows, const char *path, char *line, size_t size)
{
    const char *from = run.output;

    if (engine_count_lines(&run, shows) != 1 || (shows[0] == '\0' && run.len > 0 && run.output[run.len - 1] != '\n')) {
        print_error("not one line with \"%s\" in:\n%s", shows, run.output);
        return false;
    }
    for (;;) {
        const char *end = strchrnul(from, '\n');
        const char *found = strstr(from, shows);

        if (found != NULL && found < end + (shows[0] == '\0')) {
            golden_normalize(from, (size_t)(end - from), path, line, size);
            return true;
        }
        from = end + 1;
    }
}

/* ---- what is left after a run ------------------------------------------------------------------------- */

/* Whether a queue is bound in the shared namespace; its line in /proc. */
static bool is_queue_bound(char *line, int size)
{
    FILE *file = fopen("/proc/self/net/netfilter/nfnetlink_queue", "re");
    bool bound;

    assert_non_null(file);
    bound = fgets(line, size, file) != NULL;
    fclose(file);
    return bound;
}

/* Whether `directory` has no entry whose name contains `name`. */
static bool has_none(const char *directory, const char *name)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    bool none = true;

    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strstr(entry->d_name, name) != NULL) {
            print_error("%s/%s was left\n", directory, entry->d_name);
            none = false;
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return none;
}

static bool nothing_is_left(void)
{
    bool good = !run.left_behind;
    char queue[256];

    if (!good) {
        print_error("a process outlived the engine\n");
    }
    if (is_queue_bound(queue, sizeof(queue))) {
        print_error("a queue is still bound: %s", queue);
        good = false;
    }
    /* The working directory, which is also TMPDIR, was empty before the run. */
    good = has_none(".", "") && good;
    return has_none("/dev/shm", "nfq") && good;
}

/* ---- the tests --------------------------------------------------------------------------------------- */

static void the_animal_is_handled_as_written(void **state)
{
    const struct animal *animal = *state;
    unsigned limit_ms = (animal->hangs ? HANG_LIMIT_MS : 0) + ENGINE_PROMPT_MS + ENGINE_EXTRA_MS;
    const char *path = animal->make != NULL ? animal->make(animal) : make_copy(animal);
    char line[LINE_BYTES];
    char golden[LINE_BYTES + 32];
    bool good;

    start(animal, path);
    if (animal->shows != NULL) {
        engine_wait_for(&run, "nfq-engine: ready\n", run.output);
        assert_true(is_queue_bound(line, sizeof(line))); /* or its end would show nothing */
        if (animal->when_ready != NULL) {
            animal->when_ready();
        }
        engine_signal(&run, SIGTERM);
    }
    engine_wait_end(&run, ENGINE_END_LIMIT_MS);
    good = find_line(animal->shows != NULL ? animal->shows : "", path, line, sizeof(line));
    if (good) {
        snprintf(golden, sizeof(golden), "exit %d: %s", run.status, line);
        good = golden_matches(animal->name, golden);
    }
    if (run.took_ms > limit_ms) {
        print_error("it took %u ms, at most %u are allowed\n", run.took_ms, limit_ms);
        good = false;
    }
    good = nothing_is_left() && good;
    assert_true(good);
}

static void no_golden_file_is_without_an_animal(void **state)
{
    (void)state;
    assert_true(golden_is_complete(tables));
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

/* Ends the engine and empties the scratch directory, except for the working directory, for the next animal. */
static int clean_up(void **state)
{
    static const char *const used[] = {"animal.so", "front.so", "other.so", "directory"};

    (void)state;
    engine_kill(&run);
    for (unsigned i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
        nftw(scratch_path(used[i]), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    return 0;
}

/* ---- the way into the namespace ---------------------------------------------------------------------- */

/* Started in place of the engine: returns to the shared namespace and executes the engine. */
static int become_real_engine(char *argv[])
{
    static char name[4096];
    const char *descriptor = getenv(NAMESPACE);
    int namespace = descriptor != NULL ? atoi(descriptor) : -1;

    snprintf(name, sizeof(name), "%s", getenv(REAL_ENGINE));
    if (getenv(AS_ANYBODY) != NULL &&
        (prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) < 0 || prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH) < 0)) {
        return 127;
    }
    if (setns(namespace, CLONE_NEWNET) < 0 || close(namespace) < 0) {
        return 127;
    }
    argv[0] = name;
    execv(name, argv);
    return 127;
}

/* Before the first run: makes the shared namespace and an empty working directory, and sets NFQE_ENGINE. */
static int prepare(void)
{
    const char *directory = scratch_directory("working-directory", 0755);
    char descriptor[16];
    int namespace;

    if (unshare(CLONE_NEWNET) < 0 || (namespace = open("/proc/self/ns/net", O_RDONLY)) < 0 || chdir(directory) < 0) {
        fprintf(stderr, "no namespace or working directory: %s\n", strerror(errno));
        return 1;
    }
    snprintf(descriptor, sizeof(descriptor), "%d", namespace);
    setenv(NAMESPACE, descriptor, 1);
    setenv(REAL_ENGINE, getenv("NFQE_ENGINE"), 1);
    setenv("NFQE_ENGINE", "/proc/self/exe", 1);
    setenv("TMPDIR", directory, 1);
    return 0;
}

int main(int argc, char *argv[])
{
    static struct CMUnitTest tests[ABI_TESTS_MAX];
    size_t count = 0;
    int impossible;

    if (getenv(REAL_ENGINE) != NULL) {
        return become_real_engine(argv);
    }
    (void)argc;
    impossible = engine_run_possible();
    if (impossible != 0) {
        return impossible;
    }
    for (unsigned i = 0; tables[i] != NULL; i++) {
        for (const struct animal *animal = tables[i]; animal->name != NULL && count < ABI_TESTS_MAX - 1; animal++) {
            tests[count++] = (struct CMUnitTest){.name = animal->name,
                                                 .test_func = the_animal_is_handled_as_written,
                                                 .teardown_func = clean_up,
                                                 .initial_state = (void *)(uintptr_t)animal};
        }
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(no_golden_file_is_without_an_animal);
    if (prepare() != 0) {
        scratch_remove();
        return 1;
    }
    return abi_main(tests, count, &run);
}
