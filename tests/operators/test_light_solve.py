"""Gauss and Newton's method on the light of an object."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.operators import light_solve
from inr_plugins.operators.lensless import Holograms, Optics, gerchberg_saxton, light_at, margin_for, turned_to
from inr_plugins.operators.light_solve import Compared, light_step
from inr_plugins.operators.propagation import FreeSpace, Frequencies, intensity

ROWS, COLUMNS = 36, 40
HEIGHTS = (0.2, 0.3, 0.4, 0.5)


def optics(*, frequencies: Frequencies = "fft", heights: tuple[float, ...] = HEIGHTS) -> Optics:
    made = Optics(COLUMNS, ROWS, 3.45, 537, heights, (), frequencies=frequencies)
    return margin_for(made, None)


def cells(rows: int = ROWS, columns: int = COLUMNS) -> torch.Tensor:
    """A disc that is dark, a small cell, and a phase that rises from side to side."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    size = 1 - 0.5 * ((x + 0.2).square() + y.square() < 0.2).float()
    return torch.polar(size, 0.6 * torch.exp(-30 * ((x - 0.3).square() + y.square())) + 0.5 * torch.sin(1.5 * x))


def errors(field: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    """Root mean squares of the amplitude and, in rad, of the phase."""
    size = (field.abs() - truth.abs()).square().mean().sqrt()
    return float(size), float((turned_to(field, truth) * truth.conj()).angle().square().mean().sqrt())


def stepped(
    space: FreeSpace, field: torch.Tensor, measured: torch.Tensor, *, steps: int, compared: Compared = "amplitude"
) -> torch.Tensor:
    for _ in range(steps):
        found = light_step(space, field, measured, compared=compared)
        field = torch.polar(found.amplitude, field.angle() + found.turn)
    return field


@pytest.mark.parametrize("frequencies", ["fft", "both-ends"])
@pytest.mark.parametrize("compared", ["amplitude", "intensity"])
def test_an_object_is_found_with_its_slow_phase(frequencies: Frequencies, compared: Compared) -> None:
    space = (seen := optics(frequencies=frequencies)).space(seen.heights())
    measured = intensity(light_at(space, cells()))
    start = gerchberg_saxton(Holograms(seen, measured, measured[:0]))
    size, turned = errors(stepped(space, start, measured, steps=6, compared=compared), cells())
    # At the sides light goes away, which is then not measured.
    assert size < 6e-3
    assert turned < 1e-2
    before = errors(start, cells())
    assert before[0] > 4 * size
    assert before[1] > 30 * turned


def test_what_is_left_is_that_of_the_light_it_gives() -> None:
    space = (seen := optics()).space(seen.heights())
    measured = intensity(light_at(space, cells()))
    start = gerchberg_saxton(Holograms(seen, measured, measured[:0]), steps=3)
    found = light_step(space, start, measured)
    for field, told in (
        (start, found.before),
        (torch.polar(found.amplitude, start.angle() + found.turn), found.after),
    ):
        left = np.sqrt(measured.numpy()) - np.abs(light_at(space, field).numpy())
        assert told == pytest.approx(float(np.square(left).sum()), rel=1e-3, abs=1e-4)
    assert found.after < 0.2 * found.before


@pytest.mark.parametrize("lost", [0, 20])
@pytest.mark.parametrize("compared", ["amplitude", "intensity"])
def test_the_first_change_is_that_of_least_squares(compared: Compared, lost: int) -> None:
    """Against the damped normal equations, written out by differences of what is measured and solved at once."""
    seen = Optics(8, 6, 3.45, 537, (0.05, 0.1, 0.15), (), margin=2)
    space = seen.space(seen.heights())
    torch.manual_seed(0)
    truth = torch.polar(0.6 + 0.4 * torch.rand(6, 8), 0.02 * torch.randn(6, 8)).to(torch.complex128)
    measured = intensity(light_at(space, truth))
    start = truth * torch.polar(1 + 1e-3 * torch.randn(6, 8).double(), 1e-3 * torch.randn(6, 8).double())

    def seen_of(field: torch.Tensor) -> torch.Tensor:
        found = intensity(light_at(space, field)).flatten()
        return found.sqrt() if compared == "amplitude" else found

    def changed(change: torch.Tensor) -> torch.Tensor:
        size, turn = change.reshape(2, 6, 8)
        return seen_of(start * torch.polar(1 + size, turn))

    step = 1e-5
    rows = [(changed(step * each) - changed(-step * each)) / (2 * step) for each in torch.eye(96, dtype=torch.float64)]
    matrix, left = torch.stack(rows, -1), seen_of(truth) - seen_of(start)
    # Where light is found that is more than the sensor's end there is no equation.
    ended = torch.randperm(len(left))[:lost]
    known = torch.ones(len(left), dtype=torch.bool).index_fill(0, ended, False)
    matrix, left = matrix[known], left[known]
    measured = torch.where(known.reshape(measured.shape), measured, -0.5 * measured)
    # So near the truth next to nothing is damped, and where the equations say nothing, nothing changes.
    wanted = torch.linalg.pinv(matrix, rtol=1e-4) @ left
    found = light_step(space, start, measured, compared=compared)
    change = torch.stack([(found.amplitude / start.abs()).log(), found.turn]).flatten()
    assert (matrix @ (change - wanted)).norm() < 0.02 * left.norm()
    assert left.norm() > 0.9 * (matrix @ wanted).norm()


def test_without_its_brightest_pixels_an_object_is_found_and_cut_off_at_them_it_is_not() -> None:
    space = (seen := optics()).space(seen.heights())
    measured = intensity(light_at(space, cells()))
    full = float(measured.flatten().quantile(0.9))
    found = {}
    for name, each in (
        ("lost", torch.where(measured > full, -full, measured)),
        ("cut off", measured.clamp(max=full)),
    ):
        start = gerchberg_saxton(Holograms(seen, each, each[:0]))
        found[name] = errors(stepped(space, start, each, steps=8), cells())
    assert found["lost"][0] < 0.3 * found["cut off"][0], found
    assert found["lost"][1] < 0.3 * found["cut off"][1], found


def test_noise_stays_where_it_was_and_slow_phases_come_nearer() -> None:
    space = (seen := optics()).space(seen.heights())
    clean = intensity(light_at(space, cells()))
    torch.manual_seed(0)
    noisy = (clean + 0.05 * clean.square().mean().sqrt() * torch.randn_like(clean)).clamp(min=0)
    start = gerchberg_saxton(Holograms(seen, noisy, noisy[:0]))
    size, turned = errors(stepped(space, start, noisy, steps=2), cells())
    before = errors(start, cells())
    assert size < 1.05 * before[0]
    assert turned < 0.9 * before[1]


def test_a_step_never_makes_it_worse() -> None:
    space = (seen := optics(heights=(0.3,))).space(seen.heights())
    torch.manual_seed(0)
    measured = torch.rand(1, ROWS, COLUMNS)
    field = torch.zeros(ROWS, COLUMNS, dtype=torch.complex64)
    for _ in range(3):
        found = light_step(space, field, measured)
        assert found.after <= found.before
        assert bool(found.amplitude.isfinite().all())
        assert float(found.amplitude.min()) >= 0
        field = torch.polar(found.amplitude, field.angle() + found.turn)
    truth = cells()
    exact = light_step(space, truth, intensity(light_at(space, truth)))
    assert exact.after <= exact.before
    torch.testing.assert_close(exact.amplitude, truth.abs(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("compared", ["amplitude", "intensity"])
def test_of_a_weak_object_two_conjugate_gradients_are_enough(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its equations are those of the preconditioner, where its frequencies are seen."""
    monkeypatch.setattr(light_solve, "_INNER", 2)
    space = (seen := Optics(COLUMNS, ROWS, 3.45, 537, HEIGHTS, ())).space(seen.heights())
    torch.manual_seed(0)
    rough = 1e-3 * torch.randn(2, ROWS, COLUMNS, dtype=torch.float64)
    truth = torch.polar(1 + rough[0], rough[1])
    measured = intensity(light_at(space, truth))
    found = light_step(space, torch.ones_like(truth), measured, compared=compared)
    assert found.after < 1e-2 * found.before


def test_slow_phases_of_a_strong_object_are_found_in_few_steps() -> None:
    """By what the slowest cosines have in the preconditioner: without, 0.2 rad of 0.36 are left."""
    rows, columns = 120, 128
    seen = Optics(columns, rows, 3.45, 537, HEIGHTS, (), frequencies="both-ends")
    space, truth = seen.space(seen.heights()), cells(rows, columns)
    measured = intensity(light_at(space, truth))
    start = gerchberg_saxton(Holograms(seen, measured, measured[:0]), steps=30)
    assert errors(start, truth)[1] > 0.3
    assert errors(stepped(space, start, measured, steps=3), truth)[1] < 0.08
