"""Closed cavities: what a density leaves empty inside an object because no picture showed it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.isosurface import Inside


def fill_cavities(
    values: Float[np.ndarray, "nx ny nz"], *, level: float, inside: Inside
) -> tuple[Float[np.ndarray, "nx ny nz"], int]:
    """Make solid every empty sample that no path of empty samples connects to the box's faces.

    A field learnt from pictures is right about surfaces that were seen; behind them it holds nothing, so that its
    level set has a second, inner wall. Paths go along the axes from sample to sample; a filled value is mirrored at
    the level.

    Args:
        values: samples on a lattice.
        level: value on the surface.
        inside: which side of the level is solid.

    Returns:
        The samples with cavities filled (the array itself when there are none), and how many were filled.
    """
    from scipy.ndimage import binary_fill_holes

    solid = values > level if inside == "above" else values < level
    cavity = binary_fill_holes(solid) & ~solid
    count = int(cavity.sum())
    if count == 0:
        return values, 0
    # Mirrored values lie strictly on the solid side, also where a sample equals the level.
    least = np.spacing(np.float32(max(abs(level), 1e-6))) * 16
    distance = np.maximum(np.abs(values - level), least)
    filled = level + distance if inside == "above" else level - distance
    return np.where(cavity, filled, values).astype(values.dtype), count
