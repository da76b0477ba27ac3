/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's end of a channel to a child, watched in its event loop. Process: [supervisor].
 */
#ifndef ENGINE_PROCESS_WATCHED_CHANNEL_H
#define ENGINE_PROCESS_WATCHED_CHANNEL_H

#include "base/event_loop.h"

/*
 * Makes a channel (base/channel.h) and watches our end for messages; the owner has filled in channel->ready and
 * channel->context. *theirs: the other end. Returns 0, or a negative errno: then there is none, and channel->fd is -1.
 */
int watched_channel_open(struct event_watch *channel, struct event_loop *loop, int *theirs);

/* Closes our end. One that is closed is fine. */
void watched_channel_close(struct event_watch *channel, struct event_loop *loop);

#endif
