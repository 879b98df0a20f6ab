"""What is odd in holograms that can be learnt from all the same, in sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Shaped

from inr_plugins.files import shown

_UNEQUAL = 0.1
"""Share by which holograms of one object do not differ in their light; those of instruments do by up to 0.05."""
_NAMED = 4
_FEW = 1e-4
"""Share of a hologram's pixels of which as many as that may have its greatest number by chance."""
_FEWEST = 16
_ABOVE_NEXT = 3
"""Times as many pixels as the next number below has: of light that is seen as it is, larger ones are rarer."""
_ABOVE_BEAM = 1.1


def saturated(
    numbers: Shaped[np.ndarray, "heights rows columns"], open_beam: float
) -> Bool[np.ndarray, "heights rows columns"]:
    """Which pixels have the number at which the sensor ends, and so had at least that much light.

    It is the greatest of a whole-number type; else that of a hologram, where that is well above the light alone and
    many more pixels have it than have the next one below, as of 12 bits in 16.

    Args:
        numbers: as they are in the file.
        open_beam: the number that the light alone has in them.
    """
    found = np.zeros(numbers.shape, dtype=bool)
    for number, each in enumerate(numbers):
        values, counts = np.unique(each, return_counts=True)
        ends = numbers.dtype.kind in "iu" and values[-1] == np.iinfo(numbers.dtype).max
        if not ends and not (values[-1] > _ABOVE_BEAM * open_beam and counts[-1] > _ABOVE_NEXT * counts[-2:][0]):
            continue
        if counts[-1] >= max(_FEW * each.size, 1 if ends else _FEWEST):
            found[number] = each == values[-1]
    return found


def saturated_note(path: Path, lost: Bool[np.ndarray, "heights rows columns"]) -> str | None:
    """What is said of pixels that are saturated."""
    shares = 100 * lost.mean((1, 2))
    if not lost.any():
        return None
    return (
        f"Of the pixels of {shown(path)} {100 * lost.mean():.2g} % are saturated, most of them in hologram "
        f"{int(shares.argmax())} (from 0), {shares.max():.2g} % of it: of them is learnt that there was at least that "
        "much light, and nothing is judged by them; expose less."
    )


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
