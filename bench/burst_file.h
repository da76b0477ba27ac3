/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file in which record_burst keeps one burst for chain_cost: the messages as the kernel wrote them, each behind
 * its length in 32 bits. Written and read on the same machine.
 */
#ifndef BENCH_BURST_FILE_H
#define BENCH_BURST_FILE_H

#define BURST_FILE_SLOT 1152 /* bytes of a slot: a message with 128 bytes of its packet takes a quarter of it */
#define BURST_FILE_COPY_RANGE 128

#endif
