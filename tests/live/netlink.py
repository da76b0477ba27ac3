# SPDX-License-Identifier: GPL-2.0-or-later
"""A netlink client for tests that use the kernel's queue without the engine and its libraries.

Always: messages are encoded and decoded here byte by byte, so that a mistake in the engine's encoder or decoder is not
repeated. Every wait has a limit. No message is discarded: a packet that arrives before an awaited answer is returned by
the next receive, in the order of the stream.
"""

import errno
import itertools
import select
import socket
import struct
from collections import deque, namedtuple

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
SUBSYSTEM_NFTABLES, SUBSYSTEM_QUEUE = 10, 3
NFT_MSG_NEWGEN, NFT_MSG_GETGEN = 15, 16

PACKET, VERDICT, CONFIG, VERDICT_BATCH = 0, 1, 2, 3
BIND, UNBIND = 1, 2
COPY_NONE, COPY_META, COPY_PACKET = 0, 1, 2
FAIL_OPEN, CONNTRACK, GSO, UID_GID, SECCTX = 1, 2, 4, 8, 16

# The attributes of a packet and of a verdict, by the kernel's numbers.
(PACKET_HDR, VERDICT_HDR, MARK, TIMESTAMP, IFINDEX_INDEV, IFINDEX_OUTDEV, IFINDEX_PHYSINDEV, IFINDEX_PHYSOUTDEV, HWADDR,
 PAYLOAD, CT, CT_INFO, CAP_LEN, SKB_INFO, EXP, UID, GID, SECURITY_CONTEXT, VLAN, L2HDR, PRIORITY,
 CGROUP_CLASSID) = range(1, 23)
SKB_CHECKSUM_NOT_READY, SKB_GSO, SKB_CHECKSUM_NOT_VERIFIED = 1, 2, 4

# Verdicts. A number of a queue goes into the upper half of QUEUE.
DROP, ACCEPT, QUEUE, REPEAT = 0, 1, 3, 4
QUEUE_BYPASS = 0x8000

HEADER = 16         # of every netlink message
FAMILY = 4          # struct nfgenmsg after it
ATTRIBUTE = 4       # the head of an attribute
BUFFER = 128 * 1024  # larger than any message
LIMIT_SECONDS = 5.0

ERRORS = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP"}  # Python has another name for the same number

Packet = namedtuple("Packet", "queue id protocol hook attributes cut size")
Answer = namedtuple("Answer", "error sequence request")
Other = namedtuple("Other", "kind body")


def attribute(kind, value):
    """One attribute. Its length includes the value, but not the padding after it."""
    return (struct.pack("=HH", ATTRIBUTE + len(value), kind) + value).ljust((ATTRIBUTE + len(value) + 3) & ~3, b"\0")


def number(kind, value):
    return attribute(kind, struct.pack("!I", value))


def command(code):
    return attribute(1, struct.pack("!BxH", code, 0))


def copy(mode, copy_range):
    return attribute(2, struct.pack("!IB", copy_range, mode))


def max_len(packets):
    return number(3, packets)


def mask(bits):
    return number(4, bits)


def flags(bits):
    return number(5, bits)


def message(kind, queue, *attributes, sequence=0, acknowledge=False, subsystem=SUBSYSTEM_QUEUE):
    body = struct.pack("=BB", socket.AF_UNSPEC, 0) + struct.pack("!H", queue) + b"".join(attributes)
    return struct.pack("=IHHII", HEADER + len(body), subsystem << 8 | kind,
                       NLM_F_REQUEST | (NLM_F_ACK if acknowledge else 0), sequence, 0) + body


def verdict(queue, packet_id, value, *attributes, kind=VERDICT, **options):
    return message(kind, queue, attribute(VERDICT_HDR, struct.pack("!II", value, packet_id)), *attributes, **options)


def attributes_of(data):
    """Type -> value. The last one may be cut."""
    found = {}
    while len(data) >= ATTRIBUTE:
        size, kind = struct.unpack_from("=HH", data)
        assert size >= ATTRIBUTE, "no attribute is shorter than its head"
        found[kind & 0x3fff] = data[ATTRIBUTE:size]
        data = data[(size + 3) & ~3:]
    return found


def decode(data, cut=False):
    """A message of the kernel: Packet, Answer, or Other."""
    size, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
    assert cut or size <= len(data)
    if kind == NLMSG_ERROR:
        return Answer(-struct.unpack_from("=i", data, HEADER)[0], sequence, data[HEADER + 4:])
    if kind != SUBSYSTEM_QUEUE << 8 | PACKET:
        return Other(kind, data[HEADER:size])
    attributes = attributes_of(data[HEADER + FAMILY:size])
    packet_id, protocol, hook = struct.unpack("!IHB", attributes[PACKET_HDR])
    return Packet(struct.unpack_from("!H", data, HEADER + 2)[0], packet_id, protocol, hook, attributes, cut, size)


def is_readable(opened):
    """Whether a receive would return at once, with something or with an error."""
    return bool(select.select([opened], [], [], 0)[0])


class Client:
    """One netlink socket, made in a namespace, with a port id of its own. It can own any number of queues."""

    def __init__(self, namespace, receive_buffer=16 * 1024 * 1024, no_enobufs=True):
        with namespace.entered():
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        self._prepare(receive_buffer, no_enobufs)

    @classmethod
    def adopt(cls, descriptor):
        """A client of a socket that another process has opened."""
        client = cls.__new__(cls)
        client.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER, fileno=descriptor)
        client._prepare(None, True)
        return client

    def _prepare(self, receive_buffer, no_enobufs):
        self._came_early = deque()
        self._sequences = itertools.count(1)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, int(no_enobufs))
        self.socket.bind((0, 0))
        self.socket.settimeout(LIMIT_SECONDS)
        self.port_id = self.socket.getsockname()[0]

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    # What comes

    def _read(self, size=BUFFER):
        data, _, received, _ = self.socket.recvmsg(size)
        return decode(data, bool(received & socket.MSG_TRUNC))

    def receive(self, size=BUFFER):
        """The next message of the stream, of any kind."""
        return self._came_early.popleft() if self._came_early else self._read(size)

    def packets(self, count):
        """The next so many messages, which must be packets."""
        messages = [self.receive() for _ in range(count)]
        assert all(isinstance(message, Packet) for message in messages), messages
        return messages

    def packet(self):
        return self.packets(1)[0]

    def is_idle(self):
        """Nothing is in the stream."""
        return not self._came_early and not is_readable(self.socket)

    # What goes

    def send(self, *messages):
        self.socket.send(b"".join(messages))

    def ask(self, build, *arguments, **options):
        """Sends a message that asks for an acknowledgement. The name of the error that came as the answer, or None."""
        sequence = next(self._sequences)
        self.send(build(*arguments, sequence=sequence, acknowledge=True, **options))
        while True:
            answer = self._read()
            if isinstance(answer, Answer) and answer.sequence == sequence:
                return ERRORS.get(answer.error)
            self._came_early.append(answer)

    def configure(self, queue, *attributes):
        return self.ask(message, CONFIG, queue, *attributes)

    def bind(self, queue, *attributes, mode=COPY_PACKET, copy_range=0xffff):
        """Binds a queue and sets its parameters, in one message."""
        assert self.configure(queue, command(BIND), copy(mode, copy_range), *attributes) is None

    def answer(self, queue, packet_id, value, *attributes):
        return self.ask(verdict, queue, packet_id, value, *attributes)

    def answer_up_to(self, queue, packet_id, value, *attributes):
        return self.ask(verdict, queue, packet_id, value, *attributes, kind=VERDICT_BATCH)
