/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a queue process says: rings for its workers, workers that are open or lost, and its own state.
 * Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_QUEUE_NEWS_H
#define ENGINE_PROCESS_QUEUE_NEWS_H

#include "process/children.h"

/*
 * Takes messages that have arrived. At most `max`, since workers may die faster than their deaths are read. Returns
 * whether the queue process has closed its end.
 */
bool queue_news_receive(struct children_queue *queue, unsigned max);

#endif
