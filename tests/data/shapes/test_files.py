"""Shapes from files: one or a folder, good and bad, in the normalised frame and back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from mesh_shapes import joined, sphere

from inr_plugins.data.shapes import files as shape_files
from inr_plugins.data.shapes import sampling as shape_sampling
from inr_plugins.data.shapes.files import ShapeSettings, read_shapes
from inr_plugins.data.shapes.sampling import SampleCounts
from inr_plugins.errors import InputError
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.mesh import Mesh, select_faces, signed_volume


def box(sides=(2.0, 4.0, 1.0), centre=(10.0, -20.0, 5.0)) -> Mesh:
    made = trimesh.creation.box(extents=sides)
    return Mesh(np.array(made.vertices) + centre, np.array(made.faces))


def write(path: Path, mesh: Mesh) -> Path:
    write_mesh(mesh, path, sidecar={})
    return path


def write_cloud(path: Path, points, normals=None) -> Path:
    np.save(path, points if normals is None else np.hstack([points, normals]))
    return path


def ball_cloud(count=600):
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return 3 * normals + [7.0, 0, 0], normals


@pytest.fixture
def folder(tmp_path) -> Path:
    """Boxes of longest side 4, 2 and 1, and a file that is no mesh."""
    for name, size in (("large", 1.0), ("middle", 0.5), ("small", 0.25)):
        write(tmp_path / f"{name}.ply", box(sides=(2 * size, 4 * size, size)))
    (tmp_path / "broken.ply").write_text("ply\nend_header\n")
    (tmp_path / "notes.txt").write_text("not a shape")
    return tmp_path


def test_a_shape_fills_the_box_and_comes_back_in_its_own_units(tmp_path):
    mesh = box()
    (shape,) = read_shapes(write(tmp_path / "b.ply", mesh), ShapeSettings()).shapes
    assert shape.name == "b"
    assert shape.watertight
    assert np.allclose(shape.surface.bounds, [[-0.45, -0.9, -0.225], [0.45, 0.9, 0.225]])
    back = shape.to_normalised.inverse().points(shape.surface.vertices)
    assert np.allclose(back[shape.surface.faces], mesh.vertices[mesh.faces])
    assert shape.description == "b: 12 faces, watertight, inside by winding number"


@pytest.mark.parametrize(
    ("up", "axis"), [("x", [1, 0, 0]), ("y", [0, 1, 0]), ("z", [0, 0, 1]), ("-y", [0, -1, 0]), ("auto", [0, 0, 1])]
)
def test_the_chosen_axis_becomes_z(tmp_path, up, axis):
    (shape,) = read_shapes(write(tmp_path / "b.ply", box()), ShapeSettings(up=up)).shapes
    assert np.allclose(shape.to_normalised.directions(np.array([axis], dtype=float)), [[0, 0, 1]])
    assert not shape.to_normalised.mirrors
    assert signed_volume(shape.surface) > 0


def test_glb_points_up_along_y(tmp_path):
    (shape,) = read_shapes(write(tmp_path / "b.glb", box()), ShapeSettings()).shapes
    assert np.allclose(np.ptp(shape.surface.bounds, axis=0).ravel(), [0.45, 0.9, 1.8])


def test_a_folder_keeps_sizes_and_skips_and_names_what_is_broken(folder):
    found = read_shapes(folder, ShapeSettings())
    assert found.names == ("large", "middle", "small")
    assert len(found.skipped) == 1
    assert "broken.ply" in found.skipped[0]
    sides = [np.ptp(shape.surface.vertices, axis=0).max() for shape in found.shapes]
    assert sides == pytest.approx([1.8, 0.9, 0.45])
    assert all(np.allclose(shape.surface.bounds.sum(axis=0), 0) for shape in found.shapes)
    sides = [np.ptp(s.surface.vertices, axis=0).max() for s in read_shapes(folder, ShapeSettings(scale="each")).shapes]
    assert sides == pytest.approx([1.8, 1.8, 1.8])


def test_a_unit_gives_an_unseen_shape_the_size_of_its_category(folder):
    category = read_shapes(folder, ShapeSettings(only="large,middle"))
    file_unit = category.shapes[0].to_normalised.scale
    (unseen,) = read_shapes(folder / "small.ply", ShapeSettings(file_unit=file_unit)).shapes
    assert np.ptp(unseen.surface.vertices, axis=0).max() == pytest.approx(0.45)
    with pytest.raises(InputError, match=r"large.ply has a longest side of 4, .*unit"):
        read_shapes(folder / "large.ply", ShapeSettings(file_unit=1.0))


def test_patterns_choose_files_by_name(folder):
    assert read_shapes(folder, ShapeSettings(only="[ls]*")).names == ("large", "small")
    assert read_shapes(folder, ShapeSettings(only="middle")).skipped == ()
    with pytest.raises(InputError, match=r"No name of the 4 shapes .* 'x\*'; the first of them is broken"):
        read_shapes(folder, ShapeSettings(only="x*"))


def test_samples_of_a_shape_do_not_depend_on_what_else_the_folder_holds(folder):
    counts, settings = SampleCounts(on=5, near=20), ShapeSettings(scale="each", pool=32_768)
    among = read_shapes(folder, settings).shapes[1].source.sample(counts, np.random.default_rng(0))
    alone = read_shapes(folder, replace(settings, only="middle")).shapes[0]
    assert np.array_equal(among.points, alone.source.sample(counts, np.random.default_rng(0)).points)
    other = read_shapes(folder, settings).shapes[2].source.sample(counts, np.random.default_rng(0))
    assert not np.array_equal(among.points, other.points)


def test_many_shapes_keep_what_was_promised_and_draw_the_same(tmp_path, monkeypatch):
    ball = sphere(subdivisions=2)
    for number in range(12):
        write(tmp_path / f"{number:02d}.ply", replace(ball, vertices=ball.vertices * [1, 1, 0.2 + 0.02 * number]))
    settings, counts = ShapeSettings(pool=1000), SampleCounts(on=5, near=40, far=40)
    free = read_shapes(tmp_path, settings).shapes
    monkeypatch.setattr(shape_files, "STRUCTURES", 4 * 500 * 320)
    bound = read_shapes(tmp_path, settings).shapes
    rngs = [np.random.default_rng(0), np.random.default_rng(0)]
    for step in (0, 2000):
        for one, other in zip(free, bound, strict=True):
            a, b = (shape.source.sample(counts, rng, step=step) for shape, rng in zip((one, other), rngs, strict=True))
            assert np.array_equal(a.points, b.points)
            assert np.array_equal(a.sdf, b.sdf)
    recent = bound[0].source._recent
    assert all(shape.source._recent is recent for shape in bound)
    assert recent.size <= 4 * 500 * 320 or len(recent._kept) == 1
    # However small the shapes are: open3d takes about 550 distances at once.
    assert len([key for key in free[0].source._recent._kept if key[1] == "distance"]) == 12
    monkeypatch.undo()
    monkeypatch.setattr(shape_sampling, "_MOST_DISTANCES", 5)
    few = read_shapes(tmp_path, settings).shapes
    for shape in few:
        shape.source.sample(counts, np.random.default_rng(0))
    assert len([key for key in few[0].source._recent._kept if key[1] == "distance"]) <= 5
    for kind in ("near", "far"):
        kept = [points for shape in bound for (k, _), (points, _) in shape.source._blocks.items() if k == kind]
        assert sum(map(len, kept)) <= 8 * 1000


def test_folders_are_looked_into_where_there_is_nothing_else(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "model.obj", box())
    assert read_shapes(tmp_path, ShapeSettings()).names == ("a/model", "b/model")
    write(tmp_path / "own.ply", box())
    write(tmp_path / "own.stl", box())
    assert read_shapes(tmp_path, ShapeSettings()).names == ("own.ply", "own.stl")


def test_a_folder_without_shapes_says_what_it_holds(tmp_path):
    with pytest.raises(InputError, match="but nothing"):
        read_shapes(tmp_path, ShapeSettings())
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"2 \.png, 1 folders without shapes"):
        read_shapes(tmp_path, ShapeSettings())
    (tmp_path / "c.ply").touch()
    with pytest.raises(InputError, match=r"None of the 1 shapes .*c.ply is an empty file"):
        read_shapes(tmp_path, ShapeSettings())


def test_broken_meshes_are_fixed_and_said_so(tmp_path):
    ball = sphere(subdivisions=3)
    open_ball = select_faces(ball, ball.vertices[ball.faces].mean(axis=1)[:, 2] < 0.9)
    (shape,) = read_shapes(write(tmp_path / "open.ply", open_ball), ShapeSettings()).shapes
    assert shape.watertight is False
    assert "open edges" in shape.description
    reverse = replace(ball, faces=ball.faces[:, ::-1])
    (shape,) = read_shapes(write(tmp_path / "reverse.ply", reverse), ShapeSettings()).shapes
    assert shape.watertight
    assert "inside out" in shape.description
    assert signed_volume(shape.surface) > 0
    samples = shape.source.sample(SampleCounts(on=20, uniform=500), np.random.default_rng(0), fresh=True)
    truth = np.linalg.norm(samples.points, axis=1) - 0.9
    assert np.abs(samples.sdf - truth).max() < 0.01


def test_parts_are_judged_one_by_one_and_said_so(tmp_path):
    ball, small = sphere(subdivisions=3), sphere(0.6, subdivisions=2)
    apart = joined(ball, replace(small, vertices=small.vertices + np.array([2, 0, 0]), faces=small.faces[:, ::-1]))
    (shape,) = read_shapes(write(tmp_path / "apart.ply", apart), ShapeSettings()).shapes
    assert "1 of 2 parts inside out in the file, oriented outward" in shape.description
    middles = shape.to_normalised.points(np.array([[0.0, 0, 0], [2.0, 0, 0]]))
    assert (shape.source.distance(middles) < -0.25).all()
    nested = joined(ball, small)
    (shape,) = read_shapes(write(tmp_path / "nested.ply", nested), ShapeSettings()).shapes
    assert "1 part lies within another and looks outward like it, taken for solid" in shape.description
    assert shape.source.distance(np.zeros((1, 3)))[0] == pytest.approx(-0.9, abs=0.01)
    assert shape.description.startswith("nested: 1,600 faces")


def test_overlapping_solids_are_sampled_on_their_union_only(tmp_path):
    centres = np.array([[-0.6, 0, 0], [0, 0.15, 0], [0.6, 0.3, 0]])
    balls = joined(*(sphere(0.7, subdivisions=4, centre=centre) for centre in centres))
    (shape,) = read_shapes(write(tmp_path / "balls.ply", balls), ShapeSettings(pool=0)).shapes
    assert "% of the area lies within other parts and is left out" in shape.description
    samples = shape.source.sample(SampleCounts(on=5000, near=2000), np.random.default_rng(0))
    points = shape.to_normalised.inverse().points(samples.points.astype(float))
    away = np.linalg.norm(points[:, None] - centres, axis=2).min(axis=1) - 0.7
    assert away[:5000].min() > -2e-3
    assert np.array_equal(samples.sdf[5000:] < 0, away[5000:] < 0) or (
        np.abs(away[5000:][(samples.sdf[5000:] < 0) != (away[5000:] < 0)]).max() < 2e-3
    )
    # Another sign knows no inner faces.
    (shape,) = read_shapes(tmp_path / "balls.ply", ShapeSettings(pool=0, sign="normals")).shapes
    assert "left out" not in shape.description
    on = shape.source.sample(SampleCounts(on=5000), np.random.default_rng(0)).points
    points = shape.to_normalised.inverse().points(on.astype(float))
    assert (np.linalg.norm(points[:, None] - centres, axis=2).min(axis=1) < 0.69).mean() > 0.2


def test_a_part_thinner_than_the_samples_is_named(tmp_path):
    plate = box(sides=(100, 60, 0.3), centre=(0, 0, 0))
    (shape,) = read_shapes(write(tmp_path / "plate.ply", plate), ShapeSettings()).shapes
    # 0.3 of 100 units in a box of 1.8 of 2.
    assert "it is about 0.3 thick, 0.0054 in the normalised frame" in shape.description
    assert "--resolution 748" in shape.description
    block = box(sides=(100, 60, 20), centre=(0, 0, 50))
    (shape,) = read_shapes(write(tmp_path / "both.ply", joined(block, plate)), ShapeSettings()).shapes
    assert "1 of 2 parts, the thinnest around (0, 0, 0), is about 0.3 thick" in shape.description
    (shape,) = read_shapes(write(tmp_path / "block.ply", block), ShapeSettings()).shapes
    assert "thick" not in shape.description


def test_an_open_sheet_is_not_closed_but_refused_with_the_sign_that_works(tmp_path):
    axis = np.linspace(-1, 1, 30)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    number = np.arange(900).reshape(30, 30)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    height = 0.25 * np.sin(3 * x) * np.cos(4 * y)
    path = write(tmp_path / "terrain.ply", Mesh(np.stack([x, y, height], -1).reshape(-1, 3), faces))
    with pytest.raises(InputError, match=r"terrain.ply is an open sheet.*Give .*dataparser.sign normals"):
        read_shapes(path, ShapeSettings())
    (shape,) = read_shapes(path, ShapeSettings(sign="normals")).shapes
    above = shape.to_normalised.points(np.array([[0.1, 0.2, 0.6], [0.1, 0.2, -0.6]]))
    assert (np.sign(shape.source.distance(above)) == [1, -1]).all()
    # Half a ball closes.
    ball = sphere(subdivisions=3)
    half = select_faces(ball, ball.vertices[ball.faces].mean(axis=1)[:, 2] < 0)
    assert read_shapes(write(tmp_path / "half.ply", half), ShapeSettings()).shapes[0].watertight is False


def test_clouds_get_outward_normals(tmp_path):
    points, normals = ball_cloud()
    for name, given in (("bare.npy", None), ("given.npy", normals), ("inward.npy", -normals)):
        (shape,) = read_shapes(write_cloud(tmp_path / name, points, given), ShapeSettings()).shapes
        assert isinstance(shape.surface, Cloud)
        assert shape.watertight is None
        assert (np.einsum("ij,ij->i", shape.surface.normals, normals) > 0.9).all()
    assert "turned" in shape.description
    assert shape.description.endswith("normals looked inward, turned, inside by normals")


def test_a_mesh_can_be_made_a_cloud(tmp_path):
    path = write(tmp_path / "b.ply", box())
    (shape,) = read_shapes(path, ShapeSettings(cloud_points=500)).shapes
    assert len(shape.surface.points) == 500
    on_face = np.isclose(np.abs(shape.surface.points), [0.45, 0.9, 0.225], atol=1e-9)
    assert (on_face.sum(axis=1) == 1).all()
    assert np.allclose(shape.surface.normals, np.where(on_face, np.sign(shape.surface.points), 0))
    (again,) = read_shapes(path, ShapeSettings(cloud_points=500)).shapes
    assert np.array_equal(again.surface.points, shape.surface.points)
    (estimated,) = read_shapes(path, ShapeSettings(cloud_points=500, cloud_normals="estimated")).shapes
    cosine = np.einsum("ij,ij->i", estimated.surface.normals, shape.surface.normals)
    assert (cosine > 0).mean() > 0.9
    assert cosine.min() < 0.999
    assert "normals estimated" in estimated.description


@pytest.mark.parametrize(
    ("points", "message"), [(np.eye(3), "3 different points"), (np.ones((50, 3)), "1 different points")]
)
def test_a_cloud_of_hardly_any_points_is_refused(tmp_path, points, message):
    with pytest.raises(InputError, match=f"few.npy has {message}; a shape needs at least 10"):
        read_shapes(write_cloud(tmp_path / "few.npy", points), ShapeSettings())


def test_triangles_that_do_not_hang_together_are_refused_by_name(tmp_path):
    rng = np.random.default_rng(0)
    soup = Mesh(rng.random((21_000, 3)), np.arange(21_000).reshape(-1, 3))
    path = write(tmp_path / "soup.ply", soup)
    with pytest.raises(InputError, match=r"soup.ply has 21000 open edges .*dataparser.sign"):
        read_shapes(path, ShapeSettings())
    assert len(read_shapes(path, ShapeSettings(sign="unsigned")).shapes) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extent": 0.0}, "dataparser.extent must be above 0"),
        ({"extent": 2.5}, "at most 2.0"),
        ({"file_unit": -1.0}, "dataparser.file-unit"),
        ({"cloud_points": 5}, "dataparser.cloud-points must be at least 10"),
        ({"normal_neighbours": 2}, "dataparser.normal-neighbours"),
        ({"near_scale": -1.0}, "dataparser.near-scale"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_shapes(tmp_path, ShapeSettings(**change))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.ply does not exist"):
        read_shapes(tmp_path / "nowhere.ply", ShapeSettings())
