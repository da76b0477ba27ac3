# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets that no socket would send, made by hand, and put on the client's link to the router.

Always: checksums and lengths are right unless a test says otherwise, so that a host accepts what is not meant to be
wrong. Addresses are text.
"""

import socket
import struct

TCP, UDP, ICMP, AH = socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP, socket.IPPROTO_AH
SYN, RST, PSH, ACK = 0x02, 0x04, 0x08, 0x10
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
ETHERTYPES = {4: 0x0800, 6: 0x86DD}
ROUTER_MAC, CLIENT_MAC = bytes.fromhex("020000000101"), bytes.fromhex("020000000102")
CLOSED_WINDOW = 65535


def family_of(address):
    return 6 if ":" in address else 4


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def transport_checksum(source, dest, protocol, segment):
    return checksum(packed(source) + packed(dest) + struct.pack("!HBB", len(segment), 0, protocol) + segment)


def tcp(source, dest, flags, *, sequence=1, acknowledged=0, data=b"", options=b"", words=None, wrong=0):
    """source, dest: (address, port). words: the header length that it claims. wrong: added to the checksum."""
    words = (20 + len(options)) // 4 if words is None else words
    segment = struct.pack("!HHIIBBHHH", source[1], dest[1], sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, words << 4,
                          flags, CLOSED_WINDOW, 0, 0) + options + data
    value = (transport_checksum(source[0], dest[0], TCP, segment) + wrong) & 0xFFFF
    return segment[:16] + struct.pack("!H", value) + segment[18:]


def udp(source, dest, data=b"", *, length=None, wrong=0):
    length = 8 + len(data) if length is None else length
    segment = struct.pack("!HHHH", source[1], dest[1], length, 0) + data
    value = (transport_checksum(source[0], dest[0], UDP, segment) + wrong) & 0xFFFF
    return segment[:6] + struct.pack("!H", value or 0xFFFF) + segment[8:]


def echo(identifier, data=b"", *, wrong=0):
    """An ICMP echo request."""
    message = struct.pack("!BBHHH", 8, 0, 0, identifier, 1) + data
    return message[:2] + struct.pack("!H", (checksum(message) + wrong) & 0xFFFF) + message[4:]


def ip(source, dest, protocol, payload, *, offset=0, more=False, number=1):
    """offset: of a fragment, in bytes; for IPv4 alone."""
    if family_of(source) == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + packed(source) + packed(dest) + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), number, offset // 8 | more << 13, 64, protocol,
                         0) + packed(source) + packed(dest)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def extension(next_header, size=8):
    """Options: one that a host skips if it does not know it. Linux refuses more than 7 bytes of padding."""
    return struct.pack("!BBBB", next_header, size // 8 - 1, 0x1E, size - 4) + bytes(size - 4)


def routing(next_header, *addresses, kind=253, left=0):
    """A routing header. kind: 4, segment routing, with the last segment first; or one for experiments."""
    return struct.pack("!BBBBBBH", next_header, 2 * len(addresses), kind, left, len(addresses) - 1, 0, 0) + b"".join(
        map(packed, addresses))


def authentication(next_header, size=24):
    """An AH that no key made."""
    return struct.pack("!BBHII", next_header, size // 4 - 2, 0, 7, 1) + bytes(size - 12)


def ipv6_fragment(next_header, offset, more, number=1):
    return struct.pack("!BBHI", next_header, 0, offset | more, number)


class Wire:
    """The client's end of its link to the router."""

    def __init__(self, lab):
        with lab.client.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        self._socket.bind(("link1", 0))
        self._socket.settimeout(5)

    def send(self, *packets):
        for packet in packets:
            self._socket.send(ROUTER_MAC + CLIENT_MAC + struct.pack("!H", ETHERTYPES[packet[0] >> 4]) + packet)

    def take_syn_ack(self, sequence):
        """Waits for the answer to a SYN with this sequence number; returns its own."""
        while True:
            frame = self._socket.recv(65536)
            header = 20 if frame[14] >> 4 == 4 else 40
            segment = frame[14 + header:]
            if (frame[14 + 9] if header == 20 else frame[14 + 6]) == TCP and len(segment) >= 20:
                own, acknowledged, _, flags = struct.unpack_from("!IIBB", segment, 4)
                if flags == SYN | ACK and acknowledged == sequence + 1:
                    return own

    def close(self):
        self._socket.close()
