"""Measurements of a slice that are made, and the answers without a network."""

from __future__ import annotations

import math

import pytest
import torch
from long_form import long_form

from inr_plugins.operators.tomography import Geometry, back_projected, measure, relative_error, smoothest

GEOMETRY = Geometry.around(18, 14, pixel_mm=0.5, views=24, held_out=5)


def square() -> torch.Tensor:
    slice_ = torch.zeros(14, 18)
    slice_[4:9, 5:13] = 0.8
    return slice_


def test_held_out_views_are_half_way_between_learnt_ones() -> None:
    gaps = (GEOMETRY.held_out_angles[:, None] - GEOMETRY.learnt_angles[None]).abs().min(1).values
    torch.testing.assert_close(gaps, torch.full_like(gaps, 180 / 24 / 2))
    assert len(set(GEOMETRY.held_out_angles.tolist())) == 5
    assert float(GEOMETRY.held_out_angles.max()) < 180


def test_the_detector_sees_all_of_the_slice() -> None:
    measured = measure(torch.ones(14, 18), GEOMETRY, noise=0.0, seed=0)
    for views in (measured.learnt, measured.held_out):
        # The mass of the slice, mm², in every view, and nothing at the ends of the detector.
        torch.testing.assert_close(views.sum(1) * 0.5, torch.full((len(views),), 14 * 18 * 0.25), rtol=0.005, atol=0)
        assert float(views[:, [0, -1]].abs().max()) == 0


def test_measuring_is_finer_than_what_a_fit_is_measured_by() -> None:
    measured = measure(square(), GEOMETRY, noise=0.0, seed=0)
    coarse = GEOMETRY.beam(GEOMETRY.learnt_angles).forward(square())
    assert 0.005 < relative_error(coarse, measured.learnt) < 0.1
    # At 0 degrees a ray through the middle of the square is 5 pixels of 0.5 mm long, whatever it is summed by.
    assert float(measured.learnt[0, GEOMETRY.bins // 2]) == pytest.approx(0.8 * 5 * 0.5, rel=1e-5)


def test_noise_is_a_share_of_the_measurements_and_a_function_of_the_seed() -> None:
    clean = measure(square(), GEOMETRY, noise=0.0, seed=0)
    first, again, other = (measure(square(), GEOMETRY, noise=0.1, seed=each).learnt for each in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert relative_error(first, clean.learnt) == pytest.approx(0.1, rel=0.1)
    noisy = measure(square(), GEOMETRY, noise=0.1, seed=3).held_out
    assert relative_error(noisy, clean.held_out) == pytest.approx(0.1, rel=0.3)


def test_answers_without_a_network() -> None:
    measured = measure(square(), GEOMETRY, noise=0.02, seed=0)
    fbp, tv = back_projected(measured), smoothest(measured)
    assert relative_error(fbp, square()) < 0.35
    assert relative_error(tv, square()) < relative_error(fbp, square())
    assert float(tv.min()) >= 0


def test_a_relative_error_is_that_of_vectors() -> None:
    assert relative_error(torch.tensor([3.0, 1.0]), torch.tensor([3.0, 4.0])) == pytest.approx(3 / 5)
    assert math.isfinite(relative_error(torch.ones(2), torch.zeros(2)))


@long_form
def test_slices_of_a_stack_are_measured_and_answered_for_one_by_one() -> None:
    """But for the weight of total variation, which is chosen by the middle slice."""
    stack = torch.stack([0.5 * square(), square(), square().roll(2, 1)])
    measured = measure(stack, GEOMETRY, noise=0.0, seed=0)
    assert [len(each) for each in (measured.learnt, measured.held_out)] == [3, 3]
    answers, parts = [(back_projected(measured), back_projected), (smoothest(measured), smoothest)], measured.each()
    for number, slice_ in enumerate(stack):
        alone = measure(slice_, GEOMETRY, noise=0.0, seed=0)
        assert torch.equal(parts[number].learnt, alone.learnt)
        assert torch.equal(parts[number].held_out, alone.held_out)
        assert torch.equal(answers[0][0][number], answers[0][1](alone))
    assert torch.equal(answers[1][0][1], smoothest(parts[1]))
    noisy = measure(stack, GEOMETRY, noise=0.1, seed=3)
    assert relative_error(noisy.learnt, measured.learnt) == pytest.approx(0.1, rel=0.1)
    assert not torch.equal(noisy.learnt[0] - measured.learnt[0], noisy.learnt[1] - measured.learnt[1])
