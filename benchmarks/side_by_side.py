"""Ways of doing one thing, measured in turns: what each costs in seconds of the clock and of the processors."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SEED = 0


class Cost(NamedTuple):
    """What one call took, in seconds."""

    wall: float
    cpu: float
    """User and system time of this process and of the children that it waited for."""


def costs_of(work: Callable[[], object]) -> Cost:
    """Call it once."""
    before, start = _processors(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - start, _processors() - before)


def _processors() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def in_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Cost]:
    """Medians of each way; the ways take turns, so that a machine that slows down slows all of them.

    The first turn, in which libraries are loaded and threads are made, is not counted.
    """
    for work in ways.values():
        work()
    taken: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            taken[name].append(costs_of(work))
    return {name: median_of(each) for name, each in taken.items()}


def median_of(costs: list[Cost]) -> Cost:
    """The medians of clock and processors, each for itself."""
    return Cost(*(statistics.median(column) for column in zip(*costs, strict=True)))


def _answer(work: Callable[..., Any], arguments: tuple[Any, ...], pipe: Any) -> None:
    try:
        pipe.send(("found", work(*arguments)))
    except Exception as error:
        pipe.send(("failed", f"{type(error).__name__}: {error}"))


def in_own_process(work: Callable[..., Any], *arguments: Any, seconds: float = 600.0) -> Any:
    """What `work` answers in a process of its own; where it fails, dies or takes too long, words that say so."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(work, arguments, theirs))
    process.start()
    theirs.close()
    if not ours.poll(seconds):
        process.kill()
        process.join()
        return f"not done after {seconds:.0f} s"
    try:
        kind, found = ours.recv()
    except EOFError:
        process.join()
        return f"died with exit status {process.exitcode}"
    process.join()
    return found if kind == "found" else str(found)


def with_peak(work: Callable[[], Any]) -> tuple[Any, Cost, float]:
    """What it gives, what it costs, and by how many MiB the process's memory grew at its peak (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    found: list[Any] = []
    cost = costs_of(lambda: found.append(work()))
    return found[0], cost, (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    """KiB, from /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def random() -> np.random.Generator:
    """The same numbers each time."""
    return np.random.default_rng(SEED)
