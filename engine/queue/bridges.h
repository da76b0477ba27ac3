/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bridges whose packets go through iptables, and so into a queue of it.
 *
 * The kernel drops copies of broadcast and multicast packets there before the queue (docs/kernel-notes.md). Process:
 * [supervisor].
 */
#ifndef ENGINE_QUEUE_BRIDGES_H
#define ENGINE_QUEUE_BRIDGES_H

#include <net/if.h>
#include <stdbool.h>

/*
 * Finds a bridge of this network namespace that has several ports, so that it copies packets, if br_netfilter gives
 * them to iptables. Returns whether there is one; what cannot be found out counts as none.
 */
bool bridges_find_filtered(char name[IF_NAMESIZE]);

#endif
