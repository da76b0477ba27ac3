/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * half_cpu - takes half of the CPU that it is pinned to, until it is killed: BUSY_NS of spinning, as much of sleep.
 *
 * It is a real-time process, so that it gets its half whatever else wants the CPU, and leaves the other half. The times
 * at which it begins and stops to spin are absolute: a late wake-up does not move the later ones.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define BUSY_NS INT64_C(4000000) /* about as long as the scheduler leaves a CPU to one of two processes */
#define NS_PER_S INT64_C(1000000000)

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void sleep_until(int64_t at_ns)
{
    const struct timespec at = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int main(void)
{
    const struct sched_param parameters = {.sched_priority = 1};
    int64_t begin = now_ns();

    if (sched_setscheduler(0, SCHED_FIFO, &parameters) < 0) {
        perror("half_cpu: no real-time priority");
        return 1;
    }
    for (;;) {
        while (now_ns() < begin + BUSY_NS) {
        }
        begin += 2 * BUSY_NS;
        sleep_until(begin);
    }
}
