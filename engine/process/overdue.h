/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children that were killed and are still there: what is said of them, and how their work goes on. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_OVERDUE_H
#define ENGINE_PROCESS_OVERDUE_H

#include "process/children.h"

/* At each tick. */
void overdue_check(struct children *children, uint64_t now_ns);

#endif
