/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Static probes (USDT, provider nfq_engine) for bpftrace, perf and gdb, one function for each.
 *
 * A probe is one nop in the code, and a note in the ELF file with its address and the registers or memory that hold its
 * arguments. It costs only the nop until a tracer attaches and replaces it by a trap. An argument must therefore be a
 * value that the code has anyway: computing it would cost every packet. The probes are an interface: docs/debugging.md
 * lists them, and abi.probes compares that list with the program.
 *
 * A queue process is single-threaded and has one queue, so the probes between burst_begin and burst_end do not name it.
 */
#ifndef ENGINE_BASE_PROBE_H
#define ENGINE_BASE_PROBE_H

#include <stdint.h>
#include <sys/sdt.h>
#include <sys/types.h>

#ifdef __clang__ /* sys/sdt.h uses variadic macros in a way that only gcc accepts silently */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

/* A burst of `count` messages was received, or taken over from a worker that died. [worker] */
static inline void probe_burst_begin(uint32_t queue, uint32_t count)
{
    DTRACE_PROBE2(nfq_engine, burst_begin, queue, count);
}

/* The verdicts of its `count` packets were sent to the kernel. [worker] */
static inline void probe_burst_end(uint32_t queue, uint32_t count)
{
    DTRACE_PROBE2(nfq_engine, burst_end, queue, count);
}

/* A plugin's handle() is about to be called; packet_id 0: handle_batch(). plugin: position in the chain. [worker] */
static inline void probe_plugin_call_begin(uint32_t plugin, uint32_t packet_id)
{
    DTRACE_PROBE2(nfq_engine, plugin_call_begin, plugin, packet_id);
}

/* The call returned. [worker] */
static inline void probe_plugin_call_end(uint32_t plugin, uint32_t packet_id)
{
    DTRACE_PROBE2(nfq_engine, plugin_call_end, plugin, packet_id);
}

/* The verdict that is sent for a packet: NFQE_ACCEPT (1) or NFQE_DROP (2). Once for each packet of a burst. [worker] */
static inline void probe_verdict(uint32_t packet_id, uint32_t verdict)
{
    DTRACE_PROBE2(nfq_engine, verdict, packet_id, verdict);
}

/* The supervisor has registered a new worker of the queue. [supervisor] */
static inline void probe_worker_start(uint32_t queue, pid_t pid)
{
    DTRACE_PROBE2(nfq_engine, worker_start, queue, pid);
}

/* The supervisor has reaped the worker; status: as from waitpid(2). [supervisor] */
static inline void probe_worker_exit(uint32_t queue, pid_t pid, int status)
{
    DTRACE_PROBE3(nfq_engine, worker_exit, queue, pid, status);
}

#ifdef __clang__
#pragma clang diagnostic pop
#endif

#endif
