"""Choosing the level of a density at which to draw the surface."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_BINS = 256


def density_level(density: Float[np.ndarray, "*samples"], *, length: float) -> float:
    """Density that best splits the samples into empty and solid.

    Densities spread over decades, so the split is made on opacity: alpha = 1 - exp(-density * length), how much light
    a piece of that length stops. The threshold on alpha is Otsu's (1979, Eq. 18): the one with the largest variance
    between the two classes. For a well-trained field alpha is near 0 or near 1 and the threshold lies in the gap.

    Args:
        density: samples >= 0, per unit length.
        length: thickness over which something solid should be opaque, in the same unit of length; a fixed fraction of
            the box (not the lattice's spacing) keeps the level the same at every resolution.

    Returns:
        The level, strictly between the least and the largest density where they differ.
    """
    alpha = -np.expm1(-np.maximum(density, 0.0).ravel() * np.float32(length))
    low, high = float(alpha.min()), float(alpha.max())
    if not high > low:
        return float(density.max())
    counts, edges = np.histogram(alpha, bins=_BINS, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    difference = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * difference**2
    # Between two clean classes every threshold in the gap is equally good: take the middle of the gap.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    threshold = (edges[1 + best[0]] + edges[1 + best[-1]]) / 2
    return float(-np.log1p(-threshold) / length)
