/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and closing. An end is unwatched before its descriptor is closed, since the event loop goes by the number.
 * Process: [supervisor].
 */
#include "process/watched_channel.h"

#include "base/channel.h"
#include "base/fd.h"

int watched_channel_open(struct event_watch *channel, struct event_loop *loop, int *theirs)
{
    int code = channel_new(&channel->fd, theirs);

    if (code < 0) {
        return code;
    }
    code = event_loop_watch(loop, channel, EPOLLIN);
    if (code < 0) {
        close_fd(&channel->fd);
        close_fd(theirs);
    }
    return code;
}

void watched_channel_close(struct event_watch *channel, struct event_loop *loop)
{
    event_loop_unwatch(loop, channel);
    close_fd(&channel->fd);
}
