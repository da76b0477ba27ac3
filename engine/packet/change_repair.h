/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lengths and checksums of a changed packet.
 *
 * The lengths are set after each change, so that the parser sees the packet as it is; the checksums once, before the
 * verdict. Nothing is written but these fields, and never beyond the packet. [worker]
 */
#ifndef ENGINE_PACKET_CHANGE_REPAIR_H
#define ENGINE_PACKET_CHANGE_REPAIR_H

#include <nfqe/packet.h>

#include <stdbool.h>
#include <stdint.h>

/* What a changed packet and the received one have in common. */
struct change_extent {
    uint32_t front; /* bytes at the beginning, */
    uint32_t back;  /* and bytes at the end that are the same in both */
    bool replaced; /* the whole packet is the plugin's: whether the received one had a right checksum does not count */
};

/* Captured bytes that belong to the IP packet, without padding. The packet was parsed. */
uint32_t change_ip_len(const struct nfqe_packet *packet);

/*
 * Whether the packet is of a protocol with a checksum over the transport header and more, of which only a part is here,
 * so that it cannot follow a change: a later fragment, a first one without the checksum or of SCTP. True also for a
 * later fragment of a protocol that is not known.
 */
bool change_checksum_is_elsewhere(const struct nfqe_packet *packet);

/* Sets the length in the IP header, if there is one, to that of the packet. */
void change_repair_ip_length(uint8_t *bytes, uint32_t len);

/*
 * Sets the length in a UDP header, so that `rest` bytes of the IP packet come after the datagram; makes a coverage of
 * UDP-Lite that is longer than the packet the whole packet. The packet was parsed with its IP length; bytes: those at
 * packet->data. Returns whether something was changed; from packet->transport on. Fragments are left alone.
 */
bool change_repair_udp(const struct nfqe_packet *packet, uint8_t *bytes, uint32_t rest);

/*
 * Whether the checksums of a changed packet can be made. False: the transport's has to be made of all that it is about,
 * and that is not known: of a fragment, or the last receiver of an IPv6 routing header of an unknown type. Both packets
 * were parsed.
 */
bool change_can_repair(const struct nfqe_packet *received, const struct nfqe_packet *changed,
                       const struct change_extent *same);

/*
 * Makes the checksums of a changed packet, in bytes, which are those at changed->data.
 *
 * IPv4: the header. TCP, UDP, UDP-Lite, ICMP, ICMPv6, DCCP, SCTP, if their header is all there: right if that of the
 * received packet was, or was not computed yet, or the packet was replaced; if it was wrong, wrong by the same
 * difference, so that a packet that was damaged on its way is not repaired. A first fragment's follows what was changed
 * in it. A UDP checksum of 0 stays 0 over IPv4, and over IPv6 if the received packet had none either.
 */
void change_repair_checksums(const struct nfqe_packet *received, const struct nfqe_packet *changed, uint8_t *bytes,
                             const struct change_extent *same);

#endif
