"""Seconds and peak memory of what is repeated, in this process."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_report.training import Training
from inr_plugins.bench.memory import PeakMemory
from inr_plugins.engine.host.memory import HeapWatch, release_free_memory
from inr_plugins.machine import resident_bytes

_MIB = 1 << 20


@dataclass(frozen=True)
class Effort:
    """How often a step is repeated.

    Attributes:
        warm_up: steps that are not timed.
        least: steps that are timed, whatever they take.
        most: steps that are timed where they are quick.
        seconds: of timed steps, after which no more than the least are taken; of warming up too.
    """

    warm_up: int = 3
    least: int = 3
    most: int = 15
    seconds: float = 6.0


TINY = Effort(warm_up=1, least=1, most=1)
TOGETHER = Effort(warm_up=3, least=12, most=12, seconds=math.inf)
"""Of several processes, which have to take equally many steps."""


@dataclass(frozen=True)
class Task:
    """One point of an axis, to be measured in this process.

    Attributes:
        size: what grows.
        device: that is measured.
        tiny: whether this is a rehearsal.
        folder: empty; for whatever is to be written.
        resident: bytes that the process held before anything was made.
        effort: how often to repeat.
    """

    size: int
    device: torch.device
    tiny: bool
    folder: Path
    resident: int
    effort: Effort = Effort()


class Peak:
    """The largest memory since this was made: of the process beyond what it held at first, or of the device."""

    def __init__(self, task: Task) -> None:
        self._task, self._memory = task, PeakMemory()
        if task.device.type == "cpu":
            release_free_memory()
        self._memory.watch()

    def mib(self) -> float:
        """In MiB; on CUDA of the tensors on the device."""
        self._memory.note()
        if self._task.device.type == "cuda":
            assert self._memory.device_gb is not None
            return self._memory.device_gb * 1e9 / _MIB
        return max(self._memory.host_gb * 1e9 - self._task.resident, 0.0) / _MIB


def resident() -> int:
    """Bytes that this process holds now, without what is free."""
    release_free_memory()
    return resident_bytes()


def finish(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """What a call takes, the device's work included."""
    finish(device)
    begin = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - begin


def repeated(step: Callable[[int], object], task: Task, *, first: int = 0) -> list[float]:
    """Seconds of each timed step after a warm-up; `step` is given its number, from `first` on."""
    effort, taken = task.effort, 0.0
    number = first
    while number - first < effort.warm_up and taken < effort.seconds:
        taken += seconds_of(partial(step, number), task.device)
        number += 1
    seconds: list[float] = []
    while len(seconds) < effort.least or (len(seconds) < effort.most and sum(seconds) < effort.seconds):
        seconds.append(seconds_of(lambda: step(number), task.device))  # noqa: B023
        number += 1
    return seconds


def steps_of(training: Training, task: Task, *, first: int) -> dict[str, Any]:
    """What training steps cost from number `first` on.

    Returns:
        `step_seconds`, their median; `memory_mib`, the peak of all that the process has made for the training and for
        its steps; `sent_mib`, the gradients that several processes send one another in a step.
    """
    heap, peak = HeapWatch(), Peak(task)

    def step(number: int) -> None:
        training.step(number)
        if task.device.type == "cpu":
            # As a training does.
            heap.after_step()

    seconds = repeated(step, task, first=first)
    return {
        "step_seconds": statistics.median(seconds),
        "seconds_of_each": [round(each, 5) for each in seconds],
        "memory_mib": peak.mib(),
        "sent_mib": gradient_bytes(training.model) / _MIB,
    }


def gradient_bytes(model: torch.nn.Module) -> int:
    """Of the gradients of the last step: of sparse ones, the rows that they hold and their numbers."""
    total = 0
    for parameter in model.parameters():
        gradient = parameter.grad
        if gradient is None:
            continue
        parts = (gradient._indices(), gradient._values()) if gradient.is_sparse else (gradient,)
        total += sum(each.numel() * each.element_size() for each in parts)
    return total
