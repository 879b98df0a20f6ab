"""A viewer and a page as nerfstudio's are, without server and browser, and a model in closed form."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from nerfstudio.cameras.cameras import CameraType
from nerfstudio.viewer.render_state_machine import RenderAction
from nerfstudio.viewer.utils import CameraState
from torch import nn

BOX = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])


class Ball(nn.Module):
    """A ball of one colour: pixels are its colour or white, by the closed form of ray and sphere."""

    def __init__(self, colour=(0.8, 0.2, 0.1), radius: float = 0.5) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.tensor(colour))
        self.radius = radius
        self.scene_box = SimpleNamespace(aabb=BOX)
        self.fails: str = ""
        self.slowness = 0.0
        self.modes: list[bool] = []

    @property
    def device(self):
        return self.colour.device

    def forward(self, ray_bundle):
        self.modes.append(self.training)
        if self.fails:
            raise ValueError(self.fails)
        time.sleep(self.slowness)
        origins, directions = ray_bundle.origins, ray_bundle.directions
        middle = -(origins * directions).sum(-1, keepdim=True)
        gap = self.radius**2 - (origins.square().sum(-1, keepdim=True) - middle.square())
        hit = ((gap > 0) & (middle > 0)).float()
        depth = (middle - gap.clamp(min=0).sqrt()) * hit
        rgb = self.colour * hit + (1 - hit)
        return {"rgb": rgb, "depth": depth, "accumulation": hit}


class FakePage:
    """What nerfstudio's RenderStateMachine is to our renderer: it shows frames, and is never started."""

    def __init__(self, number: int = 0, aspect: float = 1.0) -> None:
        self.client = SimpleNamespace(
            client_id=number, camera=SimpleNamespace(aspect=aspect), add_notification=self._add
        )
        self.output_keys: Any = {}
        self.frames: list[dict[str, torch.Tensor]] = []
        self.notes: list[str] = []
        self.running = True

    def _add(self, title: str, body: str, **_: Any) -> None:
        self.notes.append(body)

    def _send_output_to_viewer(self, outputs, static_render=True) -> None:
        self.frames.append(outputs)

    def wait(self, condition, seconds: float = 30.0) -> bool:
        until = time.monotonic() + seconds
        while not condition(self):
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


class FakeViewer:
    """The attributes of nerfstudio's Viewer that ours uses."""

    def __init__(self, model: Any, *, trainer: Any = "training", max_res: int = 96) -> None:
        self.ready = True
        if isinstance(trainer, str):
            trainer = SimpleNamespace(
                training_state=trainer,
                _start_step=0,
                config=SimpleNamespace(max_num_iterations=100),
                last_metrics={"psnr": torch.tensor(21.25)},
            )
        self.trainer = trainer
        self.train_lock = threading.Lock()
        self.config = SimpleNamespace(num_rays_per_chunk=4096, websocket_port=7007, camera_frustum_scale=0.1)
        self.pipeline = SimpleNamespace(model=model, datamanager=SimpleNamespace(train_dataset=None))
        self.control_panel = SimpleNamespace(
            max_res=max_res, train_util=0.85, crop_viewport=False, crop_obb=None, layer_depth=True,
            background_color=(38, 42, 55), time=0.0, output_render="rgb", split=False,
        )  # fmt: skip
        self.viser_server = SimpleNamespace(get_clients=dict, stop=lambda: None, get_port=lambda: 7007)
        self.render_statemachines: dict[int, Any] = {}
        self.render_tab_state = SimpleNamespace(preview_render=False)
        self.include_time = False
        self.stats_markdown = SimpleNamespace(content="")
        self.viewer_elements: list[Any] = []
        self.pause_train, self.resume_train = SimpleNamespace(visible=True), SimpleNamespace(visible=False)
        self.log_filename = Path("run", "viewer_log_filename.txt")
        self.distance = 3.0
        self.step = 0

    def update_scene(self, step, num_rays_per_batch=None):
        raise AssertionError("nerfstudio's own is replaced")

    def _trigger_rerender(self) -> None:
        for page in self.render_statemachines.values():
            page.action(RenderAction("move", self.get_camera_state(None)))

    def get_camera_state(self, client: Any) -> CameraState:
        pose = torch.eye(4)[:3].double()
        pose[2, 3] = self.distance
        return CameraState(fov=float(np.radians(60)), aspect=1.0, c2w=pose, camera_type=CameraType.PERSPECTIVE)

    def open(self, page: FakePage) -> Any:
        """As nerfstudio does when a browser connects."""
        self.render_statemachines[page.client.client_id] = page
        renderer = self.render_statemachines[page.client.client_id]
        renderer.start()
        renderer.action(RenderAction("move", self.get_camera_state(None)))
        return renderer
