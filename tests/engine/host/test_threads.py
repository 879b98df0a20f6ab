"""How torch's threads wait: processor time that a process uses while it has nothing to do, measured in children."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from long_form import long_form

from inr_plugins.engine.host.threads import WAIT_VARIABLES, Decision, Reading, busy_seconds, yield_to_neighbours

_PROCESSORS = len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else 1
several_processors = pytest.mark.skipif(_PROCESSORS < 2, reason="one processor: nothing waits for anything")

# Parallel operations of less than a millisecond, each followed by ten milliseconds in which nothing is to be done.
_IDLE_SECONDS = """
import sys, threading, time, torch
from inr_plugins.engine.host import threads
numbers = torch.ones(1 << 20)
def idle_seconds():
    numbers.add_(1)
    begin = time.process_time()
    for _ in range(60):
        numbers.add_(1)
        time.sleep(0.01)
    return time.process_time() - begin
"""
_HOLD_AND_RELEASE = """
team = threads.IdleTeam()
print(idle_seconds())
for _ in range(2):
    team.hold()
    team.hold()
    print(idle_seconds())
    team.release()
    team.release()
    print(idle_seconds())
"""
_WATCH = """
print(threads.yield_to_neighbours())
deadline = time.monotonic() + float(sys.argv[1])
while time.monotonic() < deadline and "idle OpenMP team" not in [each.name for each in threading.enumerate()]:
    time.sleep(0.05)
print("idle OpenMP team" in [each.name for each in threading.enumerate()])
"""


def run_child(code: str, *arguments: str, **variables: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name not in WAIT_VARIABLES}
    environment |= {"OMP_NUM_THREADS": str(_PROCESSORS), **variables}
    command = [sys.executable, "-c", _IDLE_SECONDS + code, *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


@long_form
@several_processors
def test_threads_do_not_spin_while_a_second_team_is_held():
    before, held, released, held_again, released_again = map(float, run_child(_HOLD_AND_RELEASE))
    assert max(held, held_again) < 0.4 * min(before, released, released_again)


@long_form
@several_processors
def test_a_neighbour_that_keeps_a_processor_is_noticed():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            assert run_child(_WATCH, "30") == ["True", "True"]
        finally:
            neighbour.kill()


@long_form
@several_processors
@pytest.mark.parametrize("variable", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "300000"}])
def test_the_environment_decides_where_it_says_something(variable):
    assert run_child(_WATCH, "0", **variable) == ["False", "False"]


def test_nothing_is_watched_where_processors_are_left_free_or_on_other_systems(monkeypatch):
    for name in WAIT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(torch.get_num_threads() + 1)))
    assert not yield_to_neighbours.__wrapped__()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(torch.get_num_threads())))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not yield_to_neighbours.__wrapped__()


def test_a_machine_is_shared_at_once_and_alone_only_after_a_while():
    decision = Decision()
    assert not decision.update(0.2)
    assert decision.update(0.3)
    assert all(decision.update(0.05) for _ in range(4))
    assert decision.update(0.15), "the quiet times must follow one another"
    assert all(decision.update(0.05) for _ in range(4))
    assert not decision.update(0.05)
    assert not decision.update(0.2)


def test_busy_seconds_are_those_of_the_processors_asked_for():
    statistics = """cpu  999 999 999 999 999 999 999 999 0 0
cpu0 100 20 30 7000 5000 4 6 40 50 60
cpu1 1000 0 0 0 0 0 0 0 0 0
cpu10 1 1 1 1 1 1 1 1 1 1
intr 55 66
"""
    assert busy_seconds(statistics, {0}, ticks_per_second=100) == pytest.approx(2.0)
    assert busy_seconds(statistics, {0, 1}, ticks_per_second=100) == pytest.approx(12.0)
    assert busy_seconds(statistics, {10}, ticks_per_second=100) == pytest.approx(0.06)


def test_what_a_process_uses_itself_is_not_used_by_others():
    then = Reading(moment=10.0, machine=100.0, own=3.0)
    assert Reading(moment=12.0, machine=104.0, own=6.0).used_by_others_since(then) == pytest.approx(0.5)
    assert Reading(moment=12.0, machine=104.0, own=7.0).used_by_others_since(then) == 0
