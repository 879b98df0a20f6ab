"""Mesh files: colours survive, and each kind of bad file is one clear sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from mesh_file_texts import U_POINTS, U_POLYGONS, Gltf, obj_faces, obj_vertices
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance.texture import TexturedMesh
from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.io.mesh_read import read_mesh
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.srgb import srgb_from_linear
from inr_plugins.scenes.load import load_mesh
from inr_plugins.scenes.textures import SurfacePoints


def colours_at(mesh, position: np.ndarray) -> np.ndarray:
    """Display values at the points of the surface nearest to `position`."""
    plain = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    nearest, _, face = trimesh.proximity.closest_point(plain, position)
    weights = trimesh.triangles.points_to_barycentric(plain.triangles[face], nearest)
    points = SurfacePoints(nearest.astype(np.float32), face, weights.astype(np.float32))
    return srgb_from_linear(mesh.albedo(points))


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


@pytest.mark.parametrize(("extension", "error"), [("ply", 0.003), ("obj", 1e-5), ("glb", 1e-5)])
def test_colours_of_a_mesh_of_ours_are_those_that_every_reader_gives(tmp_path: Path, extension: str, error: float):
    """inr-mesh's files in inr-scene: the values at the vertices, read back by the one reader there is."""
    ball = trimesh.creation.icosphere(subdivisions=1)
    colours = np.random.default_rng(0).random(ball.vertices.shape)
    written = Mesh(vertices=np.array(ball.vertices), faces=np.array(ball.faces), colours=colours)
    path = tmp_path / f"m.{extension}"
    write_mesh(written, path, sidecar={})
    assert np.allclose(colours_at(load_mesh(path), written.vertices), colours, atol=error)
    read = read_mesh(path)
    order = trimesh.proximity.ProximityQuery(ball).vertex(read.vertices)[1]
    assert np.allclose(read.colours, colours[order], atol=error)


def test_a_texture_of_ours_is_that_of_the_scene(tmp_path: Path):
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=float)
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    picture[:32, :32, 0] = picture[:32, 32:, 1] = picture[32:, :32, 2] = 255
    # v of TexturedMesh runs down: the first row of the picture lies at y = 1.
    uv = np.stack([corners[:, 0], 1 - corners[:, 1]], axis=-1)
    mesh = Mesh(vertices=corners, faces=np.array([[0, 1, 2], [0, 2, 3]]))
    write_mesh(TexturedMesh(mesh, uv, picture), tmp_path / "m.glb", sidecar={})
    asked = np.array([[0.25, 0.75, 0], [0.75, 0.75, 0], [0.25, 0.25, 0], [0.75, 0.25, 0]])
    seen = colours_at(load_mesh(tmp_path / "m.glb"), asked)
    assert np.allclose(seen, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], atol=0.02)


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


QUAD = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl wood\nf 1/1 2/2 3/3 4/4\n"
LEFT_AND_RIGHT = np.array([[-0.5, 0, 0], [0.5, 0, 0]])


def textured(folder: Path, library: str, *, mtllib: str = "mtllib m.mtl\n") -> Path:
    """A square with a picture, red on its left and green on its right half."""
    (folder / "Textures").mkdir()
    picture = np.zeros((8, 8, 3), dtype=np.uint8)
    picture[:, :4, 0] = picture[:, 4:, 1] = 255
    Image.fromarray(picture).save(folder / "Textures" / "wood grain.png")
    (folder / "m.mtl").write_text("newmtl wood\nKd 0 0 1\n" + library)
    (folder / "m.obj").write_text(mtllib + QUAD)
    return folder / "m.obj"


@pytest.mark.parametrize(
    "line",
    [
        "map_Kd Textures/wood grain.png",
        "map_Kd Textures\\wood grain.png",
        "map_Kd ./Textures/wood grain.png",
        "map_kd textures/WOOD grain.PNG",
        "\tmap_Kd\tTextures/wood grain.png  ",
        'map_Kd "Textures/wood grain.png"',
        "map_Kd -s 1 1 1 Textures/wood grain.png",
        "map_Kd -blendu on -clamp off -s 1 -o 0 0 Textures\\wood grain.png",
        "map_Kd -bm 1.0 -imfchan r Textures/wood grain.png",
        "map_Kd C:\\Users\\someone\\wood\\Textures\\wood grain.png",
    ],
)
def test_pictures_are_found_however_their_names_are_written(tmp_path: Path, line: str):
    told: list[str] = []
    path = textured(tmp_path, line + "\n")
    if "C:" in line:
        (tmp_path / "Textures" / "wood grain.png").rename(tmp_path / "wood grain.png")
    mesh = load_mesh(path, tell=told.append)
    assert np.allclose(colours_at(mesh, LEFT_AND_RIGHT), [[1, 0, 0], [0, 1, 0]], atol=0.02)
    assert told == (["-imfchan r of a picture left out"] if "-imfchan" in line else [])


def test_options_move_and_scale_a_picture(tmp_path: Path):
    # u is halved and moved by a half: all of the square is in the right half of the picture.
    mesh = load_mesh(textured(tmp_path, "map_Kd -s 0.4 1 1 -o 0.55 Textures/wood grain.png\n"))
    assert np.allclose(colours_at(mesh, LEFT_AND_RIGHT), [[0, 1, 0], [0, 1, 0]], atol=0.02)


@pytest.mark.parametrize(
    ("library", "mtllib", "sentence", "colour"),
    [
        ("map_Kd Textures/absent.png\n", "mtllib m.mtl\n", "picture Textures/absent.png is missing", [0, 0, 1]),
        ("map_Kd m.obj\n", "mtllib m.mtl\n", "picture m.obj cannot be read", [0, 0, 1]),
        ("", "mtllib gone.mtl\n", "materials gone.mtl are missing", None),
        ("newmtl wool\n", "mtllib m.mtl\n", None, [0, 0, 1]),
    ],
)
def test_what_is_missing_is_named_and_the_colour_of_the_material_taken(
    tmp_path: Path, library: str, mtllib: str, sentence: str | None, colour: list | None
):
    told: list[str] = []
    mesh = load_mesh(textured(tmp_path, library, mtllib=mtllib), tell=told.append)
    found = colours_at(mesh, LEFT_AND_RIGHT)
    assert np.allclose(found, found[0])
    if colour is not None:
        assert np.allclose(found, colour, atol=0.01)
    assert [note for note in told if sentence and sentence in note] == told[:1]


def test_several_libraries_and_materials(tmp_path: Path):
    (tmp_path / "one.mtl").write_text("newmtl a\nKd 1 0 0\n")
    (tmp_path / "two of them.mtl").write_text("newmtl b c\nKd 0 1 0\n")
    text = "mtllib one.mtl\nmtllib two of them.mtl\n" + QUAD.partition("usemtl")[0]
    (tmp_path / "m.obj").write_text(text + "usemtl a\nf 1 2 4\nusemtl b c\nf 2 3 4\n")
    told: list[str] = []
    mesh = load_mesh(tmp_path / "m.obj", tell=told.append)
    assert np.allclose(colours_at(mesh, np.array([[-0.9, -0.9, 0], [0.9, 0.9, 0]])), [[1, 0, 0], [0, 1, 0]], atol=0.01)
    assert not told


def test_factor_picture_and_vertex_colours_of_a_glb_are_multiplied(tmp_path: Path):
    gltf = Gltf()
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=np.float32)
    primitive = gltf.primitive(gltf.accessor(square), gltf.accessor(np.array([0, 1, 2, 0, 2, 3], dtype=np.uint32)))
    primitive["attributes"]["COLOR_0"] = gltf.accessor(np.full((4, 3), 0.5, dtype=np.float32))
    primitive["attributes"]["TEXCOORD_0"] = gltf.accessor(np.full((4, 2), 0.5, dtype=np.float32))
    primitive["material"] = 0
    Image.new("RGB", (4, 4), (188, 188, 188)).save(tmp_path / "grey.png")  # 0.5 in linear light
    base = {"baseColorFactor": [1, 0.5, 0, 1], "baseColorTexture": {"index": 0}}
    gltf.document.update(
        materials=[{"pbrMetallicRoughness": base}], textures=[{"source": 0}], images=[{"uri": "grey.png"}]
    )
    gltf.write(tmp_path / "m.glb")
    linear = np.array([0.25, 0.125, 0])
    assert np.allclose(colours_at(load_mesh(tmp_path / "m.glb"), LEFT_AND_RIGHT), srgb_from_linear(linear), atol=0.01)


def test_a_concave_polygon_of_a_scene_leaves_its_gap_open(tmp_path: Path):
    (tmp_path / "u.obj").write_text(obj_vertices(U_POINTS) + obj_faces(faces=U_POLYGONS))
    mesh = load_mesh(tmp_path / "u.obj")
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).area == pytest.approx(22)
