/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Static probes (USDT, provider nfq_engine), for bpftrace, perf and gdb: one function a probe.
 *
 * A probe is one nop in the code and a note in the ELF file that says where it is and in which registers or memory its
 * arguments are. It costs no more than that until a tracer attaches to it; then the nop becomes a trap. So an
 * argument must be a value that is at hand: computing it would cost every packet. The program's probes are an interface,
 * docs/debugging.md lists them, and abi.probes compares that list with the program.
 *
 * A worker is single-threaded and has one queue, so the probes between burst_begin and burst_end need not name it.
 */
#ifndef ENGINE_BASE_PROBE_H
#define ENGINE_BASE_PROBE_H

#include <stdint.h>
#include <sys/sdt.h>
#include <sys/types.h>

#ifdef __clang__ /* the macros of sys/sdt.h are written for gcc's rules of variadic macros */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

/* A burst of `count` messages was received, or is taken over from a worker that died. [worker] */
static inline void probe_burst_begin(uint32_t queue, uint32_t count)
{
    DTRACE_PROBE2(nfq_engine, burst_begin, queue, count);
}

/* Its `count` packets have their verdicts, and the kernel has got them. [worker] */
static inline void probe_burst_end(uint32_t queue, uint32_t count)
{
    DTRACE_PROBE2(nfq_engine, burst_end, queue, count);
}

/* handle() of a plugin is called for a packet; packet_id 0: handle_batch(). plugin: its position. [worker] */
static inline void probe_plugin_call_begin(uint32_t plugin, uint32_t packet_id)
{
    DTRACE_PROBE2(nfq_engine, plugin_call_begin, plugin, packet_id);
}

/* It has returned. [worker] */
static inline void probe_plugin_call_end(uint32_t plugin, uint32_t packet_id)
{
    DTRACE_PROBE2(nfq_engine, plugin_call_end, plugin, packet_id);
}

/* What the kernel will be told of a packet: NFQE_ACCEPT (1) or NFQE_DROP (2). Once a packet and burst. [worker] */
static inline void probe_verdict(uint32_t packet_id, uint32_t verdict)
{
    DTRACE_PROBE2(nfq_engine, verdict, packet_id, verdict);
}

/* A new worker of a queue is known to the supervisor. [supervisor] */
static inline void probe_worker_start(uint32_t queue, pid_t pid)
{
    DTRACE_PROBE2(nfq_engine, worker_start, queue, pid);
}

/* Its end, with the status of waitpid(2). [supervisor] */
static inline void probe_worker_exit(uint32_t queue, pid_t pid, int status)
{
    DTRACE_PROBE3(nfq_engine, worker_exit, queue, pid, status);
}

#ifdef __clang__
#pragma clang diagnostic pop
#endif

#endif
