/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether this kernel has the queue statement of nft. Process: the one that prints the rules.
 */
#ifndef ENGINE_PROCESS_NFT_PROBE_H
#define ENGINE_PROCESS_NFT_PROBE_H

#include <stdbool.h>

/* True: the kernel says that it has no such statement. False: it has it, or it cannot be asked, for lack of a right. */
bool nft_probe_queue_is_missing(void);

#endif
