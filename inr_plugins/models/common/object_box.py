"""Where the object is: the box that a surface is looked for in, from masks, or from where the cameras look.

nerfstudio's dataparsers put the origin in the middle of the cameras, and give every capture the same box around it. The
cameras of most captures stand on one side of what they look at, which then lies at the edge of that box or outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from inr_plugins.boxes import has_volume, scaled_box
from inr_plugins.errors import InputError
from inr_plugins.models.common.hull import check_outlines, masked_views
from inr_plugins.models.common.mask_agreement import check_agreement
from inr_plugins.models.common.mask_box import box_of_masks, nearest_point

BoxChoice = Literal["found", "scene"]

_ENOUGH = 100
"""Views that are asked at most: more tell no more of a box."""
_NEAREST, _SHARE = 0.1, 0.5
"""Without masks, half a side is this part of the distance from which the nearest tenth of the cameras look."""


@dataclass(frozen=True)
class FoundBox:
    """A box in which the object is.

    Attributes:
        box: lowest and highest corner, normalised frame.
        how: where it comes from, in words that go after "from".
    """

    box: Float[Tensor, "2 3"]
    how: str


def find_object(dataset: Any, *, masked: bool, unsure: bool = False, compare: bool = False) -> FoundBox | None:
    """Where the object is, if that can be told.

    Args:
        dataset: nerfstudio's InputDataset, or what has its `cameras`, `image_filenames` and `get_data`.
        masked: what the masks or the alpha of all pictures leave; else where the cameras look.
        unsure: masks may be for something else than to cut an object out, and pictures may be without.
        compare: name the mask that is against the others, if there is one.

    Returns:
        The box; None where cameras are no pinholes, or do not look at anything in common, or masks that may be for
        something else seem to be.

    Raises:
        InputError: the masks leave nothing, or leave nothing out, or some of them are against all others, or the other
            way round.
    """
    cameras = dataset.cameras
    if (cameras.camera_type != CameraType.PERSPECTIVE.value).any():
        return None
    if not masked:
        box = box_of_axes(cameras)
        return None if box is None else FoundBox(box, f"where {len(cameras)} cameras look")
    count = len(cameras)
    chosen = sorted({int(i) for i in np.linspace(0, count - 1, min(count, _ENOUGH)).round()})
    try:
        views = masked_views(dataset, chosen)
    except InputError:
        if unsure:
            return None
        raise
    is_cut_out = cuts_out(views.masks)
    if unsure and not is_cut_out:
        return None
    check_outlines(views, name_some=False)
    if not is_cut_out and comms.is_main_process():
        CONSOLE.print(
            "Most masks are white at all four sides of their picture, and tell little of the object's outline: see "
            "that they are black beside the object.",
            soft_wrap=True,
        )
    box = box_of_masks(views)
    if compare and box is not None:
        check_agreement(views, box)
    return None if box is None else FoundBox(box, f"{len(chosen)} masks")


def object_box(
    dataset: Any,
    scene_box: Float[Tensor, "2 3"],
    choice: BoxChoice,
    *,
    masked: bool,
    scale: float,
    unsure: bool = False,
    compare: bool = False,
) -> Tensor:
    """The box to look in: found, and said in the dataset's units, or else the dataparser's.

    Args:
        dataset: see `find_object`.
        scene_box: the dataparser's, normalised frame.
        choice: which of the two.
        masked: see `find_object`.
        scale: what its sides are multiplied by.
        unsure: see `find_object`.
        compare: see `find_object`.

    Returns:
        (2, 3), normalised frame, on the CPU.

    Raises:
        InputError: the masks leave nothing.
    """
    scene_box = scene_box.detach().cpu().float()
    found = find_object(dataset, masked=masked, unsure=unsure, compare=compare) if choice == "found" else None
    if found is None:
        return scaled_box(scene_box, scale)
    box = scaled_box(found.box, scale)
    if comms.is_main_process():
        told = say(FoundBox(box, found.how), getattr(dataset, "metadata", None))
        CONSOLE.print(told, soft_wrap=True, highlight=False)
    return box


def cuts_out(masks: Sequence[Bool[Tensor, "height width"]]) -> bool:
    """Whether masks cut an object out of their pictures, rather than leave something out, such as passers-by.

    What most of them hold does not reach all four sides of its picture.
    """
    whole = [all(bool(side.any()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])) for mask in masks]
    return 2 * sum(whole) < len(whole)


def say(found: FoundBox, metadata: Mapping[str, Any] | None) -> str:
    """The box in a sentence, in the dataset's units where the map to them is known."""
    box = found.box.double().numpy()
    middle, sides, frame = box.mean(0), box[1] - box[0], (metadata or {}).get("dataset_frame")
    whose = "normalised"
    if frame is not None:
        whose, middle, sides = "the dataset's", frame.inverse().points(middle[None])[0], sides / frame.scale
    size, at = " x ".join(f"{side:.3g}" for side in sides), ", ".join(f"{value:.3g}" for value in middle)
    return f"The object is looked for in a box of {size} around ({at}), {whose} units, from {found.how}."


# -- from the cameras alone --------------------------------------------------------------------------------------------


@torch.no_grad()
def box_of_axes(cameras: Cameras) -> Float[Tensor, "2 3"] | None:
    """A cube around the point that cameras look at, half as deep as it is far from them.

    Returns:
        (2, 3), normalised frame; None where they do not look at one.
    """
    poses = cameras.camera_to_worlds.detach().cpu().float()
    origins, axes = poses[:, :3, 3], -poses[:, :3, 2]
    if len(poses) < 3:
        return None
    middle = nearest_point(origins, axes)
    if middle is None:
        return None
    towards = middle - origins
    ahead = (towards * axes).sum(-1) > 0.5 * towards.norm(dim=-1)
    if float(ahead.float().mean()) < 0.8:
        return None
    half = _SHARE * float(towards[ahead].norm(dim=-1).quantile(_NEAREST))
    box = torch.stack([middle - half, middle + half])
    return box if has_volume(box) else None
