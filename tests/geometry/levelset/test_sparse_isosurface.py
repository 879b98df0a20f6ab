"""Surfaces from blocks, against PyMCubes on the whole lattice: the same triangles, to the last bit."""

import tracemalloc
from collections import Counter

import mcubes
import numpy as np
import pytest
import trimesh

from inr_plugins.errors import InputError
from inr_plugins.geometry.levelset.block_lattice import BlockLattice, ByDistance, ByPredicate, BySamples
from inr_plugins.geometry.levelset.isosurface import extract_isosurface
from inr_plugins.geometry.levelset.lattice import Lattice
from inr_plugins.geometry.levelset.sparse_isosurface import TooLittleMemoryError, extract_sparse_isosurface

BOX = np.array([[-1.0, -0.8, -0.9], [1.1, 0.9, 0.7]])
EXACT = ByDistance(lipschitz=1.0)


def grid(resolution):
    return Lattice.for_box(BOX, resolution=resolution)


def sphere(x):
    return np.linalg.norm(x - [0.1, -0.05, -0.1], axis=1) - 0.55


def torus(x):
    ring = np.hypot(x[:, 0], x[:, 1]) - 0.5
    return np.hypot(ring, x[:, 2] + 0.1) - 0.17


def thin_shell(x):
    # Thinner than a cell: it comes and goes along the surface.
    return np.abs(sphere(x)) - 0.008


def two_blobs(x):
    return np.minimum(
        np.linalg.norm(x - [-0.5, 0.3, 0.1], axis=1) - 0.28, np.linalg.norm(x - [0.6, -0.3, -0.4], axis=1) - 0.2
    )


def through_the_faces(x):
    return np.linalg.norm(x - [1.0, 0.8, -0.9], axis=1) - 1.3


def steps(x):
    # Whole numbers: the level is met exactly at lattice points, where several edges' vertices coincide.
    return np.round(4 * sphere(x))


FIELDS = [sphere, torus, thin_shell, two_blobs, through_the_faces, steps]


def smooth_noise(x):
    # A sum of waves with random directions: a sponge of many sheets through all of the box's faces.
    rng = np.random.default_rng(3)
    waves, phases = rng.normal(size=(3, 12)) * 4, rng.uniform(0, 2 * np.pi, 12)
    return np.sin(x @ waves + phases).sum(axis=1)


def dense_with_pymcubes(function, *, resolution, level=0.0, sign=-1.0):
    """The open mesh straight from PyMCubes, without the package's own dense path."""
    lattice = Lattice.for_box(BOX, resolution=resolution)
    axes = [np.linspace(lo, hi, n) for lo, hi, n in zip(*BOX, lattice.shape, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    values = function(points).astype(np.float32).reshape(lattice.shape)
    index, faces = mcubes.marching_cubes(sign * (values - np.float32(level)), 0.0)
    return lattice.positions(index), faces.astype(np.int64)


def triangles(vertices, faces):
    """The triangles as coordinate triples, counted, each turned so that its least corner leads: orientation stays."""
    found: Counter[tuple] = Counter()
    for corners in vertices[faces].tolist():
        corners = [tuple(corner) for corner in corners]
        first = corners.index(min(corners))
        found[tuple(corners[first:] + corners[:first])] += 1
    return found


def assert_the_same_mesh(mesh, vertices, faces):
    assert len(mesh.vertices) == len(vertices)
    assert triangles(mesh.vertices, mesh.faces) == triangles(vertices, faces)


@pytest.mark.parametrize("function", FIELDS)
@pytest.mark.parametrize("choice", [EXACT, ByDistance(), BySamples()], ids=["given", "measured", "samples"])
def test_open_mesh_equals_pymcubes_on_the_whole_lattice(function, choice):
    if function is steps and choice is EXACT:
        choice = ByDistance(lipschitz=100.0)
    level = 0.0 if function is not steps else 1.0
    found = extract_sparse_isosurface(
        function,
        grid(37),
        choice=choice,
        level=level,
        inside="below",
        closed=False,
        block_cells=5,
    )
    vertices, faces = dense_with_pymcubes(function, resolution=37, level=level)
    assert len(faces) > 100
    assert_the_same_mesh(found.mesh, vertices, faces)


def within_a_slope_of_one(function):
    """Sure of distances: no box is wrongly left out."""

    def may_cross(low, high):
        return np.abs(function((low + high) / 2)) <= np.linalg.norm(high - low, axis=1) / 2 * (1 + 1e-9)

    return ByPredicate(may_cross, is_sure=True)


@pytest.mark.parametrize("block_cells", [4, 8, 16])
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("rule", ["given", "measured", "sure"])
@pytest.mark.parametrize("function", [sphere, torus, thin_shell, two_blobs, through_the_faces])
def test_blocks_that_are_narrowed_give_the_mesh_of_the_whole_lattice(function, rule, closed, block_cells):
    choice = {"given": EXACT, "measured": ByDistance(), "sure": within_a_slope_of_one(function)}[rule]
    found = extract_sparse_isosurface(
        function,
        grid(37),
        choice=choice,
        level=0.0,
        inside="below",
        closed=closed,
        block_cells=block_cells,
    )
    dense = extract_isosurface(function, BOX, resolution=37, level=0.0, inside="below", closed=closed)
    assert_the_same_mesh(found.mesh, dense.vertices, dense.faces)
    assert found.share < 0.75


def test_parts_that_a_rule_forgets_are_looked_at_when_their_points_are_on_both_sides():
    exact = within_a_slope_of_one(torus).may_cross
    spacing = Lattice.for_box(BOX, resolution=61).spacing[0]

    def forgetful(low, high):
        found = exact(low, high)
        is_part = (high - low).max(axis=1) < 2.5 * spacing
        at = np.rint((low - BOX[0]) / spacing).astype(int) // 2
        return found & ~(is_part & (at.sum(axis=1) % 3 == 0))

    found = extract_sparse_isosurface(
        torus,
        grid(61),
        choice=ByPredicate(forgetful, is_sure=True),
        level=0.0,
        inside="below",
        closed=False,
    )
    assert_the_same_mesh(found.mesh, *dense_with_pymcubes(torus, resolution=61))


@pytest.mark.parametrize("function", [*FIELDS, smooth_noise])
@pytest.mark.parametrize("inside", ["above", "below"])
def test_capped_mesh_equals_that_of_the_whole_lattice(function, inside):
    sign = 1.0 if inside == "below" else -1.0

    def signed(x):
        return sign * function(x)

    found = extract_sparse_isosurface(
        signed, grid(30), choice=BySamples(), level=sign * 0.05, inside=inside, block_cells=4
    )
    dense = extract_isosurface(signed, BOX, resolution=30, level=sign * 0.05, inside=inside)
    assert_the_same_mesh(found.mesh, dense.vertices, dense.faces)
    judged = trimesh.Trimesh(found.mesh.vertices, found.mesh.faces, process=False)
    assert judged.is_watertight
    assert judged.is_winding_consistent


@pytest.mark.parametrize("block_cells", [1, 2, 7, 36, 100])
def test_size_of_the_blocks_changes_nothing(block_cells):
    found = extract_sparse_isosurface(
        smooth_noise,
        grid(23),
        choice=BySamples(),
        level=0.3,
        closed=False,
        block_cells=block_cells,
    )
    assert_the_same_mesh(found.mesh, *dense_with_pymcubes(smooth_noise, resolution=23, level=0.3, sign=1.0))


def test_caps_are_found_that_nothing_connects_to_a_chosen_block():
    # The box is solid but for a ball in it.
    found = extract_sparse_isosurface(sphere, grid(41), choice=EXACT, level=0.0, block_cells=2)
    dense = extract_isosurface(sphere, BOX, resolution=41, level=0.0)
    assert_the_same_mesh(found.mesh, dense.vertices, dense.faces)
    judged = trimesh.Trimesh(found.mesh.vertices, found.mesh.faces, process=False)
    assert judged.volume == pytest.approx(2.1 * 1.7 * 1.6 - 4 / 3 * np.pi * 0.55**3, rel=2e-3)


def test_box_full_of_solid_is_refused_as_on_the_whole_lattice():
    with pytest.raises(InputError, match="everything is inside"):
        extract_sparse_isosurface(
            lambda x: np.linalg.norm(x, axis=1) - 100,
            grid(33),
            choice=EXACT,
            level=0.0,
            inside="below",
        )


@pytest.mark.parametrize("normal", [[1, 1, 1], [-2, 1, 0.5], [0, 0, 1]])
@pytest.mark.parametrize("offset", [0.0, 0.1234, -0.4])
def test_every_block_that_a_plane_passes_through_is_chosen_by_distance(normal, offset):
    blocks = BlockLattice(Lattice.for_box(BOX, resolution=60), cells=7, rim=0)
    normal = np.array(normal) / np.linalg.norm(normal)
    low, high = blocks.bounds(np.arange(blocks.size))
    corners = np.stack([np.where(pick, high, low) for pick in np.ndindex(2, 2, 2)]) @ normal - offset
    passed = (corners.min(axis=0) <= 0) & (corners.max(axis=0) >= 0)
    chosen = EXACT.choose(lambda x: x @ normal - offset, blocks, level=0.0, chunk=100).blocks.reshape(-1)
    assert passed.sum() > 20
    assert chosen[passed].all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_surface_is_followed_all_round_from_the_one_block_that_was_chosen(seed):
    away = np.random.default_rng(seed).normal(size=3)
    seen = np.array([0.1, -0.05, -0.1]) + 0.55 * away / np.linalg.norm(away)
    chosen = 0

    def around_that_point(low, high):
        nonlocal chosen
        found = ((low <= seen) & (seen < high)).all(axis=1)
        chosen += found.sum()
        return found

    found = extract_sparse_isosurface(
        sphere,
        grid(37),
        choice=ByPredicate(around_that_point),
        level=0.0,
        inside="below",
        closed=False,
    )
    assert chosen == 1
    assert_the_same_mesh(found.mesh, *dense_with_pymcubes(sphere, resolution=37))


AREAS = [
    (sphere, 4 * np.pi * 0.55**2),
    (torus, 4 * np.pi**2 * 0.5 * 0.17),
    (two_blobs, 4 * np.pi * (0.28**2 + 0.2**2)),
]


@pytest.mark.parametrize(("function", "area"), AREAS)
def test_share_evaluated_is_that_of_a_layer_three_cell_diagonals_thick_and_is_reported(function, area):
    asked = 0

    def counting(x):
        nonlocal asked
        asked += len(x)
        return function(x)

    found = extract_sparse_isosurface(counting, grid(129), choice=EXACT, level=0.0, inside="below")
    assert found.evaluated == asked
    assert found.share == asked / found.lattice.size
    # Parts of two cells around the surface are a layer two cell diagonals thick, whose points reach half a cell farther
    # on both sides (1 / 1.7); a point in 64 of a layer of 8 was looked at to find parts of four, one in 8 of 4 for two.
    diagonals = 2 + 1 / 3**0.5 + 8 / 64 + 4 / 8
    layer = area * diagonals * np.linalg.norm(found.lattice.spacing) / np.prod(BOX[1] - BOX[0])
    assert 0.8 * layer < found.share < 1.25 * layer


@pytest.mark.parametrize("is_sure", [False, True])
def test_no_lattice_point_is_asked_for_twice_nor_any_other_point(is_sure):
    asked = []

    def recording(x):
        asked.append(x.copy())
        return torus(x)

    def near(low, high):
        middle = (low + high) / 2
        return np.abs(torus(middle)) <= np.linalg.norm(high - low, axis=1) / 2 + 1e-9

    found = extract_sparse_isosurface(
        recording,
        grid(41),
        choice=ByPredicate(near, is_sure=is_sure),
        level=0.0,
        inside="below",
        closed=False,
        chunk_points=999,
    )
    points = np.concatenate(asked)
    assert len(np.unique(points, axis=0)) == len(points) == found.evaluated
    axes = [np.linspace(lo, hi, n) for lo, hi, n in zip(*BOX, found.lattice.shape, strict=True)]
    assert all(np.isin(points[:, i], axes[i]).all() for i in range(3))
    assert max(len(x) for x in asked) <= 999


def test_little_memory_means_smaller_calls_and_the_same_mesh():
    def extract(memory_bytes):
        sizes = []

        def recording(x):
            sizes.append(len(x))
            return torus(x)

        found = extract_sparse_isosurface(
            recording,
            grid(60),
            choice=EXACT,
            level=0.0,
            inside="below",
            memory_bytes=memory_bytes,
        )
        return found.mesh, max(sizes)

    with pytest.raises(TooLittleMemoryError, match="needs at least") as error:
        extract(1000)
    little, few = extract(error.value.least)
    plenty, many = extract(2**30)
    assert few <= 1024 < many
    assert np.array_equal(little.vertices, plenty.vertices)
    assert np.array_equal(little.faces, plenty.faces)


@pytest.mark.parametrize("memory_bytes", [2_000_000, 5_000_000])
def test_memory_for_the_sampling_stays_within_the_bound(memory_bytes):
    peaks = []

    def nearly_upright(x):
        # Its surface lies in one or two layers of blocks, which all of the evaluation is for.
        values = x @ [0.995, 0.0, 0.1]
        peaks.append(tracemalloc.get_traced_memory()[1])
        return values

    def extract(resolution, **limit):
        return extract_sparse_isosurface(
            nearly_upright,
            grid(resolution),
            choice=EXACT,
            level=0.0,
            inside="below",
            **limit,
        )

    extract(20)  # what PyMCubes and numpy load at first use is not counted
    tracemalloc.start()
    mesh = extract(100, memory_bytes=memory_bytes).mesh
    tracemalloc.stop()
    # The pieces of mesh kept until the end hold faces and two numbers and a place for a vertex.
    assert peaks[-1] < memory_bytes + mesh.vertices.nbytes * 2 + mesh.faces.nbytes
    # What was measured is the sampling, which makes use of what it may.
    assert peaks[-1] > memory_bytes / 4


def test_progress_ends_at_all_points_and_never_falls():
    seen = []
    extract_sparse_isosurface(
        sphere,
        grid(40),
        choice=EXACT,
        level=0.0,
        inside="below",
        chunk_points=500,
        progress=lambda done, total: seen.append((done, total)),
    )
    done = np.array([first for first, _ in seen])
    assert (np.diff(done) >= 0).all()
    assert all(first <= total for first, total in seen)
    assert seen[-1][0] == seen[-1][1]


def test_measured_slope_follows_a_function_steeper_than_a_distance():
    def steep(x):
        return 7 * sphere(x)

    found = extract_sparse_isosurface(
        steep,
        grid(37),
        choice=ByDistance(),
        level=0.0,
        inside="below",
        closed=False,
        block_cells=4,
    )
    assert_the_same_mesh(found.mesh, *dense_with_pymcubes(steep, resolution=37))
    # 7 with the quarter added on top: no more than the blocks that this takes.
    assert found.share < 0.6


@pytest.mark.parametrize("choice", [EXACT, BySamples(), ByPredicate(lambda low, high: np.zeros(len(low), dtype=bool))])
def test_no_surface_is_a_value_error_with_the_range_seen(choice):
    with pytest.raises(ValueError, match="No surface") as error:
        extract_sparse_isosurface(lambda x: np.where(x[:, 0] < 0, 2.5, 2.75), grid(20), choice=choice, level=9.0)
    for part in ("2.5", "2.75", "9", "`level`"):
        assert part in str(error.value)


def test_choice_of_no_block_is_a_value_error_that_says_so():
    nothing = ByPredicate(lambda low, high: np.zeros(len(low), dtype=bool))
    with pytest.raises(ValueError, match="not one part"):
        extract_sparse_isosurface(sphere, grid(20), choice=nothing, level=0.0, closed=False)


def test_choice_that_misses_the_surface_is_a_value_error_that_says_so():
    def far_outside_and_deep_inside(low, high):
        return (low == BOX[0]).all(axis=1) | ((low <= [-0.5, 0.3, 0.1]) & (high > [-0.5, 0.3, 0.1])).all(axis=1)

    with pytest.raises(ValueError, match="none of the parts looked into"):
        extract_sparse_isosurface(
            two_blobs,
            grid(30),
            choice=ByPredicate(far_outside_and_deep_inside),
            level=0.0,
            inside="below",
            closed=False,
            block_cells=1,
        )


def test_nan_in_the_field_is_an_error():
    with pytest.raises(InputError, match="NaN"):
        extract_sparse_isosurface(
            lambda x: np.where(x[:, 0] < 0, np.nan, 1.0),
            grid(20),
            choice=BySamples(),
            level=0.5,
        )


@pytest.mark.parametrize("lipschitz", [0.0, -1.0, np.inf, np.nan])
def test_slope_that_bounds_nothing_is_refused(lipschitz):
    with pytest.raises(InputError, match="lipschitz"):
        ByDistance(lipschitz=lipschitz)


def test_negative_dilation_and_blocks_without_cells_are_refused():
    with pytest.raises(InputError, match="dilation"):
        BySamples(dilation=-1)
    with pytest.raises(InputError, match="block_cells"):
        extract_sparse_isosurface(sphere, grid(9), choice=EXACT, level=0.0, block_cells=0)


def test_blocks_cover_the_box_without_gap_or_overlap():
    blocks = BlockLattice(Lattice.for_box(BOX, resolution=20), cells=6, rim=0)
    low, high = blocks.bounds(np.arange(blocks.size))
    assert np.prod(high - low, axis=1).sum() == pytest.approx(np.prod(BOX[1] - BOX[0]))
    assert np.array_equal(low.min(axis=0), BOX[0])
    assert np.allclose(high.max(axis=0), BOX[1], atol=1e-15)
