"""What a field answers, so that export, viewing and evaluation work on every field alike.

All positions are points (n, 3) in the *normalised* frame (the frame nerfstudio trains in: the dataset's frame after
the dataparser's transform and scale), directions are unit vectors (n, 3) in that frame, from the camera into the scene.
Each method is a function of the point alone: same x, same value, whatever else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class DensityField(Protocol):
    """A volume density."""

    def density(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density >= 0 in 1 / unit length of the normalised frame; zero outside the field's box."""


@runtime_checkable
class SDFField(Protocol):
    """A signed distance."""

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in normalised units, negative inside."""


@runtime_checkable
class OccupancyField(Protocol):
    """A probability of being inside."""

    def occupancy(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Probability in [0, 1], above one half inside."""


@runtime_checkable
class ColourField(Protocol):
    """A colour that may depend on the viewing direction."""

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] of the point x seen along the unit direction d (camera into the scene)."""


@dataclass(frozen=True)
class CellBounds:
    """What a model knows about its field's values without asking it: bounds in each cell of a lattice of cubes.

    Export looks for a level set only in cells whose bounds hold it. It takes a density or an occupancy for 0 (empty)
    outside all cells and in those whose largest value is 0, as the model's own pictures do, whatever a network would
    say there.

    Attributes:
        origin: lowest corner of the lattice, normalised frame.
        edge: edge of a cell, normalised units.
        least: a lower bound of the field in each cell; 0 where nothing better is known of a density.
        largest: an upper bound; infinity where nothing better is known.
        box: where all this holds, lowest and highest corner, normalised frame.
    """

    origin: Float[Tensor, " 3"]
    edge: float
    least: Float[Tensor, "x y z"]
    largest: Float[Tensor, "x y z"]
    box: Float[Tensor, "2 3"]
