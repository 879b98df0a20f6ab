"""Open the viewer where a training camera stood, seeing what it saw, instead of close to the middle of the scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import ViewerControl

OPEN_TO_ALL = (
    "The viewer listens on all interfaces: whoever reaches this machine can use it. inr-view RUN, or "
    "--viewer.websocket-host 127.0.0.1, keeps it to this machine, which ssh -L 7007:localhost:7007 HOST reaches."
)
_EVERYWHERE = ("0.0.0.0", "::", "")

_VIEWER_SCALE = 10.0
"""Units of the viewer's scene in one normalised unit (nerfstudio's VISER_NERFSTUDIO_SCALE_RATIO)."""

_AHEAD = 0.05
"""Part of the way to what it looks at that the view starts before its camera, whose picture hangs just in front of
it."""

_PITCH = np.radians(20.0)
"""The camera that looks down most nearly by this angle is taken: neither from below nor a plan from above."""
_NARROWEST, _WIDEST = np.radians((20.0, 75.0))
"""Fields of view that a browser starts with; the widest is the viewer's own."""


def view_from(pose: Float[np.ndarray, "3 4"]) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """A place just before a camera, and the point of its optical axis nearest to the middle of the normalised frame.

    Args:
        pose: camera-to-world (OpenGL: looking along -z), normalised frame.
    """
    position, forward = pose[:, 3], -pose[:, 2] / np.linalg.norm(pose[:, 2])
    distance = -float(position @ forward)
    # A camera that looks away from the middle looks one unit ahead.
    length = distance if distance > 0.1 else 1.0
    return position + forward * (_AHEAD * length), position + forward * length


def camera_to_start_from(poses: Float[np.ndarray, "n 3 4"]) -> int:
    """The number of the camera that looks slightly down (z up); the first of those that do so alike.

    Args:
        poses: camera-to-world (OpenGL: looking along -z), normalised frame.
    """
    away = np.abs(np.arcsin(np.clip(poses[:, 2, 2] / np.linalg.norm(poses[:, :, 2], axis=-1), -1, 1)) - _PITCH)
    return int(np.argmax(away <= away.min() + 1e-6))


def stand_before(client: Any, camera: Cameras) -> None:
    """Put a browser's view just before a camera, ahead of its picture, with all that it saw in the page.

    Args:
        client: of viser's.
        camera: of shape (1,), normalised frame.
    """
    position, target = view_from(camera.camera_to_worlds[0].detach().cpu().double().numpy())
    width, height, fy = (float(each[0]) for each in (camera.width, camera.height, camera.fy))
    tangent = height / 2 / fy * max(1.0, width / height / (float(client.camera.aspect) or 1.0))
    client.camera.position = tuple(_VIEWER_SCALE * position)
    client.camera.look_at = tuple(_VIEWER_SCALE * target)
    client.camera.fov = float(2 * np.arctan(tangent))


class StartView(ViewerControl):
    """A control without a widget: each browser that connects starts before a training camera, with z up.

    It is one that looks slightly down, and the browser's field of view is the camera's own, so that what fills the
    photographs fills the page. Where the viewer listens on all interfaces, as that of ns-viewer does unless told
    otherwise, a line says so.

    Held by a model as an attribute, where nerfstudio's viewer finds it in ns-train and ns-viewer.
    """

    def _setup(self, viewer: Any) -> None:
        super()._setup(viewer)
        if viewer.config.websocket_host in _EVERYWHERE:
            CONSOLE.print(OPEN_TO_ALL, markup=False, soft_wrap=True)
        dataset = getattr(viewer.pipeline.datamanager, "train_dataset", None)
        if dataset is None or len(dataset.cameras) == 0:
            return
        cameras = dataset.cameras
        poses = cameras.camera_to_worlds.detach().cpu().double().numpy()
        chosen = camera_to_start_from(poses)
        position, target = view_from(poses[chosen])
        half_height = float(cameras.height[chosen]) / 2 / float(cameras.fy[chosen])
        field_of_view = float(np.clip(2 * np.arctan(half_height), _NARROWEST, _WIDEST))

        def place(client: Any) -> None:
            client.camera.up_direction = (0.0, 0.0, 1.0)
            client.camera.position = tuple(_VIEWER_SCALE * position)
            client.camera.look_at = tuple(_VIEWER_SCALE * target)
            client.camera.fov = field_of_view

        self.viser_server.on_client_connect(place)
