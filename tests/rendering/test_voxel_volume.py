"""Rays through all of a volume, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from inr_plugins.rendering import voxel_volume
from inr_plugins.rendering.normal_shading import AMBIENT
from inr_plugins.rendering.voxel_volume import picture_of

HALF = (1.0, 0.5, 0.75)
EYE = torch.tensor([0.3, -4.0, 0.4])


def rays_to(points: torch.Tensor, eye: torch.Tensor = EYE) -> tuple[torch.Tensor, torch.Tensor]:
    return eye.expand_as(points), torch.nn.functional.normalize(points - eye, dim=-1)


def inside(count: int = 200) -> torch.Tensor:
    return (2 * torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) - 1) * 0.98 * torch.tensor(HALF)


def chord(origins: torch.Tensor, directions: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the box, by finding them on its six faces."""
    found = []
    for origin, way in zip(origins.double().numpy(), directions.double().numpy(), strict=True):
        at = []
        for axis in range(3):
            for side in (-HALF[axis], HALF[axis]):
                t = (side - origin[axis]) / way[axis]
                if t > 0 and (np.abs(origin + t * way) <= np.array(HALF) + 1e-9).all():
                    at.append(t)
        found.append((min(at), max(at)) if len(at) > 1 else (0.0, *at))
    return np.array(found).T


@pytest.mark.parametrize("value", [1.0, 0.4])
@pytest.mark.parametrize("opacity", [0.7, 8.0])
def test_an_even_fog_is_that_of_beer_and_lambert(value: float, opacity: float) -> None:
    origins, directions = rays_to(inside())
    seen = picture_of(torch.full((15, 10, 20), value), HALF, origins, directions, kind="density", opacity=opacity)
    enter, leave = chord(origins, directions)
    way, density = leave - enter, opacity * value
    assert seen.hits.all()
    np.testing.assert_allclose(seen.grey, value * -np.expm1(-density * way), rtol=2e-5)
    # The mean of an exponential distribution that ends, but for where in a step of 0.1 light comes from.
    depth = enter + 1 / density - way / np.expm1(density * way)
    np.testing.assert_allclose(seen.depth, depth, atol=0.05)


def test_an_eye_in_the_volume_sees_what_is_before_it() -> None:
    origins, directions = rays_to(inside(), torch.tensor([0.2, 0.1, -0.3]))
    seen = picture_of(torch.ones(15, 10, 20), HALF, origins, directions, kind="density", opacity=2.0)
    _, leave = chord(origins, directions)
    np.testing.assert_allclose(seen.grey, -np.expm1(-2 * leave), rtol=2e-5)


def test_the_greatest_value_on_a_ray_and_where_it_is() -> None:
    values = torch.zeros(15, 10, 20)
    values[11, 7, 4] = 0.8
    values[2, 1, 15] = 0.6
    middle = torch.tensor([2 * 4.5 / 20 - 1, 0.5 * (2 * 7.5 / 10 - 1), 0.75 * (2 * 11.5 / 15 - 1)])
    other = torch.tensor([2 * 15.5 / 20 - 1, 0.5 * (2 * 1.5 / 10 - 1), 0.75 * (2 * 2.5 / 15 - 1)])
    origins = torch.stack([middle, other, middle]) - torch.tensor([[0, 3.0, 0], [0, 0, 3], [3, 0, 0]])
    directions = torch.tensor([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    seen = picture_of(values, HALF, origins, directions, kind="maximum")
    np.testing.assert_allclose(seen.grey, [0.8, 0.6, 0.8], atol=1e-5)
    np.testing.assert_allclose(seen.depth, 3, atol=1e-5)
    across = torch.tensor([[-3.0, 0.0, 0.0]])
    assert float(picture_of(values, HALF, across, directions[2:], kind="maximum").grey) == 0


def test_what_misses_or_is_cut_off_is_not_seen() -> None:
    values = torch.ones(15, 10, 20)
    values[:, 5:] = 0.25
    origins = torch.tensor([[0.0, -3, 0], [1.1, -3, 0], [0, 3, 0], [0, -3, 0.0]])
    directions = torch.tensor([[0.0, 1, 0]]).repeat(4, 1)
    crop = (torch.tensor([0.0, 0, 0, 3.2]), torch.tensor([9.0, 9, 9, 9]))
    seen = picture_of(values, HALF, origins, directions, kind="maximum", crop=crop)
    assert seen.hits.tolist() == [True, False, False, True]
    np.testing.assert_allclose(seen.grey, [1, 0, 0, 0.25], atol=1e-6)
    before = (torch.zeros(4), torch.tensor([2.4, 9, 9, 2.6]))
    assert picture_of(values, HALF, origins, directions, kind="density", crop=before).hits.tolist() == [
        *(False, False, False),
        True,
    ]


def test_a_surface_is_darker_from_the_side() -> None:
    """Values that rise along x alone: the slope is that everywhere, and the steepest."""
    values = ((torch.arange(20) + 0.5) / 20).expand(15, 10, 20)
    opacity = 3.0
    along = picture_of(
        values, HALF, torch.tensor([[-3.0, 0, 0]]), torch.tensor([[1.0, 0, 0]]), kind="density", opacity=opacity
    )
    # v = t / 2 over t from 0 to 2; the ends, half a voxel each, are even.
    t = (np.arange(200_000) + 0.5) * 1e-5
    v = np.clip(t / 2, 0.025, 0.975)
    light = np.exp(-np.cumsum(opacity * v * 1e-5)) * opacity * v * v * 1e-5
    assert float(along.grey) == pytest.approx(light.sum(), rel=5e-3)
    across = picture_of(
        values, HALF, torch.tensor([[0.025, -3.0, 0]]), torch.tensor([[0.0, 1, 0]]), kind="density", opacity=opacity
    )
    v = 0.5125
    share = 1 / 1.1
    dark = 1 - share + share * AMBIENT
    assert float(across.grey) == pytest.approx(dark * v * -math.expm1(-opacity * v), rel=1e-3)


def test_many_rays_are_seen_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.rand(15, 10, 20, generator=torch.Generator().manual_seed(1))
    origins, directions = rays_to(2 * inside())
    for kind in ("density", "maximum"):
        monkeypatch.setattr(voxel_volume, "_SAMPLES_AT_ONCE", 1 << 20)
        once = picture_of(values, HALF, origins, directions, kind=kind)
        monkeypatch.setattr(voxel_volume, "_SAMPLES_AT_ONCE", 200)
        parts = picture_of(values, HALF, origins, directions, kind=kind)
        assert 0 < once.hits.sum() < len(origins)
        for each in ("hits", "grey", "depth"):
            np.testing.assert_allclose(getattr(once, each), getattr(parts, each), atol=1e-6)


def test_a_volume_of_one_slice_is_seen() -> None:
    seen = picture_of(
        torch.ones(1, 10, 20), HALF, torch.tensor([[0.0, -3, 0]]), torch.tensor([[0.0, 1, 0]]), kind="density"
    )
    assert float(seen.grey) == pytest.approx(-math.expm1(-20.0), rel=1e-5)
