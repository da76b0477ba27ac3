/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing everything that a new process has no use for.
 *
 * A process that is forked without exec has every descriptor of its parent, close-on-exec or not. So it names what it
 * keeps, and whatever its parent may have opened since that list was written is closed. Process: any.
 */
#ifndef ENGINE_BASE_CLOSE_FDS_H
#define ENGINE_BASE_CLOSE_FDS_H

/* Closes every descriptor but 0, 1, 2 and kept[count]; the order does not matter, and -1 is no descriptor. */
void close_fds_but(const int *kept, unsigned count);

#endif
