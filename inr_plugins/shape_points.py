"""What a datamanager of shapes hands to a model in place of rays: points, and of which shape each of them is."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class ShapePoints:
    """Points at which some shapes are to be evaluated, as many for each.

    Attributes:
        points: positions in the normalised frame.
        shape: number of the shape that each row of points belongs to, counted as the datamanager counts them.
    """

    points: Float[Tensor, "shapes points 3"]
    shape: Int[Tensor, " shapes"]
