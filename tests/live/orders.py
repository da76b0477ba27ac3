# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets that contain the verdict that they ask for, and the trace that the plugin `obey` (tests/plugins/obey.c)
writes.

Always: an order is the mark byte of the head in tests/plugins/marked.h, so the plugin keeps no state: a packet that
got another verdict than it asked for was not decided by the plugin. A Talk numbers the datagrams of each direction
and keeps those that arrive. A Trace is a file that the workers write as shared memory, so it has how often the plugin
was asked, also by workers that were killed.
"""

import contextlib
import os
import socket
import struct

import wire
from support.commands import wait_for
from support.engine import plugin

ACCEPT, DROP, ACCEPT_FLOW, DROP_FLOW, CRASH = 1, 2, 3, 4, 5  # as in obey.c
TALK_PORT, TCP_PORT, CLIENT_PORT = 7200, 7600, 7700
BULK = os.urandom(1 << 18)
SEND_SECONDS = 5
SILENCE_SECONDS = 0.3  # several retransmissions of a lost segment on these links
IPV6_DSTOPTS = 59  # the option of a socket
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def head(order, sequence=0, flow=0):
    return struct.pack("=4sIQB", b"nfqp", flow, sequence, order)


class Trace:
    """The trace of one plugin: `asked` packets in all, and how often each numbered datagram."""

    def __init__(self, directory, name, datagrams=0):
        self.path = os.path.join(directory, f"{name}.trace")
        with open(self.path, "wb") as file:
            file.truncate(8 + datagrams)
            os.fchmod(file.fileno(), 0o666)  # plugins run as another user

    def asked(self):
        with open(self.path, "rb") as file:
            return struct.unpack("=Q", file.read(8))[0]

    def datagrams(self):
        with open(self.path, "rb") as file:
            return file.read()[8:]


def traced(name, trace, flows=1, **options):
    """The plugin of this name as an argument of the engine."""
    options = {"trace": trace.path, "flows": flows, **options}
    return ",".join([plugin(name), *(f"{key}={value}" for key, value in options.items())])


class Talk:
    """One UDP flow: a socket in the client's namespace and one in the server's, which send numbered orders."""

    def __init__(self, lab, number=0, family=4, port=TALK_PORT, client=None, server=None, addresses=None):
        addresses = addresses or (lab.client_addresses[family][number % 32], lab.server_main[family])
        self.sent, self._came = [0, 0], [[], []]
        self._sockets = []
        for namespace, address in ((client or lab.client, (addresses[0], port + number)),
                                   (server or lab.server, (addresses[1], port + number))):
            with namespace.entered():
                opened = socket.socket(FAMILIES[family], socket.SOCK_DGRAM)
            self._sockets.append(opened)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            # A packet counts for its sender until the next host receives it, so many at once can fill the buffer.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", SEND_SECONDS, 0))
            opened.bind(address)
        self._sockets[0].connect(self._sockets[1].getsockname())
        self._sockets[1].connect(self._sockets[0].getsockname())

    def mark(self, mark):
        """Those that the client sends get it from the socket."""
        self._sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)

    def send(self, order, count=1, back=False, size=0, tail=b""):
        """Datagrams from the client to the server, or back. tail: what comes after the head."""
        for _ in range(count):
            self._sockets[back].send((head(order, self.sent[back]) + tail).ljust(size, b"."))
            self.sent[back] += 1

    def came(self, back=False):
        """The numbers of the datagrams that have arrived so far, in the order of their arrival."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self._sockets[not back].recv(65536, socket.MSG_DONTWAIT)
                assert data[:4] == b"nfqp", data
                self._came[back].append(struct.unpack_from("=Q", data, 8)[0])
        return self._came[back]

    def close(self):
        for opened in self._sockets:
            opened.close()


class Connection:
    """A TCP connection from a port of the client's that stays the same, to a server that sends back what it gets.
    options: the client's packets, from the SYN on, have an IPv6 header with so many bytes of destination options."""

    def __init__(self, lab, listener, port=CLIENT_PORT, timeout=5.0, options=0):
        family = 4 if listener.family == socket.AF_INET else 6
        with lab.client.entered():
            self._client = socket.socket(listener.family, socket.SOCK_STREAM)
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a close is a reset
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each end waits for the other's ACK
        if options:
            self._client.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, wire.extension(0, options))
        self._client.bind((lab.client_addresses[family][0], port))
        self._client.settimeout(timeout)
        self._server = None
        try:
            self._client.connect(listener.getsockname()[:2])
            listener.settimeout(5)
            self._server = listener.accept()[0]
            self._server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            self.close()
            raise

    def say(self, data, back=False, timeout=5.0):
        """Sends from the client to the server, or back; False: it did not arrive in time. Both ends are this thread."""
        sender, receiver = (self._server, self._client) if back else (self._client, self._server)
        receiver.settimeout(timeout)
        for start in range(0, len(data), 1 << 16):  # as much as fits into the socket buffers
            chunk = data[start:start + (1 << 16)]
            sender.sendall(chunk)
            got = b""
            try:
                while len(got) < len(chunk):
                    got += receiver.recv(1 << 16)
            except TimeoutError:
                return False
            assert got == chunk
        return True

    def exchange(self, order, size=0, timeout=5.0):
        """Sends an order and back again; False: nothing came in time."""
        data = head(order) + BULK[:size]
        return self.say(data, timeout=timeout) and self.say(data, True, timeout)

    def reset_by_server(self):
        """Waits until the client knows."""
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._server.close()
        self._server = None
        self._client.settimeout(5)
        try:
            assert self._client.recv(1) is None, "the client is not reset"
        except ConnectionResetError:
            self._client.close()

    def close(self):
        """Resets it and waits until the server knows, so that nothing of it is on its way when the next one begins."""
        self._client.close()
        if self._server:
            self._server.settimeout(SILENCE_SECONDS)
            with contextlib.suppress(ConnectionResetError, TimeoutError):  # no reset arrives if the flow is dropped
                while self._server.recv(1 << 16):
                    pass
            self._server.close()


def wait_decided(namespace, count):
    """Waits until the queues of the namespace have had so many packets and none waits; nothing was lost in them."""
    def condition():
        queues = namespace.queues().values()
        assert all(queue.queue_dropped == queue.user_dropped == 0 for queue in queues), queues
        return sum(queue.last_id for queue in queues) >= count and namespace.waiting() == 0
    wait_for(condition, f"{count} packets are decided; the queues are {namespace.queues()}")
    assert sum(queue.last_id for queue in namespace.queues().values()) == count, "no packet was queued that was not sent"
