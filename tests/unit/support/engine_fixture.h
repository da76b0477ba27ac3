/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An engine as the supervisor has it once its queues are open: queues with shared memory, but with eventfds in place of
 * sockets, so that a test says whether a socket is readable.
 *
 * It has no plugin file and no process: a test that needs them adds them. The fork server's status is shared memory.
 */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include "unit.h"

#include "base/event_loop.h"
#include "process/engine.h"

#define ENGINE_FIXTURE_GENERATION 5
#define ENGINE_FIXTURE_QUEUE 7 /* number of the first queue; the others follow */

struct engine_fixture {
    struct engine engine;
    struct generation generation;
    struct queue_group group;
    struct event_loop loop;
};

/* Makes an engine with so many queues, whose group has time-outs of `timeout_ms`. Its memory does not move. */
void engine_fixture_init(struct engine_fixture *fixture, unsigned queues, uint64_t timeout_ms);
void engine_fixture_done(struct engine_fixture *fixture);

#endif
