/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A channel between two processes: a SOCK_SEQPACKET pair, over which whole messages pass, and descriptors with them.
 *
 * Always: nothing depends on the file flag O_NONBLOCK. Every process that has an end shares its flags, so a plugin could
 * change them; each call says itself whether it may wait. Functions return 0 (or a length) or a negative errno; results
 * are untouched on failure. Process: any.
 */
#ifndef ENGINE_BASE_CHANNEL_H
#define ENGINE_BASE_CHANNEL_H

#include <stddef.h>
#include <sys/types.h>

#define CHANNEL_FDS_MAX 40 /* descriptors that a message may pass */

/*
 * Makes a channel. At our end, the kernel says who sent a message, and takes no descriptors from the other side, if it is
 * Linux 6.16 or newer. Both ends are close-on-exec.
 */
int channel_new(int *ours, int *theirs);

/* Makes a channel whose two ends are the same: descriptors may pass both ways, between processes that run no plugin. */
int channel_new_pair(int ends[2]);

/*
 * Sends a message, and with it copies of fds[count]. Never waits; -EAGAIN: there are so many messages that the other
 * side has not read.
 */
int channel_send(int channel, const void *data, size_t len, const int *fds, unsigned count);

/*
 * Takes the next message, without waiting and without descriptors, which the kernel closes if some were passed.
 * Returns its length, which may be more than `size`; 0: the other end is closed; -EAGAIN: there is none. *sender: the
 * process that sent it, which only a process with CAP_SYS_ADMIN can lie about; 0: the kernel does not say.
 */
ssize_t channel_receive(int channel, void *data, size_t size, pid_t *sender);

/*
 * Takes the next message, without waiting, and up to `count` descriptors with it, close-on-exec; fds[] is -1 where none
 * came. Returns like channel_receive(). Only from a process that runs no plugin: closing what was passed can take long.
 */
ssize_t channel_take(int channel, void *data, size_t size, int *fds, unsigned count);

/*
 * Waits for the next message, and takes up to `count` descriptors with it, close-on-exec; fds[] is -1 where none came.
 * Returns its length like channel_receive().
 */
ssize_t channel_wait(int channel, void *data, size_t size, int *fds, unsigned count);

#endif
