"""Whether masks agree: one that is against the others, some that are the other way round, or all with other poses."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from inr_plugins.boxes import checked_box
from inr_plugins.errors import InputError
from inr_plugins.models.common.hull import MaskedViews, lattice_axes, listed, project

_POINTS = 40
"""Along the longest side of the box, of the places that are asked."""
_MANY, _DOUBTFUL, _WRONG = 8, 0.15, 0.9
"""Views from which on one is told from the others, what part of their hull it may leave out without a word, and of how
much it is wrong."""
_COVERED = 0.9
"""Part of a middling mask that what all masks leave has to cover, if nothing is to be said."""
_FEW_WRONG = 0.15
"""Part of the views that may be the other way round."""
_HALF = 0.5
"""A mask that is the other way round holds less than this of the object's picture, and more of what is beside it."""
_LEAST_BESIDE = 0.05
"""Part of a picture that has to be beside the object for its mask to be judged."""


def check_agreement(views: MaskedViews, box: Float[Tensor, "2 3"]) -> None:
    """Name the view whose mask alone leaves out a good part of the object, or say that all contradict each other.

    Args:
        views: all of them, right ones and wrong ones.
        box: that the object is in, normalised frame.

    Raises:
        InputError: it leaves out nearly all, or a few masks are the other way round.
    """
    _check_none_inverted(views, box)
    doubt = doubtful_view(views, box)
    if doubt is None:
        _say_what_is_not_covered(views, box)
        return
    told = f"The mask of {views.names[doubt[0]]} alone leaves out {doubt[1]:.0%} of what all others leave of the object"
    if doubt[1] > _WRONG:
        raise InputError(f"{told}: mend it, or leave the image out.")
    if comms.is_main_process():
        CONSOLE.print(f"{told}: see whether it is right.", soft_wrap=True)


def doubtful_view(views: MaskedViews, box: Float[Tensor, "2 3"]) -> tuple[int, float] | None:
    """The view whose mask, and no other, leaves out a good part of what the masks of all others leave.

    A wrong mask does, and so does a right one from a side that no other was taken from. Only places that most pictures
    show are asked.

    Returns:
        Its number and that part; None where there is none, or where there are too few views to tell.
    """
    if len(views.masks) < _MANY:
        return None
    axes, _ = lattice_axes(checked_box(box.detach().cpu()), _POINTS)
    x = torch.cartesian_prod(*axes)
    against, seen = torch.zeros(2, len(x), dtype=torch.int32)
    last = torch.zeros(len(x), dtype=torch.int64)
    for view in range(len(views.masks)):
        beside, shown = views.outside(view, x)
        against += beside
        seen += shown
        last[beside] = view
    known = 2 * seen > len(views.masks)
    alone = last[known & (against == 1)].bincount(minlength=len(views.masks))
    most = int(alone.argmax())
    part = int(alone[most]) / max(int(alone[most]) + int((known & (against == 0)).sum()), 1)
    return (most, part) if part > _DOUBTFUL else None


def _say_what_is_not_covered(views: MaskedViews, box: Float[Tensor, "2 3"]) -> None:
    shares = covered_shares(views, box)
    middle = float(torch.tensor(shares or [1.0]).median())
    # Of nothing at all, which the hull is refused for, that says more.
    if 0 < middle < _COVERED and comms.is_main_process():
        CONSOLE.print(
            f"What all masks leave of the object covers only {middle:.0%} of a middling mask: masks and poses "
            "contradict each other; see that each picture has its own mask and its own pose.",
            soft_wrap=True,
        )


def _check_none_inverted(views: MaskedViews, box: Float[Tensor, "2 3"]) -> None:
    wrong = inverted_views(views, box)
    if not wrong:
        return
    names = listed([views.names[view] for view in wrong])
    one = len(wrong) == 1
    raise InputError(
        f"The mask{'' if one else 's'} of {names} {'is' if one else 'are'} black where the others leave the object, "
        f"and white beside it: turn {'it' if one else 'them'} round, or leave the image{'' if one else 's'} out."
    )


@torch.no_grad()
def inverted_views(views: MaskedViews, box: Float[Tensor, "2 3"]) -> list[int]:
    """The views whose masks are black where most others leave the object, and white beside it.

    A right mask holds nothing beside what the others leave, however much of that it cuts off; one that is white
    throughout holds all of the object. Neither is among them.

    Args:
        views: all of them, right ones and wrong ones.
        box: that the object is in, normalised frame.

    Returns:
        Their numbers, in order; none where there are too few views to tell, or more are wrong than could be told.
    """
    count = len(views.masks)
    if count < _MANY:
        return []
    axes, edge = lattice_axes(checked_box(box.detach().cpu()), _POINTS)
    x = torch.cartesian_prod(*axes)
    against, seen = torch.zeros(2, len(x), dtype=torch.int32)
    for view in range(count):
        beside, shown = views.outside(view, x)
        against += beside
        seen += shown
    allowed = max(1, int(_FEW_WRONG * count))
    agreed = x[(2 * seen > count) & (against <= allowed)]
    if len(agreed) == 0:
        return []
    wrong = [view for view in range(count) if _is_inverted(views, view, agreed, edge)]
    return wrong if len(wrong) <= allowed else []


@torch.no_grad()
def covered_shares(views: MaskedViews, box: Float[Tensor, "2 3"]) -> list[float]:
    """What part of each mask is explained by what all masks leave: all of it, where masks and poses are right.

    Cells are left where no mask is against them as a whole, so that thin things are not lost.

    Args:
        views: all of them.
        box: that the object is in, normalised frame.

    Returns:
        Of each view whose mask holds something, in order.
    """
    axes, edge = lattice_axes(checked_box(box.detach().cpu()), _POINTS)
    x = torch.cartesian_prod(*axes)
    left = torch.ones(len(x), dtype=torch.bool)
    for view, mask in enumerate(views.masks):
        grown = _grown(mask, _reach(views, view, x, edge))
        alone = MaskedViews(views.cameras[view : view + 1], [grown], [views.names[view]])
        left[left.clone()] = ~alone.outside(0, x[left])[0]
    shares = []
    for view, mask in enumerate(views.masks):
        if bool(mask.any()):
            shares.append(float(_silhouette(views, view, x[left], edge)[mask].float().mean()))
    return shares


def _is_inverted(views: MaskedViews, view: int, agreed: Float[Tensor, "n 3"], edge: float) -> bool:
    beside, shown = views.outside(view, agreed)
    if not bool(shown.any()) or float(beside.sum() / shown.sum()) < 1 - _HALF:
        return False
    mask, empty = views.masks[view], ~_silhouette(views, view, agreed, edge)
    return float(empty.float().mean()) > _LEAST_BESIDE and float(mask[empty].float().mean()) > _HALF


def _silhouette(views: MaskedViews, view: int, x: Float[Tensor, "n 3"], edge: float) -> Bool[Tensor, "height width"]:
    """Pixels that places, each of which stands for a cell around it, cover in a picture, or a little more."""
    height, width = views.masks[view].shape
    u, v, front = project(views.cameras, view, x)
    inside = front & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    found = torch.zeros(height, width, dtype=torch.bool)
    found[v[inside].long(), u[inside].long()] = True
    return _grown(found, _reach(views, view, x, edge))


def _reach(views: MaskedViews, view: int, x: Float[Tensor, "n 3"], edge: float) -> int:
    """Pixels from the middle to the corner of the nearest of cells, or a little more."""
    pose = views.cameras.camera_to_worlds[view]
    depth = -((x - pose[:, 3]) @ pose[:, 2])
    near = depth[depth > edge]
    focal = max(float(views.cameras.fx[view]), float(views.cameras.fy[view]))
    return 1 + int(0.87 * edge * focal / float(near.amin())) if len(near) else 1


def _grown(mask: Bool[Tensor, "height width"], pixels: int) -> Bool[Tensor, "height width"]:
    """What is at most so many rows and columns away."""
    from scipy.ndimage import maximum_filter

    return torch.from_numpy(maximum_filter(mask.numpy(), size=2 * pixels + 1, mode="constant", cval=False))
