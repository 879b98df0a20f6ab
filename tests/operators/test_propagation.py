"""Propagation: adjoint by dot products, gradients by differences, values by closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from operator_checks import check_adjoint, random

from inr_plugins.errors import InputError
from inr_plugins.operators.propagation import FreeSpace, intensity

HEIGHTS = torch.tensor([0.1, 0.35], dtype=torch.float64)
LIGHT = {"wavelength_nm": 600.0, "pitch_um": 2.0}
OPERATORS = {
    "angular spectrum": lambda: FreeSpace((6, 9), HEIGHTS, **LIGHT),
    "a margin": lambda: FreeSpace((6, 9), HEIGHTS, margin=4, **LIGHT),
    "fresnel": lambda: FreeSpace((5, 8), HEIGHTS, kernel="fresnel", **LIGHT),
    "both ends": lambda: FreeSpace((6, 8), HEIGHTS, frequencies="both-ends", **LIGHT),
    "waves that fade": lambda: FreeSpace((6, 7), 1e-3 * HEIGHTS, wavelength_nm=600, pitch_um=0.2),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_adjoint_is_that_of_the_map(name: str) -> None:
    check_adjoint(OPERATORS[name](), torch.complex128)


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_of_intensities_are_those_of_differences(name: str) -> None:
    operator = OPERATORS[name]()
    size, phase = (random(operator.input_shape, seed).requires_grad_() for seed in (2, 3))
    assert torch.autograd.gradcheck(
        lambda a, p: intensity(operator.forward(torch.polar(a, p))).square().sum(), (size.exp(), phase)
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_of_heights_are_those_of_differences(name: str) -> None:
    operator = OPERATORS[name]()
    x = random(operator.input_shape, 4, torch.complex128)
    heights = operator.distances_mm.clone().requires_grad_()
    # Phases of a thousand radians: differences need a small step.
    assert torch.autograd.gradcheck(lambda z: intensity(operator.at(z).forward(x)).sum((1, 2)), (heights,), eps=1e-7)


def grid(side: int, pitch_mm: float) -> tuple[torch.Tensor, torch.Tensor]:
    place = (torch.arange(side, dtype=torch.float64) - side // 2) * pitch_mm
    y, x = torch.meshgrid(place, place, indexing="ij")
    return x, y


@pytest.mark.parametrize("kernel", ["angular-spectrum", "fresnel"])
def test_a_gaussian_beam_widens_as_it_should(kernel: str) -> None:
    waist, length = 0.04, 633e-6
    x, y = grid(200, 4e-3)
    square, reach = x**2 + y**2, math.pi * waist**2 / length
    z = torch.tensor([3.0, 12.0, -12.0], dtype=torch.float64)
    space = FreeSpace((200, 200), z, wavelength_nm=633, pitch_um=4, kernel=kernel)
    found = space.forward(torch.exp(-square / waist**2).to(torch.complex128))
    # Siegman, Lasers, sec. 17.1: 1 / (1 + i z / reach) exp(-r² / (w0² (1 + i z / reach))), but for exp(i k z).
    factor = (1 + 1j * z / reach)[:, None, None]
    wanted = torch.exp(-square / (waist**2 * factor)) / factor
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-3 if kernel == "angular-spectrum" else 1e-6)


@pytest.mark.parametrize("kernel", ["angular-spectrum", "fresnel"])
def test_a_grating_images_itself(kernel: str) -> None:
    # Talbot: a grating of the period d comes again after 2 d² / l, of bars and in Fresnel's approximation; of a single
    # frequency (Rayleigh) exactly after l / (1 - sqrt(1 - (l / d)²)); half-way it is shifted by half a period.
    period, length, place = 16 * 2e-3, 600e-6, torch.arange(64)
    if kernel == "fresnel":
        lines, talbot = ((place % 16) < 8).double(), 2 * period**2 / length
    else:
        lines = (2 * math.pi * place.double() / 16).cos()
        talbot = length / (1 - math.sqrt(1 - (length / period) ** 2))
    field = (1 + 0.2 * lines).to(torch.complex128).expand(8, -1).contiguous()
    planes = torch.tensor([talbot, talbot / 2], dtype=torch.float64)
    again, half = intensity(FreeSpace((8, 64), planes, kernel=kernel, **LIGHT).forward(field))
    torch.testing.assert_close(again, intensity(field), rtol=0, atol=1e-9)
    torch.testing.assert_close(half, intensity(field).roll(8, 1), rtol=0, atol=1e-9)


def test_a_tilted_wave_has_the_phase_of_its_path() -> None:
    side, pitch, length = 40, 1e-3, 500e-6
    x, _ = grid(side, pitch)
    frequency = 6 / (side * pitch)
    tilted = torch.exp(2j * math.pi * frequency * x)
    sine = frequency * length
    z = 0.123
    wanted = tilted * complex(math.cos(p := 2 * math.pi * z / length * (math.sqrt(1 - sine**2) - 1)), math.sin(p))
    space = FreeSpace((side, side), torch.tensor([z], dtype=torch.float64), wavelength_nm=500, pitch_um=1)
    torch.testing.assert_close(space.forward(tilted)[0], wanted, rtol=0, atol=1e-9)


def test_there_and_back_is_nothing_lost_but_what_fades() -> None:
    x = random((12, 10), 5, torch.complex128)
    for kernel in ("angular-spectrum", "fresnel"):
        operator = FreeSpace((12, 10), HEIGHTS, kernel=kernel, **LIGHT)
        torch.testing.assert_close(operator.adjoint(operator.forward(x)), 2 * x)
    # Of a pitch below half the wavelength: at the highest frequency the wave fades by exp(-2 pi z sqrt(f² - 1 / l²)),
    # and has no phase, from which that of the plane wave is taken.
    fading = FreeSpace((8, 8), torch.tensor([1e-4], dtype=torch.float64), wavelength_nm=600, pitch_um=0.2)
    checks = (-1.0) ** torch.arange(8, dtype=torch.float64)
    stripes = checks.expand(8, 8).to(torch.complex128)
    lost = math.exp(-2 * math.pi * 1e-4 * math.sqrt(2500.0**2 - (1 / 600e-6) ** 2))
    wanted = stripes * lost * complex(math.cos(p := -2 * math.pi * 1e-4 / 600e-6), math.sin(p))
    torch.testing.assert_close(fading.forward(stripes)[0], wanted)


def test_a_margin_keeps_light_from_coming_back_on_the_other_side() -> None:
    # A dot at the left edge: without a margin its light goes over the edge and comes in from the right.
    field = torch.zeros(48, 48, dtype=torch.complex128)
    field[20:24, :4] = 1
    z = torch.tensor([1.0], dtype=torch.float64)
    wide = torch.zeros(384, 384, dtype=torch.complex128)
    wide[168:216, 168:216] = field
    truth = FreeSpace((384, 384), z, wavelength_nm=600, pitch_um=4).forward(wide)[0, 168:216, 168:216]
    missed = {
        margin: FreeSpace((48, 48), z, wavelength_nm=600, pitch_um=4, margin=margin).forward(field) - truth
        for margin in (0, 48)
    }
    assert float(missed[0].norm()) > 0.1 * float(truth.norm())
    assert float(missed[48].norm()) < 0.03 * float(truth.norm())


def test_the_grid_with_both_ends_is_that_of_the_papers_code() -> None:
    space = FreeSpace((6, 8), HEIGHTS[:1], frequencies="both-ends", **LIGHT)
    kx, ky = (torch.linspace(-math.pi / 2e-3, math.pi / 2e-3, n, dtype=torch.float64) for n in (8, 6))
    k0 = 2 * math.pi / 600e-6
    phase = 0.1 * ((k0**2 - kx[None] ** 2 - ky[:, None] ** 2).sqrt() - k0)
    wanted = torch.fft.ifftshift(torch.exp(1j * phase))
    torch.testing.assert_close(space.transfer()[0], wanted, rtol=0, atol=1e-8)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="wavelength, a pitch"):
        FreeSpace((6, 9), HEIGHTS, wavelength_nm=-1, pitch_um=2)
    with pytest.raises(InputError, match="has no margin"):
        FreeSpace((6, 9), HEIGHTS, frequencies="both-ends", margin=2, **LIGHT)
    with pytest.raises(InputError, match="is what is measured here"):
        OPERATORS["fresnel"]().check(torch.zeros(3, 5, 8))
