/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firewall rules for the given options: rules that queue packets, and rules that let accepted flows bypass the queue.
 *
 * There are two forms: for nft -f -, and for iptables-restore --noflush and ip6tables-restore --noflush. Both forms at
 * once are a file for nft that has the other form in comments.
 */
#ifndef ENGINE_CONFIG_FIREWALL_RULES_H
#define ENGINE_CONFIG_FIREWALL_RULES_H

#include "config/options.h"

/*
 * Writes the rules to standard output. Returns 0, or -EINVAL with EXIT_CODE_CONFIGURATION if the queues' numbers are
 * not consecutive: one rule can spread flows only over a range of queues.
 */
int firewall_rules_print(const struct options *options, struct error *error);

#endif
