"""The built-in objects: sound solids with the features they promise."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh

from inr_plugins.errors import InputError
from inr_plugins.scenes.objects.catalogue import BUILTIN_OBJECTS, builtin_object, join_parts
from inr_plugins.scenes.solids import ball, box, hoop, lathe, prism, regular, rod, tube
from inr_plugins.scenes.surface import Material
from inr_plugins.scenes.textures import Plain


@pytest.mark.parametrize("name", BUILTIN_OBJECTS)
def test_each_object_is_one_closed_outward_solid_with_all_its_parts_showing(name: str):
    mesh = builtin_object(name)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume > 0
    assert solid.body_count == 1  # nothing floats, and there are no hidden cavities
    assert solid.volume < 0.75 * solid.convex_hull.volume  # concave
    areas = np.bincount(mesh.face_material, weights=solid.area_faces, minlength=len(mesh.materials))
    assert (areas > 0).all()
    # Fine enough for vertex colours: no long edges (edges inside a refined triangle are not bounded exactly).
    radius = np.linalg.norm(np.ptp(mesh.vertices, axis=0)) / 2
    assert solid.edges_unique_length.max() < 0.1 * radius
    colours = mesh.vertex_colours()
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert len(np.unique(colours.round(2), axis=0)) > 8


def test_listing_the_objects_imports_no_geometry_library():
    import subprocess

    code = (
        "import sys; from inr_plugins.scenes.make import SceneOptions; "
        "print([m for m in ('open3d', 'trimesh', 'manifold3d', 'scipy', 'torch', 'nerfstudio') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_unknown_names_are_a_key_error():
    with pytest.raises(KeyError):
        builtin_object("teapot")


def test_without_manifold3d_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("inr_plugins.scenes.objects.catalogue.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install manifold3d"):
        builtin_object("knot")


def test_joined_parts_keep_their_material_and_lose_what_is_inside():
    inner, outer = Material(Plain((1.0, 0.0, 0.0))), Material(Plain((0.0, 0.0, 1.0)))
    hidden = Material(Plain((0.0, 1.0, 0.0)))
    from inr_plugins.scenes.objects.catalogue import Part

    mesh = join_parts(
        [
            Part(box((1, 1, 1), (0, 0, 0)), inner),
            Part(box((1, 1, 1), (0.75, 0, 0)), outer),
            Part(ball(0.2, (0, 0, 0)), hidden),
        ],
        longest_edge=0.2,
    )
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.volume == pytest.approx(1.75, rel=1e-5)
    areas = np.bincount(mesh.face_material, weights=solid.area_faces, minlength=3)
    # The blue box keeps its five faces beyond x = 0.5; where side faces coincide, either may own them.
    assert areas.sum() == pytest.approx(2 + 4 * 1.75, rel=1e-5)
    assert areas[2] == 0
    centre = solid.triangles_center
    assert (mesh.face_material[centre[:, 0] > 0.55] == 1).all()
    assert (mesh.face_material[centre[:, 0] < 0.2] == 0).all()


@pytest.mark.parametrize(
    ("build", "volume"),
    [
        (lambda: box((1, 2, 3), (4, 5, 6)), 6.0),
        (lambda: box((2, 2, 2), (0, 0, 0), bevel=0.1), 8 - 12 * 1.8 * 0.005 - 8 * (3 * 0.005 * 0.1 - 5 * 0.1**3 / 6)),
        (lambda: lathe([(0, 0), (1, 0), (1, 2), (0, 2)], 512), 2 * np.pi),
        (lambda: prism(regular(6, 1.0), 1, 3), 2 * 1.5 * np.sqrt(3)),
        (lambda: rod((1, 2, 3), (1, 2, 5), 0.5, sides=256), np.pi / 2),
        (lambda: hoop(2.0, 0.3, 1.0, 512), 2 * np.pi**2 * 2.0 * 0.3**2),
        (lambda: ball(1.0, (1, 1, 1), 256), 4 * np.pi / 3),
    ],
)
def test_building_blocks_have_the_volume_of_the_closed_form(build, volume: float):
    assert build().volume() == pytest.approx(volume, rel=0.03)


def test_a_tube_along_a_space_curve_has_pappus_volume_and_no_twist():
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    curve = np.stack([(2 + np.cos(3 * t)) * np.cos(2 * t), np.sin(3 * t), (2 + np.cos(3 * t)) * np.sin(2 * t)], -1)
    length = np.linalg.norm(np.diff(curve, axis=0, append=curve[:1]), axis=1).sum()
    solid = tube(curve, 0.2, sides=64, closed=True)
    assert solid.volume() == pytest.approx(np.pi * 0.2**2 * length, rel=0.01)
    assert solid.surface_area() == pytest.approx(2 * np.pi * 0.2 * length, rel=0.01)
    assert solid.genus() == 1
    mesh = solid.to_mesh()
    corners = np.asarray(mesh.vert_properties)[np.asarray(mesh.tri_verts)]
    # The longest edge joins two rings; were the frames not to meet after one turn, some would cross the tube.
    step = np.linalg.norm(np.diff(curve, axis=0, append=curve[:1]), axis=1).max()
    assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max() < 1.2 * step
