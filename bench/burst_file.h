/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file with a burst that record_burst writes for chain_cost: the messages as the kernel made them, each preceded by
 * its length in 32 bits. It is written and read on the same machine.
 */
#ifndef BENCH_BURST_FILE_H
#define BENCH_BURST_FILE_H

#define BURST_FILE_SLOT 1536 /* bytes of a slot: a message with 512 bytes of its packet takes half of it */
#define BURST_FILE_COPY_RANGE 512

#endif
