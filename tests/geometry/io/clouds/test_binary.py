"""PLY and PCD clouds whose bytes the test lays down itself, beside what the header announces."""

from pathlib import Path

import numpy as np
import pytest

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.clouds.read import read_cloud
from inr_plugins.geometry.io.surface_read import read_surface

POINTS = np.random.default_rng(5).normal(size=(9, 3))


def ply(path: Path, kind: str, *, announced=9, after=b"", properties="xyz") -> Path:
    head = f"ply\nformat {kind} 1.0\ncomment c\nelement camera 2\nproperty uchar id\nelement vertex {announced}\n"
    head += "".join(f"property double {name}\n" for name in properties) + "property uchar red\nend_header\n"
    if kind == "ascii":
        body = "7\n8\n" + "".join(" ".join(f"{x:.17g}" for x in point) + " 200\n" for point in POINTS)
        path.write_bytes((head + body).encode() + after)
        return path
    order = "<" if "little" in kind else ">"
    rows = np.zeros(9, dtype=[("p", f"{order}f8", 3), ("red", "u1")])
    rows["p"] = POINTS
    path.write_bytes(head.encode() + bytes([7, 8]) + rows.tobytes() + after)
    return path


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_vertices_of_a_ply_behind_another_element(tmp_path, kind):
    cloud = read_surface(ply(tmp_path / "c.ply", kind))
    assert np.array_equal(cloud.points, POINTS)
    assert cloud.notes == ("ignored red",)
    assert np.array_equal(read_surface(ply(tmp_path / "c.ply", kind, properties="zyx")).points, POINTS[:, ::-1])
    for announced, match in ((10, "announces 10 points and has 9; it is cut short"), (8, "has more")):
        with pytest.raises(InputError, match=match):
            read_surface(ply(tmp_path / "c.ply", kind, announced=announced))
    with pytest.raises(InputError, match="no single column x"):
        read_surface(ply(tmp_path / "c.ply", kind, properties="abc"))


def test_a_splat_file_is_said_to_be_one(tmp_path):
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "opacity", "scale_0", "rot_0"]
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 9\n"
    head += "".join(f"property float {name}\n" for name in names) + "end_header\n"
    rows = np.zeros((9, len(names)), dtype="<f4")
    rows[:, :3] = POINTS
    (tmp_path / "c.ply").write_bytes(head.encode() + rows.tobytes())
    cloud = read_surface(tmp_path / "c.ply")
    assert np.abs(cloud.points - POINTS).max() < 1e-6
    assert cloud.normals is None
    assert cloud.notes[0] == "a splat file, whose points are the centres of Gaussians"
    assert "all zero and count as none" in cloud.notes[-1]


def pcd(path: Path, kind: str, size: int, *, announced=9) -> Path:
    """Fields out of order, with padding, a field of several values, and normals."""
    head = "# .PCD v0.7\nVERSION 0.7\nFIELDS z x y _ fpfh normal_x normal_y normal_z\n"
    head += f"SIZE {size} {size} {size} 1 4 4 4 4\nTYPE F F F U F F F F\nCOUNT 1 1 1 4 2 1 1 1\n"
    head += f"WIDTH {announced}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {announced}\nDATA {kind}\n"
    unit = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
    if kind == "ascii":
        rows = np.hstack([POINTS[:, [2, 0, 1]], np.zeros((9, 4)), np.ones((9, 2)), unit])
        path.write_text(head + "".join(" ".join(f"{x:.9g}" for x in row) + "\n" for row in rows))
        return path
    float_ = f"<f{size}"
    rows = np.zeros(9, dtype=[("p", float_, 3), ("_", "u1", 4), ("fpfh", "<f4", 2), ("n", "<f4", 3)])
    rows["p"], rows["n"] = POINTS[:, [2, 0, 1]], unit
    path.write_bytes(head.encode() + rows.tobytes())
    return path


@pytest.mark.parametrize(("kind", "size"), [("ascii", 4), ("binary", 4), ("binary", 8)])
def test_fields_of_a_pcd(tmp_path, kind, size):
    cloud = read_surface(pcd(tmp_path / "c.pcd", kind, size))
    exact = 0 if size == 8 else 1e-6
    assert np.abs(cloud.points - POINTS).max() <= exact
    assert np.abs(cloud.normals * np.linalg.norm(POINTS, axis=1, keepdims=True) - POINTS).max() < 1e-6
    for announced, match in ((10, "it is cut short"), (8, "has more")):
        with pytest.raises(InputError, match=match):
            read_surface(pcd(tmp_path / "c.pcd", kind, size, announced=announced))


def test_a_pcd_that_contradicts_itself_is_refused(tmp_path):
    path = pcd(tmp_path / "c.pcd", "ascii", 4)
    path.write_text(path.read_text().replace("POINTS 9", "POINTS 7"))
    with pytest.raises(InputError, match="9 points by width and height and 7"):
        read_surface(path)


def test_a_compressed_pcd(tmp_path):
    from inr_plugins.geometry.open3d_import import import_open3d

    o3d = import_open3d()
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(POINTS))
    o3d.io.write_point_cloud(str(tmp_path / "c.pcd"), cloud, compressed=True)
    assert np.abs(read_surface(tmp_path / "c.pcd").points - POINTS).max() < 1e-6
    data = (tmp_path / "c.pcd").read_bytes()
    (tmp_path / "c.pcd").write_bytes(data[: len(data) // 2 + 100])
    with pytest.raises(InputError, match="cut short"):
        read_surface(tmp_path / "c.pcd")


def test_a_ply_cloud_begins_with_its_word_and_a_refusal_names_no_place_in_memory(tmp_path):
    path = ply(tmp_path / "c.ply", "ascii")
    path.write_bytes(path.read_bytes()[3:])
    with pytest.raises(InputError, match="does not begin with the line ply"):
        read_cloud(path)
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10**30, 3), }".ljust(117) + b"\n"
    (tmp_path / "c.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + head + bytes(96))
    with pytest.raises(InputError, match="malformed node") as refused:
        read_cloud(tmp_path / "c.npy")
    assert "0x" not in str(refused.value)
