"""How large the shape of a file is, before anything is made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.mesh import Mesh


def longest_side(path: Path) -> float | None:
    """Longest side of the box around a mesh or cloud, in the file's unit; None of what cannot be read."""
    try:
        surface = read_surface(path)
    except (InputError, OSError):
        return None
    points = surface.vertices if isinstance(surface, Mesh) else surface.points
    return float(np.ptp(points, axis=0).max())
