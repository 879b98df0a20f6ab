"""Pictures of a `SceneMesh` by ray casting with open3d's RaycastingScene (Embree) on the CPU; no display, no OpenGL.

Several subrays a pixel. Their colours are tone-mapped and turned into display (sRGB) values *before* they are
averaged, premultiplied with their coverage, and then divided by the coverage to give straight alpha. Display values,
because that is where nerfstudio lays a picture over its background and where a radiance field lives: the mean of the
subrays over any background is exactly what the stored pixel gives over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from inr_plugins.geometry.cameras import ray_directions
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.srgb import srgb_from_linear
from inr_plugins.geometry.triangle_scene import TriangleScene
from inr_plugins.scenes.light import (
    Facets,
    LightOptions,
    cosine_hemisphere,
    shade,
    tone,
    towards_key,
)
from inr_plugins.scenes.surface import SceneMesh
from inr_plugins.scenes.textures import SurfacePoints

_RAYS_AT_ONCE = 1 << 19
_KEY_RAYS_A_PIXEL = 27
_SKY_RAYS_A_PIXEL = 18
_LIFT = 2e-4
"""Shadow rays start this far above the surface, in units of the object's radius."""
_SKY_REACH = 1.0
"""Corners darken by what stands within this distance, in units of the object's radius."""


class View(NamedTuple):
    """One picture and its ground truth, all (height, width).

    `rgba`: display values with straight alpha. `depth`: distance along the optical axis (z-depth) of what the *centre*
    of the pixel sees, in dataset units, 0 where it sees nothing. `normal`: unit surface normal there, in the world
    frame and facing the camera, 0 where nothing. `mask`: whether the pixel's centre sees the object.
    """

    rgba: UInt8[np.ndarray, "h w 4"]
    depth: Float[np.ndarray, "h w"]
    normal: Float[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class Picture:
    """Size in pixels, focal length in pixels, and subrays a pixel."""

    width: int
    height: int
    focal: float
    samples: int


@dataclass(frozen=True)
class _Hits:
    """Where the rays `ray` (indices) meet the surface; `normal` is the shading normal, `flat` the triangle's own."""

    ray: np.ndarray
    depth: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    flat: np.ndarray
    to_eye: np.ndarray
    surface: SurfacePoints


class SceneRenderer:
    """Casts rays at one mesh under one light.

    Args:
        mesh: with corner normals, in the frame it was modelled in.
        to_dataset: from that frame to the dataset's.
        light: the light, fixed in the dataset frame.
        object_radius: radius of the object in the dataset frame; sets ray offsets and the reach of corner darkening.
    """

    def __init__(self, mesh: SceneMesh, *, to_dataset: Similarity, light: LightOptions, object_radius: float) -> None:
        self._mesh = mesh
        self._light = light
        self._radius = object_radius
        self._to_source = to_dataset.inverse().matrix.astype(np.float32)
        vertices = to_dataset.points(mesh.vertices).astype(np.float32)
        self._corner_normals = to_dataset.directions(mesh.corner_normals.reshape(-1, 3)).astype(np.float32)
        self._corner_normals = self._corner_normals.reshape(-1, 3, 3)
        self._roughness = np.array([m.roughness for m in mesh.materials], dtype=np.float32)
        self._reflectance = np.array([m.reflectance for m in mesh.materials], dtype=np.float32)
        self._metal = np.array([m.metal for m in mesh.materials], dtype=np.float32)
        # The object's middle is the origin of the dataset's frame.
        self._scene = TriangleScene(np.zeros(3, dtype=np.float32)).add(vertices, mesh.faces)

    def render(self, pose: Float[np.ndarray, "4 4"], picture: Picture) -> View:
        """One view from a camera-to-world pose with OpenGL axes. Nothing in it is random."""
        width, height = picture.width, picture.height
        column, row = np.meshgrid(np.arange(width), np.arange(height))
        # float32 places a ray to 1e-3 of a pixel in the largest picture allowed, and halves the time of making rays.
        corner = np.stack([column, row], axis=-1).reshape(-1, 2).astype(np.float32)
        rgba = np.zeros((len(corner), 4), dtype=np.float32)
        step = max(_RAYS_AT_ONCE // picture.samples, 1)
        for start in range(0, len(corner), step):
            some = slice(start, start + step)
            rgba[some] = self._colours(pose, picture, corner[some])
        depth, normal = self._centres(pose, picture, corner + 0.5)
        shape = (height, width)
        image = np.round(255 * rgba).astype(np.uint8).reshape(*shape, 4)
        return View(image, depth.reshape(shape), normal.reshape(*shape, 3), depth.reshape(shape) > 0)

    def _colours(self, pose: np.ndarray, picture: Picture, corner: np.ndarray) -> np.ndarray:
        """Straight-alpha display values of the pixels whose top left corners are given."""
        samples = picture.samples
        pixels = corner[:, None] + _lattice(samples).astype(np.float32)
        hits = self._cast(pose, picture, pixels.reshape(-1, 2))
        pixel, sample = np.divmod(hits.ray, samples)
        display = srgb_from_linear(tone(self._shade(hits, sample, samples))).astype(np.float32)
        count = np.bincount(pixel, minlength=len(corner))
        out = np.zeros((len(corner), 4), dtype=np.float32)
        for channel in range(3):
            out[:, channel] = np.bincount(pixel, weights=display[:, channel], minlength=len(corner))
        out[:, :3] /= np.maximum(count, 1)[:, None]  # premultiplied mean, divided by the coverage
        out[:, 3] = count / samples
        return out

    def _centres(self, pose: np.ndarray, picture: Picture, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z-depth and facing world normal at exact points of the image; zeros where there is nothing."""
        hits = self._cast(pose, picture, pixels)
        depth = np.zeros(len(pixels), dtype=np.float32)
        normal = np.zeros((len(pixels), 3), dtype=np.float32)
        depth[hits.ray], normal[hits.ray] = hits.depth, hits.normal
        return depth, normal

    def _cast(self, pose: np.ndarray, picture: Picture, pixels: np.ndarray) -> _Hits:
        """First hits of the rays through points of the image."""
        directions = ray_directions(
            pose.astype(np.float32), pixels, width=picture.width, height=picture.height, focal=picture.focal
        )
        eye, directions = pose[:3, 3].astype(np.float32), directions.astype(np.float32)
        hits = self._scene.first_hits(eye, directions)
        ray = np.flatnonzero(hits.face >= 0)
        depth, face, barycentric = hits.distance[ray], hits.face[ray], hits.barycentric[ray]
        forward = directions[ray]
        position = eye + depth[:, None] * forward
        to_eye = -forward / np.linalg.norm(forward, axis=1, keepdims=True)

        flat = hits.normal[ray]
        normal = np.einsum("nk,nkd->nd", barycentric, self._corner_normals[face])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        # Open surfaces are drawn from both sides: both normals turn to the side that is seen.
        seen = np.where(np.einsum("ij,ij->i", flat, to_eye) < 0, -1.0, 1.0)[:, None].astype(np.float32)
        source = position @ self._to_source[:3, :3].T + self._to_source[:3, 3]
        return _Hits(ray, depth, position, normal * seen, flat * seen, to_eye, SurfacePoints(source, face, barycentric))

    def _shade(self, hits: _Hits, sample: np.ndarray, samples: int) -> np.ndarray:
        """Linear radiance of each hit towards the eye."""
        part = self._mesh.face_material[hits.surface.face]
        facets = Facets(
            normal=hits.normal,
            to_eye=hits.to_eye,
            albedo=self._mesh.albedo(hits.surface),
            roughness=self._roughness[part],
            reflectance=self._reflectance[part],
            metal=self._metal[part],
        )
        lit = np.ones(len(hits.ray), dtype=np.float32)
        if not self._light.shadows:
            return shade(facets, self._light, key_visible=lit, open_sky=lit)
        # Only what faces the light needs to ask whether it sees it.
        facing = np.flatnonzero(np.einsum("ij,j->i", hits.normal, self._light.direction()) > 0)
        key = np.zeros_like(lit)
        if self._light.key > 0:
            rays = max(1, -(-_KEY_RAYS_A_PIXEL // samples)) if self._light.size > 0 else 1
            key[facing] = self._visible(hits, facing, sample, samples, rays, towards_sky=False)
        sky = lit
        if self._light.fill > 0:
            rays = max(1, -(-_SKY_RAYS_A_PIXEL // samples))
            sky = self._visible(hits, np.arange(len(lit)), sample, samples, rays, towards_sky=True)
        return shade(facets, self._light, key_visible=key, open_sky=sky)

    def _visible(
        self, hits: _Hits, which: np.ndarray, sample: np.ndarray, samples: int, rays: int, *, towards_sky: bool
    ) -> np.ndarray:
        """Share of `rays` shadow rays that get away, for the hits `which`, which are subrays `sample` of their pixels.

        The subrays of a pixel share one well spread set of `samples * rays` directions, and every pixel of every view
        has the same set. So there is no noise: a point has the same shadow in all the views, as if that many small
        lamps stood where the light is. Noise would be a different scene in each view, which no field can fit.
        """
        square = _lattice(samples * rays).astype(np.float32).reshape(rays, samples, 2)
        normal = hits.normal[which] if towards_sky else None
        reach = _SKY_REACH * self._radius if towards_sky else np.inf
        lifted = hits.position[which] + np.float32(_LIFT * self._radius) * hits.flat[which]
        free = np.zeros(len(which), dtype=np.float32)
        for row in square:
            if normal is None:
                directions = towards_key(self._light, row)[sample[which]]
            else:
                directions = cosine_hemisphere(normal, row[sample[which]])
            free += ~self._scene.blocked(lifted, directions, reach=reach)
        return free / rays


def _lattice(count: int) -> Float[np.ndarray, "n 2"]:
    """`count` well spread points of the unit square: a golden-ratio lattice; its centre when count is 1.

    Both coordinates are stratified in `count` equal parts, so an edge along either axis is resolved to 1/count.
    """
    index = np.arange(count)
    other = (index * 0.6180339887498949) % 1.0
    rank = np.empty(count)
    rank[np.argsort(other)] = index
    return np.stack([(index + 0.5) / count, (rank + 0.5) / count], axis=-1)
