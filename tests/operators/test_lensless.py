"""Holograms that are made, and Gerchberg and Saxton's answer."""

from __future__ import annotations

import math

import pytest
import torch

from inr_plugins.operators.lensless import (
    Holograms,
    Optics,
    gerchberg_saxton,
    light_at,
    margin_for,
    record,
    turned_to,
    weighted_square,
    weights_of_heights,
)
from inr_plugins.operators.propagation import intensity
from inr_plugins.operators.tomography import relative_error

OPTICS = margin_for(Optics(40, 36, 3.45, 537, (0.2, 0.3, 0.4, 0.5), (0.35,)), None)


def cells() -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 36), torch.linspace(-1, 1, 40), indexing="ij")
    size = 1 - 0.5 * ((x + 0.2).square() + y.square() < 0.2).float()
    return torch.polar(size, 0.9 * torch.exp(-30 * ((x - 0.3).square() + y.square())))


def test_light_alone_has_an_intensity_of_1_everywhere() -> None:
    for optics in (OPTICS, Optics(40, 36, 3.45, 537, (0.2,), (), margin=0)):
        light = light_at(optics.space(optics.heights()), torch.ones(36, 40, dtype=torch.complex128))
        torch.testing.assert_close(light, torch.ones_like(light))
    made = record(torch.ones(36, 40, dtype=torch.complex64), OPTICS, noise=0.0, seed=0)
    torch.testing.assert_close(made.learnt, torch.ones(4, 36, 40))


def test_a_sensor_measures_the_mean_over_its_pixels() -> None:
    # A grating of squares, whose light of a few orders interferes: cos and cos² over a pixel, in closed form.
    size = torch.ones(32, 32)
    size[:, (torch.arange(32) // 4) % 2 == 0] = 0.6
    optics = Optics(32, 32, 3.45, 537, (1e-4,), ())
    made = record(size.to(torch.complex64), optics, noise=0.0, seed=0).learnt[0]
    # Directly behind it nothing has happened yet.
    torch.testing.assert_close(made, size.square(), rtol=0, atol=0.02)


def test_recording_is_finer_than_what_a_fit_is_measured_by() -> None:
    made = record(cells(), OPTICS, noise=0.0, seed=0)
    coarse = intensity(light_at(OPTICS.space(OPTICS.heights()), cells()))
    assert 1e-3 < relative_error(coarse, made.learnt) < 0.1


def test_noise_is_a_share_of_the_holograms_and_a_function_of_the_seed() -> None:
    clean = record(cells(), OPTICS, noise=0.0, seed=0)
    first, again, other = (record(cells(), OPTICS, noise=0.05, seed=each) for each in (3, 3, 4))
    assert torch.equal(first.learnt, again.learnt)
    assert not torch.equal(first.learnt, other.learnt)
    for name in ("learnt", "held_out"):
        assert relative_error(getattr(first, name), getattr(clean, name)) == pytest.approx(0.05, rel=0.15)
    assert float(record(0.1 * cells(), OPTICS, noise=2.0, seed=0).learnt.min()) == 0


def test_a_margin_is_as_wide_as_light_goes_to_the_side() -> None:
    # The steepest light, of 1 / (2 pitch) along both axes, goes at this angle.
    steep = math.tan(math.asin(0.537 * math.sqrt(2) / (2 * 3.45)))
    wanted = 500 * steep / 3.45
    low = margin_for(Optics(400, 300, 3.45, 537, (0.5,), ()), None).margin
    assert wanted <= low < wanted + 12
    assert margin_for(Optics(400, 300, 3.45, 537, (50.0,), ()), None).margin in range(100, 112)
    assert margin_for(Optics(400, 300, 3.45, 537, (0.5,), ()), 7).margin == 7
    assert margin_for(Optics(400, 300, 3.45, 537, (0.5,), (), frequencies="both-ends"), None).margin == 0


def test_gerchberg_and_saxton_find_the_object() -> None:
    made = record(cells(), OPTICS, noise=0.0, seed=0)
    found = gerchberg_saxton(made, steps=200)
    light = turned_to(found, cells())
    assert float((light.abs() - cells().abs()).square().mean().sqrt()) < 0.03
    assert float((light - cells()).norm() / cells().norm()) < 0.1
    learnt = [
        relative_error(
            intensity(light_at(OPTICS.space(OPTICS.heights()), gerchberg_saxton(made, steps=each))), made.learnt
        )
        for each in (1, 10, 100)
    ]
    assert learnt == sorted(learnt, reverse=True)


def test_light_beyond_where_the_sensor_ends_comes_out_of_the_rest() -> None:
    space = OPTICS.space(OPTICS.heights())
    exact = intensity(light_at(space, cells()))
    full = float(exact.flatten().quantile(0.9))
    lost, errors = exact > full, {}
    for name, learnt in (("lost", torch.where(lost, -full, exact)), ("cut off", exact.clamp(max=full))):
        found = gerchberg_saxton(Holograms(OPTICS, learnt, learnt[:0]), steps=200)
        errors[name] = relative_error(intensity(light_at(space, found))[lost], exact[lost])
    assert errors["lost"] < 0.5 * errors["cut off"], errors


def test_one_phase_of_all_is_turned_away() -> None:
    turned = turned_to(cells() * torch.polar(torch.tensor(1.0), torch.tensor(2.5)), cells())
    torch.testing.assert_close(turned, cells())


def test_weights_make_slow_phases_as_large_as_fast_ones() -> None:
    optics = Optics(48, 36, 3.45, 537, (0.2, 0.3, 0.4, 0.5), ())
    weights = weights_of_heights(optics, most=1e6)
    space, x = optics.space(optics.heights()), torch.arange(48, dtype=torch.float64)
    for cycles in (1, 2, 4):
        # A weak phase of a single frequency is seen with no others beside it.
        phase = 1e-4 * (2 * math.pi * cycles * x / 48).cos().expand(36, -1)
        seen = intensity(space.forward(torch.polar(torch.ones_like(phase), phase))) - 1
        slow = weighted_square(seen, weights.double()) - seen.square().sum() + (seen - seen.mean(0)).square().sum()
        # Four heights of sines 2 phi sin(), whose deviation the weight brings to 1 / sqrt(2).
        assert float(slow) == pytest.approx(4 * 36 * 48 * (1e-4) ** 2, rel=0.01)
    # Never less than they are, and no more than so much.
    assert float(weights_of_heights(optics, most=5).max()) == 5
    assert float(weights.min()) == 1


def test_weights_are_of_differences_between_heights() -> None:
    weights = weights_of_heights(Optics(31, 36, 3.45, 537, (0.2, 0.3), ()), most=7)
    alike = torch.randn(36, 31, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1)
    torch.testing.assert_close(weighted_square(alike, weights), alike.square().sum())
    for width in (30, 31):
        missed = torch.randn(2, 36, width, generator=torch.Generator().manual_seed(1))
        ones = torch.full((36, width // 2 + 1), 3.0)
        mean = missed.mean(0)
        wanted = missed.square().sum() + 8 * (missed - mean).square().sum()
        torch.testing.assert_close(weighted_square(missed, ones), wanted)
