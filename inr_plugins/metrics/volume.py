"""Intersection over union of the volumes of two solids."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from inr_plugins.metrics.sampling import Inside

_POINTS_AT_A_TIME = 2**20


@dataclass(frozen=True)
class VolumetricIou:
    """Intersection over union of two solids.

    Attributes:
        iou: in [0, 1].
        standard_error: of ``iou`` when the points were random; None for a grid.
        pred_volume: volume of the prediction inside the box, cubed units.
        truth_volume: volume of the truth inside the box, cubed units.
        points: number of points asked.
        definition: how the points were chosen, in words.
        left_out_share: share of the points inside either solid that do not count, since no camera sees them; 0 where
            all count.
    """

    iou: float
    standard_error: float | None
    pred_volume: float
    truth_volume: float
    points: int
    definition: str
    left_out_share: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def volumetric_iou(
    inside_pred: Inside,
    inside_truth: Inside,
    box: Float[np.ndarray, "2 3"],
    *,
    resolution: int | None = None,
    points: int | None = None,
    seed: int = 0,
    counts: Inside | None = None,
) -> VolumetricIou:
    """Share of the points inside either solid that are inside both; a perfect prediction gets exactly 1.

    Asked at the centres of ``resolution``^3 equal cells of the box, or at ``points`` random points, uniform in it.
    (BACON and FINER++ ask 128^3 corners of [-1, 1]^3, of which their shapes fill about 57^3: give a tight box.)

    Args:
        inside_pred: True for points (n, 3) inside the prediction; see
            :func:`inr_plugins.metrics.sampling.inside_mesh` for a mesh's.
        inside_truth: the same for the truth, in the same frame.
        box: lowest and highest corner of the box.
        resolution: cells along each side of the box; exactly one of this and ``points``.
        points: number of random points.
        seed: seed of the random points.
        counts: True for points that count, such as :meth:`inr_plugins.metrics.seen.SeenPart.counts`; None: all do.

    Raises:
        ValueError: the box has no volume, not exactly one of ``resolution`` and ``points`` is given or it is below 1,
            an answer is not a bool a point, or no point is inside either solid.
    """
    low, high = box.astype(np.float64)
    if not (np.isfinite(box).all() and (high > low).all()):
        raise ValueError(f"box must hold its lowest and its highest corner, finite and apart, not {box.tolist()}.")
    if (resolution is None) == (points is None):
        raise ValueError("Give exactly one of resolution (a grid) and points (random points).")
    if resolution is not None:
        total, placed, batches = resolution**3, f"the centres of {resolution}^3 cells", _unit_grid(resolution)
    else:
        total, placed = points or 0, f"{points} uniform random points (seed {seed})"
        batches = _unit_random(total, seed)
    if total < 1:
        name, value = ("points", points) if resolution is None else ("resolution", resolution)
        raise ValueError(f"{name} must be at least 1, not {value}.")
    sums = np.zeros(4, dtype=np.int64)
    for unit in batches:
        where = low + unit * (high - low)
        a, b = _ask(inside_pred, where, name="inside_pred"), _ask(inside_truth, where, name="inside_truth")
        hidden = np.zeros(len(where), dtype=bool)
        if counts is not None:
            either = a | b
            hidden[either] = ~_ask(counts, where[either], name="counts")
            a, b = a & ~hidden, b & ~hidden
        sums += [(a & b).sum(), a.sum(), b.sum(), hidden.sum()]
    both, pred, truth, left_out = (int(each) for each in sums)
    union = pred + truth - both
    if union == 0:
        raise ValueError("Neither inside_pred nor inside_truth holds a point of box; give a tighter box.")
    iou = both / union
    box_volume = float(np.prod(high - low))
    return VolumetricIou(
        iou=iou,
        standard_error=math.sqrt(iou * (1 - iou) / union) if resolution is None else None,
        pred_volume=pred / total * box_volume,
        truth_volume=truth / total * box_volume,
        points=total,
        definition=f"points inside both / points inside either, of {placed} in the box {box.tolist()}",
        left_out_share=left_out / (union + left_out),
    )


def _ask(inside: Inside, where: Float[np.ndarray, "n 3"], *, name: str) -> Bool[np.ndarray, " n"]:
    answer = np.asarray(inside(where))
    if answer.dtype != bool or answer.shape != (len(where),):
        raise ValueError(
            f"{name} must return a bool for each of {len(where)} points, not {answer.dtype} of shape {answer.shape}."
        )
    return answer


def _unit_grid(resolution: int) -> Iterator[Float[np.ndarray, "n 3"]]:
    """Centres of the cells of the unit cube, a batch at a time."""
    for first in range(0, resolution**3, _POINTS_AT_A_TIME):
        index = np.arange(first, min(first + _POINTS_AT_A_TIME, resolution**3))
        yield (np.stack(np.unravel_index(index, (resolution,) * 3), axis=1) + 0.5) / resolution


def _unit_random(count: int, seed: int) -> Iterator[Float[np.ndarray, "n 3"]]:
    """Uniform points of the unit cube, a batch at a time."""
    rng = np.random.default_rng(seed)
    for first in range(0, count, _POINTS_AT_A_TIME):
        yield rng.random((min(_POINTS_AT_A_TIME, count - first), 3))
