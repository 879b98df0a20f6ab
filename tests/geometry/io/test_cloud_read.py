"""Clouds read from files that other programs, or these lines, wrote."""

import numpy as np
import pytest

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.cloud_read import Cloud
from inr_plugins.geometry.io.mesh_read import read_mesh
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.open3d_import import import_open3d


def sphere_rows(count=50):
    normals = np.random.default_rng(2).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return np.hstack([3 * normals + [1, 2, 3], normals])


def write_cloud(path, rows):
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".xyz":
        np.savetxt(path, rows, fmt="%.17g")
    else:
        o3d = import_open3d()
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(rows[:, :3]))
        if rows.shape[1] == 6:
            cloud.normals = o3d.utility.Vector3dVector(rows[:, 3:])
        o3d.io.write_point_cloud(str(path), cloud)


@pytest.mark.parametrize("columns", [3, 6])
@pytest.mark.parametrize("name", ["c.ply", "c.xyz", "c.pcd", "c.npy"])
def test_clouds(tmp_path, name, columns):
    rows = sphere_rows()[:, :columns]
    write_cloud(tmp_path / name, rows)
    cloud = read_surface(tmp_path / name)
    assert isinstance(cloud, Cloud)
    exact = 1e-6 if name == "c.pcd" else 0  # PCD is float32
    assert np.abs(cloud.points - rows[:, :3]).max() <= exact
    if columns == 3:
        assert cloud.normals is None
    else:
        assert np.abs(cloud.normals - rows[:, 3:]).max() <= 1e-6


def test_a_cloud_is_no_mesh(tmp_path):
    write_cloud(tmp_path / "c.ply", sphere_rows())
    with pytest.raises(InputError, match="points without faces"):
        read_mesh(tmp_path / "c.ply")
    write_cloud(tmp_path / "c.xyz", sphere_rows())
    with pytest.raises(InputError, match=r"must be one of \.glb"):
        read_mesh(tmp_path / "c.xyz")


def one_sentence(path, match):
    with pytest.raises(InputError, match=match) as caught:
        read_surface(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["c.ply", "ascii.ply", "c.npy", "c.pcd"])
def test_a_cloud_cut_short_is_refused(tmp_path, name):
    path = tmp_path / name
    if name == "ascii.ply":
        header = "ply\nformat ascii 1.0\nelement vertex 50\n" + "".join(f"property double {c}\n" for c in "xyz")
        path.write_text(header + "end_header\n" + "0 1 2\n" * 50)
        assert len(read_surface(path).points) == 50
    else:
        write_cloud(path, sphere_rows())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    one_sentence(path, "cannot be read|cut short")


def test_points_that_are_no_numbers_are_counted(tmp_path):
    rows = sphere_rows()
    rows[[3, 4], 1] = np.inf
    for name in ("c.npy", "c.xyz", "c.ply"):
        write_cloud(tmp_path / name, rows)
        one_sentence(tmp_path / name, "2 of 50 points")


def test_columns_that_are_no_points(tmp_path):
    np.save(tmp_path / "c.npy", np.zeros((5, 4)))
    one_sentence(tmp_path / "c.npy", "4 columns")
    np.save(tmp_path / "c.npy", np.zeros((5, 3, 3)))
    one_sentence(tmp_path / "c.npy", r"shape \(5, 3, 3\)")
    np.save(tmp_path / "c.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    one_sentence(tmp_path / "c.npy", "cannot be read")
    np.save(tmp_path / "c.npy", np.zeros((0, 3)))
    one_sentence(tmp_path / "c.npy", "no points")
    colours = np.hstack([sphere_rows()[:, :3], np.full((50, 3), 200.0)])
    np.savetxt(tmp_path / "c.xyz", colours)
    one_sentence(tmp_path / "c.xyz", "no unit normals")
