"""Sinograms in closed form: ellipses of one attenuation each, by a parallel beam."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float64

BODY = ((1.0, -0.5, 9.0, 6.0, 20.0, 0.02), (-3.0, 1.0, 2.0, 3.0, 0.0, 0.03))
"""x, y (up), half axes (mm), turned by degrees against the clock, attenuation (1/mm) on top of what is there."""


def sinogram(
    angles_deg: Float64[np.ndarray, " views"], *, bins: int, pitch_mm: float, centre_offset_bins: float = 0.0, body=BODY
) -> Float64[np.ndarray, "views bins"]:
    """Line integrals; the axis of rotation is seen `centre_offset_bins` beyond the middle of the detector."""
    theta = np.deg2rad(angles_deg)[:, None]
    offset = (np.arange(bins) - (bins - 1) / 2 - centre_offset_bins)[None] * pitch_mm
    found = np.zeros((len(theta), bins))
    for x, y, a, b, turn, density in body:
        along = theta - np.deg2rad(turn)
        square = (a * np.cos(along)) ** 2 + (b * np.sin(along)) ** 2
        t = offset - x * np.cos(theta) - y * np.sin(theta)
        found += 2 * density * a * b * np.sqrt(np.clip(square - t**2, 0, None)) / square
    return found


def mass(body=BODY) -> float:
    """The integral over a slice, mm."""
    return sum(np.pi * a * b * density for _, _, a, b, _, density in body)


def write_sinogram(path: Path, array: np.ndarray, /, **told: object) -> Path:
    """A sinogram with its metadata beside it; what is told as None is left out."""
    np.save(path, array)
    keys = {"geometry": "parallel", "values": "line integrals", "pitch_mm": 0.5, "turn_deg": 180, **told}
    path.with_suffix(".json").write_text(json.dumps({key: each for key, each in keys.items() if each is not None}))
    return path
