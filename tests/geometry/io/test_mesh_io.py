"""Mesh files read back by trimesh and open3d, and what happens to the folder when writing fails."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance.texture import TexturedMesh
from inr_plugins.geometry.io import mesh_io
from inr_plugins.geometry.io.mesh_io import check_output, sidecar_path, write_mesh
from inr_plugins.geometry.mesh import Mesh, vertex_normals
from inr_plugins.geometry.open3d_import import import_open3d
from inr_plugins.geometry.srgb import linear_from_srgb, srgb_from_linear


@pytest.fixture
def mesh() -> Mesh:
    ball = trimesh.creation.icosphere(2)
    plain = Mesh(vertices=ball.vertices * 0.37 + [12.0, -3.0, 40.0], faces=np.array(ball.faces))
    colours = np.random.default_rng(0).random(plain.vertices.shape)
    return replace(plain, normals=vertex_normals(plain), colours=colours)


def read(path: Path) -> trimesh.Trimesh:
    (found,) = trimesh.load_scene(path, process=False, maintain_order=True).geometry.values()
    return found


@pytest.mark.parametrize(("name", "position_error"), [("m.ply", 0.0), ("m.obj", 1e-8), ("m.glb", 2e-6), ("M.PLY", 0.0)])
def test_positions_faces_normals_and_colours_survive(tmp_path, mesh, name, position_error):
    path = tmp_path / name
    write_mesh(mesh, path, sidecar={"a": 1})
    back = read(path)
    assert np.array_equal(back.faces, mesh.faces)
    assert np.abs(back.vertices - mesh.vertices).max() <= position_error
    assert back.volume == pytest.approx(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume, rel=1e-4)
    assert np.abs(back.vertex_normals - mesh.normals).max() < 1e-4
    if name == "m.glb":
        # glTF colours are linear light, beside a material that keeps trimesh from showing them as vertex colours.
        linear = back.visual.vertex_attributes["color"]
        assert np.abs(linear - linear_from_srgb(mesh.colours)).max() < 1e-6
    else:
        assert np.abs(back.visual.vertex_colors[:, :3] / 255.0 - mesh.colours).max() <= 0.6 / 255


@pytest.mark.parametrize("name", ["m.ply", "m.obj", "m.glb"])
def test_open3d_reads_the_same(tmp_path, mesh, name):
    write_mesh(mesh, tmp_path / name, sidecar={})
    back = import_open3d().io.read_triangle_mesh(str(tmp_path / name))
    assert back.has_vertex_colors()
    # open3d's readers may reorder vertices: compare them as triangles' corners, sorted.
    colours = linear_from_srgb(mesh.colours) if name == "m.glb" else mesh.colours
    ours = np.hstack([mesh.vertices, colours])
    theirs = np.hstack([np.asarray(back.vertices), np.asarray(back.vertex_colors)])
    ours, theirs = (rows[np.lexsort(rows[:, :3].round(4).T)] for rows in (ours, theirs))
    assert np.abs(ours[:, :3] - theirs[:, :3]).max() < 1e-5
    assert np.abs(ours[:, 3:] - theirs[:, 3:]).max() < 0.6 / 255
    assert back.is_watertight()


@pytest.mark.parametrize("name", ["m.ply", "m.obj", "m.glb"])
def test_bare_mesh(tmp_path, mesh, name):
    bare = replace(mesh, normals=None, colours=None)
    write_mesh(bare, tmp_path / name, sidecar={})
    back = read(tmp_path / name)
    assert np.array_equal(back.faces, mesh.faces)
    assert np.abs(back.vertices - mesh.vertices).max() < 2e-6


def test_glb_obeys_the_container_rules(tmp_path, mesh):
    write_mesh(mesh, tmp_path / "m.glb", sidecar={})
    data = (tmp_path / "m.glb").read_bytes()
    magic, gltf_version, total = data[:4], *np.frombuffer(data, "<u4", 2, 4)
    assert (magic, gltf_version, total) == (b"glTF", 2, len(data))
    length = int(np.frombuffer(data, "<u4", 1, 12)[0])
    document = json.loads(data[20 : 20 + length])
    assert length % 4 == 0
    position = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert np.allclose(position["min"], mesh.vertices.min(axis=0))
    assert np.allclose(position["max"], mesh.vertices.max(axis=0))
    assert document["buffers"][0]["byteLength"] == sum(view["byteLength"] for view in document["bufferViews"])


def test_srgb_curve():
    # Values of the standard's own table: mid grey 0.5 is about a fifth of the light.
    known = {0.0: 0.0, 0.04045: 0.0031308, 0.5: 0.2140411, 0.735357: 0.5, 1.0: 1.0}
    assert np.allclose(linear_from_srgb(np.array(list(known))), list(known.values()), atol=1e-6)
    assert np.allclose(srgb_from_linear(np.array(list(known.values()))), list(known), atol=1e-6)


def test_sidecar_stands_beside_the_mesh_under_its_full_name(tmp_path, mesh):
    write_mesh(mesh, tmp_path / "new" / "m.ply", sidecar={"frame": "dataset"})
    assert sidecar_path(tmp_path / "m.ply") == tmp_path / "m.ply.json"
    assert json.loads((tmp_path / "new" / "m.ply.json").read_text()) == {"frame": "dataset"}
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_existing_files_stay_without_overwrite(tmp_path, mesh):
    path = tmp_path / "m.ply"
    path.write_text("mine")
    with pytest.raises(InputError, match="overwrite=True"):
        write_mesh(mesh, path, sidecar={})
    assert path.read_text() == "mine"
    write_mesh(mesh, path, sidecar={}, overwrite=True)
    assert path.read_bytes().startswith(b"ply")


@pytest.fixture
def textured(mesh) -> TexturedMesh:
    """Any texture on the mesh: u and v are its first two coordinates, stretched."""
    low, high = mesh.bounds
    image = np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return TexturedMesh(replace(mesh, colours=None), ((mesh.vertices - low) / (high - low))[:, :2], image)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["m.ply", "m.stl", "textured.glb"])
def test_failing_write_leaves_what_was_there(tmp_path, mesh, textured, monkeypatch, name, failure):
    path = tmp_path / name
    mesh = textured if name == "textured.glb" else mesh
    write_mesh(mesh, path, sidecar={"version": 1})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    original = Path.write_bytes

    def half_written(self, data):
        original(self, data[: len(data) // 2])
        if ".json" in self.name:
            raise failure

    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(type(failure)):
        write_mesh(mesh, path, sidecar={"version": 2}, overwrite=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["m.fbx", "m", "m.ply.gz"])
def test_unknown_extension_is_refused(tmp_path, mesh, name):
    with pytest.raises(InputError, match=r"\.glb, \.obj, \.ply, \.stl"):
        write_mesh(mesh, tmp_path / name, sidecar={})
    assert not list(tmp_path.iterdir())


def test_nan_in_the_sidecar_is_never_written(tmp_path, mesh):
    with pytest.raises(ValueError, match="not JSON compliant"):
        mesh_io.write_mesh(mesh, tmp_path / "m.ply", sidecar={"level": float("nan")})
    assert not list(tmp_path.iterdir())


def test_stl_holds_the_triangles_and_their_normals(tmp_path, mesh):
    flat = replace(mesh, faces=np.vstack([mesh.faces, [[3, 3, 5]]]))
    write_mesh(flat, tmp_path / "m.stl", sidecar={})
    data = (tmp_path / "m.stl").read_bytes()
    assert len(data) == 84 + 50 * len(flat.faces)
    assert not data.startswith(b"solid")
    back = read(tmp_path / "m.stl")
    assert np.array_equal(back.triangles.astype(np.float32), mesh.vertices[flat.faces].astype(np.float32))
    records = np.frombuffer(data[84:], dtype=[("normal", "<f4", 3), ("rest", "V38")])
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    assert np.abs(records["normal"][:-1] - normals / np.linalg.norm(normals, axis=1, keepdims=True)).max() < 1e-6
    assert not records["normal"][-1].any()


def test_open3d_reads_the_stl_as_a_closed_mesh(tmp_path, mesh):
    write_mesh(mesh, tmp_path / "m.stl", sidecar={})
    back = import_open3d().io.read_triangle_mesh(str(tmp_path / "m.stl")).merge_close_vertices(1e-6)
    assert back.is_watertight()
    assert len(back.triangles) == len(mesh.faces)
    assert back.get_volume() == pytest.approx(trimesh.Trimesh(mesh.vertices, mesh.faces).volume, rel=1e-4)


def test_texture_stands_in_the_glb_the_right_way_up(tmp_path, textured):
    path = tmp_path / "m.glb"
    write_mesh(textured, path, sidecar={})
    back = read(path)
    assert np.array_equal(back.faces, textured.mesh.faces)
    assert np.abs(back.vertices - textured.mesh.vertices).max() < 2e-6
    assert np.abs(back.vertex_normals - textured.mesh.normals).max() < 1e-4
    # trimesh's v runs upwards.
    assert np.abs(back.visual.uv - [[0, 1]] - textured.uv * [[1, -1]]).max() < 1e-6
    assert np.array_equal(np.asarray(back.visual.material.baseColorTexture)[..., :3], textured.image)


@pytest.mark.parametrize("width", range(1, 9))
def test_textured_glb_obeys_the_container_rules(tmp_path, textured, width):
    # PNGs of many lengths: chunks must be multiples of four bytes, and the image be whole.
    image = np.random.default_rng(width).integers(0, 256, (3, width, 3), dtype=np.uint8)
    write_mesh(replace(textured, image=image), tmp_path / "m.glb", sidecar={})
    data = (tmp_path / "m.glb").read_bytes()
    length = int(np.frombuffer(data, "<u4", 1, 12)[0])
    document = json.loads(data[20 : 20 + length])
    assert int(np.frombuffer(data, "<u4", 1, 8)[0]) == len(data)
    assert len(data) % 4 == 0
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])
    assert document["buffers"][0]["byteLength"] == len(data) - 20 - length - 8
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = 20 + length + 8 + view["byteOffset"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data[start : start + view["byteLength"]]))), image)
    assert data[start : start + view["byteLength"]].endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("name", ["m.ply", "m.obj", "m.stl"])
def test_a_texture_in_another_format_is_refused(tmp_path, textured, name):
    with pytest.raises(InputError, match=r"only be written into a \.glb"):
        write_mesh(textured, tmp_path / name, sidecar={})
    with pytest.raises(InputError, match=r"\.glb"):
        check_output(tmp_path / name, overwrite=False, textured=True)
    assert not list(tmp_path.iterdir())
