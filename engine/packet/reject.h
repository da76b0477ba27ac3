/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answer to the sender of a packet that is refused: a TCP reset (RFC 9293), or an ICMP or ICMPv6 message (RFC 792,
 * RFC 4443) that quotes the packet.
 *
 * From bytes to bytes: reads what the kernel has delivered, and nothing that a worker wrote. Never allocates or blocks.
 * Process: [queue process].
 */
#ifndef ENGINE_PACKET_REJECT_H
#define ENGINE_PACKET_REJECT_H

#include "packet/reject_part.h"

#include <nfqe/packet.h>

#include <stdint.h>

#define REJECT_ANSWER_MAX 1280 /* the smallest MTU of IPv6; of IPv4, no more than 576 are used */

/*
 * Writes the IP packet that tells the sender. sent: addresses and ports as the sender wrote them, if a NAT may have changed
 * those of the packet; NULL: the packet's own. A reset comes from the address that the sender wrote to, so it gets there
 * whatever translates addresses on its way back. own: the address of this machine that a message comes from; NULL: that
 * which the sender wrote to, which is this machine's, too.
 *
 * Returns its length, or -EOPNOTSUPP: this packet may not be answered, or not so. Whether an IPv4 address is the broadcast
 * address of a network is not known here.
 */
int reject_answer(const struct nfqe_packet *packet, const struct nfqe_tuple *sent, const uint8_t *own,
                  enum reject_kind kind, uint8_t answer[REJECT_ANSWER_MAX]);

#endif
