"""Which vertices of a mesh points speak of."""

import numpy as np
import pytest

from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.trimming import CloudReach
from inr_plugins.meshing.trim import Reach, observed


def test_within_reach_of_the_points_it_is_one_and_falls_to_nothing_at_twice_that():
    points = np.zeros((1, 3))
    vertices = np.array([[0, 0, 0], [0.2, 0, 0], [0, 0.3, 0], [0, 0, 0.4], [0, 0, 5.0]])
    mesh = Mesh(vertices, np.array([[0, 1, 2], [2, 3, 4]]))
    reach = Reach(CloudReach(points), 0.2, "given")
    assert observed(mesh, reach) == pytest.approx([1, 1, 0.5, 0, 0])
    assert observed(mesh, None) is None


def test_a_ply_has_it_as_a_property_of_its_vertices(tmp_path):
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]), colours=np.full((3, 3), 0.5), observed=np.array([1, 0.25, 0]))
    write_mesh(mesh, tmp_path / "seen.ply", sidecar={})
    header, _, body = (tmp_path / "seen.ply").read_bytes().partition(b"end_header\n")
    assert header.endswith(b"property float observed\nelement face 1\nproperty list uchar int vertex_indices\n")
    row = np.dtype([("x", "<f8", 3), ("colour", "u1", 3), ("observed", "<f4")])
    assert np.frombuffer(body, row, count=3)["observed"].tolist() == [1, 0.25, 0]
    again = read_surface(tmp_path / "seen.ply")
    assert isinstance(again, Mesh)
    assert np.allclose(again.vertices, np.eye(3))
