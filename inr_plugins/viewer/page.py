"""The control through which a model has its page: where the camera starts, what draws, who may look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.viewer.live import LiveViewer, attach
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.panels import general_panels
from inr_plugins.viewer.panels.take_away import IMAGE
from inr_plugins.viewer.start_view import StartView, camera_to_start_from, stand_before, view_from

_FRUSTUM_SHARE = 0.04
"""Size of a training camera in the page, as a part of its distance from what it looks at; below the part of it that the
view starts ahead of its camera, whose picture would hide all else."""
_STOCK_FRUSTUM_SCALE = 0.1
_SCENE_UNITS = 10.0
"""Of nerfstudio's page in a normalised unit."""


class LivePage(StartView):
    """Makes the viewer that finds it live (`LiveViewer`), and has each browser start before a training camera.

    Held by a model as an attribute, where nerfstudio's viewer finds it in ns-train, ns-viewer and inr-view.
    """

    live: LiveViewer | None = None

    def __init__(
        self,
        panels: Callable[[], Sequence[Panel]] = tuple,
        *,
        has_surface: bool = True,
        read_out: Mapping[str, str | None] = IMAGE,
    ) -> None:
        """
        Args:
            panels: makes the panels that are the method's own, which stand below those of all methods.
            has_surface: whether there can be a mesh of what is learnt.
            read_out: where there can be none, names of the files that what is learnt is read out to, and the part that
                each is of.
        """
        super().__init__()
        self._panels, self._has_surface, self._read_out = panels, has_surface, read_out

    def _setup(self, viewer: Any) -> None:
        super()._setup(viewer)
        self.live = attach(viewer)
        _name_the_port(viewer)
        _size_cameras(viewer)
        if self.live is not None:
            panels = [*general_panels(has_surface=self._has_surface, read_out=self._read_out), *self._panels()]
            for number, panel in enumerate(panels):
                panel.install(self.live, order=float(number - len(panels)))
        _answer_clicks(viewer)
        if not getattr(viewer.config, "make_share_url", False):
            _switch_sharing_off(viewer.viser_server)


def _name_the_port(viewer: Any) -> None:
    """Have the address that is printed be the one that works: viser takes the next port where one is taken."""
    asked, server = viewer.config.websocket_port, viewer.viser_server
    asked = viewer.config.websocket_port_default if asked is None else asked
    if not hasattr(server, "get_port") or not hasattr(viewer, "viewer_info"):
        return
    had = f":{server.get_port()}"
    viewer.viewer_info = [had.join(line.split(f":{asked}")) for line in viewer.viewer_info]


def _size_cameras(viewer: Any) -> None:
    """Draw the training cameras large enough to be seen, unless a size was asked for."""
    dataset = getattr(viewer.pipeline.datamanager, "train_dataset", None)
    config = viewer.config
    if dataset is None or getattr(config, "camera_frustum_scale", None) != _STOCK_FRUSTUM_SCALE:
        return
    poses = dataset.cameras.camera_to_worlds.detach().cpu().double().numpy()
    if len(poses):
        chosen, cameras = camera_to_start_from(poses), dataset.cameras
        position, target = view_from(poses[chosen])
        distance = float(np.linalg.norm(target - position))
        half, aspect = (float(cameras.cx[chosen] / each) for each in (cameras.fx[chosen], cameras.cy[chosen]))
        # viser scales a pyramid of height 1 to a volume that does not depend on its angles.
        depth = _FRUSTUM_SHARE * _SCENE_UNITS * distance
        config.camera_frustum_scale = depth * (half**2 * aspect / 3) ** (1 / 3) or _STOCK_FRUSTUM_SCALE


def _answer_clicks(viewer: Any) -> None:
    """Have a click on a training camera lead before its picture: nerfstudio's leads behind it, which then hides all."""
    if not hasattr(viewer, "init_scene"):
        return
    init_scene = viewer.init_scene

    def init(*args: Any, **options: Any) -> None:
        init_scene(*args, **options)
        dataset = getattr(viewer.pipeline.datamanager, "train_dataset", None)
        for number, handle in getattr(viewer, "camera_handles", {}).items():
            if dataset is not None and hasattr(handle, "on_click"):
                # Called after nerfstudio's own.
                handle.on_click(_leading_to(dataset.cameras[number : number + 1]))

    viewer.init_scene = init


def _leading_to(camera: Any) -> Callable[[Any], None]:
    return lambda event: stand_before(event.client, camera)


def _switch_sharing_off(server: Any) -> None:
    """Whoever looks could else make this page public with a click."""
    if hasattr(server, "request_share_url"):
        server.request_share_url = lambda *_, **__: _refuse_to_share(server)


def _refuse_to_share(server: Any) -> None:
    sentence = "Sharing is switched off: start with --viewer.make-share-url True to open this page to the internet."
    CONSOLE.log(sentence, markup=False)
    for client in server.get_clients().values():
        if hasattr(client, "add_notification"):
            client.add_notification("Not shared", sentence, auto_close=10_000)
