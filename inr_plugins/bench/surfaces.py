"""Numbers of a surface that records hold and reports show; lengths go by the box of the true surface.

A result's "surface" is what `inr_plugins.evaluation.surfaces.compare_surfaces` found, or says under "missing" why
there is nothing. Distances in it are in the dataset's units; here they are parts of the diagonal of the truth's box,
so that shapes of all sizes stand in one table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DEFAULT_RESOLUTION = 256
"""Samples along a mesh's longest side where meshes are what a benchmark is about."""

# FINER++ and BACON scale a shape to a longest side of 0.9 before they measure it.
_SIDE_OF_FINER = 0.9


@dataclass(frozen=True)
class SurfaceNumber:
    """One number of a surface.

    Attributes:
        heading: what a table calls it.
        digits: digits after the point.
        lower_is_better: whether less is better.
        of: takes it from the scores, or from their floor, given the sides of the truth's box.
    """

    heading: str
    digits: int
    lower_is_better: bool
    of: Callable[[dict[str, Any], tuple[float, float, float]], float | None]


def _length(name: str, factor: float) -> Callable[[dict[str, Any], tuple[float, float, float]], float]:
    return lambda scores, sides: factor * scores[name] / math.hypot(*sides)


def _area(scores: dict[str, Any]) -> float:
    """The squared Chamfer distance in millionths of the dataset's unit squared."""
    return 1e6 * scores["chamfer_squared"]


def _squared(sides: tuple[float, float, float]) -> float:
    return math.hypot(*sides) ** 2


def _f_score(place: int) -> Callable[[dict[str, Any], tuple[float, float, float]], float]:
    return lambda scores, _: scores["thresholds"][place]["f_score"]


SURFACE_NUMBERS: dict[str, SurfaceNumber] = {
    "chamfer": SurfaceNumber("Chamfer, %", 3, True, _length("chamfer", 100.0)),
    "chamfer_squared": SurfaceNumber("Chamfer², e-6", 2, True, lambda scores, sides: _area(scores) / _squared(sides)),
    "f_score_half": SurfaceNumber("F at 0.5 %", 3, False, _f_score(0)),
    "f_score": SurfaceNumber("F at 1 %", 3, False, _f_score(1)),
    "normal_consistency": SurfaceNumber("normals", 3, False, lambda scores, _: scores["normal_consistency"]),
    "chamfer_e6": SurfaceNumber(
        "Chamfer², FINER++", 3, True, lambda scores, sides: _area(scores) * (_SIDE_OF_FINER / max(sides)) ** 2
    ),
}
"""Numbers that have a floor, by name; the volumetric IoU has none and stands beside them."""

IOU = "iou"
IOU_DIGITS = 4

TABLE = ("chamfer", "chamfer_squared", "f_score_half", "f_score", "normal_consistency")
"""Those that a report shows."""

CAPTION = (
    "Surfaces, against the true one, as `inr-eval` measures them (its record says how each is defined). Chamfer: mean "
    "of both directions' mean distances, in percent of the diagonal of the truth's box; Chamfer²: sum of the mean "
    "squared distances, in millionths of the diagonal squared; F at parts of the diagonal. Floor: what a second "
    "sampling of the truth itself gets."
)


SEEN_CAPTION = (
    "The same over what the training cameras see: {:.1f} % of the truth's area is seen by none of them and left out, "
    "as is what methods have there (`inr-eval --seen-only`)."
)


def surface_of(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was measured of a result's surface; None if there is nothing."""
    found = (result or {}).get("surface")
    return found if isinstance(found, dict) and "scores" in found else None


def seen_of(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was measured of a result's surface over what the training cameras see; None if there is nothing."""
    return (surface_of(result) or {}).get("seen")


def surface_value(
    result: dict[str, Any] | None, name: str, *, part: str = "scores", seen: bool = False
) -> float | None:
    """A number of a result's surface, or of its floor (`part` "floor"); None where it was not measured.

    Args:
        result: of a record.
        name: in `SURFACE_NUMBERS`, or `IOU`.
        part: "scores" or "floor".
        seen: over what the training cameras see.
    """
    whole = surface_of(result)
    found = seen_of(result) if seen else whole
    if whole is None or found is None:
        return None
    if name == IOU:
        return None if part == "floor" or found["iou"] is None else found["iou"]["iou"]
    low, high = whole["truth"]["box"]
    x, y, z = (b - a for a, b in zip(low, high, strict=True))
    return SURFACE_NUMBERS[name].of(found[part], (x, y, z))
