/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what the kernel says of a packet's connection to struct nfqe_conntrack_entry. Pure: no system call.
 */
#ifndef ENGINE_QUEUE_CONNTRACK_ENTRY_H
#define ENGINE_QUEUE_CONNTRACK_ENTRY_H

#include <nfqe/abi.h>

/*
 * Fills the entry from the `len` bytes inside NFQA_CT, which are aligned as in the message, and from NFQA_CT_INFO. What
 * is not there, or too short, is not present. Never reads outside the bytes. Allocates nothing. [worker]
 */
void conntrack_entry_decode(const void *bytes, size_t len, uint32_t info, struct nfqe_conntrack_entry *entry);

#endif
