"""Points of a surface are spread over its area, also where many small faces stand beside a large one."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.surface_sampler import SurfaceSampler


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_small_faces_after_large_ones_get_their_share(kind):
    """A square of area 4 in front of 40,000 triangles of 2.5e-8 each: in float32 their sum does not move."""
    side = np.sqrt(2 * 2.5e-8)
    count = 40_000
    corner = np.array([[0.0, 0.0, 5.0], [side, 0.0, 5.0], [0.0, side, 5.0]])
    vertices = np.concatenate([[[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.tile(corner, (count, 1))])
    faces = np.concatenate([[[0, 1, 2], [0, 2, 3]], 4 + np.arange(3 * count).reshape(-1, 3)])
    points, normals = SurfaceSampler(Mesh(vertices.astype(kind), faces)).sample(400_000, np.random.default_rng(0))
    # 0.001 of 4.001: 100 of 400,000, with a deviation of 10.
    assert np.count_nonzero(points[:, 2] > 1) == pytest.approx(4e5 * 0.001 / 4.001, abs=50)
    assert points.dtype == normals.dtype == np.float64
    assert np.allclose(normals, [0, 0, 1])


def test_points_lie_on_the_faces_whose_normals_come_with_them():
    ball = trimesh.creation.icosphere(subdivisions=2)
    points, normals = SurfaceSampler(Mesh(np.array(ball.vertices), np.array(ball.faces))).sample(
        500, np.random.default_rng(1)
    )
    _, distance, face = trimesh.proximity.closest_point(ball, points)
    assert distance.max() < 1e-12
    assert np.einsum("nk,nk->n", normals, ball.face_normals[face]).min() > 1 - 1e-6
