"""Isosurfaces of solids whose volume, centre and radius are known, judged by trimesh."""

import numpy as np
import pytest
import trimesh

from inr_plugins.errors import InputError
from inr_plugins.geometry.levelset.isosurface import extract_isosurface, mesh_level_set
from inr_plugins.geometry.levelset.lattice import Lattice, sample_lattice

BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
CENTRE, RADIUS = np.array([0.2, -0.1, 0.15]), 0.6


def sphere_sdf(x, centre=CENTRE, radius=RADIUS):
    return np.linalg.norm(x - centre, axis=1) - radius


def as_trimesh(mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def assert_is_the_sphere(mesh, *, spacing, centre=CENTRE, radius=RADIUS):
    judged = as_trimesh(mesh)
    assert judged.is_watertight
    assert judged.is_winding_consistent
    # Linear interpolation along an edge of length h misses a sphere by at most h^2 / 8r; faces cut off as much again.
    sagitta = spacing**2 / (8 * radius)
    assert np.abs(np.linalg.norm(mesh.vertices - centre, axis=1) - radius).max() < 1.01 * sagitta + 1e-6
    volume = 4 / 3 * np.pi * radius**3
    assert volume * (1 - 8 * sagitta / radius) < judged.volume < volume
    assert np.abs(judged.center_mass - centre).max() < sagitta
    outward = np.einsum("ij,ij->i", judged.face_normals, judged.triangles_center - centre)
    assert (outward[judged.area_faces > 1e-12] > 0).all()


@pytest.mark.parametrize("inside", ["above", "below"])
def test_sphere_off_centre_faces_outward_in_both_conventions(inside):
    sign = -1.0 if inside == "above" else 1.0
    mesh = extract_isosurface(lambda x: sign * sphere_sdf(x), BOX, resolution=41, level=0.0, inside=inside)
    assert_is_the_sphere(mesh, spacing=2 / 40)


@pytest.mark.parametrize(("level", "inside"), [(0.1, "below"), (-0.1, "below")])
def test_level_moves_the_surface_of_a_distance(level, inside):
    mesh = extract_isosurface(sphere_sdf, BOX, resolution=41, level=level, inside=inside)
    assert_is_the_sphere(mesh, spacing=2 / 40, radius=RADIUS + level)


def test_box_that_is_neither_a_cube_nor_at_the_origin():
    box = np.array([[9.0, -3.0, 4.7], [13.0, -1.0, 6.3]])
    centre = np.array([10.5, -2.2, 5.4])
    mesh = extract_isosurface(lambda x: -sphere_sdf(x, centre), box, resolution=101, level=0.0)
    assert_is_the_sphere(mesh, spacing=4 / 100, centre=centre)


def test_vertices_of_a_plane_lie_on_it_exactly():
    box = np.array([[0.0, 10.0, -5.0], [1.0, 12.0, -2.0]])
    mesh = extract_isosurface(lambda x: 11.3 - x[:, 1], box, resolution=7, level=0.0, closed=False)
    assert np.abs(mesh.vertices[:, 1] - 11.3).max() < 1e-6
    assert np.abs(mesh.bounds[:, [0, 2]] - box[:, [0, 2]]).max() < 1e-12


@pytest.mark.parametrize("chunk_points", [1, 777, 10_000_000])
def test_chunked_sampling_equals_dense_sampling_exactly(chunk_points):
    lattice = Lattice.for_box(np.array([[-1.0, -0.4, 0.0], [1.3, 0.9, 0.7]]), resolution=23)
    axes = [np.linspace(lo, hi, n) for lo, hi, n in zip(*lattice.box, lattice.shape, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    dense = sphere_sdf(points).astype(np.float32).reshape(lattice.shape)
    seen = []
    values = sample_lattice(
        sphere_sdf, lattice, chunk_points=chunk_points, progress=lambda done, total: seen.append((done, total))
    )
    assert np.array_equal(values, dense)
    assert seen[-1] == (lattice.size, lattice.size)
    assert np.all(np.diff([done for done, _ in seen]) > 0)


def test_no_chunk_is_larger_than_asked():
    sizes = []

    def values(x):
        sizes.append(len(x))
        return sphere_sdf(x)

    sample_lattice(values, Lattice.for_box(BOX, resolution=20), chunk_points=70)
    assert max(sizes) <= 70
    assert sum(sizes) == 20**3


def test_spacing_is_the_same_along_all_axes_and_ends_on_the_box():
    lattice = Lattice.for_box(np.array([[0.0, 0.0, 0.0], [3.0, 2.0, 0.1]]), resolution=31)
    assert lattice.shape == (31, 21, 2)
    assert np.allclose(lattice.spacing, 0.1)
    uneven = Lattice.for_box(np.array([[0.0, 0.0, 0.0], [1.0, 0.777, 0.05]]), resolution=50)
    assert (uneven.spacing <= 1 / 49 + 1e-12).all()
    assert np.allclose(uneven.positions(np.array(uneven.shape)[None] - 1.0), uneven.box[1])


@pytest.mark.parametrize("inside", ["above", "below"])
def test_solid_cut_by_the_box_is_capped_in_its_faces(inside):
    # An eighth of a sphere about a corner of the box, cut by three of its faces.
    sign = -1.0 if inside == "above" else 1.0

    def values(x):
        return sign * sphere_sdf(x, np.array([1.0, 1.0, 1.0]), 1.47)

    judged = as_trimesh(extract_isosurface(values, BOX, resolution=41, level=0.0, inside=inside))
    assert judged.is_watertight
    assert judged.is_winding_consistent
    assert judged.volume == pytest.approx(4 / 3 * np.pi * 1.47**3 / 8, rel=2e-3)
    assert np.array_equal(judged.bounds[1], BOX[1])
    assert len(np.unique(judged.vertices, axis=0)) == len(judged.vertices)
    opened = extract_isosurface(values, BOX, resolution=41, level=0.0, inside=inside, closed=False)
    assert not as_trimesh(opened).is_watertight


def test_box_full_but_for_a_hole_has_the_volume_of_the_box():
    mesh = extract_isosurface(lambda x: np.linalg.norm(x, axis=1), BOX, resolution=21, level=1e-3)
    judged = as_trimesh(mesh)
    assert judged.is_watertight
    assert judged.volume == pytest.approx(8.0, rel=1e-6)


def test_noise_gives_a_closed_mesh_without_cracks():
    lattice = Lattice.for_box(BOX, resolution=16)
    values = np.random.default_rng(0).standard_normal(lattice.shape).astype(np.float32)
    judged = as_trimesh(mesh_level_set(values, lattice, level=0.1))
    assert judged.is_watertight
    assert judged.is_winding_consistent


@pytest.mark.parametrize(("level", "words"), [(0.9, "nothing is inside"), (-0.7, "everything is inside")])
def test_level_outside_the_range_reports_the_range(level, words):
    lattice = Lattice.for_box(BOX, resolution=3)
    values = np.linspace(-0.5, 0.75, 27, dtype=np.float32).reshape(3, 3, 3)
    with pytest.raises(InputError, match=words) as error:
        mesh_level_set(values, lattice, level=level)
    for part in ("-0.5", "0.75", f"{level}", "`level`"):
        assert part in str(error.value)


def test_constant_field_has_no_surface():
    with pytest.raises(InputError, match="constant"):
        extract_isosurface(lambda x: np.zeros(len(x)), BOX, resolution=4, level=1.0)


def test_nan_in_the_field_is_an_error_that_counts():
    def values(x):
        found = sphere_sdf(x)
        found[x[:, 0] == -1.0] = np.nan
        found[x[:, 0] == 1.0] = np.inf
        return found

    with pytest.raises(InputError, match="200 of 1000"):
        extract_isosurface(values, BOX, resolution=10, level=0.0)


@pytest.mark.parametrize("box", [[[0, 0, 0], [1, 0, 1]], [[0, 0, 0], [1, -1, 1]], [[0, 0, 0], [1, np.nan, 1]]])
def test_box_without_volume_is_refused(box):
    with pytest.raises(InputError, match="no volume"):
        Lattice.for_box(np.array(box, dtype=float), resolution=8)


def test_resolution_of_one_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        Lattice.for_box(BOX, resolution=1)
