"""Waves from the front against one dense sum, and what they leave out."""

import math
from dataclasses import replace

import pytest
import torch

from inr_plugins.rendering.front_to_back import StopSettings, render_front_to_back
from inr_plugins.rendering.grid.march import OccupancyGrid, Samples, march
from inr_plugins.rendering.packed import accumulate, packed_weights

STEP = 0.01
ALL = StopSettings(min_transmittance=0.0)


class Fog:
    """Smooth random density and colour; counts the points it was asked for."""

    def __init__(self, strength):
        generator = torch.Generator().manual_seed(0)
        self.waves = torch.randn(3, 4, generator=generator) * 4
        self.strength = torch.tensor(strength, requires_grad=True)
        self.asked = []

    def density_and_features(self, x):
        self.asked.append(len(x))
        return self.strength * (x.to(self.waves.dtype) @ self.waves).sin().sum(-1).exp(), x

    def shade(self, features, directions):
        return torch.sigmoid(features + directions)


def scene(count=60):
    generator = torch.Generator().manual_seed(1)
    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1) * 3
    targets = torch.rand(count, 3, generator=generator) * 1.4 - 0.7
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    # A ray that meets nothing.
    directions[7] = origins[7] / 3
    grid = OccupancyGrid(torch.full((3,), -1.0), 0.125, torch.ones(16, 16, 16, dtype=torch.bool))
    return origins, directions, march(origins, directions, grid, step=STEP)


def dense(origins, directions, samples, field):
    density, features = field.density_and_features(
        origins[samples.ray] + directions[samples.ray] * samples.distance[:, None]
    )
    weights, _ = packed_weights(density * STEP, samples.ray, len(origins))
    rgb = accumulate(weights, field.shade(features, directions[samples.ray]), samples.ray, len(origins))
    return rgb, accumulate(weights, None, samples.ray, len(origins)), weights


@pytest.mark.parametrize("stop", [ALL, replace(ALL, first_wave=1), replace(ALL, first_wave=1000, max_points=500)])
def test_waves_give_what_one_sum_gives_in_values_and_gradients(stop):
    origins, directions, samples = scene()
    field = Fog(2.0)
    rgb, opacity, weights = dense(origins, directions, samples, field)
    got = render_front_to_back(origins, directions, samples, field, step=STEP, stop=stop)
    torch.testing.assert_close(got.rgb, rgb, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(got.accumulation, opacity, atol=2e-6, rtol=1e-5)
    depth = accumulate(weights, samples.distance[:, None], samples.ray, len(origins)) / opacity.clamp(min=1e-6)
    torch.testing.assert_close(got.depth, depth, atol=1e-4, rtol=1e-4)
    assert got.evaluated == got.shaded == len(samples)
    (expected,) = torch.autograd.grad((rgb.square().sum() + opacity.sum()), field.strength)
    (actual,) = torch.autograd.grad((got.rgb.square().sum() + got.accumulation.sum()), field.strength)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wall", [1e30, math.inf])
def test_a_wall_before_one_ray_changes_no_bit_of_another(wall):
    origins, directions, samples = scene()

    class FogWithWall(Fog):
        def density_and_features(self, x):
            density, features = super().density_and_features(x)
            return torch.where(x[:, 0] > 0.2, wall, density), features

    got = render_front_to_back(origins, directions, samples, FogWithWall(2.0), step=STEP)
    assert torch.isfinite(got.rgb).all()
    assert got.accumulation.max() <= 1 + 1e-6
    for ray in range(0, len(origins), 7):
        own = samples.select((samples.ray == ray).nonzero()[:, 0])
        own = replace(own, ray=torch.zeros_like(own.ray))
        alone = render_front_to_back(origins[ray, None], directions[ray, None], own, FogWithWall(2.0), step=STEP)
        assert torch.equal(alone.accumulation[0], got.accumulation[ray])
        torch.testing.assert_close(alone.rgb[0], got.rgb[ray])


@pytest.mark.parametrize("threshold", [1e-4, 1e-2])
def test_light_is_followed_down_to_the_threshold_exactly(threshold):
    origins, directions, samples = scene()
    field = Fog(20.0)
    rgb, _, _ = dense(origins, directions, samples, field)
    results = [
        render_front_to_back(
            *(origins, directions, samples, field),
            step=STEP,
            stop=StopSettings(min_transmittance=threshold, first_wave=wave),
        )
        for wave in (1, 16, 5000)
    ]
    for got in results:
        assert (got.rgb - rgb).abs().max() <= threshold * 1.001
        torch.testing.assert_close(got.rgb, results[0].rgb, atol=1e-6, rtol=1e-5)
    assert results[0].evaluated < results[1].evaluated < results[2].evaluated == len(samples)


def test_samples_behind_a_wall_are_not_evaluated():
    origins, directions, samples = scene()
    field = Fog(3000.0)
    render_front_to_back(origins, directions, samples, field, step=STEP)
    reached = len(samples.ray.unique())
    assert sum(field.asked) <= 8 * reached < 0.1 * len(samples)


def test_no_more_points_than_allowed_are_evaluated_at_once():
    origins, directions, samples = scene()
    field = Fog(1.0)
    render_front_to_back(origins, directions, samples, field, step=STEP, stop=replace(ALL, max_points=300))
    assert max(field.asked) <= 300
    assert sum(field.asked) == len(samples)


def test_a_homogeneous_ball_stops_the_light_that_beer_says():
    origins, directions, samples = scene()
    origins, directions = torch.tensor([[-3.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    grid = OccupancyGrid(torch.full((3,), -1.0), 0.125, torch.ones(16, 16, 16, dtype=torch.bool))
    samples = march(origins, directions, grid, step=STEP)

    class Ball(Fog):
        def density_and_features(self, x):
            return torch.where(x.norm(dim=-1) < 0.5, 1.7, 0.0), x

    got = render_front_to_back(origins, directions, samples, Ball(1.0), step=STEP)
    assert got.accumulation.item() == pytest.approx(1 - math.exp(-1.7), rel=1e-4)


def test_faint_samples_are_opacity_but_are_not_shaded():
    origins, directions, samples = scene()
    field = Fog(2.0)
    rgb, opacity, weights = dense(origins, directions, samples, field)
    threshold = weights.median().item()
    got = render_front_to_back(
        *(origins, directions, samples, field), step=STEP, stop=replace(ALL, min_weight=threshold)
    )
    assert abs(got.shaded - int((weights > threshold).sum())) <= 1
    assert 0.3 * len(samples) < got.shaded < 0.6 * len(samples)
    torch.testing.assert_close(got.accumulation, opacity, atol=2e-6, rtol=1e-5)
    assert (got.rgb <= rgb + 1e-6).all()


def test_the_peak_is_the_sample_with_the_greatest_weight():
    origins, directions, samples = scene()
    field = Fog(5.0)
    _, _, weights = dense(origins, directions, samples, field)
    got = render_front_to_back(origins, directions, samples, field, step=STEP, stop=replace(ALL, first_wave=4))
    for ray in range(len(origins)):
        mine = samples.ray == ray
        if mine.any():
            assert got.peak[ray, 0] == samples.distance[mine][weights[mine].argmax()]
        else:
            assert got.peak[ray, 0] == 0


def test_rays_without_samples_see_nothing():
    origins, directions, _ = scene()
    empty = Samples(
        torch.zeros(0, dtype=torch.long), torch.zeros(0), torch.zeros(0, dtype=torch.long), torch.zeros(0, 3)
    )
    got = render_front_to_back(origins, directions, empty, Fog(1.0), step=STEP)
    assert got.evaluated == 0
    for value in (got.rgb, got.accumulation, got.depth, got.peak):
        assert (value == 0).all()
