# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: senders are told that their packets are dropped, with the addresses that they wrote, and by the rules of nft.

Both need what this kernel has: it says the addresses of a packet's connection from before a NAT, and it knows `queue` for
nft. What other kernels can do is shown by live.reject.
"""

import errno

import pytest

from bypass import printed
from support.rules import nft
from test_reject import (
    FLOW, MARK, REJECTED, assert_either_end_is_reset, assert_refused, assert_senders_are_told, both_families, datagrams,
    error_of, refusing, translate)

__all__ = ["refusing"]  # a fixture


@both_families
def test_senders_before_a_nat_are_told(lab, refusing, family):
    assert_senders_are_told(lab, refusing, family, "DNAT", "SNAT")


@both_families
def test_either_end_of_a_connection_is_reset(lab, refusing, family):
    assert_either_end_is_reset(lab, refusing, family, "DNAT", "SNAT")


@both_families
@pytest.mark.parametrize("option", ["--reject-by-rule", "--reject-mark"])
def test_rules_of_nft_tell_senders_or_let_answers_pass(lab, refusing, option, family):
    """As they are printed; there is no other rule that queues."""
    assert nft(lab.router, printed(lab, "--print-rules=nft", "--queue", "1", option, MARK)) == ""
    address = translate(lab, family, "DNAT", "SNAT")
    engine = refusing(option, MARK)
    for port in (REJECTED, FLOW):
        assert_refused(lab.client, family, address, port)
    with datagrams(lab.client, family, address, REJECTED) as end:
        end.send(b"x")
        assert error_of(end) == errno.ECONNREFUSED
    assert_refused(lab.router, family, lab.server_main[family])
    engine.assert_final(rejects_sent=None)
    assert engine.engine.total("rejects_sent") >= 4
