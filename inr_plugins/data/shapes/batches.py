"""Batches of points around some shapes, each a function of the step it is for and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from inr_plugins.data.shapes.sampling import SampleCounts, ShapeSamples
from inr_plugins.shape_points import ShapePoints


class PointBatch(NamedTuple):
    """Points of s shapes, p of each, and what is known of them.

    `known` holds "sdf" (s, p) signed distances in normalised units, negative inside; "occupancy" (s, p), 1 inside and 0
    outside; "near" and "on" (s, p), whether a point was drawn near the surface or on it; and "normal" (s, p, 3),
    outward unit normals of points on the surface, 0 elsewhere and where not known.
    """

    points: ShapePoints
    known: dict[str, Tensor]


@runtime_checkable
class PointSource(Protocol):
    """Draws points around one shape."""

    def sample(
        self, counts: SampleCounts, rng: np.random.Generator, *, step: int | None = None, fresh: bool = False
    ) -> ShapeSamples:
        """So many points of each kind for a step of training; `fresh`: none that were drawn before."""


class PointBatches:
    """Gives the batch of any step, whatever was drawn before: the step and `entropy` seed all that is random in it.

    Args:
        sources: one a shape, in the order of their numbers.
        counts: points of each kind for each shape of a batch.
        shapes: shapes in a batch, chosen at random without one twice; all of them where there are fewer.
        entropy: numbers, 0 or more, that tell this stream of batches from others.
        fresh: draw points that no other stream has drawn.
        pin: put the tensors where a GPU can fetch them from while it works.
    """

    def __init__(
        self,
        sources: Sequence[PointSource],
        counts: SampleCounts,
        *,
        shapes: int,
        entropy: tuple[int, ...],
        fresh: bool = False,
        pin: bool = False,
    ) -> None:
        self._sources = tuple(sources)
        self._counts = counts
        self._shapes = min(shapes, len(self._sources))
        self._entropy = entropy
        self._fresh = fresh
        self._pin = pin

    @property
    def size(self) -> int:
        """Points in a batch, of all its shapes."""
        return self._shapes * self._counts.total

    def __call__(self, step: int) -> PointBatch:
        """The batch of a step, in the computer's memory."""
        rng = np.random.default_rng((*self._entropy, step))
        chosen = rng.choice(len(self._sources), self._shapes, replace=False)
        drawn = [self._sources[number].sample(self._counts, rng, step=step, fresh=self._fresh) for number in chosen]
        known = {
            "sdf": self._stacked([each.sdf for each in drawn]),
            "occupancy": self._stacked([each.occupancy for each in drawn]),
            "near": self._stacked([each.near for each in drawn]),
            "on": self._stacked([each.on for each in drawn]),
            "normal": self._stacked([each.normals for each in drawn]),
        }
        points = self._stacked([each.points for each in drawn])
        return PointBatch(ShapePoints(points, self._placed(torch.from_numpy(chosen.astype(np.int64)))), known)

    def _stacked(self, arrays: Sequence[np.ndarray]) -> Tensor:
        return self._placed(torch.from_numpy(np.stack(arrays)))

    def _placed(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self._pin else tensor


def moved(batch: PointBatch, device: torch.device | str) -> tuple[ShapePoints, dict[str, Tensor]]:
    """The batch on a device; the copy from pinned memory goes on while the caller does something else."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    points = ShapePoints(move(batch.points.points), move(batch.points.shape))
    return points, {name: move(value) for name, value in batch.known.items()}


def divide_points(points: int, shares: Mapping[str, float]) -> SampleCounts:
    """So many points divided among the kinds by their shares of the sum, to the nearest point, and none left over.

    Args:
        points: to be divided.
        shares: by the names of SampleCounts, 0 or more and not all 0.
    """
    names, weights = list(shares), np.array(list(shares.values()), dtype=np.float64)
    wanted = points * weights / weights.sum()
    counts = np.floor(wanted).astype(int)
    # What rounding down has left goes to those that lost most by it.
    for place in np.argsort(counts - wanted, kind="stable")[: points - counts.sum()]:
        counts[place] += 1
    return SampleCounts(**dict(zip(names, counts.tolist(), strict=True)))
