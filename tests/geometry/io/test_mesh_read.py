"""Meshes and clouds read from files that other programs, or these lines, wrote."""

import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.io.mesh_read import read_mesh
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.mesh import Mesh, is_watertight, signed_volume, surface_area
from inr_plugins.geometry.open3d_import import import_open3d


@pytest.fixture
def mesh() -> Mesh:
    ball = trimesh.creation.icosphere(2)
    colours = np.random.default_rng(0).random(ball.vertices.shape)
    return Mesh(vertices=ball.vertices * 0.37 + [12.0, -3.0, 40.0], faces=np.array(ball.faces), colours=colours)


@pytest.mark.parametrize(
    ("name", "position_error", "colour_error"),
    [("m.ply", 0, 0.6 / 255), ("m.obj", 1e-8, 0.6 / 255), ("m.glb", 2e-6, 1e-6), ("M.PLY", 0, 0.6 / 255)],
)
def test_what_was_written_comes_back(tmp_path, mesh, name, position_error, colour_error):
    write_mesh(mesh, tmp_path / name, sidecar={})
    back = read_mesh(tmp_path / name)
    assert np.array_equal(back.faces, mesh.faces)
    assert np.abs(back.vertices - mesh.vertices).max() <= position_error
    assert np.abs(back.colours - mesh.colours).max() <= colour_error
    assert is_watertight(back)


def test_stl_is_closed_again(tmp_path, mesh):
    write_mesh(mesh, tmp_path / "m.stl", sidecar={})
    back = read_mesh(tmp_path / "m.stl")
    assert is_watertight(back)
    assert len(back.vertices) == len(mesh.vertices)
    assert np.allclose(back.vertices[back.faces], mesh.vertices[mesh.faces], atol=4e-6)


@pytest.mark.parametrize("name", ["m.ply", "m.obj", "m.stl", "m.off", "m.glb", "ascii.ply"])
def test_files_of_other_programs(tmp_path, name):
    box = trimesh.creation.box(extents=(1, 2, 3))
    path = tmp_path / name
    if name == "ascii.ply":
        path.write_bytes(trimesh.exchange.ply.export_ply(box, encoding="ascii"))
    else:
        box.export(path)
    back = read_mesh(path)
    assert (len(back.vertices), len(back.faces)) == (8, 12)
    assert back.vertices.dtype == np.float64
    assert signed_volume(back) == pytest.approx(6)
    assert isinstance(read_surface(path), Mesh)


def test_open3d_mesh(tmp_path):
    o3d = import_open3d()
    o3d.io.write_triangle_mesh(str(tmp_path / "m.ply"), o3d.geometry.TriangleMesh.create_torus())
    torus = read_mesh(tmp_path / "m.ply")
    assert is_watertight(torus)
    assert signed_volume(torus) == pytest.approx(2 * np.pi**2 * 0.5**2, rel=0.05)


def test_polygons_become_triangles_and_loose_vertices_go(tmp_path):
    (tmp_path / "m.off").write_text("OFF\n6 1 0\n0 0 0\n2 0 0\n2 1 0\n0 1 0\n9 9 9\n8 8 8\n4 0 1 2 3\n")
    back = read_mesh(tmp_path / "m.off")
    assert len(back.faces) == 2
    (tmp_path / "five.off").write_text("OFF # five corners\n5 1 0\n0 0 0\n2 0 0\n2 1 0\n1 2 0\n0 1 0\n5 0 1 2 3 4\n")
    assert surface_area(read_mesh(tmp_path / "five.off")) == pytest.approx(3)
    assert back.bounds.tolist() == [[0, 0, 0], [2, 1, 0]]
    (tmp_path / "m.obj").write_text("v 0 0 0\nv 2 0 0\nv 2 1 0\nv 0 1 0\nf 1 2 3 4\n")
    assert len(read_mesh(tmp_path / "m.obj").faces) == 2


def test_parts_of_a_scene_stand_where_the_file_puts_them(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box())
    mirror = np.diag([-2.0, 2, 2, 1])
    mirror[:3, 3] = [10, 0, 0]
    scene.add_geometry(trimesh.creation.box(), transform=mirror)
    scene.export(tmp_path / "m.glb")
    back = read_mesh(tmp_path / "m.glb")
    assert is_watertight(back)
    assert np.allclose(back.bounds, [[-0.5, -1, -1], [11, 1, 1]])
    assert signed_volume(back) == pytest.approx(1 + 8)


def test_seams_of_a_texture_are_no_cracks(tmp_path, mesh):
    # Every face has its own corners in the texture, and its own vertices in trimesh's OBJ and GLB.
    apart = np.arange(mesh.faces.size).reshape(-1, 3)
    uv = np.random.default_rng(0).random((mesh.faces.size, 2))
    visual = trimesh.visual.TextureVisuals(uv=uv, image=Image.new("RGB", (4, 4)))
    split = trimesh.Trimesh(mesh.vertices[mesh.faces.ravel()], apart, visual=visual, process=False)
    for name in ("m.obj", "m.glb"):
        split.export(tmp_path / name)
        assert is_watertight(read_mesh(tmp_path / name))
    header = "ply\nformat ascii 1.0\nelement vertex 4\n" + "".join(f"property float {c}\n" for c in "xyz")
    header += "element face 4\nproperty list uchar int vertex_indices\nproperty list uchar float texcoord\nend_header\n"
    corners = [(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)]
    faces = "".join(f"3 {a} {b} {c} 6 0 0 0.{k} 0 0 0.{k}\n" for k, (a, b, c) in enumerate(corners, start=1))
    (tmp_path / "m.ply").write_text(header + "0 0 0\n1 0 0\n0 1 0\n0 0 1\n" + faces)
    assert is_watertight(read_mesh(tmp_path / "m.ply"))


def test_materials_of_an_obj_share_its_vertices(tmp_path, mesh):
    write_mesh(replace(mesh, colours=None), tmp_path / "m.obj", sidecar={})
    lines = (tmp_path / "m.obj").read_text().splitlines()
    half = len(lines) - len(mesh.faces) // 2
    text = "\n".join([*lines[:half], "usemtl other", *lines[half:]])
    (tmp_path / "m.obj").write_text("mtllib none.mtl\nusemtl one\n" + text + "\n")
    back = read_mesh(tmp_path / "m.obj")
    assert len(back.faces) == len(mesh.faces)
    assert is_watertight(back)


@pytest.mark.parametrize("corners", ["0 1 2 3 4", "4 3 2 1 0"])
def test_a_ply_of_polygons(tmp_path, corners):
    header = "ply\nformat ascii 1.0\nelement vertex 5\n" + "".join(f"property double {c}\n" for c in "xyz")
    header += "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    points = "0 0 0\n2 0 0\n2 1 0\n1 2 0\n0 1 0\n"
    (tmp_path / "m.ply").write_text(header + points + f"5 {corners}\n3 0 1 2\n")
    assert surface_area(read_mesh(tmp_path / "m.ply")) == pytest.approx(3 + 1)


def one_sentence(path, match):
    with pytest.raises(InputError, match=match) as caught:
        read_surface(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder_empty_and_unknown_files(tmp_path):
    one_sentence(tmp_path / "none.ply", "does not exist")
    (tmp_path / "folder.ply").mkdir()
    one_sentence(tmp_path / "folder.ply", "is a folder")
    for name in ("m.ply", "m.obj", "m.glb", "m.stl", "m.off", "c.xyz", "c.npy", "c.pcd"):
        (tmp_path / name).touch()
        one_sentence(tmp_path / name, "empty file")
    (tmp_path / "m.fbx").touch()
    one_sentence(tmp_path / "m.fbx", "the extension must be one of")


@pytest.mark.parametrize("name", ["m.ply", "m.obj", "m.glb", "m.gltf", "m.stl", "m.off", "c.xyz", "c.npy", "c.pcd"])
def test_noise_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(0).bytes(500))
    one_sentence(path, "cannot be read|does not begin|no faces|no points")


@pytest.mark.parametrize("name", ["m.ply", "m.glb", "m.stl", "ascii.ply", "m.off"])
def test_a_file_cut_short_is_refused(tmp_path, mesh, name):
    path = tmp_path / name
    if name in ("ascii.ply", "m.off"):
        ball = trimesh.Trimesh(mesh.vertices, mesh.faces)
        text = trimesh.exchange.ply.export_ply(ball, "ascii") if name == "ascii.ply" else ball.export(file_type="off")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    else:
        write_mesh(mesh, path, sidecar={})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    one_sentence(path, "cannot be read|cut short")


def test_positions_that_are_no_numbers_are_counted(tmp_path, mesh):
    mesh.vertices[7] = np.nan
    write_mesh(mesh, tmp_path / "m.ply", sidecar={})
    one_sentence(tmp_path / "m.ply", "1 of 162 vertices that are NaN")


def test_faces_without_area_or_of_vertices_that_are_not_there(tmp_path):
    (tmp_path / "flat.off").write_text("OFF\n3 2 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n3 1 1 2\n")
    one_sentence(tmp_path / "flat.off", "None of the 2 faces")
    (tmp_path / "far.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n")
    one_sentence(tmp_path / "far.off", "0 to 7, but only 3 vertices|cannot be read")
    (tmp_path / "none.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    one_sentence(tmp_path / "none.obj", "no faces")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("loop.ply", "is a link that leads back to itself; give a mesh"),
        ("pipe.obj", "is a pipe or a device, and no file; give a mesh"),
        ("x" * 5000 + ".ply", "is too long for a name; give a mesh"),
        ("a\0b.ply", "is no name that a file can have; give a mesh"),
        ("archive.zip", "is no mesh or point cloud by its name; the extension must be one of"),
        ("scene.dae", "is no mesh or point cloud by its name; the extension must be one of"),
        ("folder.ply", "is a folder; give a mesh"),
        ("box.ply/x.ply", "does not exist; give a mesh"),
    ],
)
def test_what_is_no_file_or_of_no_known_kind_is_refused_and_not_waited_for(name, said, tmp_path):
    """Archives and scenes of other kinds too, which libraries would open by their names."""
    trimesh.creation.box().export(tmp_path / "box.ply")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(tmp_path / "box.ply", "box.ply")
    (tmp_path / "scene.dae").write_text("<COLLADA/>")
    (tmp_path / "loop.ply").symlink_to(tmp_path / "loop.ply")
    (tmp_path / "folder.ply").mkdir()
    os.mkfifo(tmp_path / "pipe.obj")
    with pytest.raises(InputError) as refused:
        read_surface(tmp_path / name)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 500
