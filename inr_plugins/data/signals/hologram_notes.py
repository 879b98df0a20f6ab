"""What is odd in holograms that can be learnt from all the same, in sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from inr_plugins.files import shown

_UNEQUAL = 0.1
"""Share by which holograms of one object do not differ in their light; those of instruments do by up to 0.05."""
_NAMED = 4


def exposures_note(path: Path, intensities: Float[np.ndarray, "heights rows columns"]) -> str | None:
    """What is said of holograms whose means are far from the median of these, which the heights do not explain."""
    means = intensities.mean((1, 2), dtype=np.float64)
    shares = means / np.median(means)
    far = np.flatnonzero(np.abs(shares - 1) > _UNEQUAL)
    if not len(far):
        return None
    told = ", ".join(f"{number} has {shares[number]:.2f}" for number in far[:_NAMED])
    more = f" and {len(far) - _NAMED} more differ" if len(far) > _NAMED else ""
    return (
        f"Holograms of {shown(path)} have different amounts of light, as of other exposures: of the median, number "
        f"{told} (from 0){more}; divide each by its exposure, or by what the light alone gives in it."
    )


def reach_note(path: Path, pixels: float) -> str:
    """What is said of heights from which light of the finest pattern goes so few pixels to the side."""
    return (
        f"At the greatest height of {shown(path)} light of the finest pattern goes {pixels:.2g} pixels to the side, "
        "and next to nothing of phases is seen but of that: look at the units of heights, wavelength and pitch."
    )
