"""One frame of a model from a camera, drawn piece by piece."""

from __future__ import annotations

import threading
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from torch import Tensor

_FARTHEST = 1e3
"""Depth of what nothing is seen in, for what else the page shows; normalised units, more than it can be sent."""
_SEEN = 0.5
"""Opacity from which on a pixel has a depth."""


class Frame:
    """A picture that fills row by row, about: several threads may draw it.

    What a model leaves open in front of nothing is given a depth beyond the scene's box: a depth of 0 would hide all
    that the page shows besides, and take the range of the colour map.
    """

    def __init__(self, model: Any, camera: Cameras, *, crop: OrientedBox | None = None) -> None:
        """
        Args:
            model: a nerfstudio Model in eval mode.
            camera: one camera.
            crop: what lies outside of it is not drawn.
        """
        self.model = model
        self.is_cropped = crop is not None
        self.camera = camera.to(model.device)
        # As the viewer of nerfstudio does: the crop's ends go to the model with each ray.
        self.rays = self.camera.generate_rays(camera_indices=0, keep_shape=True, obb_box=crop)
        self.height, self.width = self.rays.origins.shape[:2]
        self.outputs: dict[str, Tensor] = {}
        self.done = 0
        """Rays that have been drawn."""
        self._begun, self._lock = 0, threading.Lock()

    def __len__(self) -> int:
        return self.height * self.width

    def lie_over(self, other: Frame) -> None:
        """Begin with what another frame of the same view shows, in whatever size it has."""
        for name, value in other.outputs.items():
            picture = value.view(other.height, other.width, -1).permute(2, 0, 1)[None].float()
            sized = torch.nn.functional.interpolate(picture, (self.height, self.width), mode="nearest")
            self.outputs[name] = sized[0].permute(1, 2, 0).reshape(len(self), -1).contiguous()

    def fill(self, rays: int) -> int:
        """Draw so many of the rays that nobody draws yet, and add them to `outputs`; returns how many.

        0 says that all have been begun. Several threads may do so at once.
        """
        with self._lock:
            start = self._begun
            end = self._begun = min(len(self), start + max(1, rays))
        if end > start:
            outputs = self.draw(start, end)
            with self._lock:
                self._take(start, end, outputs)
                self.done += end - start
        return end - start

    @torch.no_grad()
    def draw(self, start: int, end: int) -> dict[str, Tensor]:
        """What the model answers to rays [start, end), counted along rows; kept nowhere."""
        outputs = self.model.forward(ray_bundle=self.rays.get_row_major_sliced_ray_bundle(start, end))
        return {name: value for name, value in outputs.items() if isinstance(value, Tensor)}

    def _take(self, start: int, end: int, outputs: dict[str, Tensor]) -> None:
        for name, value in outputs.items():
            value = value.reshape(end - start, -1)
            if name not in self.outputs:
                self.outputs[name] = value.new_zeros(len(self), value.shape[-1])
            self.outputs[name][start:end] = value

    def shown(self, *, with_z: bool) -> dict[str, Tensor]:
        """The outputs as pictures (height, width, channels), and with `with_z` what nerfstudio's viewer takes as depth.

        Its key is gl_z_buf_depth: the distance along the camera's axis.
        """
        outputs = {name: value.view(self.height, self.width, -1) for name, value in self.outputs.items()}
        if "depth" in outputs and "accumulation" in outputs:
            beyond = self._beyond()
            outputs["depth"] = torch.where(outputs["accumulation"] < _SEEN, beyond, outputs["depth"])
        if with_z and "depth" in outputs:
            axis = -self.camera.camera_to_worlds[0, :3, 2]
            along = (self.rays.directions * axis).sum(-1, keepdim=True)
            z = along * outputs["depth"]
            if "accumulation" in outputs:
                # Not the end of the box: what stands beside the scene is to be seen from all sides.
                z = torch.where(outputs["accumulation"] < _SEEN, _FARTHEST, z)
            outputs["gl_z_buf_depth"] = z
        return outputs

    def colours_behind(self) -> Float[Tensor, "2 3"]:
        """What the frame shows behind everything, to two sides."""
        return colours_behind(self.model, is_cropped=self.is_cropped)

    def _beyond(self) -> Float[Tensor, "height width 1"]:
        """Distances behind everything in the scene's box."""
        box = self.model.scene_box.aabb.to(self.rays.origins)
        return (self.rays.origins - box.mean(0)).norm(dim=-1, keepdim=True) + (box[1] - box[0]).norm() / 2


def colours_behind(model: Any, *, is_cropped: bool = False) -> Float[Tensor, "2 3"]:
    """What rays that meet nothing see: two that begin far from the scene and leave it, to different sides.

    Args:
        model: that answers rays.
        is_cropped: whether they are rays that a crop leaves nothing of, so that no scenery is behind them either.
    """
    box = model.scene_box.aabb.detach().float().to(model.device)
    away = torch.tensor([[1.0, 1, 1], [-1, 1, -1]], device=model.device) / 3**0.5
    rays = RayBundle(
        origins=box.mean(0) + 10 * (box[1] - box[0]).norm() * away,
        directions=away,
        pixel_area=torch.full((2, 1), 1e-6, device=model.device),
        camera_indices=torch.zeros(2, 1, dtype=torch.long, device=model.device),
    )
    if is_cropped:
        rays.nears = rays.fars = torch.zeros(2, 1, device=model.device)
    with torch.no_grad():
        return model.forward(ray_bundle=rays)["rgb"].reshape(2, 3)


def paint_behind(outputs: dict[str, Tensor], own: Float[Tensor, "2 3"], wanted: Float[Tensor, " 3"]) -> None:
    """Put another colour behind everything that a frame shows; nothing, where what is behind is a picture.

    Args:
        outputs: rgb and accumulation, changed in place.
        own: what the model has there, seen to two sides.
        wanted: the colour to be seen instead.
    """
    if "rgb" not in outputs or "accumulation" not in outputs or not torch.allclose(own[0], own[1], atol=1e-3):
        return
    wanted = wanted.to(outputs["rgb"])
    outputs["rgb"] = (outputs["rgb"] + (wanted - own[0].to(wanted)) * (1 - outputs["accumulation"])).clamp(0, 1)
