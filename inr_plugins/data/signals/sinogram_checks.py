"""What tells a sinogram of a whole slice from something else: consistency conditions of the Radon transform.

The integral of a view over the detector is the mass of the slice, whatever the angle, and its centre of mass moves as
x cos θ + y sin θ (Helgason and Ludwig's conditions of the orders 0 and 1); views 180 degrees apart are mirror images.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

from inr_plugins.errors import InputError

_RIM_SHARE, _SUM_SHARE = 0.05, 0.1
_SIGMAS = 4.0
_DOUBTFUL_BINS = 1.0

Views = Float64[np.ndarray, "views bins"]
Angles = Float64[np.ndarray, " views"]


def check_views(name: str, views: Views) -> None:
    """Refuse a sinogram that cannot be fitted.

    Args:
        name: of the file, for the sentence.
        views: line integrals.

    Raises:
        InputError: the slice is cut off, or sums of views differ.
    """
    noise, bins = noise_of(views), views.shape[1]
    peak = float(np.quantile(views, 0.99))
    if peak <= 0:
        raise InputError(f"{name} has nothing above 0 in most of its bins: give line integrals through a body.")
    many = max(1, bins // 100)
    rims = np.maximum(views[:, :many].mean(1), views[:, -many:].mean(1))
    cut = np.flatnonzero(rims > _RIM_SHARE * peak + _SIGMAS * noise / math.sqrt(many))
    if len(cut):
        raise InputError(
            f"{name} is cut off: at the ends of the detector {len(cut):,} of {len(views):,} views have up to "
            f"{100 * float(rims.max()) / peak:.0f} % of the largest values, where the beam should pass beside the "
            "object: give views of the whole object, with what no object attenuates at 0."
        )
    sums = views.sum(1)
    middle, spread = float(np.median(sums)), float(np.ptp(sums)) / 2
    if middle <= 0 or spread > _SUM_SHARE * middle + _SIGMAS * noise * math.sqrt(bins):
        raise InputError(
            f"{name} has views whose sums go from {sums.min():.4g} to {sums.max():.4g}, and each is the mass of the "
            'same slice: divide by the open beam of each view, or say which axes are views and bins ("axes").'
        )


def doubts(views: Views, angles_deg: Angles, *, shift: float) -> tuple[str, ...]:
    """Sentences on what a slice's views would hardly be: an axis of rotation, or angles, other than they are said."""
    if len(views) < 6 or np.ptp(angles_deg) < 90:
        return ()
    solved, missed = centres_of(views, angles_deg, shift=shift)
    offset = _offsets(views, shift)
    noise = noise_of(views) * math.sqrt(float((offset**2).sum())) / float(np.median(views.sum(1)))
    if missed > _DOUBTFUL_BINS + 2 * noise:
        return (
            f"The middles of the views do not move as those of one slice would at these angles ({missed:.2g} bins "
            "off): look at the angles and their order, and whether the slice moved.",
        )
    if abs(solved[2]) > _DOUBTFUL_BINS + _SIGMAS * noise / math.sqrt(len(views)):
        return (
            f"The views are centred {solved[2]:+.2f} bins from where the axis of rotation is said to be: "
            f'"centre_offset_bins": {solved[2] - shift:.2f} would put it there.',
        )
    return ()


def centres_of(views: Views, angles_deg: Angles, *, shift: float) -> tuple[tuple[float, float, float], float]:
    """By which x, y and c the middles of the views are nearest to x cos θ + y sin θ + c, and how far they miss it.

    Returns:
        The three, of which c is where the axis of rotation is seen, and the root mean square of what is missed; bins.
    """
    centres, theta = views @ _offsets(views, shift) / views.sum(1), np.deg2rad(angles_deg)
    columns = np.stack([np.cos(theta), np.sin(theta), np.ones_like(theta)], 1)
    solved, *_ = np.linalg.lstsq(columns, centres, rcond=None)
    x, y, axis = solved.tolist()
    return (x, y, axis), float(np.sqrt(np.mean((centres - columns @ solved) ** 2)))


def _offsets(views: Views, shift: float) -> Float64[np.ndarray, " bins"]:
    """Of the middles of the bins from the axis of rotation, bins."""
    found: Float64[np.ndarray, " bins"] = np.arange(views.shape[1]) - (views.shape[1] - 1) / 2 + shift
    return found


def mirrored(view: Float64[np.ndarray, " bins"], *, shift: float) -> Float64[np.ndarray, " bins"]:
    """What a view is seen as from behind, 180 degrees on: at -s what was at s."""
    place = np.arange(len(view))
    found: Float64[np.ndarray, " bins"] = np.interp(len(view) - 1 - place - 2 * shift, place, view)
    return found


def noise_of(views: Views) -> float:
    """Standard deviation of what is not smooth along the bins, from second differences (robust)."""
    if views.shape[1] < 3:
        return 0.0
    second = views[:, 2:] - 2 * views[:, 1:-1] + views[:, :-2]
    return float(np.median(np.abs(second))) / 0.6745 / math.sqrt(6)
