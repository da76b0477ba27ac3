# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise: a hostile plugin harms the packet that it has, and its worker, and nothing else.

Each animal of the plugin `zoo` attacks from handle(), handle_batch() or a handler of fork, while another queue has
traffic. All other packets of its own queue get the verdict that they ask for, in order; the other queue loses nothing
and keeps its processes; the engine stops within its drain time-out, and the next one starts; and the log names the
plugin if its worker ends.
"""

import os
import signal
import time

import pytest

from support.commands import wait_for
from support.engine import PREFIX, plugin
from support.scale import scaled_count
from zoo import ACCEPT, ATTACK, DROP, Zoo, left_over, processes_named, starts_again


@pytest.fixture
def zoo(lab, start_engine, start_pump):
    """zoo(animal, options...): a Zoo, whose Talk is closed with the test."""
    made = []

    def make(animal, *options, **how):
        made.append(Zoo(lab, start_engine, start_pump, animal, *options, **how))
        return made[-1]

    yield make
    for each in made:
        each.engine.close()
        each.talk.close()
    for pid in left_over(lab.router):  # what an animal has left in its own session
        os.kill(pid, signal.SIGKILL)


# Memory


@pytest.mark.parametrize("beyond", [1, 3, 4096])
def test_a_verdict_too_many_ends_the_worker_before_one_is_believed(zoo, beyond):
    animals = zoo(f"overrun:{beyond}", name="zoo_batch")
    animals.attack(3)
    counters = animals.stop()
    assert counters[1]["restarts"] >= 3, counters
    assert counters[1]["crash_verdicts"] == 0, "handle() repeats no overrun, so no packet is guilty"
    animals.engine.wait_line(rf"^{PREFIX}queue 1: plugin zoo_batch 1\.0\.0 crashed \(SIGSEGV\)")


def test_a_plugin_that_scribbles_over_all_its_memory_harms_its_packets_alone(lab, zoo, start_engine):
    animals = zoo("scribble")
    animals.attack(5)
    animals.assert_named("wrote over the memory in which a worker answers")
    counters = animals.stop()
    assert counters[1]["restarts"] >= 5, counters
    starts_again(lab, start_engine)


def test_random_values_in_the_ring_answer_no_packet_of_others(zoo):
    """10,000 values, in as many workers as that ends."""
    animals = zoo("ring:10", "--spares", "2", workers=3)
    for _ in range(scaled_count(1000, 40) // 20):
        animals.send(*[ACCEPT, ATTACK, ACCEPT] * 20)
        animals.wait_decided(60.0)
    animals.stop(strict=False)


def test_values_that_change_while_they_are_read_end_the_worker_alone(zoo):
    animals = zoo("ring-all:10000")
    animals.attack(3)
    animals.stop(strict=False)


@pytest.mark.parametrize("place", range(6))
def test_bytes_that_are_not_the_workers_to_name_end_it_alone(zoo, place):
    animals = zoo(f"claim:{place}", name="zoo_modify", pump=place == 0)
    animals.attack(2)
    animals.assert_named("", name="zoo_modify")
    counters = animals.stop()
    assert counters[1]["restarts"] >= 2 and counters[1]["changed"] == 0, counters


def test_a_worker_that_may_change_packets_has_its_memory_sealed(zoo):
    animals = zoo("remap", name="zoo_modify", pump=False)
    animals.attack(2)
    counters = animals.stop()
    assert counters[1]["restarts"] == 0, counters


def test_the_ring_cannot_be_made_writable_or_taken_away(zoo):
    animals = zoo("remap")
    animals.attack(3)
    animals.engine.wait_line(r"output of worker queue 1: \d+ refused")
    counters = animals.stop()
    assert counters[1]["restarts"] == 0, counters


# Processes


@pytest.mark.parametrize("animal", ["fork-return", "exec", "vfork", "fork-share"])
def test_a_fork_that_returns_twice_answers_each_packet_once(lab, zoo, start_engine, animal):
    animals = zoo(animal)
    animals.attack(4)
    animals.stop()
    starts_again(lab, start_engine)


def test_a_plugin_that_becomes_a_daemon_costs_its_packet(lab, zoo, start_engine):
    """What it has left running ends with its worker: it has the uid of a later one."""
    animals = zoo("daemon")
    animals.attack(3)
    animals.assert_named("exited with status 0")
    animals.engine.wait_workers(1)  # a daemon has a worker's title, too
    animals.stop()
    starts_again(lab, start_engine)


def test_a_fork_bomb_meets_the_limit_of_its_uid(lab, zoo, start_engine):
    animals = zoo("bomb")
    animals.attack(1)
    forks = int(animals.engine.wait_line(r"output of worker queue 1: (\d+) forks, then").group(1))
    assert 0 < forks < 64
    worker = processes_named(animals.engine, "nfqe-w1")[0]
    animals.attack(2)
    for _ in range(3):
        animals.engine.signal_child(worker, signal.SIGKILL)
        wait_for(lambda before=worker: before not in processes_named(animals.engine, "nfqe-w1"), "the worker has ended")
        animals.send(ACCEPT, DROP, ACCEPT)
        animals.wait_decided()
    animals.stop()
    starts_again(lab, start_engine)


def test_what_survives_the_engine_does_not_hinder_the_next_one(lab, zoo, start_engine):
    animals = zoo("survive", "--handle-timeout", "10s")
    animals.send(ATTACK)
    wait_for(lambda: lab.router.queues()[1].last_id == 1, "the attack is queued")
    time.sleep(0.2)
    engine = animals.engine
    engine.process.kill()
    engine.process.wait()
    animals.pump.close()
    wait_for(lambda: not lab.router.queues(), "no queue is bound", timeout=2.0)
    assert left_over(lab.router), "the test means that something is left"
    starts_again(lab, start_engine)


@pytest.mark.parametrize("pid", [0, -1])
def test_kill_of_all_that_it_may_reaches_its_own_worker(lab, zoo, start_engine, pid):
    """The kernel asks for the uid alone, and no other process has this one. If the engine were wrong, no process outside
    of its own pid namespace would be reached."""
    animals = zoo(f"kill:{pid}", "--handle-timeout", "500ms", own_pids=True)
    animals.attack(scaled_count(3, 2))
    animals.assert_named("was killed" if pid == 0 else "made no progress")
    animals.stop()
    starts_again(lab, start_engine)


# Descriptors


@pytest.mark.parametrize("animal", ["close", "dup2", "flags", "bells:1000000"])
def test_what_is_done_to_descriptors_is_done_to_its_own_worker(lab, zoo, start_engine, animal):
    animals = zoo(animal)
    animals.attack(4)
    if animal in ("close", "dup2"):
        animals.engine.wait_line(r"^nfq-engine: queue 1: .*\bplugin zoo\b")
    animals.stop()
    starts_again(lab, start_engine)


def test_no_socket_of_a_worker_takes_a_connection_that_lingers(lab, zoo, start_engine):
    animals = zoo("linger")
    animals.attack(2)
    tried = animals.engine.wait_line(r"output of worker queue 1: (\d+) sockets, (\d+) took a descriptor")
    assert int(tried.group(2)) == 0, tried.group(0)
    animals.stop()
    starts_again(lab, start_engine)


@pytest.mark.parametrize("place", ["open", "fork"])
def test_a_connection_that_lingers_holds_up_no_start(lab, start_engine, place):
    """In a handler of fork, the process has the channels of the fork server and of the new worker."""
    engine = start_engine("--plugin", plugin(f"zoo,do=linger,in={place}"), "--queue", "1-2", ready=False)
    tried = engine.wait_line(r"(\d+) sockets, (\d+) took a descriptor")
    print(tried.group(0))
    start = time.monotonic()
    engine.signal(signal.SIGTERM)
    engine.wait()
    assert time.monotonic() - start < 6.0, engine.lines
    for pid in left_over(lab.router):
        os.kill(pid, signal.SIGKILL)
    starts_again(lab, start_engine)


def test_much_output_delays_no_other(zoo):
    mib = scaled_count(1024, 64)
    animals = zoo(f"output:{mib}", "--handle-timeout", "60s")
    animals.send(ACCEPT, DROP, ATTACK, ACCEPT)
    start = time.monotonic()
    animals.wait_decided(60.0)
    print(f"{mib} MiB took {time.monotonic() - start:.1f} s")
    animals.stop()


# Rights


@pytest.mark.parametrize("animal", ["rights", "siblings", "netlink:2"])
def test_every_attempt_at_the_rights_of_others_is_refused(zoo, animal):
    animals = zoo(animal)
    animals.attack(3)
    animals.engine.wait_line(r"output of worker queue 1: \d+ refused")
    counters = animals.stop()
    assert counters[1]["restarts"] == 0, counters
