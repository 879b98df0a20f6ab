"""Clouds read from files that other programs, or these lines, wrote."""

import numpy as np
import pytest

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.clouds.read import Cloud
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


def test_points_that_are_no_numbers_are_dropped_and_counted(tmp_path):
    rows = sphere_rows()
    rows[3, 1], rows[4, 2] = np.inf, np.nan
    for name in ("c.npy", "c.xyz", "c.ply", "c.pcd"):
        write_cloud(tmp_path / name, rows)
        cloud = read_surface(tmp_path / name)
        assert np.allclose(cloud.points, np.delete(rows[:, :3], [3, 4], axis=0), atol=1e-6)
        assert np.allclose(cloud.normals, np.delete(rows[:, 3:], [3, 4], axis=0), atol=1e-6)
        assert cloud.notes[-1] == "2 of 50 points dropped that are NaN or infinite"
    write_cloud(tmp_path / "c.npy", rows * np.nan)
    one_sentence(tmp_path / "c.npy", "All 50 points")


def test_columns_that_are_no_points(tmp_path):
    np.save(tmp_path / "c.npy", np.zeros((5, 2)))
    one_sentence(tmp_path / "c.npy", "2 columns")
    np.save(tmp_path / "c.npy", np.zeros((5, 3, 3)))
    one_sentence(tmp_path / "c.npy", r"shape \(5, 3, 3\)")
    np.save(tmp_path / "c.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    one_sentence(tmp_path / "c.npy", "cannot be read")
    np.save(tmp_path / "c.npy", np.zeros((0, 3)))
    one_sentence(tmp_path / "c.npy", "no points")
    np.save(tmp_path / "c.npy", np.hstack([np.arange(50)[:, None], sphere_rows()[:, :3]]))
    one_sentence(tmp_path / "c.npy", "counts the points")


def test_normals_of_any_length_are_directions_where_they_are_named(tmp_path):
    rows = sphere_rows()
    scaled = np.hstack([rows[:, :3], rows[:, 3:] * np.linspace(0.1, 7, 50)[:, None]])
    write_cloud(tmp_path / "c.ply", scaled)
    cloud = read_surface(tmp_path / "c.ply")
    assert np.abs(cloud.normals - rows[:, 3:]).max() < 1e-6
    assert cloud.notes == ("normals of length 0.1 to 7 scaled to 1",)
    write_cloud(tmp_path / "c.npy", scaled)
    one_sentence(tmp_path / "c.npy", "Columns 4 to 6 .* may be normals, but their lengths run from 0.1 to 7")
    assert read_surface(tmp_path / "c.npy", normals=False).normals is None


@pytest.mark.parametrize("name", ["c.ply", "c.npy", "c.pcd"])
def test_normals_without_a_direction_are_filled_up_or_count_as_none(tmp_path, name):
    rows = sphere_rows(800)
    some = rows.copy()
    some[[5, 100], 3:] = 0
    some[7, 3:] = np.nan
    write_cloud(tmp_path / name, some)
    cloud = read_surface(tmp_path / name)
    assert np.allclose(np.linalg.norm(cloud.normals, axis=1), 1)
    assert (np.einsum("ij,ij->i", cloud.normals, rows[:, 3:]) > 0.95).all()
    assert cloud.notes[-1:] == ("3 normals that are zero or NaN taken from the points beside them",)
    some[:500, 3:] = 0
    write_cloud(tmp_path / name, some)
    assert read_surface(tmp_path / name).normals is None
    some[:, 3:] = 0
    write_cloud(tmp_path / name, some)
    cloud = read_surface(tmp_path / name)
    assert cloud.normals is None
    assert len(cloud.points) == 800
    assert cloud.notes
