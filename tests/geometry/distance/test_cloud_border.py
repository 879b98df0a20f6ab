"""Scans with a border and clouds that go all around."""

import numpy as np
import pytest
import trimesh

from inr_plugins.geometry.distance.cloud_border import is_open_scan
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.surface_sampler import SurfaceSampler


def drawn(mesh, count, keep=lambda points: np.ones(len(points), dtype=bool)):
    surface = Mesh(np.array(mesh.vertices), np.array(mesh.faces))
    points, normals = SurfaceSampler(surface).sample(count, np.random.default_rng(2))
    kept = keep(points)
    return points[kept], normals[kept]


BALL, BOX = trimesh.creation.icosphere(5), trimesh.creation.box((1.0, 0.6, 0.3))


@pytest.mark.parametrize("count", [100, 3000, 30_000])
@pytest.mark.parametrize("mesh", [BALL, BOX], ids=["ball", "box"])
def test_closed_surfaces_have_no_border(mesh, count):
    assert not is_open_scan(*drawn(mesh, count))


@pytest.mark.parametrize("count", [2000, 30_000])
@pytest.mark.parametrize(
    ("mesh", "keep"),
    [
        (BALL, lambda points: points[:, 2] > 0),
        (BALL, lambda points: points[:, 2] < 0.8),
        (BOX, lambda points: points[:, 2] > -0.149),
    ],
    ids=["half a ball", "a ball with a hole", "a box without a bottom"],
)
def test_open_ones_have(mesh, keep, count):
    points, normals = drawn(mesh, count, keep)
    assert is_open_scan(1e3 * points, normals)
    assert is_open_scan(points, -normals)


def test_a_handful_of_points_has_none():
    assert not is_open_scan(*drawn(BALL, 12))
