/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nfqe/packet.h promises of every parsed packet, for any bytes. For the fuzzers of the decoder and of the
 * parser.
 */
#ifndef FUZZ_PACKET_PROMISES_H
#define FUZZ_PACKET_PROMISES_H

#include <nfqe/packet.h>

/* Calls every accessor of the packet and reads all bytes that it returns; checks that the offsets agree. */
void packet_promises_check(const struct nfqe_packet *packet);

/* `shorter` is the same packet with fewer captured bytes: less may be known, but nothing may differ. */
void packet_promises_check_shorter(const struct nfqe_packet *packet, const struct nfqe_packet *shorter);

#endif
