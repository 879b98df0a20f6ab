"""What is measured of one training while it runs: the curve, the budgets, memory and speed.

The training calls :meth:`Measurement.before_step` and :meth:`Measurement.after_step`; nothing here knows what trains.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inr_plugins.bench.clock import Moment, Schedule, TrainingClock, Unit
from inr_plugins.bench.memory import PeakMemory

_PROGRESS_SECONDS = 0.5

_SO_FAR = ("preparation", "steps", "curve", "results")
_OF_MEMORY = ("host_gb", "device_gb", "is_of_training_alone")

MEANS = ("psnr", "ssim", "silhouette_iou")
"""What is measured of a view."""

Score = tuple[float | None, float | None, float | None]
"""These of one view: dB, in [-1, 1], in [0, 1]; None where a number does not exist."""


@dataclass
class Measurement:
    """Follows one training and keeps what a record tells of it.

    Attributes:
        clock: counts the seconds of training.
        schedule: moments to measure at.
        unit: what those are in.
        curve_indices: views that a point of the curve is the mean of.
        all_indices: views that a budget is measured on; they include those of the curve.
        score: renders views and compares them, by index.
        surface: extracts the mesh and compares it with the true one, at each budget; None: that is not asked for.
        stop: called once, after the step that ends the last budget.
        synchronise: waits until the device has done what it was told, so that the clock is right.
        on_budget: called with the step's number when a budget is reached, while the clock stands still.
        on_progress: told now and then how far training is.
        checkpoint: called with the step's number, to write down what training and :meth:`state` can go on from.
        checkpoint_every: seconds between two of these, of any clock; 0: never.
        preparation: seconds that the model took to prepare itself before the first step; they count.
        memory: watches the peak.
        steps: taken so far.
        started_at: Unix time of the first step.
        curve: points measured so far.
        results: budgets measured so far.
    """

    clock: TrainingClock
    schedule: Schedule
    unit: Unit
    curve_indices: Sequence[int]
    all_indices: Sequence[int]
    score: Callable[[Sequence[int]], Mapping[int, Score]]
    stop: Callable[[], None]
    surface: Callable[[], dict[str, Any]] | None = None
    synchronise: Callable[[], None] = lambda: None
    on_budget: Callable[[int], None] = lambda step: None
    on_progress: Callable[[dict[str, Any]], None] = lambda progress: None
    checkpoint: Callable[[int], None] = lambda step: None
    checkpoint_every: float = 0.0
    preparation: float = 0.0
    memory: PeakMemory = field(default_factory=PeakMemory)
    steps: int = 0
    started_at: float | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    _told_at: float = 0.0
    _saved_at: float = 0.0
    _seconds_before: float | None = None
    _seen: float = 0.0

    def state(self) -> dict[str, Any]:
        """What :meth:`go_on_from` needs, as JSON holds it."""
        of_memory = {name: getattr(self.memory, name) for name in _OF_MEMORY}
        return {"seconds": self.clock.seconds, "seen": self._seen, "memory": of_memory, **self._so_far()}

    def _so_far(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SO_FAR}

    def go_on_from(self, state: Mapping[str, Any]) -> None:
        """Before the first step: go on measuring a training that was stopped when :meth:`state` gave this."""
        for name in _SO_FAR:
            setattr(self, name, state[name])
        for name in _OF_MEMORY:
            setattr(self.memory, name, state["memory"][name])
        self._seconds_before, self._seen = state["seconds"], state["seen"]
        # They have been measured. Some may lie between the last look at the clock and the moment of the checkpoint.
        self.schedule.reached(self._seen)

    def before_step(self) -> None:
        """Start the clock before the first step."""
        if not self.clock.is_started:
            self.memory.watch()
            self.started_at, self._saved_at = time.time(), time.perf_counter()
            self.clock.start(self.preparation if self._seconds_before is None else self._seconds_before)

    def after_step(self, step: int) -> None:
        """Count the step, which the trainer calls `step`, and measure if a moment is reached."""
        self.steps += 1
        self._seen = self.clock.seconds if self.unit == "seconds" else self.steps
        reached = self.schedule.reached(self._seen)
        if reached:
            self._measure(reached, step, ended_by_itself=False)
        else:
            self._tell("training")
        if self.schedule.is_over:
            self.stop()
        elif 0 < self.checkpoint_every <= time.perf_counter() - self._saved_at:
            self._save(step)

    def _save(self, step: int) -> None:
        self.synchronise()
        with self.clock.paused():
            self.memory.note()
            self.checkpoint(step)
            self._saved_at = time.perf_counter()
            self.memory.watch()

    def finish(self, step: int) -> None:
        """Measure what is left, when training has ended by itself: all budgets that it did not need."""
        rest = self.schedule.rest()
        if rest:
            self._measure(rest, step, ended_by_itself=True)

    def _measure(self, reached: Sequence[Moment], step: int, *, ended_by_itself: bool) -> None:
        """Measure once for all of `reached`, with the clock stopped."""
        self.synchronise()
        with self.clock.paused():
            self.memory.note()
            self._tell("evaluating", at_once=True)
            budgets = [moment.at for moment in reached if moment.is_budget]
            indices = self.all_indices if budgets else self.curve_indices
            begin = time.perf_counter()
            scores = self.score(indices)
            taken = time.perf_counter() - begin
            surface = {"surface": self.surface()} if budgets and self.surface is not None else {}
            state = {"seconds": self.clock.seconds, "steps": self.steps}
            of_curve = mean_of([scores[index][0] for index in self.curve_indices])
            self.curve.append({"moment": reached[-1].at, **state, "psnr": of_curve})
            for budget in budgets:
                result = {"budget": budget, **state, "ended_by_itself": ended_by_itself, **summary(scores)}
                self.results.append({**result, **surface, "evaluation_seconds": taken})
            if budgets and not ended_by_itself:
                self.on_budget(step)
            self.memory.watch()

    def _tell(self, phase: str, *, at_once: bool = False) -> None:
        now = time.perf_counter()
        if not at_once and now - self._told_at < _PROGRESS_SECONDS:
            return
        self._told_at = now
        psnr = self.curve[-1]["psnr"] if self.curve else None
        self.on_progress({"phase": phase, "steps": self.steps, "seconds": self.clock.seconds, "psnr": psnr})

    def outcome(self) -> dict[str, Any]:
        """What a record keeps, as JSON holds it."""
        last = self.results[-1] if self.results else None
        in_steps = 0.0 if last is None else last["seconds"] - self.preparation
        return {
            "curve": self.curve,
            "results": self.results,
            "steps_per_second": last["steps"] / in_steps if last is not None and in_steps > 0 else None,
            "preparation_seconds": self.preparation,
            "peak_memory_gb": self.memory.host_gb,
            "peak_memory_is_of_training_alone": self.memory.is_of_training_alone,
            "peak_device_memory_gb": self.memory.device_gb,
        }


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean, or None if there are no values or one of them is missing: a mean of the rest would flatter."""
    present = [value for value in values if value is not None]
    return statistics.fmean(present) if present and len(present) == len(values) else None


def summary(scores: Mapping[int, Score]) -> dict[str, Any]:
    """Means over views, and each view's own numbers."""
    means = {name: mean_of([score[place] for score in scores.values()]) for place, name in enumerate(MEANS)}
    views = [{"view": index, **dict(zip(MEANS, score, strict=True))} for index, score in scores.items()]
    return {**means, "views": views}
