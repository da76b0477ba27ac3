/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker's plugins have left running: processes that they have forked. When the worker and the processes between
 * are dead, they are children of the supervisor, which ends them: the next but one worker of the slot has the same uid, and
 * they could stop or trace it.
 *
 * They are known by that uid, so where workers have no uid of their own nothing is ended. What plugins start in load() has the
 * fork server's uid, and stays. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_STRAYS_H
#define ENGINE_PROCESS_STRAYS_H

#include "process/children.h"

/*
 * Kills the supervisor's children that have a uid of workers, but are no worker and no worker on its way. What these have
 * started becomes a child by that, so it is to be called again when one was reaped.
 */
void strays_kill(struct children *children);

/* Has it called a moment from now: once for all that end until then, since it looks at every child. */
void strays_look_soon(struct children *children);

#endif
