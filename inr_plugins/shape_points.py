"""What a datamanager of shapes hands to a model in place of rays: points, of which shape each is, and how far apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

_NEIGHBOURS = 6


@dataclass(frozen=True)
class ShapePoints:
    """Points at which some shapes are to be evaluated, as many for each.

    Attributes:
        points: positions in the normalised frame.
        shape: number of the shape that each row of points belongs to, counted as the datamanager counts them.
    """

    points: Float[Tensor, "shapes points 3"]
    shape: Int[Tensor, " shapes"]


def point_spacing(points: Float[np.ndarray, "n 3"]) -> float:
    """Side of the square of the surface that a point has for itself: the median over points, by their neighbours."""
    from scipy.spatial import cKDTree

    count = min(_NEIGHBOURS, len(points) - 1)
    away = cKDTree(points).query(points, k=[count + 1])[0]
    return float(np.median(away)) * math.sqrt(math.pi / count)
