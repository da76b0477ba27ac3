/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a process is ready to run, and how much CPU time it has had: what tells one that gets no CPU from one that
 * sleeps, is stopped, waits in a system call, or computes. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_CPU_USE_H
#define ENGINE_PROCESS_CPU_USE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cpu_use {
    bool ready;       /* it is running, or ready to run */
    uint64_t used_ns; /* CPU time since its begin, of its first thread */
};

/* Of a process that is not there, or of which the kernel does not say: not ready, no time. Never waits for it. */
struct cpu_use cpu_use_read(pid_t pid);

#endif
