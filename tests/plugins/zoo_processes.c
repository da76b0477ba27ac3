/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Animals that make processes and threads, and kill.
 *
 *     fork-return        forks twice, and all processes return
 *     fork-share         the same, after MADV_DOFORK for all memory
 *     fork-leave:N       leaves N processes that sleep, and keep what they have inherited
 *     exec               its child fails in exec, and returns
 *     vfork              its vforked child fails in exec
 *     daemon             becomes a daemon
 *     survive            leaves a process in a session of its own, without a signal for the parent's death, and sleeps
 *                        itself, without that signal
 *     bomb               forks as long as the kernel lets it
 *     spin:N             leaves N threads that compute
 *     kill:PID           sends SIGKILL to this pid: 0, -1
 *
 * Runs in the worker.
 */
#include "zoo.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_PROGRAM "/nonexistent/program"
#define BOMB_MAX 100000
#define LONG_SECONDS 3600

static void fork_return(const struct deed *deed)
{
    (void)deed;
    for (unsigned i = 0; i < 2; i++) {
        if (fork() < 0) {
            dprintf(STDERR_FILENO, "no fork: %s\n", strerror(errno));
        }
    }
}

static void fork_share(const struct deed *deed)
{
    char line[512];
    FILE *file = fopen("/proc/self/maps", "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        uintptr_t begin;
        uintptr_t end;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &begin, &end) == 2) {
            madvise((void *)begin, end - begin, MADV_DOFORK);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    fork_return(deed);
}

static void sleep_for_long(void) __attribute__((noreturn));

static void sleep_for_long(void)
{
    for (unsigned left = LONG_SECONDS; left > 0; left = sleep(left)) {
    }
    _exit(0);
}

static void fork_leave(const struct deed *deed)
{
    for (long i = 0; i < deed->number; i++) {
        if (fork() == 0) {
            sleep_for_long();
        }
    }
}

static void fail_exec(const struct deed *deed)
{
    (void)deed;
    if (fork() == 0) {
        execl(NO_PROGRAM, NO_PROGRAM, (char *)NULL);
    }
}

static void fail_exec_after_vfork(const struct deed *deed)
{
    pid_t pid;

    (void)deed;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    pid = vfork(); /* NOLINT */
#pragma GCC diagnostic pop
    if (pid == 0) {
        execl(NO_PROGRAM, NO_PROGRAM, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void become_daemon(const struct deed *deed)
{
    (void)deed;
    if (daemon(0, 0) < 0) {
        dprintf(STDERR_FILENO, "no daemon: %s\n", strerror(errno));
    }
}

static void survive(const struct deed *deed)
{
    (void)deed;
    prctl(PR_SET_PDEATHSIG, 0);
    setsid();
    if (fork() == 0) {
        setsid();
        sleep_for_long();
    }
    sleep_for_long();
}

static void bomb(const struct deed *deed)
{
    long count = 0;

    (void)deed;
    while (count < BOMB_MAX) {
        pid_t pid = fork();

        if (pid == 0) {
            sleep_for_long();
        }
        if (pid < 0) {
            break;
        }
        count++;
    }
    dprintf(STDERR_FILENO, "%ld forks, then %s\n", count, strerror(errno));
}

static void *spin(void *argument)
{
    for (volatile unsigned turns = 0;; turns++) {
    }
    return argument;
}

static void spin_threads(const struct deed *deed)
{
    for (long i = 0; i < deed->number; i++) {
        pthread_t thread;
        int code = pthread_create(&thread, NULL, spin, NULL);

        if (code != 0) {
            dprintf(STDERR_FILENO, "no thread: %s\n", strerror(code));
        }
    }
    dprintf(STDERR_FILENO, "threads spin\n");
}

static void kill_pid(const struct deed *deed)
{
    kill((pid_t)deed->number, SIGKILL);
    sleep_for_long();
}

const struct animal zoo_processes[] = {
    {"fork-return", fork_return},
    {"fork-share", fork_share},
    {"fork-leave", fork_leave},
    {"exec", fail_exec},
    {"vfork", fail_exec_after_vfork},
    {"daemon", become_daemon},
    {"survive", survive},
    {"bomb", bomb},
    {"spin", spin_threads},
    {"kill", kill_pid},
    {.name = NULL},
};
