"""Georeferenced coordinates keep their digits on their way in and out, and what has lost them already is named."""

import numpy as np
import pytest
import trimesh

from inr_plugins.data.shapes.files import ShapeSettings, read_shapes
from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance.texture import TexturedMesh
from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.mesh import Mesh, is_watertight

UTM = np.array([450123.4567, 5212345.6789, 312.25])
BALL = trimesh.creation.icosphere(3, 0.05)
FAR = Mesh(vertices=BALL.vertices + UTM, faces=np.array(BALL.faces))


@pytest.mark.parametrize(("name", "error"), [("m.ply", 0), ("m.obj", 2e-9), ("m.glb", 1e-8)])
def test_a_small_mesh_far_off_comes_back_with_all_its_digits(tmp_path, name, error):
    write_mesh(FAR, tmp_path / name, sidecar={})
    told = []
    back = read_surface(tmp_path / name, tell=told.append)
    assert is_watertight(back)
    assert np.array_equal(back.faces, FAR.faces)
    assert np.abs(back.vertices - FAR.vertices).max() <= error
    assert told == []
    by_trimesh = trimesh.load_scene(tmp_path / name, process=False).to_geometry()
    assert np.abs(by_trimesh.bounds - FAR.bounds).max() <= max(error, 2e-9)


def test_a_textured_mesh_far_off(tmp_path):
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    textured = TexturedMesh(mesh=FAR, uv=np.zeros((len(FAR.vertices), 2)), image=image)
    write_mesh(textured, tmp_path / "m.glb", sidecar={})
    assert np.abs(read_surface(tmp_path / "m.glb").bounds - FAR.bounds).max() < 1e-8


def test_stl_is_refused_where_it_would_make_a_lattice(tmp_path):
    with pytest.raises(InputError, match=r"steps of 0\.5 at 5\.21e\+06 from the origin; write a \.ply"):
        write_mesh(FAR, tmp_path / "m.stl", sidecar={})
    assert not list(tmp_path.iterdir())


def cloud(points: np.ndarray, kind: str) -> bytes:
    header = "ply\nformat binary_little_endian 1.0\n" + f"element vertex {len(points)}\n"
    header += "".join(f"property {kind} {name}\n" for name in "xyz") + "end_header\n"
    return header.encode() + points.astype({"float": "<f4", "double": "<f8"}[kind]).tobytes()


def test_positions_that_float32_has_rounded_are_named(tmp_path):
    points = np.random.default_rng(0).normal(size=(300, 3)) + UTM
    word = "rounded to steps of 0.5 or more along y"
    (tmp_path / "c.ply").write_bytes(cloud(points, "float"))
    assert word in read_surface(tmp_path / "c.ply").notes[0]
    np.savetxt(tmp_path / "c.xyz", points, fmt="%.6g")
    assert word in read_surface(tmp_path / "c.xyz").notes[0]
    np.save(tmp_path / "c.npy", points.astype(np.float32))
    assert word in read_surface(tmp_path / "c.npy").notes[0]
    trimesh.Trimesh(BALL.vertices * 100 + UTM, BALL.faces).export(tmp_path / "m.stl")
    told = []
    read_surface(tmp_path / "m.stl", tell=told.append)
    assert any(word in note for note in told)


def test_good_digits_are_not_complained_of(tmp_path):
    points = np.random.default_rng(0).normal(size=(300, 3)).round(3)
    for offset in (np.zeros(3), UTM.round(3), np.array([100.0, 50.0, 7.0])):
        kind = "double" if offset[1] > 1000 else "float"
        (tmp_path / "c.ply").write_bytes(cloud(points + offset, kind))
        read = read_surface(tmp_path / "c.ply")
        assert read.notes == ()
        assert np.abs(read.points - points - offset).max() < 1e-5


def test_a_shape_far_off_is_the_shape_at_the_origin(tmp_path):
    shapes = []
    for offset in (np.zeros(3), UTM):
        write_mesh(Mesh(BALL.vertices + offset, FAR.faces), tmp_path / "m.ply", sidecar={}, overwrite=True)
        (shape,) = read_shapes(tmp_path / "m.ply", ShapeSettings()).shapes
        shapes.append(shape)
        back = shape.to_normalised.inverse().points(shape.surface.vertices)
        assert np.abs(back - BALL.vertices - offset).max() < 2e-9
    # A nanometre of float64 there, in units of half a ball of 5 cm.
    assert np.abs(shapes[0].surface.vertices - shapes[1].surface.vertices).max() < 1e-7
