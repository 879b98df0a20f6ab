"""Planes through volumes: which voxels are where in a picture, by the places of voxels in the patient."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch

from inr_plugins.models.inverse.planes import COLUMN, ROW, SLICE, Body, PlaneView, body_of, planes_of

SIDES, SPACING = (6, 8, 5), (0.5, 0.75, 2.0)


def affine_of(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    """Columns, rows and slices along x, y and z of the patient in that order, but for some degrees."""
    turns = np.zeros((3, 3))
    for axis, (place, sign) in enumerate(zip(order, signs, strict=True)):
        turns[place, axis] = sign
    lean = np.radians(10)
    lean_by = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    return np.hstack([lean_by @ turns * SPACING, [[3.0], [-4], [50]]])


def places(view: PlaneView, affine: np.ndarray, points: list[tuple[float, float]]) -> np.ndarray:
    """RAS of what a picture shows at points."""
    seen, voxels = view.voxels(torch.tensor(points, dtype=torch.float64))
    assert seen.all()
    return voxels.numpy() @ affine[:, :3].T + affine[:, 3]


@pytest.mark.parametrize("order", permutations(range(3)))
@pytest.mark.parametrize("signs", product((1, -1), repeat=3))
def test_planes_of_a_patient_lie_as_radiologists_have_them(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    affine = affine_of(order, signs)
    for plane, normal, across, down in zip(planes_of(affine.tolist()), (2, 1, 0), (0, 0, 1), (1, 2, 2), strict=True):
        assert plane.name == ("sagittal", "coronal", "axial")[normal]
        view = PlaneView((plane,), (2, 3, 1), SIDES, SPACING)
        middle, right, below = places(view, affine, [(0, 0), (0.2, 0), (0, 0.2)])
        # The head, or the front, is up, and the front of a sagittal plane at the left.
        assert (below - middle)[down] < 0
        assert np.argmax(np.abs(below - middle)) == down
        assert np.argmax(np.abs(right - middle)) == across
        if across == 1:
            assert (right - middle)[across] < 0
        towards = "RAS"[across] if (right - middle)[across] > 0 else "LPI"[across]
        assert plane.edges[1] == towards
        assert {plane.edges[0], towards} == {"RAS"[across], "LPI"[across]}
        assert plane.edges[2:] == ("RAS"[down], "LPI"[down])
        # As long in the picture as in the patient, whichever way.
        assert np.linalg.norm(right - middle) == pytest.approx(np.linalg.norm(below - middle))


def test_a_plane_without_a_patient_is_in_the_order_of_the_array() -> None:
    xy, xz, yz = planes_of(None)
    assert [each.name for each in (xy, xz, yz)] == ["xy", "xz", "yz"]
    assert not xy.edges
    # 3 x 6 mm, the rows being the longer side: a pixel's middle is half of one away from the corner.
    corner = torch.tensor([[-0.5 + 0.5 / 6, -1 + 1 / 8], [0.5 - 0.5 / 6, 1 - 1 / 8]], dtype=torch.float64)
    _, found = PlaneView((xy,), (2, 3, 1), SIDES, SPACING).voxels(corner)
    np.testing.assert_allclose(found, [[0, 0, 1], [5, 7, 1]], atol=1e-9)
    # 3 x 10 mm, slices going up.
    corner = torch.tensor([[-0.3 + 0.3 / 6, -1 + 1 / 5]], dtype=torch.float64)
    _, found = PlaneView((xz,), (2, 3, 1), SIDES, SPACING).voxels(corner)
    np.testing.assert_allclose(found, [[0, 3, 4]], atol=1e-9)
    _, found = PlaneView((yz,), (2, 3, 1), SIDES, SPACING).voxels(torch.zeros(1, 2, dtype=torch.float64))
    np.testing.assert_allclose(found, [[2, 3.5, 2]], atol=1e-9)
    seen, _ = PlaneView((xz,), (2, 3, 1), SIDES, SPACING).voxels(torch.tensor([[0.31, 0.0], [0.29, 0.0], [0.0, 1.01]]))
    assert seen.tolist() == [False, True, False]


def test_three_planes_do_not_overlap_and_share_one_scale() -> None:
    """The first as wide as the second, which is as high as the third."""
    view = PlaneView(planes_of(None), (2, 3, 1), SIDES, SPACING)
    # Below the middle of the second is that of the first, and beside it that of the third.
    second = np.array([-4.7 + 1.5, -8.2 + 5]) * 2 / 16.4
    first, third = second + np.array([0, 5 + 0.4 + 3]) * 2 / 16.4, second + np.array([1.5 + 0.4 + 3, 0]) * 2 / 16.4
    _, found = view.voxels(torch.from_numpy(np.stack([first, second, third])))
    np.testing.assert_allclose(found, [[2.5, 3.5, 1], [2.5, 3, 2], [2, 3.5, 2]], atol=1e-9)
    line = torch.linspace(-1, 1, 401, dtype=torch.float64)
    points = torch.cartesian_prod(line, line)
    seen, found = view.voxels(points)
    assert seen.any()
    found = found.numpy()
    # Of each plane, told by what is fixed: how many points, and how far apart voxels are.
    area = []
    for axis, at in ((SLICE, 1), (ROW, 3), (COLUMN, 2)):
        others = [each for each in range(3) if each != axis]
        inside = seen.numpy() & (found[:, axis] == at) & (found[:, others] % 1 != 0).any(1)
        lengths = [np.ptp(found[inside][:, each]) * SPACING[each] for each in others]
        for each, length in zip(others, lengths, strict=True):
            assert length == pytest.approx(SIDES[each] * SPACING[each], rel=0.05)
        area.append(inside.sum() / np.prod(lengths))
    # 3 + gap + 6 mm across and 10 + gap + 6 mm down: all of that is 2 units.
    np.testing.assert_allclose(area, (400 / (16 + 0.4)) ** 2, rtol=0.1)
    # 18, 30 and 60 mm², each seen once.
    assert float(seen.sum()) == pytest.approx((18 + 30 + 60) * np.mean(area), rel=0.05)


@pytest.mark.parametrize("order", permutations(range(3)))
@pytest.mark.parametrize("signs", product((1, -1), repeat=3))
def test_a_patient_faces_the_camera(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    """Which stands at negative y, with x to the right: the left side is there, the back behind, and the head up."""
    affine = affine_of(order, signs)
    body = body_of(affine.tolist())
    shape, found = body.samples(SIDES, 100)
    assert shape == tuple(SIDES[axis] for axis in body.axes)[::-1]
    ras = (found.numpy() @ affine[:, :3].T + affine[:, 3]).reshape(*shape, 3)
    for dim, (axis, way) in enumerate(((2, 1), (1, -1), (0, -1))):
        steps = np.diff(ras, axis=dim).reshape(-1, 3)
        assert (np.abs(steps).argmax(1) == axis).all()
        assert (np.sign(steps[:, axis]) == way).all()
    np.testing.assert_allclose(
        body.half_extent(SIDES, SPACING), [SIDES[axis] * SPACING[axis] / 10 for axis in body.axes], rtol=1e-9
    )


def test_a_large_volume_is_seen_at_the_middles_of_fewer_voxels() -> None:
    assert body_of(None) == Body()
    shape, found = Body().samples((6, 8, 5), 4)
    assert shape == (4, 4, 4)
    column, row, slice_ = found.reshape(4, 4, 4, 3)[1, 2, 3]
    # The third of four parts of eight rows has its middle between the fifth and the sixth.
    np.testing.assert_allclose([column, row, slice_], [4.75, 4.5, 1.375])
