"""A correction of a distance, fitted to points of surfaces of closed form."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from inr_plugins.fields import detail_fit
from inr_plugins.fields.detail_fit import fit_detail
from inr_plugins.fields.surface_detail import DetailedShape, SurfaceDetail, window
from inr_plugins.shape_points import point_spacing

SHIFT = torch.tensor([0.02, -0.01, 0.015])


def rough(x):
    """A ball of radius 0.5 around the origin, a tenth too steep."""
    return 1.1 * (x.norm(dim=-1) - 0.5)


def ball(count, *, radius=0.52, seed=0, half=False, noise=0.0):
    """Points of a ball elsewhere, and their normals."""
    generator = torch.Generator().manual_seed(seed)
    normals = normalize(torch.randn(count, 3, generator=generator), dim=-1)
    if half:
        normals[:, 2] = normals[:, 2].abs()
    moved = radius + noise * torch.randn(count, 1, generator=generator)
    return SHIFT + moved * normals, normals


def height(x, radius=0.52):
    return (x - SHIFT).norm(dim=-1) - radius


@pytest.fixture(scope="module")
def fitted():
    return fit_detail(rough, *ball(1500))


def test_points_pull_the_surface_to_where_they_lie(fitted):
    assert fitted.missed > 0.015
    assert fitted.left < 5e-4
    unseen, normals = ball(2000, seed=1)
    shape = DetailedShape(rough, fitted.detail)
    value = shape.sdf(unseen)
    assert float(value.abs().mean()) < 5e-4
    assert float(value.abs().max()) < 7e-3
    assert float((shape.normal(unseen) * normals).sum(-1).mean()) > 0.998


def test_far_from_the_points_nothing_changes_and_on_the_way_nothing_jumps():
    points, normals = ball(700, half=True)
    shape = DetailedShape(rough, fit_detail(rough, points, normals).detail)
    # On the other half, a few spacings from the rim, and far out.
    below = 0.5 * normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(2)), dim=-1)
    below[:, 2] = -below[:, 2].abs()
    below = below[below[:, 2] < -0.2]
    assert torch.equal(shape.sdf(below), rough(below))
    anywhere = 2 * torch.rand(500, 3, generator=torch.Generator().manual_seed(3)) - 1
    far = anywhere[rough(anywhere).abs() > 0.3]
    assert torch.equal(shape.sdf(far), rough(far))
    # Lines across the surface, across the rim, and through the middle of the band.
    for start, end in (
        ([0, 0, 1.0], [0, 0, 0.0]),
        ([0.5, 0, 0.3], [0.5, 0, -0.5]),
        ([0.3, 0.2, 0.5], [0.5, -0.4, 0.1]),
    ):
        line = torch.lerp(torch.tensor(start), torch.tensor(end), torch.linspace(0, 1, 20_001)[:, None])
        step = float((line[1] - line[0]).norm())
        assert float(shape.sdf(line).diff().abs().max()) < 2.5 * step + 1e-6


def test_noise_is_not_taken_for_detail():
    points, normals = ball(800, noise=0.02)
    found = fit_detail(lambda x: height(x), points, normals)
    unseen, _ = ball(2000, seed=1)
    moved = 0.0 if found.detail is None else float(DetailedShape(height, found.detail).sdf(unseen).abs().mean())
    # Less than half of what a mean over a handful of points would leave.
    assert moved < 0.004
    exact = fit_detail(rough, *ball(800))
    assert exact.smoothness is not None
    assert found.smoothness is None or found.smoothness > exact.smoothness


def test_a_field_that_meets_the_points_needs_no_correction():
    found = fit_detail(height, *ball(300))
    assert found.left <= found.missed < 1e-6
    assert found.detail is None or float(found.detail.values.abs().max()) < 1e-5


def test_what_is_solved_for_is_the_least_of_what_the_module_says(monkeypatch):
    """The sum of squares by the field itself and its gradient, not by the equations' matrices."""
    monkeypatch.setattr(detail_fit, "SMOOTHNESS", (0.1,))
    monkeypatch.setattr(detail_fit, "_normal_weight", lambda *told, spacing: 0.3 * spacing)
    points, normals = ball(200)
    found = fit_detail(rough, points, normals)
    detail = found.detail
    lattice, edge = detail.lattice, float(detail.lattice.edge)
    index = ((lattice.vertices() - lattice.origin) / edge).round().long()
    fade = (edge / (2.0 * found.spacing)) ** 4

    def energy(values):
        shape = DetailedShape(rough, SurfaceDetail(lattice, values, float(detail.reach)))
        x = points.clone().requires_grad_()
        value = shape.sdf(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
        data = value.double().square().sum() + (0.3 * found.spacing) ** 2 * (slope - normals).double().square().sum()
        dense = np.full([n + 1 for n in lattice.shape], np.nan)
        dense[tuple(index.T.numpy())] = values.double().numpy()
        bends = [np.diff(dense, 2, axis=axis) for axis in range(3)]
        return float(data.detach()) + 0.1 * (
            sum(float(np.nansum(b**2)) for b in bends) + fade * float(values.double().square().sum())
        )

    best = energy(detail.values)
    free = detail.values != 0
    generator = torch.Generator().manual_seed(4)
    for size in (3e-3, 3e-2):
        for _ in range(3):
            other = torch.randn(len(detail.values), generator=generator) * free
            assert energy(detail.values + size * detail.values.abs().mean() * other) > best
    assert energy(1.05 * detail.values) > best
    assert energy(0.95 * detail.values) > best


def test_its_slope_is_that_of_differences(fitted):
    shape = DetailedShape(rough, fitted.detail)
    lattice = fitted.detail.lattice
    x = ball(100, seed=5)[0]
    # Within a cell, where the interpolation has a slope.
    _, fraction = lattice.locate(x)
    x = x[((fraction > 0.2) & (fraction < 0.8)).all(-1)].requires_grad_()
    assert len(x) > 5
    (slope,) = torch.autograd.grad(shape.sdf(x).sum(), x)
    x, step = x.detach(), 1e-3
    expected = torch.stack([(shape.sdf(x + step * a) - shape.sdf(x - step * a)) / (2 * step) for a in torch.eye(3)], -1)
    torch.testing.assert_close(slope, expected, atol=5e-3, rtol=5e-3)


def test_it_is_kept_in_a_state(fitted):
    state = {f"detail.{name}": value for name, value in fitted.detail.state_dict().items()}
    again = SurfaceDetail.from_state(state, "detail.", torch.device("cpu"))
    x = 2 * torch.rand(500, 3) - 1
    assert torch.equal(again.corrected(x, rough(x)), fitted.detail.corrected(x, rough(x)))
    state["detail.values"] = state["detail.values"][:-1]
    with pytest.raises(ValueError, match="a correction of shape"):
        SurfaceDetail.from_state(state, "detail.", torch.device("cpu"))


def test_the_window_ends_at_its_reach_without_a_kink():
    f = torch.tensor([0.0, 0.05, 0.1, 0.2], dtype=torch.float64, requires_grad=True)
    value = window(f, 0.1)
    assert value.tolist() == pytest.approx([1, 0.75**2, 0, 0])
    assert torch.autograd.grad(value.sum(), f)[0].tolist() == pytest.approx([0, -4 / 0.1 * 0.5 * 0.75, 0, 0])


def test_the_spacing_is_that_of_a_square_of_the_surface():
    points, _ = ball(4000)
    own = (4 * np.pi * 0.52**2 / 4000) ** 0.5
    assert point_spacing(points.numpy()) == pytest.approx(own, rel=0.1)
