"""Whether a sinogram is over the turn that its angles are over: views 180 degrees apart are mirror images.

So the last of views that are spread over 180 degrees goes on to the first one mirrored, and over 360 degrees to the
first one as it is. Where that axis of rotation is seen is taken from the views, not from what is said of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from inr_plugins.data.signals.sinogram_checks import Angles, Views, centres_of, mirrored, noise_of
from inr_plugins.errors import InputError

_LEAST_VIEWS = 6
_SAME, _ALIKE = 0.15, 0.3
"""Squared difference of two views, as a share of that of neighbours, below which they are one view twice; and of two
that would be further apart than those, below which the slice is symmetric."""
_NEARER, _FAR = 0.4, 2.0
"""Squared difference of two views, as a share of another: clearly less than that, clearly more."""
_SIGMAS = 6.0
_DIFFERENT = 0.01
"""Squared difference of views, as a share of their squares, below which they are taken for alike."""
_HALVES = 0.15
"""Squared difference of views from the mirror images of others, as a share of that from their own; see there."""
_GAP = 2.5
"""Usual distances of angles, over which two views are still neighbours."""
_LEAST_PAIRS = 3


def check_turn(name: str, views: Views, angles_deg: Angles) -> tuple[str, ...]:
    """Refuse angles over another turn than that of the views.

    Args:
        name: of the file, for the sentence.
        views: line integrals of one slice.
        angles_deg: of the views, degrees.

    Returns:
        Sentences on what may be wrong, where it is not sure.

    Raises:
        InputError: the first view comes again at the end, views over 360 degrees are said to be over 180, or views over
            180 to be over 360.
    """
    steps = np.diff(angles_deg)
    step, span = float(np.median(np.abs(steps))), abs(float(angles_deg[-1] - angles_deg[0]))
    both = next((each for each in (180.0, 360.0) if abs(span - each) < 0.1 * min(step, _usual_gap(angles_deg))), None)
    if both is not None:
        raise _of_both_ends(name, views, angles_deg, both)
    if len(views) < _LEAST_VIEWS:
        return ()
    is_even = bool((np.abs(steps - steps.mean()) < 0.01 * step).all())
    turn = next((each for each in (180.0, 360.0) if is_even and abs(span + step - each) < 0.1 * step), None)
    if turn is not None:
        notes = _check_end(name, views, angles_deg, turn)
        if notes:
            return notes
    if turn == 180:
        _check_no_whole_turn(name, views, angles_deg)
    return _check_behind(name, views, angles_deg, turn) if span > 180 else ()


# -- the end -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _End:
    """Mean squared differences at the end of a turn, less what is noise of them.

    Attributes:
        again: of the last view from the first one, as it would be seen at the end of the turn.
        before: of the last view but one from the second one, likewise.
        steps: of neighbours at the beginning and at the end, the lesser of both.
        unsure: what may still be noise of those.
    """

    again: float
    before: float
    steps: float
    unsure: float


def _end(views: Views, angles_deg: Angles, turn: float) -> _End:
    noise, bins = _noise(views) ** 2, views.shape[1]
    again, before = -math.inf, math.inf
    for shift in _shifts_at_end(views, angles_deg) if turn == 180 else [None]:
        first, second, of_noise = views[0], views[1], 2 * noise
        if shift is not None:
            first, second, part = mirrored(first, shift=shift), mirrored(second, shift=shift), (2 * shift) % 1
            # A place between two bins has the mean of their noises.
            of_noise = noise * (1 + part**2 + (1 - part) ** 2)
        again = max(again, _difference(views[-1], first) - of_noise)
        before = min(before, _difference(views[-2], second) - of_noise)
    steps = min(_difference(views[1], views[0]), _difference(views[-1], views[-2])) - 2 * noise
    unsure = _SIGMAS * math.sqrt(8 * noise * (max(steps, 0.0) + noise) / bins)
    return _End(again, before, steps, unsure)


def _shifts_at_end(views: Views, angles_deg: Angles) -> list[float]:
    """Of the detector, as far as it is sure: at these angles, and with the last view at the end of the turn."""
    spread = angles_deg[0] + (angles_deg - angles_deg[0]) * 180 / abs(angles_deg[-1] - angles_deg[0])
    fits = [centres_of(views, each, shift=0.0) for each in (angles_deg, spread)]
    least = min(missed for _, missed in fits)
    likely = [(-axis, 2 * missed / math.sqrt(len(views))) for (_, _, axis), missed in fits if missed <= 1.5 * least]
    return [shift + sign * unsure for shift, unsure in likely for sign in (-1, 0, 1)]


def _of_both_ends(name: str, views: Views, angles_deg: Angles, turn: float) -> InputError:
    """Of angles at both ends of a turn, whose last view should have been left out."""
    end, what = _end(views, angles_deg, turn), _first_view(turn)
    if end.again < _NEARER * end.steps:
        return InputError(
            f"{name} has {what} twice, its last one being {turn:g} degrees on: leave out the last row and its angle."
        )
    return InputError(
        f"{name} has angles with both ends of {turn:g} degrees, and its last view is not {what} again: give "
        f'"turn_deg": {turn:g} if the views are spread over it evenly, or leave out the last row and its angle.'
    )


def _check_end(name: str, views: Views, angles_deg: Angles, turn: float) -> tuple[str, ...]:
    """Refuse a last view that is the first one, which angles that are spread over a turn leave out."""
    end, what = _end(views, angles_deg, turn), _first_view(turn)
    if end.steps <= end.unsure or end.again > _SAME * end.steps:
        return ()
    if end.before < _ALIKE * end.steps + end.unsure / 2:
        # As of a slice with an axis of symmetry, half a step before the first view.
        return (
            f"The last view is like {what}: if it was taken {turn:g} degrees on, leave out the last row, as angles "
            f"over {turn:g} degrees leave out their end.",
        )
    raise InputError(
        f"{name} has {what} twice, as its last one, and angles over {turn:g} degrees leave out their end, where it "
        f'would come again: leave out the last row, and give "turn_deg": {turn:g}.'
    )


def _first_view(turn: float) -> str:
    return f"the first view{', mirrored,' if turn == 180 else ''}"


# -- half of a turn, and a whole one -----------------------------------------------------------------------------------


def _check_no_whole_turn(name: str, views: Views, angles_deg: Angles) -> None:
    """Refuse views over 360 degrees at angles over 180: those of the second half are mirrored ones of the first.

    Of views over 180 degrees two such quarters on would make each view the same as its own mirror image, so the squared
    difference of these two cannot be more than four times that of a view and the one a quarter on, mirrored.
    """
    doubled = angles_deg[0] + 2 * (angles_deg - angles_deg[0])
    apart = _behind(views, doubled)
    own = min(
        float(np.mean([_difference(view, mirrored(view, shift=_shift(views, angles))) for view in views]))
        for angles in (angles_deg, doubled)
    )
    if apart is not None and apart < _HALVES * own:
        raise InputError(
            f"{name} has angles over 180 degrees, and its views are over 360: those of the second half are the first "
            'half\'s, mirrored: give "turn_deg": 360, or angles over that.'
        )


def _check_behind(name: str, views: Views, angles_deg: Angles, turn: float | None) -> tuple[str, ...]:
    """Refuse, or doubt, views 180 degrees apart that are no mirror images."""
    apart, noise = _behind(views, angles_deg), 2 * _noise(views) ** 2
    if apart is None or apart - noise < _DIFFERENT * float(np.mean(views**2)):
        return ()
    usual = _neighbours(views, angles_deg)
    if apart < _FAR * usual:
        return ()
    if turn == 360:
        mirror, same = _onward(views, angles_deg[0] + (angles_deg - angles_deg[0]) / 2)
        if mirror < _NEARER / 2 * apart and mirror < max(_FAR * usual, _NEARER * same):
            raise InputError(
                f"{name} has angles over 360 degrees, and its views are over 180: those that would be 180 degrees "
                "apart are no mirror images, and the last one goes on to the first one mirrored: give "
                '"turn_deg": 180, or angles over that.'
            )
    return (
        "Views 180 degrees apart are no mirror images of each other, as those of one slice would be: look at the "
        "angles and their order, and whether the slice moved.",
    )


def _onward(views: Views, angles_deg: Angles) -> tuple[float, float]:
    """Mean squared differences of the last view from the first one mirrored, and from that as it is."""
    return (
        _difference(views[-1], mirrored(views[0], shift=_shift(views, angles_deg))),
        _difference(views[-1], views[0]),
    )


def _behind(views: Views, angles_deg: Angles) -> float | None:
    """Mean squared difference of views from those 180 degrees on, mirrored; None where too few have such a one.

    Between two views that are neighbours, views are looked up linearly.
    """
    order = np.argsort(angles_deg % 360, kind="stable")
    around, sorted_views = (angles_deg % 360)[order], views[order]
    around, sorted_views = np.append(around, around[0] + 360), np.concatenate([sorted_views, sorted_views[:1]])
    wanted = (angles_deg + 180 - around[0]) % 360 + around[0]
    after = np.clip(np.searchsorted(around, wanted, side="right"), 1, len(around) - 1)
    gaps = around[after] - around[after - 1]
    near = np.flatnonzero(gaps <= _GAP * _usual_gap(angles_deg))
    if len(near) < _LEAST_PAIRS:
        return None
    after, wanted, gaps = after[near], wanted[near], gaps[near]
    share = np.where(gaps > 0, (wanted - around[after - 1]) / np.where(gaps > 0, gaps, 1), 0)[:, None]
    looked_up = (1 - share) * sorted_views[after - 1] + share * sorted_views[after]
    shift = _shift(views, angles_deg)
    return float(
        np.mean([_difference(views[k], mirrored(each, shift=shift)) for k, each in zip(near, looked_up, strict=True)])
    )


def _neighbours(views: Views, angles_deg: Angles) -> float:
    """Mean squared difference of views at neighbouring angles."""
    order = np.argsort(angles_deg % 360, kind="stable")
    near = np.diff((angles_deg % 360)[order]) <= _GAP * _usual_gap(angles_deg)
    return float(np.mean((np.diff(views[order], axis=0) ** 2)[near]))


def _usual_gap(angles_deg: Angles) -> float:
    around = np.unique(np.round(angles_deg % 360, 6))
    return min(float(np.ptp(angles_deg)), 360.0) / max(1, len(around) - 1)


# -- what views are like -----------------------------------------------------------------------------------------------


def _shift(views: Views, angles_deg: Angles) -> float:
    """Of the detector, bins, by the middles of the views at those angles."""
    (_, _, axis), _ = centres_of(views, angles_deg, shift=0.0)
    return -axis


def _difference(one: Float64[np.ndarray, " bins"], other: Float64[np.ndarray, " bins"]) -> float:
    return float(np.mean((one - other) ** 2))


def _noise(views: Views) -> float:
    """As `noise_of`, along the views where that is less, as between sharp edges along the bins."""
    return min(noise_of(views), noise_of(views.T))
