"""Where a browser's camera is, and where it has to be to see two things side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from inr_plugins.viewer.scene_surface import SCENE_UNITS

_GAP = 0.15
"""Between two things, normalised units."""
_MARGIN = 1.15


@dataclass(frozen=True)
class View:
    """What a browser's camera sees.

    Attributes:
        position: of the camera, normalised frame.
        target: what it looks at and turns about.
        right: unit vector that points to the right of the picture.
        up: unit vector that points up in it.
        tangents: of half its angles, across and up.
    """

    position: Float[np.ndarray, " 3"]
    target: Float[np.ndarray, " 3"]
    right: Float[np.ndarray, " 3"]
    up: Float[np.ndarray, " 3"]
    tangents: tuple[float, float]


def view_of(client: Any) -> View:
    """Of a client of viser's."""
    camera = client.camera
    w, x, y, z = camera.wxyz
    # viser's cameras look along z with y down.
    axes = Rotation.from_quat([x, y, z, w]).as_matrix()
    height = float(np.tan(camera.fov / 2))
    position, target = (np.array(each, dtype=np.float64) / SCENE_UNITS for each in (camera.position, camera.look_at))
    return View(position, target, axes[:, 0], -axes[:, 1], (height * float(camera.aspect), height))


def look_from(client: Any, view: View) -> None:
    """Put a client's camera there; it keeps its way up."""
    client.camera.position = tuple(map(float, view.position * SCENE_UNITS))
    client.camera.look_at = tuple(map(float, view.target * SCENE_UNITS))


def beside(points: Float[np.ndarray, "n 3"], right: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """By how much to move something so that it stands to the right of where it was, and clear of that.

    Args:
        points: of it, normalised frame.
        right: unit vector.
    """
    across = points @ right
    return right * float(across.max() - across.min() + _GAP)


def stepped_back(view: View, points: Float[np.ndarray, "n 3"], at: Float[np.ndarray, " 3"]) -> View:
    """The view moved so that it has something, and the same moved by `at`, in its middle; no nearer than it was.

    Args:
        view: that there is.
        points: of it, normalised frame.
        at: by how much its double is moved.
    """
    back = view.position - view.target
    distance = float(np.linalg.norm(back))
    back = back / distance
    both = np.concatenate([points, points + at])
    middle = (both.max(0) + both.min(0)) / 2
    needed = distance
    for axis, tangent in zip((view.right, view.up), view.tangents, strict=True):
        # What is nearer to the camera than the middle needs more room.
        reach = np.abs((both - middle) @ axis) * _MARGIN / tangent + (both - middle) @ back
        needed = max(needed, float(reach.max()))
    return replace(view, position=middle + needed * back, target=middle)
