/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wake_cost - measures what it costs that queue process and worker are two processes: that each wakes the other once for a
 * burst.
 *
 * Two processes do with each other what a ring does (process/ring.h), without packets: one changes a word, wakes the other
 * with futex(2) and waits in epoll_wait() for an eventfd; the other signals that and waits for the word. Both have time
 * slices as in the engine. They share one CPU, and then have one each; the two ways take turns.
 *
 * It prints one JSON object: for both, the medians of the rounds of the time there and back, and of the CPU time of both
 * processes for it.
 */
#include "median.h"

#include "base/clock.h"
#include "base/cpu_set.h"
#include "base/eventfd.h"
#include "base/futex.h"
#include "process/priority.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 9
#define TRIPS 20000 /* of a round */

struct cost {
    double there_and_back_us;
    double cpu_us;
};

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void take_cpu(int cpu)
{
    const cpu_set_t set = cpu_set_one((uint32_t)cpu);

    if (cpu_set_take(&set) < 0) {
        fail("sched_setaffinity");
    }
    priority_take_worker();
}

static double cpu_us(int who)
{
    struct rusage used;

    getrusage(who, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static _Noreturn void answer(_Atomic uint32_t *word, int answered, int cpu, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1);
    }
    take_cpu(cpu);
    for (uint32_t seen = 0; seen < TRIPS; seen++) {
        while (atomic_load(word) == seen) {
            futex_wait(word, seen);
        }
        eventfd_signal(answered);
    }
    _exit(0);
}

static void ask(_Atomic uint32_t *word, int epoll)
{
    struct epoll_event event;

    for (uint32_t i = 0; i < TRIPS; i++) {
        atomic_fetch_add(word, 1);
        futex_wake(word);
        while (epoll_wait(epoll, &event, 1, -1) != 1) {
        }
    }
}

static struct cost measure(int first, int second)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    _Atomic uint32_t *word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int answered = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    double used = cpu_us(RUSAGE_SELF) + cpu_us(RUSAGE_CHILDREN);
    pid_t parent = getpid();
    struct cost cost;
    uint64_t start_ns;
    pid_t pid;

    if (word == MAP_FAILED || answered < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, answered, &event) < 0) {
        fail("no ring");
    }
    take_cpu(first);
    pid = fork();
    if (pid < 0) {
        fail("fork");
    }
    if (pid == 0) {
        answer(word, answered, second, parent);
    }
    start_ns = monotonic_ns();
    ask(word, epoll);
    cost.there_and_back_us = (double)(monotonic_ns() - start_ns) / 1e3 / TRIPS;
    waitpid(pid, NULL, 0);
    cost.cpu_us = (cpu_us(RUSAGE_SELF) + cpu_us(RUSAGE_CHILDREN) - used) / TRIPS;
    munmap(word, sizeof(*word));
    close(answered);
    close(epoll);
    return cost;
}

int main(void)
{
    static const char *const names[] = {"one CPU", "two CPUs"};
    double times[2][ROUNDS];
    double used[2][ROUNDS];

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (int second = 0; second < 2; second++) {
            struct cost cost = measure(0, second);

            times[second][round] = cost.there_and_back_us;
            used[second][round] = cost.cpu_us;
        }
    }
    printf("{\n");
    for (unsigned way = 0; way < 2; way++) {
        printf("  \"%s\": {\"there_and_back_us\": %.2f, \"cpu_us\": %.2f}%s\n", names[way], median(times[way], ROUNDS),
               median(used[way], ROUNDS), way == 0 ? "," : "");
    }
    printf("}\n");
    return 0;
}
