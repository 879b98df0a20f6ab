"""Whether a lens gives every pixel of its picture a ray, and what looks as if it were the lens of another picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.camera_utils import radial_and_tangential_undistort
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

_GRID = 33
"""Pixels along each side of a picture at which the distortion is looked at."""
_PIXELS_OFF = 1.0
_LENSES_AT_ONCE = 256
MOST_WITHOUT_RAY = 0.05
"""Share of a picture's pixels above which it is refused for pixels without a ray."""
_PARAMETERS = 6
# Of the side: cropped pictures have their principal point anywhere, so that this is said and not refused.
_FAR_FROM_MIDDLE = 0.25
_WIDEST = 150.0
_LONGEST_TO_SHORTEST = 1.5


def share_without_ray(cameras: Cameras) -> Float[Tensor, " cameras"]:
    """Which part of each picture's pixels has no ray, because the distortion folds the picture over there.

    A radial distortion r (1 + k1 r^2 + ...) that falls again beyond some radius maps two rays to a pixel, and none to
    those farther out. What nerfstudio's ten steps of Newton's method give is distorted again: a pixel has a ray if it
    comes back to within a pixel, and the radius grows all the way from the middle to it. Angles of fisheyes are radii.

    Returns:
        0 for lenses without distortion, and for kinds of cameras that have another one.
    """
    result = torch.zeros(len(cameras))
    cameras = cameras.to("cpu")
    if cameras.distortion_params is None or cameras.distortion_params.shape[-1] != _PARAMETERS:
        return result
    kinds = (CameraType.PERSPECTIVE.value, CameraType.FISHEYE.value)
    bent = (cameras.distortion_params != 0).any(dim=1)
    bent &= torch.isin(cameras.camera_type.flatten(), torch.tensor(kinds))
    if not bent.any():
        return result
    columns = [getattr(cameras, name).float() for name in ("fx", "fy", "cx", "cy", "width", "height")]
    lenses = torch.cat([*columns, cameras.distortion_params.float()], dim=1)
    different, number = torch.unique(lenses[bent], dim=0, return_inverse=True)
    # Pixels of the grid stand for their surroundings, of which those on the border have half.
    side = torch.full((_GRID,), 1 / (_GRID - 1))
    side[[0, -1]] /= 2
    weight = torch.outer(side, side).flatten()
    found = [(~_has_ray(some)).float() @ weight for some in different.split(_LENSES_AT_ONCE)]
    result[bent] = torch.cat(found)[number]
    return result


def _has_ray(lens: Float[Tensor, "lenses 12"]) -> Bool[Tensor, "lenses pixels"]:
    """Which pixels of a grid over the pictures have a ray; `lens`: fx, fy, cx, cy, width, height, distortion."""
    focal, centre, size, parameters = lens[:, None, :2], lens[:, None, 2:4], lens[:, None, 4:6], lens[:, None, 6:]
    steps = torch.linspace(0, 1, _GRID)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(1, -1, 2)
    seen = (grid * size - centre) / focal
    ray = radial_and_tangential_undistort(seen, parameters)
    off = (distorted(ray, parameters) - seen) * focal
    k1, k2, k3, k4 = parameters[..., :4].unbind(dim=-1)
    grows = torch.ones(seen.shape[:2], dtype=torch.bool)
    for part in torch.linspace(0.1, 1, 10).tolist():
        square = (part * ray).square().sum(dim=-1)
        grows &= 1 + square * (3 * k1 + square * (5 * k2 + square * (7 * k3 + square * 9 * k4))) > 0
    return grows & (off.norm(dim=-1) <= _PIXELS_OFF)


def distorted(ray: Float[Tensor, "*shape 2"], parameters: Float[Tensor, "*other 6"]) -> Float[Tensor, "*shape 2"]:
    """Where rays (x, y, 1) are seen, in focal lengths from the principal point: OpenCV's model of a lens."""
    k1, k2, k3, k4, p1, p2 = parameters.unbind(dim=-1)
    x, y = ray.unbind(dim=-1)
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * (k3 + square * k4)))
    across = x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x)
    return torch.stack([across, y * radial + 2 * p2 * x * y + p1 * (square + 2 * y * y)], dim=-1)


def lens_remarks(cameras: Cameras, images: Sequence[Path]) -> list[str]:
    """What is unlikely of the lenses though it can be, a sentence each: mostly lenses of pictures of another size.

    Args:
        cameras: of the pictures.
        images: their files.
    """
    fx, fy, cx, cy = (getattr(cameras, name).flatten().double() for name in ("fx", "fy", "cx", "cy"))
    width, height = cameras.width.flatten().double(), cameras.height.flatten().double()
    is_flat = cameras.camera_type.flatten() == CameraType.PERSPECTIVE.value
    angle = torch.rad2deg(2 * torch.atan(torch.maximum(width / fx, height / fy) / 2))
    far = torch.maximum((cx / width - 0.5).abs(), (cy / height - 0.5).abs()) > _FAR_FROM_MIDDLE
    ratio = torch.maximum(fx / fy, fy / fx)
    remarks = []
    for wrong, what, advice in (
        (
            is_flat & far,
            lambda k: f"a principal point of {cx[k]:g}, {cy[k]:g} in {width[k]:g} x {height[k]:g} pixels",
            "unless these are parts cut out of larger pictures, scale the whole lens to the size of the pictures",
        ),
        (
            is_flat & (angle > _WIDEST),
            lambda k: f"a focal length of {min(fx[k], fy[k]):g} pixels, which makes {angle[k]:.0f} degrees",
            "focal lengths count pixels, not millimetres",
        ),
        (
            is_flat & (ratio > _LONGEST_TO_SHORTEST),
            lambda k: f"focal lengths of {fx[k]:g} and {fy[k]:g} pixels, so that its pixels are not square",
            "if the pictures are not stretched, one of the two is wrong",
        ),
    ):
        numbers = torch.nonzero(wrong).flatten().tolist()
        if numbers:
            others = f" (and {len(numbers) - 1} more cameras)" if len(numbers) > 1 else ""
            remarks.append(f"The camera of {images[numbers[0]]}{others} has {what(numbers[0])}: {advice}.")
    return remarks
