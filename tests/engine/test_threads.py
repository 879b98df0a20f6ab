"""How torch's threads wait: processor time that a process uses while it has nothing to do, measured in children."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from inr_plugins.engine.threads import WAIT_VARIABLES, wait_without_spinning

# Sixty parallel operations of less than a millisecond, each followed by ten milliseconds in which nothing is to be done.
_MOSTLY_IDLE = """
import sys, time, torch
from inr_plugins.engine.threads import wait_without_spinning
done = sys.argv[1] == "call" and wait_without_spinning()
numbers = torch.ones(1 << 20).add_(1)
begin = time.process_time()
for _ in range(60):
    numbers.add_(1)
    time.sleep(0.01)
print(done, time.process_time() - begin)
"""
_PROCESSORS = len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else 1


def idle_seconds(way: str, **variables: str) -> tuple[bool, float]:
    environment = {name: value for name, value in os.environ.items() if name not in WAIT_VARIABLES}
    environment |= {"OMP_NUM_THREADS": str(_PROCESSORS), **variables}
    command = [sys.executable, "-c", _MOSTLY_IDLE, way]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
    return printed[0] == "True", float(printed[1])


@pytest.mark.skipif(_PROCESSORS < 2, reason="one processor: nothing waits for anything")
def test_waiting_threads_leave_the_processor_to_others():
    done, seconds = idle_seconds("call")
    assert done
    assert seconds < 0.4 * idle_seconds("leave")[1]


@pytest.mark.skipif(_PROCESSORS < 2, reason="one processor: nothing waits for anything")
@pytest.mark.parametrize("variable", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "300000"}])
def test_the_environment_decides_where_it_says_something(variable):
    done, seconds = idle_seconds("call", **variable)
    assert not done
    assert seconds > 0.2


def test_nothing_is_done_where_processors_are_left_free(monkeypatch):
    for name in WAIT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    wait_without_spinning.cache_clear()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(torch.get_num_threads() + 1)))
    try:
        assert not wait_without_spinning()
        monkeypatch.setattr(sys, "platform", "darwin")
        wait_without_spinning.cache_clear()
        assert not wait_without_spinning()
    finally:
        wait_without_spinning.cache_clear()
