# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a plugin that needs the payload sees all of it, also where the kernel makes the largest packets: on loopback,
segmentation offload makes packets of more than the 65,531 bytes that the kernel copies. What cannot be copied is said.
"""

import random
import socket
import threading

import pytest

from support.commands import wait_for
from support.engine import plugin
from support.rules import Rule, queue_target
from test_flags import HEADERS_CUT, TRUNCATED, all_described, read_pairs

PORT = 8080
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
WORD = b"nfqe-word"  # tests/plugins/find_words.c
WORDS = 2000
APART = 100          # bytes between the two copies of a word: at most one of them can lie in two packets
WHOLE = 65531
SO_RCVBUFFORCE = 33


def text_with_words():
    """Each word is in it twice, at an odd place; the rest is zeros."""
    places = random.Random(10)
    text = bytearray()
    for number in range(WORDS):
        word = WORD + number.to_bytes(4, "big")
        text += bytes(places.randrange(30000)) + word + bytes(APART) + word
    return bytes(text)


def transfer(namespace, family, text):
    """Over a connection in the namespace to itself."""
    with namespace.entered():
        listener = socket.socket(FAMILIES[family])
        sender = socket.socket(FAMILIES[family])
    with listener, sender:
        listener.bind((LOOPBACK[family], PORT))
        listener.listen()
        sender.settimeout(60)
        sender.connect((LOOPBACK[family], PORT))
        receiver = listener.accept()[0]
        with receiver:
            receiver.settimeout(60)

            def send():
                sender.sendall(text)
                sender.shutdown(socket.SHUT_WR)

            thread = threading.Thread(target=send, daemon=True)
            thread.start()
            received = 0
            while chunk := receiver.recv(1 << 20):
                received += len(chunk)
            thread.join()
    assert received == len(text)


@pytest.mark.parametrize("family", [4, 6])
def test_a_word_in_any_place_of_a_transfer_over_loopback_is_seen(lab, start_engine, family):
    engine = start_engine("--plugin", plugin("find_words"), "--queue", "1")
    Rule(lab.router, "OUTPUT", "-p", "tcp", "--dport", str(PORT), *queue_target(1))
    transfer(lab.router, family, text_with_words())
    wait_for(lambda: lab.router.waiting() == 0, "no packet waits in the queue")
    assert engine.stop() == 0
    said = [read_pairs(match.group(1)) for match in engine.matches(r"plugin find_words: total: (.*)$")]
    total = max(said, key=lambda each: each["words"])
    assert total["words"] == WORDS, total
    assert engine.total("truncated") == total["truncated"], engine.final()


# Of UDP, with the IP header; the largest of IPv6 is more than the MTU of loopback, and is queued before it is cut.
SIZES = {4: (65530, 65531, 65532, 65535), 6: (65531, 65532, 65536, 65575)}
HEADERS = {4: 28, 6: 48}


@pytest.mark.parametrize("gso", ["on", "auto"])
def test_what_is_longer_than_the_kernel_copies_is_known_and_counted(lab, start_engine, gso):
    """To the plugin by its flag and its length, to the operator by a line and a counter; its headers are all there. One
    that fits is not. Without an opinion of the plugin, it passes as any other. IPv4 and IPv6, with an engine for each."""
    Rule(lab.router, "OUTPUT", "-p", "udp", "--dport", str(PORT), "-j", "MARK", "--set-mark", "1", table="mangle")
    engines = {family: start_engine("--plugin", plugin("describe_payload"), "--queue", str(family), "--gso", gso)
               for family in SIZES}
    for family, sizes in SIZES.items():
        Rule(lab.router, "OUTPUT", "-p", "udp", "--dport", str(PORT), *queue_target(family), families=(family,))
        with lab.router.entered():
            sender, receiver = (socket.socket(FAMILIES[family], socket.SOCK_DGRAM) for _ in range(2))
        with sender, receiver:
            receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
            receiver.bind((LOOPBACK[family], PORT))
            receiver.settimeout(5)
            for size in sizes:
                sender.sendto(bytes(size - HEADERS[family]), (LOOPBACK[family], PORT))
                assert len(receiver.recv(1 << 17)) == size - HEADERS[family]
    for family, sizes in SIZES.items():
        engine = engines[family]
        wait_for(lambda engine=engine, sizes=sizes: len(all_described(engine)) == len(sizes), "all are described")
        engine.wait_line(rf"queue {family}: a packet came without its last bytes: the kernel copies 65531 at most;")
        assert engine.stop() == 0
        for packet, size in zip(all_described(engine), sizes):
            assert (packet["len"], packet["wire_len"]) == (min(size, WHOLE), size), packet
            assert packet["flags"] & (TRUNCATED | HEADERS_CUT) == (TRUNCATED if size > WHOLE else 0), packet
        longer = sum(size > WHOLE for size in sizes)
        assert engine.total("truncated") == longer and engine.total("accepted") == len(sizes), engine.final()
