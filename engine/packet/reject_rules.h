/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which packets must not be answered, whoever asks for it: an answer to them would go to others than their sender, or be
 * answered itself, without end.
 *
 * Process: [queue process].
 */
#ifndef ENGINE_PACKET_REJECT_RULES_H
#define ENGINE_PACKET_REJECT_RULES_H

#include <nfqe/packet.h>

#include <stdbool.h>

/* Whether these are two hosts, of which one can answer the other. size: of each address, 4 or 16 bytes. */
bool reject_rules_are_hosts(const uint8_t *source, const uint8_t *dest, uint32_t size);

/* Whether the packet, apart from its addresses, may be answered. */
bool reject_rules_allow(const struct nfqe_packet *packet);

#endif
