"""Open the viewer where a training camera stood, instead of close to the middle of the scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from nerfstudio.viewer.viewer_elements import ViewerControl

_VIEWER_SCALE = 10.0
"""Units of the viewer's scene in one normalised unit (nerfstudio's VISER_NERFSTUDIO_SCALE_RATIO)."""

_AHEAD = 0.05
"""Part of the way to what it looks at that the view starts before its camera, whose picture hangs just in front of
it."""


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


class StartView(ViewerControl):
    """A control without a widget: each browser that connects starts before the first training camera, with z up.

    Held by a model as an attribute, where nerfstudio's viewer finds it in ns-train and ns-viewer.
    """

    def _setup(self, viewer: Any) -> None:
        super()._setup(viewer)
        dataset = getattr(viewer.pipeline.datamanager, "train_dataset", None)
        if dataset is None or len(dataset.cameras) == 0:
            return
        position, target = view_from(dataset.cameras.camera_to_worlds[0].detach().cpu().double().numpy())

        def place(client: Any) -> None:
            client.camera.up_direction = (0.0, 0.0, 1.0)
            client.camera.position = tuple(_VIEWER_SCALE * position)
            client.camera.look_at = tuple(_VIEWER_SCALE * target)

        self.viser_server.on_client_connect(place)
