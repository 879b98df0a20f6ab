"""Mesh files: colours survive, and each kind of bad file is one clear sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from inr_plugins.data.scene_load import load_mesh
from inr_plugins.data.scene_textures import SurfacePoints, linear_to_srgb
from inr_plugins.errors import InputError


def colours_at(mesh, position: np.ndarray) -> np.ndarray:
    """Display values at the points of the surface nearest to `position`."""
    plain = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    nearest, _, face = trimesh.proximity.closest_point(plain, position)
    weights = trimesh.triangles.points_to_barycentric(plain.triangles[face], nearest)
    points = SurfacePoints(nearest.astype(np.float32), face, weights.astype(np.float32))
    return linear_to_srgb(mesh.albedo(points))


@pytest.mark.parametrize("extension", ["ply", "obj", "stl", "off", "glb"])
def test_every_format_gives_the_same_surface(tmp_path: Path, extension: str):
    shape = trimesh.creation.torus(0.8, 0.3)
    path = tmp_path / f"torus.{extension}"
    shape.export(path)
    mesh = load_mesh(path)
    again = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)
    assert again.volume == pytest.approx(shape.volume, rel=1e-5)
    assert np.allclose(again.bounds, shape.bounds, atol=1e-5)


@pytest.mark.parametrize("extension", ["ply", "obj", "glb"])
def test_vertex_colours_are_read_and_interpolated(tmp_path: Path, extension: str):
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [6, 0, 0], [5, 1, 0]], dtype=float)
    path = tmp_path / f"triangles.{extension}"
    colours = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
    faces = [[0, 1, 2], [3, 4, 5]]
    trimesh.Trimesh(corners, faces, vertex_colors=(255 * colours).astype(np.uint8), process=False).export(path)
    mesh = load_mesh(path)
    assert np.allclose(colours_at(mesh, corners), colours, atol=0.02)
    # Interpolated in linear light: half red and half green is 0.5 of each, 0.735 in display values.
    assert np.allclose(colours_at(mesh, np.array([[0.5, 0, 0]])), [[0.7354, 0.7354, 0]], atol=0.01)


@pytest.mark.parametrize("extension", ["obj", "glb"])
def test_a_texture_picture_is_sampled_the_right_way_up(tmp_path: Path, extension: str):
    # Four quadrants: red top left, green top right, blue bottom left, white bottom right; v = 1 is the top.
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    picture[:32, :32, 0] = picture[:32, 32:, 1] = picture[32:, :32, 2] = 255
    picture[32:, 32:] = 255
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=float)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(picture))
    if extension == "obj":
        material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(picture))
    visual = trimesh.visual.TextureVisuals(uv=corners[:, :2], material=material)
    folder = tmp_path / extension
    folder.mkdir()
    trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False).export(folder / f"quad.{extension}")
    mesh = load_mesh(folder / f"quad.{extension}")
    asked = np.array([[0.25, 0.75, 0], [0.75, 0.75, 0], [0.25, 0.25, 0], [0.75, 0.25, 0]])
    assert np.allclose(colours_at(mesh, asked), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], atol=0.02)


def test_pieces_of_a_scene_are_moved_to_their_places(tmp_path: Path):
    scene = trimesh.Scene()
    for x, colour in ((-2.0, [255, 0, 0, 255]), (2.0, [0, 0, 255, 255])):
        cube = trimesh.creation.box((1, 1, 1))
        cube.visual.vertex_colors = np.tile(np.array(colour, dtype=np.uint8), (8, 1))
        scene.add_geometry(cube, transform=trimesh.transformations.translation_matrix([x, 0, 0]))
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    assert np.allclose(mesh.vertices.min(0), [-2.5, -0.5, -0.5])
    assert np.allclose(colours_at(mesh, np.array([[-2.0, 0, 0.5], [2.0, 0, 0.5]])), [[1, 0, 0], [0, 0, 1]], atol=0.02)


PLY = "ply\nformat ascii 1.0\nelement vertex {n}\nproperty float x\nproperty float y\nproperty float z\n"
FACES = "element face {m}\nproperty list uchar int vertex_indices\nend_header\n"


def ply(vertices: list[str], faces: list[str] | None) -> str:
    head = PLY.format(n=len(vertices)) + ("end_header\n" if faces is None else FACES.format(m=len(faces)))
    return head + "\n".join(vertices + (faces or [])) + "\n"


CORNERS = ["0 0 0", "1 0 0", "0 1 0"]
BAD = {
    "nan.ply": (ply(["0 0 0", "nan 0 0", "0 1 0"], ["3 0 1 2"]), "1 of 3 vertices that are NaN or infinite"),
    "inf.ply": (ply(["0 0 0", "inf 0 0", "0 1 0"], ["3 0 1 2"]), "NaN or infinite"),
    "points.ply": (ply(CORNERS, None), "without faces"),
    "nofaces.ply": (ply(CORNERS, []), "without faces"),
    "novertices.ply": (ply([], []), "neither vertices nor faces"),
    "range.ply": (ply(CORNERS, ["3 0 1 7"]), "range.ply"),
    "zero.ply": (ply(["1 1 1"] * 3, ["3 0 1 2"]), "no triangle with an area"),
    "line.ply": (ply(["0 0 0", "1 0 0", "2 0 0"], ["3 0 1 2"]), "no triangle with an area"),
    "empty.ply": ("", "is an empty file"),
    "cut.ply": (ply(CORNERS, ["3 0 1 2"])[:60], "it may be cut short"),
    "words.obj": ("this is not a mesh at all\n", "words.obj"),
    "nan.obj": ("v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "NaN or infinite"),
    "nan.off": ("OFF\n3 1 0\n0 0 0\nnan 0 0\n0 1 0\n3 0 1 2\n", "NaN or infinite"),
    "words.glb": ("glTF nonsense", "cannot be read"),
    "words.stl": ("solid nothing\nendsolid\n", "words.stl"),
    "notes.txt": ("hello", "the extension must be one of .glb"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence_that_names_the_file(tmp_path: Path, name: str):
    content, expected = BAD[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=name) as caught:
        load_mesh(tmp_path / name)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        load_mesh(tmp_path / "gone.ply")
    with pytest.raises(InputError, match="is a folder"):
        load_mesh(tmp_path)


def test_triangles_without_area_and_unused_vertices_do_no_harm(tmp_path: Path):
    (tmp_path / "odd.ply").write_text(ply([*CORNERS, "900 900 900"], ["3 0 1 2", "3 0 0 1"]))
    mesh = load_mesh(tmp_path / "odd.ply")
    assert len(mesh.faces) == 1
    assert mesh.vertices.max() == 1
