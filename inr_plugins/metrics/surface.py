"""How far a surface is from the true one: Chamfer distances, F-score, normal consistency, volumetric IoU.

Both surfaces are in one frame and one unit; distances come out in that unit. Distances are measured between points
drawn from the surfaces, so that even a perfect surface does not score zero: between two independent drawings of n
points from an area A the mean squared distance is A / (pi n) each way (points of a Poisson process; edges and
curvature aside). That *floor* is measured and returned beside every score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from inr_plugins.metrics.sampling import Inside, PointCloud, TriangleMesh, draw_samples, most_samples

# Fewer points make every score a matter of luck.
_FEWEST_SAMPLES = 100
_POINTS_AT_A_TIME = 2**20

DEFINITIONS = {
    "accuracy": "mean distance from points of the prediction to the nearest point of the truth",
    "completeness": "mean distance from points of the truth to the nearest point of the prediction",
    "chamfer": "(accuracy + completeness) / 2",
    "chamfer_squared": "mean squared distance prediction to truth + mean squared distance truth to prediction (a sum, "
    "no square root; BACON, FINER++ Tab. 2)",
    "precision": "share of the prediction's points closer to the truth than the threshold",
    "recall": "share of the truth's points closer to the prediction than the threshold",
    "f_score": "2 precision recall / (precision + recall), 0 where both are 0",
    "normal_consistency": "mean |n . n'| of a point's normal and its nearest point's, averaged over both directions; "
    "null where a surface has no normals",
    "floor": "the same scores of a second, independent sampling of the truth: what a perfect prediction gets",
    "samples": "points of each surface, independent, uniform over its area (a cloud's points: drawn without "
    "replacement); units are those of the truth",
}


@dataclass(frozen=True)
class ThresholdScore:
    """Precision, recall and F-score in [0, 1] at one distance; see :data:`DEFINITIONS`."""

    threshold: float
    precision: float
    recall: float
    f_score: float


@dataclass(frozen=True)
class SurfaceScores:
    """One comparison of two surfaces; see :data:`DEFINITIONS`. Distances in the surfaces' unit, or its square."""

    chamfer_squared: float
    chamfer: float
    accuracy: float
    completeness: float
    normal_consistency: float | None
    thresholds: tuple[ThresholdScore, ...]


@dataclass(frozen=True)
class SurfaceMetrics:
    """Scores of a prediction and their floor, with what it takes to measure them again.

    Attributes:
        scores: prediction against truth.
        floor: a second sampling of the truth against the truth: what a perfect prediction gets.
        samples: points drawn from each surface.
        seed: seed of the drawing.
    """

    scores: SurfaceScores
    floor: SurfaceScores
    samples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, with the definition of every score."""
        return {**asdict(self), "definitions": DEFINITIONS}


def surface_metrics(
    pred: TriangleMesh | PointCloud,
    truth: TriangleMesh | PointCloud,
    *,
    thresholds: Sequence[float] = (),
    samples: int = 300_000,
    seed: int = 0,
) -> SurfaceMetrics:
    """Distances between a surface and the true one, both ways, from points drawn from each.

    Prediction, truth and floor are measured with the same number of points, so that the numbers compare. A cloud that
    is too short lowers that number: a predicted cloud to its length, a true one to half its length, since its floor
    is that of one half against the other.

    Args:
        pred: the surface to judge, in the truth's frame and units.
        truth: the surface to judge it by.
        thresholds: distances of the F-scores, in the truth's units.
        samples: points to draw from each surface, at least 100; the papers' number by default.
        seed: seed of the drawing; equal seeds give equal scores.

    Raises:
        ValueError: a surface is empty or not finite, a threshold is not positive, or there are too few samples.
    """
    for threshold in thresholds:
        if not (threshold > 0 and math.isfinite(threshold)):
            raise ValueError(f"thresholds must be positive distances, not {threshold}.")
    # Before any work: both are checked, and the shorter cloud decides.
    count = min(samples, most_samples(pred, name="pred"), most_samples(truth, name="truth") // 2)
    if count < _FEWEST_SAMPLES:
        given = f"{samples}" if samples < _FEWEST_SAMPLES else f"the {count} that the clouds pred and truth leave"
        raise ValueError(
            f"samples must be at least {_FEWEST_SAMPLES}, not {given}; a true cloud gives half of its points, "
            "a predicted one all."
        )
    rng_pred, rng_truth = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    reference, again = draw_samples(truth, count, rng_truth, parts=2)
    (drawn,) = draw_samples(pred, count, rng_pred, parts=1)
    return SurfaceMetrics(
        scores=_compare(drawn, reference, thresholds),
        floor=_compare(again, reference, thresholds),
        samples=count,
        seed=seed,
    )


def _compare(pred: PointCloud, truth: PointCloud, thresholds: Sequence[float]) -> SurfaceScores:
    there, cosine_there = _nearest(pred, truth)
    back, cosine_back = _nearest(truth, pred)
    accuracy, completeness = float(there.mean()), float(back.mean())
    return SurfaceScores(
        chamfer_squared=float((there**2).mean() + (back**2).mean()),
        chamfer=(accuracy + completeness) / 2,
        accuracy=accuracy,
        completeness=completeness,
        normal_consistency=None if cosine_there is None or cosine_back is None else (cosine_there + cosine_back) / 2,
        thresholds=tuple(_threshold_score(there, back, float(threshold)) for threshold in thresholds),
    )


def _nearest(source: PointCloud, target: PointCloud) -> tuple[Float[np.ndarray, " n"], float | None]:
    """Distance of each source point to its nearest target point, and mean |cosine| between their normals."""
    from scipy.spatial import cKDTree

    distance, index = cKDTree(target.points).query(source.points)
    if source.normals is None or target.normals is None:
        return distance, None
    return distance, float(np.abs((source.normals * target.normals[index]).sum(axis=1)).mean())


def _threshold_score(there: Float[np.ndarray, " n"], back: Float[np.ndarray, " m"], threshold: float) -> ThresholdScore:
    precision, recall = float((there < threshold).mean()), float((back < threshold).mean())
    both = precision + recall
    return ThresholdScore(threshold, precision, recall, 2 * precision * recall / both if both else 0.0)


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
    """

    iou: float
    standard_error: float | None
    pred_volume: float
    truth_volume: float
    points: int
    definition: str

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
    counts = np.zeros(3, dtype=np.int64)
    for unit in batches:
        where = low + unit * (high - low)
        a, b = _ask(inside_pred, where, name="inside_pred"), _ask(inside_truth, where, name="inside_truth")
        counts += [(a & b).sum(), a.sum(), b.sum()]
    both, pred, truth = (int(count) for count in counts)
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
