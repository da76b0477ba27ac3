/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firewall rules for the given options: what sends packets to the queues, and what lets decided flows pass.
 *
 * Two forms: for nft -f -, and for iptables-restore --noflush and its IPv6 sister. Both forms at once are a text for
 * nft, the other form in its comments.
 */
#ifndef ENGINE_CONFIG_FIREWALL_RULES_H
#define ENGINE_CONFIG_FIREWALL_RULES_H

#include "config/options.h"

/*
 * Writes the rules to standard output. Returns 0, or -EINVAL with EXIT_CODE_CONFIGURATION: one rule spreads flows over
 * queues only if their numbers are consecutive.
 */
int firewall_rules_print(const struct options *options, struct error *error);

#endif
