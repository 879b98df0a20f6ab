"""The visual hull, which is what no mask leaves out, and the distance to its surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.boxes import checked_box
from inr_plugins.errors import InputError

_ROUGH = 64
"""Points along the longest side of the scene box when the hull's box is looked for."""
_FEW = 40
"""The same when it is asked which view leaves nothing of the hull."""
_PAD = 4
"""Cells around the hull."""
_HELD = 1 / 3
"""Part of the pictures that show a middling place of the hull, in which a place of the object is at the least."""
_RIM = 0.98
"""Part of the picture's rim that is white where a mask leaves something in the middle out."""
_MOST_NAMED = 3
"""Views that are named as the wrong ones; of more, nobody knows which they are."""


@dataclass(frozen=True)
class MaskedViews:
    """Pinhole cameras (with OpenCV's distortion, if any) and what of each picture the object covers.

    Attributes:
        cameras: of the pictures, normalised frame.
        masks: of each, True where the object may be: grown by a pixel, within which poses and edges are unsure.
        names: of each picture, for messages.
    """

    cameras: Cameras
    masks: Sequence[Bool[Tensor, "height width"]]
    names: Sequence[str]

    def outside(self, view: int, x: Float[Tensor, "n 3"]) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"]]:
        """Which points lie in a picture beside its mask, and which in the picture at all."""
        mask = self.masks[view]
        u, v, front = project(self.cameras, view, x)
        height, width = mask.shape
        seen = front & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        column, row = u.nan_to_num(0.0).clamp(0, width - 1).long(), v.nan_to_num(0.0).clamp(0, height - 1).long()
        return seen & ~mask[row, column], seen


def masked_views(dataset: Any, chosen: Sequence[int] | None = None) -> MaskedViews:
    """The views of a dataset of images with alpha or masks.

    Args:
        dataset: nerfstudio's InputDataset, or what has its `cameras`, `image_filenames` and `get_data`.
        chosen: which of its views; None: all.

    Raises:
        InputError: an image has neither, or a camera is no pinhole.
    """
    cameras = dataset.cameras
    if (cameras.camera_type != CameraType.PERSPECTIVE.value).any():
        raise InputError(
            "diner-surface starts from masks seen through pinhole cameras, and some of these are of another kind: "
            "undistort the pictures, or train with cn-neus."
        )
    chosen = range(len(cameras)) if chosen is None else chosen
    masks, names = [], [str(dataset.image_filenames[view]) for view in chosen]
    for number, view in enumerate(chosen):
        data = dataset.get_data(view)
        image = data["image"]
        if image.shape[-1] == 4:
            mask = image[..., 3] > 0
        elif "mask" in data:
            mask = data["mask"][..., 0] > 0
        elif hasattr(dataset, "get_numpy_image") and (raw := dataset.get_numpy_image(view)).shape[-1] == 4:
            # Blended with a colour of the dataparser's.
            mask = torch.from_numpy(raw[..., 3] > 0)
        else:
            raise InputError(
                f"{names[number]} has neither a mask nor an alpha channel, which tell where the object is: give all "
                "images masks, or train with cn-neus-table, or with diner-surface and --pipeline.model.capture table."
            )
        masks.append(F.max_pool2d(mask.float()[None, None], 3, stride=1, padding=1)[0, 0] > 0)
    return MaskedViews(cameras.to("cpu")[torch.as_tensor([*chosen])], masks, names)


def project(
    cameras: Cameras, view: int, x: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """Pixel coordinates (from the corner of the top left pixel, x right, y down) of points, and whether they are in
    front of the camera.

    OpenCV's model: nerfstudio's distortion parameters are k1, k2, k3, k4 and p1, p2.
    """
    pose = cameras.camera_to_worlds[view].to(x)
    local = (x - pose[:, 3]) @ pose[:, :3]
    depth = -local[:, 2]
    front = depth > 1e-6
    safe = torch.where(front, depth, 1.0)
    a, b = local[:, 0] / safe, -local[:, 1] / safe
    if cameras.distortion_params is not None and bool((cameras.distortion_params[view] != 0).any()):
        k1, k2, k3, k4, p1, p2 = cameras.distortion_params[view].tolist()
        r2 = a * a + b * b
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
        a, b = (
            a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a),
            b * radial + 2 * p2 * a * b + p1 * (r2 + 2 * b * b),
        )
    numbers = {name: float(getattr(cameras, name)[view]) for name in ("fx", "fy", "cx", "cy")}
    return a * numbers["fx"] + numbers["cx"], b * numbers["fy"] + numbers["cy"], front


def project_widely(
    cameras: Cameras, view: int, x: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Pixel coordinates of points also far beyond the picture, where the lens's polynomials say nothing.

    Returns:
        Column and row, depth along the camera's axis (negative behind it), and how many pixels a small ball's image is
        wide at most, times its depth and divided by its radius.
    """
    pose = cameras.camera_to_worlds[view].to(x)
    local = (x - pose[:, 3]) @ pose[:, :3]
    depth = -local[:, 2]
    safe = torch.where(depth > 1e-6, depth, 1.0)
    a, b = local[:, 0] / safe, -local[:, 1] / safe
    numbers = {name: float(getattr(cameras, name)[view]) for name in ("fx", "fy", "cx", "cy", "width", "height")}
    u, v = a * numbers["fx"] + numbers["cx"], b * numbers["fy"] + numbers["cy"]
    if cameras.distortion_params is not None and bool((cameras.distortion_params[view] != 0).any()):
        near = ((u / numbers["width"] - 0.5).abs() < 0.7) & ((v / numbers["height"] - 0.5).abs() < 0.7)
        seen_u, seen_v, _ = project(cameras, view, x)
        u, v = torch.where(near, seen_u, u), torch.where(near, seen_v, v)
    return u, v, depth, max(numbers["fx"], numbers["fy"]) * (1 + a * a + b * b).sqrt()


def hull_counts(views: MaskedViews, x: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    """How many pictures show each point; 0 of those that some picture shows beside its mask."""
    alive = torch.arange(len(x))
    shows = torch.zeros(len(x), dtype=torch.int32)
    for view in range(len(views.masks)):
        out, shown = views.outside(view, x[alive])
        shows[alive] += shown
        alive = alive[~out]
    found = torch.zeros(len(x), dtype=torch.int32)
    found[alive] = shows[alive]
    return found


def in_hull(views: MaskedViews, x: Float[Tensor, "n 3"], *, least: int = 1) -> Bool[Tensor, " n"]:
    """Points that so many pictures show at the least and no picture shows beside its mask."""
    return hull_counts(views, x) >= least


def fewest_pictures(counts: Int[Tensor, "*n"]) -> int:
    """How many pictures have to show a place of the object, by the `hull_counts` of many places.

    What is close before a camera is in few pictures, and their masks leave out nothing of what it covers: where
    pictures cut the object off, all of such places would be hull, and each could hold what its few pictures show.
    """
    per_count = counts[counts > 0].long().bincount().double()
    if len(per_count) == 0:
        return 1
    # By what is seen and not by places: those before the cameras may be the most.
    looks = (per_count * torch.arange(len(per_count))).cumsum(0)
    middle = int(torch.searchsorted(looks, looks[-1] / 2))
    return max(1, round(_HELD * middle))


def hull_distances(
    views: MaskedViews, box: Float[Tensor, "2 3"], longest: int
) -> tuple[Float[Tensor, " 3"], float, Float[Tensor, "x y z"]]:
    """The signed distance to the hull's surface on a lattice around it.

    Args:
        views: what was seen.
        box: to look in, normalised frame.
        longest: cells along the longest side of the lattice.

    Returns:
        Lowest corner and edge of the cells, normalised units, and the distance of each vertex in cells, negative
        inside, good to about half a cell. What too few pictures show (`fewest_pictures`) is outside.

    Raises:
        InputError: the hull is empty, or cameras stand in it.
    """
    box = checked_box(box.detach().cpu())
    axes, edge = lattice_axes(box, _ROUGH)
    counted = hull_counts(views, torch.cartesian_prod(*axes)).view([len(axis) for axis in axes])
    least = fewest_pictures(counted)
    found = counted >= least
    if not bool(found.any()):
        raise InputError(why_empty(views, box))
    at = found.nonzero()
    low = torch.stack([axis[index] for axis, index in zip(axes, at.amin(0), strict=True)]) - 1.5 * edge
    high = torch.stack([axis[index] for axis, index in zip(axes, at.amax(0), strict=True)]) + 1.5 * edge
    low, high = torch.maximum(low, box[0]), torch.minimum(high, box[1])
    cell = float((high - low).max()) / (longest - 2 * _PAD)
    counts = ((high - low) / cell).ceil().long() + 2 * _PAD
    origin = (low + high) / 2 - cell / 2 * counts
    axes = [origin[i] + cell * torch.arange(int(counts[i]) + 1) for i in range(3)]
    inside = in_hull(views, torch.cartesian_prod(*axes), least=least).view([len(axis) for axis in axes])
    for axis in range(3):
        # What reaches past the scene box is closed there.
        beyond = (axes[axis] < box[0, axis]) | (axes[axis] > box[1, axis])
        inside &= ~beyond.reshape([-1 if i == axis else 1 for i in range(3)])
    if not bool(inside.any()):
        raise InputError(why_empty(views, box))
    check_outside(views, origin, cell, inside)
    return origin, cell, cells_to_border(inside)


def check_outlines(views: MaskedViews, *, name_some: bool = True) -> None:
    """See that masks tell the object from what is beside it, and which of the two is white.

    Those that cut nothing out of their picture are named.

    Args:
        views: all that are asked.
        name_some: say so where some of them do not.

    Raises:
        InputError: none of them does, or most are white all around and black within.
    """
    full = [name for name, mask in zip(views.names, views.masks, strict=True) if bool(mask.all())]
    if len(full) == len(views.masks):
        raise InputError(
            f"The masks, or the alpha, of all {len(full)} pictures looked at are white throughout and tell nothing of "
            "the object's outline: make them black beside the object, or set --pipeline.model.capture table, which "
            "asks for none; a room that the cameras stand in is for cn-neus-room."
        )
    around = sum(_is_white_around(mask) for mask in views.masks)
    if 2 * around > len(views.masks):
        raise InputError(
            f"{around} of {len(views.masks)} masks, or alpha channels, are white along all sides of their picture and "
            "black within: turn them round, so that they are white where the object is and black beside it."
        )
    if full and name_some and comms.is_main_process():
        CONSOLE.print(
            f"{len(full)} of {len(views.masks)} masks cut nothing out of their picture, that of {full[0]} among them: "
            "see whether the object fills it, or the mask is wrong.",
            soft_wrap=True,
        )


def _is_white_around(mask: Bool[Tensor, "height width"]) -> bool:
    """Whether a mask leaves out something in the middle of its picture alone."""
    rim = torch.cat([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return float(rim.float().mean()) > _RIM and not bool(mask.all())


def cells_to_border(inside: Bool[Tensor, "x y z"]) -> Float[Tensor, "x y z"]:
    """The signed distance, in cells, to halfway between the vertices that are inside and those that are not."""
    from scipy.ndimage import distance_transform_edt

    solid = inside.numpy()
    out, deep = (torch.from_numpy(distance_transform_edt(part)).float() for part in (~solid, solid))
    return torch.where(inside, 0.5 - deep, out - 0.5)


def lattice_axes(box: Float[Tensor, "2 3"], longest: int) -> tuple[list[Tensor], float]:
    """Coordinates along each axis of the middles of cells that fill a box, and about the edge of those."""
    edge = float((box[1] - box[0]).max()) / longest
    counts = ((box[1] - box[0]) / edge).ceil().long().clamp(min=1).tolist()
    return [box[0, i] + (torch.arange(n) + 0.5) * (box[1, i] - box[0, i]) / n for i, n in enumerate(counts)], edge


def why_empty(views: MaskedViews, box: Tensor) -> str:
    """In a sentence, why there is no hull: a mask without anything, views that disagree with the others, or none that
    looks into the box."""
    axes, _ = lattice_axes(box, _FEW)
    x = torch.cartesian_prod(*axes)
    beside, seen = torch.zeros(len(views.masks), len(x), dtype=torch.bool), torch.zeros(len(x), dtype=torch.int64)
    for view in range(len(views.masks)):
        beside[view], shown = views.outside(view, x)
        seen += shown
    if not bool((seen > 0).any()):
        return (
            "No camera looks into the scene box: centre the poses with the dataparser's options, or enlarge the box "
            "with --pipeline.model.box-scale."
        )
    empty = [name for name, mask in zip(views.names, views.masks, strict=True) if not bool(mask.any())]
    if 0 < len(empty) < len(views.masks):
        return (
            f"The mask of {listed(empty)} holds nothing of the object, and so the hull of all masks does not: mend "
            "it, or leave the image out."
        )
    against = beside.sum(0)
    # Where all but the fewest views agree that the object may be, seen by twice as many as disagree.
    fewest = torch.where(seen > 2 * against, against, len(views.masks)).min()
    if 0 < int(fewest) <= _MOST_NAMED:
        agreed = (against == fewest) & (seen > 2 * against)
        # Of several such places, the one that most of them share.
        sets, count = beside[:, agreed].unique(dim=1, return_counts=True)
        wrong = [views.names[int(view)] for view in sets[:, count.argmax()].nonzero()[:, 0]]
        disagree = "that of {} disagrees" if len(wrong) == 1 else "those of {} disagree"
        return (
            f"The masks leave nothing of the object: {disagree.format(listed(wrong))} with all others. Mend "
            f"{'it' if len(wrong) == 1 else 'them'}, or leave {'the image' if len(wrong) == 1 else 'these images'} out."
        )
    return (
        "The masks leave nothing of the object in the scene box: see that they are white where the object is, and that "
        "the poses are right, or enlarge the box with --pipeline.model.box-scale."
    )


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, of many the first ones."""
    shown = list(names[:_MOST_NAMED])
    if len(names) > len(shown):
        return f"{', '.join(shown)} and {len(names) - len(shown)} more"
    return " and ".join([*([", ".join(shown[:-1])] if len(shown) > 1 else []), shown[-1]])


def check_outside(views: MaskedViews, origin: Tensor, cell: float, inside: Bool[Tensor, "x y z"]) -> None:
    """See that no camera stands in the hull.

    Args:
        views: whose cameras are meant.
        origin: lowest vertex of the hull's lattice.
        cell: distance of its vertices.
        inside: which of them are in the hull.

    Raises:
        InputError: one does.
    """
    at = ((views.cameras.camera_to_worlds[:, :, 3] - origin) / cell).round().long()
    limits = torch.tensor(inside.shape)
    within = ((at >= 0) & (at < limits)).all(-1)
    index = at.clamp(min=0).minimum(limits - 1)
    within &= inside[index[:, 0], index[:, 1], index[:, 2]]
    standing = within.nonzero()[:, 0].tolist()
    if standing:
        raise InputError(
            f"{len(standing)} of {len(within)} cameras, that of {views.names[standing[0]]} among them, stand inside of "
            "what the masks leave of the object: see that masks are white where the object is, and black beside it."
        )
