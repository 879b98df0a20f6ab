"""Simple meshes, and cameras to look at them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import trimesh

from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.pinhole import PinholeViews


def sphere(radius=1.0, *, subdivisions=4, centre=(0.0, 0.0, 0.0)) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions, radius)
    return Mesh(vertices=np.array(ball.vertices) + centre, faces=np.array(ball.faces))


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
    )


def wall(x, *, half=1.0, cells=16) -> Mesh:
    """A square across the x axis, around it, of 2 * cells^2 triangles."""
    y, z = np.meshgrid(np.linspace(-half, half, cells + 1), np.linspace(-half, half, cells + 1), indexing="ij")
    corner = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return Mesh(vertices=np.stack([np.full(y.size, x), y.ravel(), z.ravel()], axis=1), faces=faces)


def looking(eyes, *, at=(0.0, 0.0, 0.0), focal=100.0, size=100, **changes) -> PinholeViews:
    """Cameras at `eyes` that look at one point, z upwards in their images; square images with 53 degrees of view."""
    eyes = np.atleast_2d(np.asarray(eyes, dtype=float))
    back = eyes - at
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    count = len(eyes)
    views = PinholeViews(
        camera_to_world=np.stack([right, np.cross(back, right), back, eyes], axis=2),
        fx=np.full(count, focal),
        fy=np.full(count, focal),
        cx=np.full(count, size / 2),
        cy=np.full(count, size / 2),
        width=np.full(count, size),
        height=np.full(count, size),
    )
    return replace(views, **{name: np.full(count, value) for name, value in changes.items()})
