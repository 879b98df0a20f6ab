"""A look at a young surface: has it collapsed, left its box or turned inside out?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.models.common.capture import Capture

RESOLUTION = 32
"""Points along each side of the box."""
LOOKS = (500, 2000)
"""Training steps after which to look, in a run that is long enough."""
_LATEST = (0.05, 0.3)
"""In a shorter run, parts of it."""
SETTLED = 100
"""Steps after which a surface lies in its box. The windmill's, at a rate of 2e-3, fills half of its box at first."""
_TOUCHED = 0.02
"""A face of the box is touched where more than this part of it is inside."""


def look_steps(run_steps: int) -> tuple[int, ...]:
    """Steps, counted from 1, after which to look at the surface of a run of so many steps."""
    return tuple(
        sorted({min(step, max(1, round(part * run_steps))) for step, part in zip(LOOKS, _LATEST, strict=True)})
    )


@torch.no_grad()
def sample_box(
    sdf: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]], box: Float[Tensor, "2 3"]
) -> Float[Tensor, "x y z"]:
    """Signed distances on a coarse lattice that spans a box, its faces included."""
    axes = [torch.linspace(0, 1, RESOLUTION, device=box.device) for _ in range(3)]
    points = box[0] + (box[1] - box[0]) * torch.cartesian_prod(*axes)
    return sdf(points).view(RESOLUTION, RESOLUTION, RESOLUTION)


def surface_problem(
    lattice: Float[Tensor, "x y z"], at_cameras: Float[Tensor, " c"], *, capture: Capture, young: bool = False
) -> str | None:
    """What is wrong with a surface and which option to try, in a sentence; None if nothing is.

    Args:
        lattice: signed distance in the box, negative inside, its outermost layers on the box's faces.
        at_cameras: signed distance at the training cameras that stand in the box; may be none.
        capture: "object", "table" or "room".
        young: there will be a later look, or the run is so short that there is none. Of a surface that reaches out of
            the box nothing is said then: most do at first, before masks or pictures have cut them back.
    """
    inside = lattice < 0
    if not bool(inside.any()) or bool(inside.all()):
        return _collapsed(everything=bool(inside.all()), capture=capture)
    faces = [side for axis in range(3) for side in (inside.select(axis, 0), inside.select(axis, -1))]
    parts = torch.stack([face.float().mean() for face in faces])
    blind = len(at_cameras) > 0 and bool((at_cameras < 0).float().mean() > 0.5)
    if capture == "room":
        return _room_problem(blind=blind, open_faces=0 if young else int((parts < 0.5).sum()))
    n = lattice.shape[0] // 2
    if blind or (bool((parts > 0.5).all()) and not bool(inside[n - 1 : n + 1, n - 1 : n + 1, n - 1 : n + 1].any())):
        return (
            "The surface has turned inside out: its inside is where the cameras are. If this is a room seen from "
            "inside use cn-neus-room; otherwise lower --optimizers.fields.optimizer.lr."
        )
    if not young and int((parts > _TOUCHED).sum()) >= (4 if capture == "object" else 6):
        advice = (
            "raise --pipeline.model.mask-weight, or enlarge the box with --pipeline.model.box-scale if the object is "
            "larger than it"
            if capture == "object"
            else "enlarge the box with --pipeline.model.box-scale, or mask the object and use cn-neus"
        )
        return f"The surface has left the scene box, most of whose faces it touches: {advice}."
    return None


def _collapsed(*, everything: bool, capture: Capture) -> str:
    if capture == "room":
        what = "filled the box" if everything else "gone: there are no walls in the box"
        advice = "lower --optimizers.fields.optimizer.lr, or enlarge the box with --pipeline.model.box-scale"
        return f"The surface has {what}; {advice}."
    what = "filled the whole box" if everything else "vanished: nothing in the box is inside"
    advice = "lower --optimizers.fields.optimizer.lr"
    if capture == "object":
        advice += " or change --pipeline.model.mask-weight, and see that masks are white where the object is"
    return f"The surface has {what}; {advice}."


def _room_problem(*, blind: bool, open_faces: int) -> str | None:
    if blind:
        return (
            "The surface has turned inside out: most cameras are in what is solid. If the cameras look at something in "
            "their middle use cn-neus-table; otherwise lower --optimizers.fields.optimizer.lr."
        )
    if open_faces >= 5:
        return (
            "The surface has left the scene box: most of the box's faces have no wall before them. Enlarge the box "
            "with --pipeline.model.box-scale."
        )
    return None
