"""cn-mipnerf's own panel: where the ray that was clicked is cut, and what its pixel sees of each section."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nerfstudio.cameras.rays import RayBundle

from inr_plugins.rendering.mip.cones import pixel_radius
from inr_plugins.viewer import charts
from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.panel import Panel

NODE = "/cn-mipnerf ray"
_SCENE_UNITS = 10.0
"""Of nerfstudio's page in a normalised unit."""
_COARSE, _FINE = np.array([76, 155, 232.0]), np.array([232, 163, 61.0])
_CONE_SIDES = 8
_SHARE = 0.02
"""Of the fine sections at either end, left out of the close view."""


@dataclass(frozen=True)
class Level:
    """One pass over a ray: sections by distance, normalised units, and their weights in the pixel."""

    start: np.ndarray
    end: np.ndarray
    weights: np.ndarray

    @property
    def density(self) -> np.ndarray:
        """Weight per unit of length."""
        return self.weights / np.maximum(self.end - self.start, 1e-12)

    @property
    def depth(self) -> float:
        """Mean distance of what is seen."""
        return float(((self.start + self.end) / 2 * self.weights).sum() / max(self.weights.sum(), 1e-12))


@dataclass(frozen=True)
class SampledRay:
    """What both passes made of a ray.

    Attributes:
        origin: of the ray, normalised frame.
        direction: unit direction.
        radius: of the pixel's cone at distance 1.
        coarse: sections of equal length.
        fine: those cut where the coarse pass saw something, without those that no light reaches.
    """

    origin: np.ndarray
    direction: np.ndarray
    radius: float
    coarse: Level
    fine: Level


@torch.no_grad()
def sample_ray(model: Any, origin: np.ndarray, direction: np.ndarray, pixel: float) -> SampledRay | None:
    """Cut a ray as the model does in evaluation; None where it misses the scene.

    Args:
        model: a CnMipNerfModel in eval mode.
        origin: of the ray, normalised frame.
        direction: unit direction.
        pixel: width of its pixel at distance 1.
    """
    rays = RayBundle(
        origins=torch.tensor(origin[None], dtype=torch.float32, device=model.device),
        directions=torch.tensor(direction[None], dtype=torch.float32, device=model.device),
        pixel_area=torch.full((1, 1), pixel**2, device=model.device),
    )
    seen = model.render(rays)
    if len(seen.coarse_sections) == 0:
        return None
    levels = [
        Level(*(each.double().cpu().numpy() for each in (sections.start, sections.end, of.weights)))
        for sections, of in ((seen.coarse_sections, seen.coarse), (seen.sections, seen.fine))
    ]
    return SampledRay(origin, direction, float(pixel_radius(rays.pixel_area)[0]), *levels)


def told(ray: SampledRay, asked: int) -> str:
    """A ray's sections as charts and words, in markdown.

    Args:
        ray: the ray.
        asked: sections that the fine pass cuts.
    """
    coarse, fine = ray.coarse, ray.fine
    series = [
        ("coarse", coarse.start, coarse.end, coarse.density, charts.OTHER),
        ("fine", fine.start, fine.end, fine.density, charts.ONE),
    ]
    whole = charts.along(series, (coarse.start[0], coarse.end[-1]), unit="distance along the ray")
    close = _close(fine)
    near = charts.along(series, close, unit="close to what is seen")
    opacity = coarse.weights.sum(), fine.weights.sum()
    rows = [
        "| | Coarse | Fine |",
        "|:-|-:|-:|",
        f"| Sections | {len(coarse.start)} | {len(fine.start)} of {asked} |",
        f"| Shortest | {_shortest(coarse):.2g} | {_shortest(fine):.2g} |",
        f"| Opacity | {opacity[0]:.2f} | {opacity[1]:.2f} |",
        f"| Distance | {coarse.depth:.3f} | {fine.depth:.3f} |",
        f"| Cone's radius | {ray.radius * coarse.depth:.2g} | {ray.radius * fine.depth:.2g} |",
    ]
    pictures = [
        charts.as_markdown(whole, "Weight per length along the whole ray, and where it is cut"),
        charts.as_markdown(near, "The same, close to what is seen"),
    ]
    return "\n\n".join([*pictures, "\n".join(rows)])


def _shortest(level: Level) -> float:
    return float((level.end - level.start).min()) if len(level.start) else 0.0


def _close(fine: Level) -> tuple[float, float]:
    """The part of a ray in which fine sections are close together: the ends of the shorter half of them."""
    length = fine.end - fine.start
    if len(length) == 0:
        return 0.0, 1.0
    short = length <= np.median(length) * (1 + 1e-9)
    low, high = np.quantile(fine.start[short], _SHARE), np.quantile(fine.end[short], 1 - _SHARE)
    return float(low), float(max(high, low + 1e-6))


def cone_mesh(ray: SampledRay) -> tuple[np.ndarray, np.ndarray]:
    """The ray's cone from its first section to its last, as vertices in the normalised frame and triangles."""
    side = np.cross(ray.direction, np.eye(3)[np.abs(ray.direction).argmin()])
    side /= np.linalg.norm(side)
    up = np.cross(ray.direction, side)
    angles = np.arange(_CONE_SIDES) * (2 * math.pi / _CONE_SIDES)
    around = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * up
    ends = (ray.coarse.start[0], ray.coarse.end[-1])
    rings = [ray.origin + distance * (ray.direction + ray.radius * around) for distance in ends]
    this, following = np.arange(_CONE_SIDES), (np.arange(_CONE_SIDES) + 1) % _CONE_SIDES
    far, far_following = this + _CONE_SIDES, following + _CONE_SIDES
    faces = np.concatenate([np.stack([this, following, far], 1), np.stack([following, far_following, far], 1)])
    return np.concatenate(rings), faces


def section_points(ray: SampledRay) -> tuple[np.ndarray, np.ndarray]:
    """Middles of all sections in the normalised frame, and their colours: the brighter, the more a pixel sees of it."""
    places, colours = [], []
    for level, colour in ((ray.coarse, _COARSE), (ray.fine, _FINE)):
        middle = (level.start + level.end) / 2
        places.append(ray.origin + middle[:, None] * ray.direction)
        share = np.sqrt(level.weights / max(level.weights.max(initial=0), 1e-12))
        colours.append(colour * (0.35 + 0.65 * share[:, None]))
    return np.concatenate(places), np.concatenate(colours)


class RayPanel(Panel):
    """A click into the picture is answered by how its ray is sampled, as charts and as points in the scene."""

    title = "Sampling of a ray"

    def build(self) -> None:
        self._ask = self.gui.add_button(
            "Click a ray",
            hint="The next click into the picture shows where both passes cut that pixel's ray, and what they see.",
        )
        self._ask.on_click(self.safely(self._arm))
        self._clear = self.gui.add_button("Clear", visible=False, hint="Take the ray out of the scene.")
        self._clear.on_click(self.safely(lambda _: self._remove()))
        self._text = self.gui.add_markdown("", visible=False, image_root=Path())
        self._nodes: list[Any] = []
        self._lock = threading.Lock()

    def _say(self, words: str) -> None:
        self._text.content, self._text.visible = words, bool(words)

    def _arm(self, event: Any) -> None:
        if self.live.snapshot is None:
            raise ValueError("There is no picture yet to click into.")
        scene = event.client.scene
        if not hasattr(scene, "on_pointer_event"):
            raise ValueError("This version of viser does not tell where a page is clicked.")
        self._say("Click into the picture.")

        def clicked(pointer: Any) -> None:
            scene.remove_pointer_callback()
            answer = self.safely(self._answer)
            # viser calls this in the thread that speaks with all pages.
            threading.Thread(target=answer, args=(pointer,), name="viewer panel ray", daemon=True).start()

        scene.on_pointer_event(event_type="click")(clicked)

    def _answer(self, pointer: Any) -> None:
        settle_thread()
        snapshot, camera = self.live.snapshot, pointer.client.camera
        if snapshot is None:
            return
        snapshot = snapshot.source or snapshot
        direction = np.array(pointer.ray_direction, dtype=float)
        direction /= np.linalg.norm(direction)
        origin = np.array(pointer.ray_origin, dtype=float) / _SCENE_UNITS
        with self.live.source.drawing(snapshot):
            ray = sample_ray(snapshot.model, origin, direction, self._pixel(camera, direction))
        self._remove()
        if ray is None:
            self._say("This ray misses the scene's box: nothing is sampled along it.")
            return
        self._show(ray)
        self._say(f"{told(ray, snapshot.model.levels.fine)}\n\nStep {snapshot.step:,}, normalised units.")
        self._clear.visible = True

    def _pixel(self, camera: Any, direction: np.ndarray) -> float:
        """Width, at distance 1, of a pixel of the sharp frame around a ray."""
        widest = float(self.live.panel.max_res)
        rows = widest / max(float(camera.aspect), 1.0)
        # The side of the pixel's solid angle, which falls off with the third power of the cosine.
        cosine = float(np.clip(direction @ _axis(camera.wxyz), 1e-3, 1.0))
        return 2 * math.tan(float(camera.fov) / 2) / rows * cosine**1.5

    def _show(self, ray: SampledRay) -> None:
        scene, spread = self.live.viewer.viser_server.scene, _SCENE_UNITS
        points, colours = section_points(ray)
        vertices, faces = cone_mesh(ray)
        size = 0.15 * _SCENE_UNITS * float(np.mean(ray.coarse.end - ray.coarse.start))
        with self._lock:
            self._nodes = [
                scene.add_point_cloud(
                    f"{NODE}/sections",
                    (points * spread).astype(np.float32),
                    colours.astype(np.uint8),
                    point_size=size,
                    point_shape="circle",
                ),
                scene.add_mesh_simple(
                    f"{NODE}/cone", (vertices * spread).astype(np.float32), faces, wireframe=True, color=(230, 60, 60)
                ),
            ]

    def _remove(self) -> None:
        with self._lock:
            nodes, self._nodes = self._nodes, []
        for node in nodes:
            node.remove()
        self._clear.visible = False
        self._say("")


def _axis(wxyz: Any) -> np.ndarray:
    """What a camera of the page looks along: the third axis of its rotation."""
    w, x, y, z = (float(each) for each in wxyz)
    return np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
