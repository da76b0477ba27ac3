/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nfqe/packet.h promises of every parsed packet, whatever its bytes are. For the fuzzers of the decoder and of the
 * parser.
 */
#ifndef FUZZ_PACKET_PROMISES_H
#define FUZZ_PACKET_PROMISES_H

#include <nfqe/packet.h>

/* Calls every accessor of the packet and reads every byte that it gives; the offsets agree with each other. */
void packet_promises_check(const struct nfqe_packet *packet);

/* `shorter` is the same packet of which fewer bytes were captured: less may be known, nothing may be different. */
void packet_promises_check_shorter(const struct nfqe_packet *packet, const struct nfqe_packet *shorter);

#endif
