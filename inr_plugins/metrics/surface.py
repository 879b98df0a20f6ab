"""How far a surface is from the true one: Chamfer distances, F-score, normal consistency.

Both surfaces are in one frame and one unit; distances come out in that unit. Distances are measured between points
drawn from the surfaces, so that even a perfect surface does not score zero: between two independent drawings of n
points from an area A the mean squared distance is A / (pi n) each way (points of a Poisson process; edges and
curvature aside). That *floor* is measured and returned beside every score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from inr_plugins.metrics.sampling import PointCloud, TriangleMesh, draw_samples, most_samples
from inr_plugins.metrics.seen import SeenPart, Sees

# Fewer points make every score a matter of luck.
_FEWEST_SAMPLES = 100

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
class SeenScores:
    """Scores over what cameras see; see :mod:`inr_plugins.metrics.seen`.

    Attributes:
        scores: prediction against truth.
        floor: a second sampling of the truth against the truth.
        unseen_share: share of the truth's area that no camera sees.
        left_out_share: share of the prediction's area that does not count.
        part: the places that count.
    """

    scores: SurfaceScores
    floor: SurfaceScores
    unseen_share: float
    left_out_share: float
    part: SeenPart

    def to_json(self) -> dict[str, Any]:
        """All but the places, as JSON values."""
        shares = {"unseen_share": self.unseen_share, "left_out_share": self.left_out_share}
        return {"scores": asdict(self.scores), "floor": asdict(self.floor), **shares}


@dataclass(frozen=True)
class SurfaceMetrics:
    """Scores of a prediction and their floor, with what it takes to measure them again.

    Attributes:
        scores: prediction against truth.
        floor: a second sampling of the truth against the truth: what a perfect prediction gets.
        samples: points drawn from each surface.
        seed: seed of the drawing.
        seen: the same over what cameras see; None unless asked for.
    """

    scores: SurfaceScores
    floor: SurfaceScores
    samples: int
    seed: int
    seen: SeenScores | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, with the definition of every score."""
        return {
            "scores": asdict(self.scores),
            "floor": asdict(self.floor),
            "samples": self.samples,
            "seed": self.seed,
            "seen": None if self.seen is None else self.seen.to_json(),
            "definitions": DEFINITIONS,
        }


def surface_metrics(
    pred: TriangleMesh | PointCloud,
    truth: TriangleMesh | PointCloud,
    *,
    thresholds: Sequence[float] = (),
    samples: int = 300_000,
    seed: int = 0,
    sees: Sees | None = None,
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
        sees: whether cameras see points, past the truth; measure over what they see too.

    Raises:
        ValueError: a surface is empty or not finite, a threshold is not positive, there are too few samples, or
            cameras see nothing of the truth or of the prediction.
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
    pairs, floor = _between(drawn, reference), _between(again, reference)
    return SurfaceMetrics(
        scores=_scores(pairs, thresholds),
        floor=_scores(floor, thresholds),
        samples=count,
        seed=seed,
        seen=None if sees is None else _seen_scores(pairs, floor, SeenPart.of(reference.points, sees), thresholds),
    )


class _Nearest(NamedTuple):
    """The points of one surface, and of each its nearest point of the other.

    `points` (n, 3). `distance` (n,). `number` (n,): that of the nearest. `cosine` (n,): |n . n'|; None if unknown.
    """

    points: np.ndarray
    distance: np.ndarray
    number: np.ndarray
    cosine: np.ndarray | None

    def where(self, chosen: Bool[np.ndarray, " n"]) -> _Nearest:
        """Of some of the points only."""
        cosine = None if self.cosine is None else self.cosine[chosen]
        return _Nearest(self.points[chosen], self.distance[chosen], self.number[chosen], cosine)


class _Pairs(NamedTuple):
    """Both ways: from the prediction to the truth, and back."""

    there: _Nearest
    back: _Nearest


def _between(pred: PointCloud, truth: PointCloud) -> _Pairs:
    return _Pairs(_nearest(pred, truth), _nearest(truth, pred))


def _nearest(source: PointCloud, target: PointCloud) -> _Nearest:
    from scipy.spatial import cKDTree

    distance, index = cKDTree(target.points).query(source.points)
    if source.normals is None or target.normals is None:
        return _Nearest(source.points, distance, index, None)
    cosine = np.abs((source.normals * target.normals[index]).sum(axis=1))
    return _Nearest(source.points, distance, index, cosine)


def _scores(pairs: _Pairs, thresholds: Sequence[float]) -> SurfaceScores:
    (_, there, _, cosine_there), (_, back, _, cosine_back) = pairs
    accuracy, completeness = float(there.mean()), float(back.mean())
    return SurfaceScores(
        chamfer_squared=float((there**2).mean() + (back**2).mean()),
        chamfer=(accuracy + completeness) / 2,
        accuracy=accuracy,
        completeness=completeness,
        normal_consistency=None
        if cosine_there is None or cosine_back is None
        else (float(cosine_there.mean()) + float(cosine_back.mean())) / 2,
        thresholds=tuple(_threshold_score(there, back, float(threshold)) for threshold in thresholds),
    )


def _seen_scores(pairs: _Pairs, floor: _Pairs, part: SeenPart, thresholds: Sequence[float]) -> SeenScores:
    counted, in_floor = (part.counts_beside(each.there.number, each.there.points) for each in (pairs, floor))
    if not counted.any():
        raise ValueError("none of the prediction lies where a camera sees; check that it is in the truth's frame.")

    def scores(found: _Pairs, counted: Bool[np.ndarray, " n"]) -> SurfaceScores:
        return _scores(_Pairs(found.there.where(counted), found.back.where(part.seen)), thresholds)

    return SeenScores(
        scores=scores(pairs, counted),
        floor=scores(floor, in_floor),
        unseen_share=part.unseen_share,
        left_out_share=1 - float(counted.mean()),
        part=part,
    )


def _threshold_score(there: Float[np.ndarray, " n"], back: Float[np.ndarray, " m"], threshold: float) -> ThresholdScore:
    precision, recall = float((there < threshold).mean()), float((back < threshold).mean())
    both = precision + recall
    return ThresholdScore(threshold, precision, recall, 2 * precision * recall / both if both else 0.0)
