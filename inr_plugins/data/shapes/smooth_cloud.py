"""The smooth surface that a cloud's points speak of, which samples can be drawn around in place of the points."""

from __future__ import annotations

import time

import numpy as np
from jaxtyping import Float
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins import ranks
from inr_plugins.errors import InputError
from inr_plugins.geometry.mesh import Mesh

MOST_POINTS = 100_000
"""Points beyond which a smooth surface is not looked for unless it is asked for: its cells would be wider than they lie
apart, and distances to their discs are exact enough."""


def smooth_surface(points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], *, option: str) -> Mesh:
    """The closed surface of `geometry.distance.smooth_distance`, faces outward, in the points' frame.

    Args:
        points: of the surface, in [-1, 1]^3.
        normals: outward unit normals.
        option: which does without, for the sentence of the error.

    Raises:
        InputError: there is no such surface.
    """
    from inr_plugins.geometry.distance.smooth_distance import SmoothDistance

    start = time.monotonic()
    try:
        found = SmoothDistance(points, normals)
        surface = found.surface()
    except (InputError, ValueError) as error:
        raise InputError(f"The points have no smooth surface: {error} Give {option} discs.") from error
    if ranks.rank() == 0:
        CONSOLE.print(
            f"A smooth surface was put through {len(points):,} points in {time.monotonic() - start:.0f} s (smoothness "
            f"{found.smoothness:g}, by points held out; {option} discs: none).",
            markup=False,
            highlight=False,
        )
    return surface
