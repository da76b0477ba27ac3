/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time slices, nice values, real-time priority.
 *
 * A queue process with nice -15 was tried: it interrupts whatever runs for each packet, and its own worker before that
 * has gone to sleep. Bursts get shorter by that, and each packet costs half as much CPU time again (HTTP requests on two
 * busy CPUs). So a nice value is only taken where there are no time slices. Process: [queue process] [worker].
 */
#include "process/priority.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS (NS_PER_MS / 10) /* the shortest that the kernel takes; by default a slice has 2.8 ms on 2 CPUs */
#define QUEUE_NICE (-15) /* before all plugins, after what administrators give -20 */
#define RESET_ON_FORK 1 /* SCHED_FLAG_RESET_ON_FORK of linux/sched.h */

/* As struct sched_attr of linux/sched/types.h in its first version, which Debian 12's C library does not have. */
struct attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns;
    uint64_t deadline_ns;
    uint64_t period_ns;
};

_Static_assert(sizeof(struct attributes) == 48, "SCHED_ATTR_SIZE_VER0");

/* A kernel without slices takes the request and ignores it; then -ENOTSUP. */
static int take_slice(void)
{
    struct attributes wanted = {.size = sizeof(wanted),
                                .policy = SCHED_OTHER,
                                .flags = RESET_ON_FORK,
                                .nice = getpriority(PRIO_PROCESS, 0),
                                .runtime_ns = SLICE_NS};
    struct attributes has = {.size = 0};

    if (syscall(SYS_sched_setattr, 0, &wanted, 0) < 0 || syscall(SYS_sched_getattr, 0, &has, sizeof(has), 0) < 0) {
        return -errno;
    }
    return has.runtime_ns == SLICE_NS ? 0 : -ENOTSUP;
}

/* Where the scheduler divides the CPU between sessions first, a nice value counts within the session only. */
static int take_nice_value(void)
{
    char text[16];
    int code = 0;
    int fd;

    if (setpriority(PRIO_PROCESS, 0, QUEUE_NICE) < 0) {
        return -errno;
    }
    fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    snprintf(text, sizeof(text), "%d", QUEUE_NICE);
    if (write(fd, text, strlen(text)) < 0) {
        code = -errno;
    }
    close(fd);
    return code;
}

int priority_take_queue(void)
{
    setsid(); /* fails in a process that has one of its own */
    return take_slice() == 0 ? 0 : take_nice_value();
}

int priority_take_realtime(void)
{
    const struct sched_param parameters = {.sched_priority = 1};

    return sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &parameters) < 0 ? -errno : 0;
}

int priority_take_worker(void)
{
    return take_slice();
}
