/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model of the kernel for a worker that another process stops after each instruction.
 *
 * nfqueue_receive() and nfqueue_send() are replaced at link time (LINKER:--wrap). `moment` says whether the worker may
 * die where it was stopped: not in what the kernel does in one step, but between two messages of a receive, and, with a
 * message that has left the socket and is lost then, before its length is stored. The packets have the ids 1 to STEP_IDS,
 * which the kernel has given out already; its own ids are those plus step_kernel_id_base. A packet is held until a verdict
 * covers it. For a verdict that covers none there is an answer, ENOENT, which is the next message.
 */
#ifndef UNIT_STEP_KERNEL_H
#define UNIT_STEP_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#define STEP_IDS 14
#define STEP_ANSWERS_MAX 64

enum step_moment { STEP_IN_WORKER, STEP_IN_KERNEL, STEP_LOSING };

/* In memory that both processes share. */
struct step_kernel {
    volatile enum step_moment moment;
    bool traced;        /* the worker stops at each moment but STEP_IN_KERNEL, so it need not be stopped there */
    uint32_t next;      /* id of the next packet in the socket */
    uint32_t receives;  /* that had a message */
    uint32_t answers[STEP_ANSWERS_MAX]; /* sequences of verdicts whose packet the kernel did not have */
    uint32_t answered;  /* how many of them there are, */
    uint32_t read;      /* and have left the socket */
    uint32_t fresh;     /* of them, those that do not say that they were sent again */
    uint32_t verdicts[STEP_IDS + 1];
    uint32_t times[STEP_IDS + 1]; /* that a verdict took the packet off the queue */
    uint32_t shown[STEP_IDS + 1]; /* to the plugin */
};

extern struct step_kernel *step_kernel; /* the test's to map */
extern unsigned step_kernel_room;       /* messages that one receive takes */
extern uint32_t step_kernel_id_base;

/* What was written before is in memory now. A worker that is traced stops. */
void step_kernel_enter(enum step_moment moment);

#endif
