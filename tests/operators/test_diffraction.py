"""Transfer functions of diffraction tomography by dot products, differences, waves one by one, and layers of light."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from operator_checks import check_adjoint, check_gradients, random

from inr_plugins.errors import InputError
from inr_plugins.operators.diffraction import Optics, WeakScattering
from inr_plugins.operators.diffraction_tomography import (
    Intensities,
    layered_intensities,
    measure_volume,
    permittivity_contrast,
    refractive_index,
    ring,
    smoothest_volume,
    tikhonov,
)
from inr_plugins.operators.tomography import relative_error


def optics(rows: int = 8, columns: int = 9, slices: int = 3, **more: float) -> Optics:
    told = {"pitch_um": 0.1625, "slice_um": 0.3, "first_um": -0.35, "wavelength_um": 0.515, "na": 0.65}
    return Optics(rows, columns, slices, **{**told, "medium_index": 1.33, **more})


OPERATORS = {
    "a ring": lambda: WeakScattering(optics(), ring(5, 0.65)),
    "a margin": lambda: WeakScattering(optics(), ring(3, 0.4, start=0.3), margin=3),
    "one slice, straight light": lambda: WeakScattering(optics(7, 6, 1), torch.zeros(1, 2)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_adjoint_is_that_of_the_map(name: str) -> None:
    check_adjoint(OPERATORS[name]())


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_are_those_of_differences(name: str) -> None:
    check_gradients(OPERATORS[name]())


def test_transfer_functions_are_the_map_of_transforms() -> None:
    operator = OPERATORS["a margin"]()
    rows, columns = operator.padded
    x = operator.with_margin(random(operator.input_shape, 3))
    functions = operator.transfer_functions(torch.arange(rows * columns))
    spectrum = torch.fft.fft2(x).flatten(2)
    found = torch.fft.ifft2(torch.einsum("plsf,psf->lf", functions, spectrum).unflatten(1, (rows, columns)))
    assert float(found.imag.abs().max()) < 1e-12
    torch.testing.assert_close(
        operator.without_margin(found.real), operator.forward(operator.without_margin(x)), rtol=1e-9, atol=1e-9
    )


def test_a_point_scatters_as_born_has_it() -> None:
    """One voxel, whose field is summed wave by wave: k0² times Green's function, Weyl's integral of plane waves."""
    told = optics(24, 20, 3, first_um=0.4)
    led = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    x = torch.zeros(2, 3, 24, 20, dtype=torch.float64)
    x[0, 2, 10, 7], x[1, 2, 10, 7] = 2e-3, 1e-3
    found = WeakScattering(told, led).forward(x)[0].numpy()
    k0, n0, pitch = 2 * math.pi / 0.515, 1.33, 0.1625
    # Light of an LED to the right and above comes from there: it goes to the left and down.
    lateral = -k0 * led[0].numpy()
    straight = math.sqrt((k0 * n0) ** 2 - (lateral**2).sum())
    point = np.array([7 * pitch, 10 * pitch])
    # Through the thickness of the slice by 40 parts.
    depths = 0.4 + 2 * 0.3 + 0.3 * ((np.arange(40) + 0.5) / 40 - 0.5)
    ky, kx = np.meshgrid(*[2 * math.pi * np.fft.fftfreq(side, pitch) for side in (24, 20)], indexing="ij")
    rows, columns = np.mgrid[0:24, 0:20] * pitch
    field = np.zeros((24, 20), dtype=complex)
    # Frequencies of the scattered field are the light's and those of the grid.
    for wave in np.stack([kx, ky], -1).reshape(-1, 2) + lateral:
        if np.hypot(*wave) > k0 * 0.65:
            continue
        along = math.sqrt((k0 * n0) ** 2 - (wave**2).sum())
        # From the point at z to the plane in focus at 0, as the objective images it.
        green = 1j / (2 * along) * np.exp(-1j * along * depths)
        light = np.exp(1j * (lateral @ point + straight * depths))
        strength = (green * light).mean() * 0.3 * pitch**2 * np.exp(-1j * wave @ point)
        field += k0**2 * (2e-3 + 1e-3j) * strength * np.exp(1j * (wave[0] * columns + wave[1] * rows))
    field /= 24 * 20 * pitch**2
    over = field * np.exp(-1j * (lateral[0] * columns + lateral[1] * rows))
    np.testing.assert_allclose(found, 2 * over.real, rtol=1e-3, atol=1e-3 * np.abs(over).max())


def cells(side: int = 32, slices: int = 6) -> torch.Tensor:
    volume = torch.zeros(slices, side, side, dtype=torch.float64)
    volume[2:4, 12:20, 13:21], volume[1, 16, 17] = 1.0, 2.0
    return volume


@pytest.mark.parametrize("na", [0.0, 0.5, 0.65])
def test_light_through_layers_of_a_weak_volume_is_scattered_alike(na: float) -> None:
    told, leds = optics(32, 32, 6), ring(2, na, start=0.2)
    weak = 1e-5 * cells()
    layered = layered_intensities(weak, told, leds)
    linear = WeakScattering(told, leds, margin=8).forward(torch.stack([weak, torch.zeros_like(weak)]))
    # Of slices whose layers go over into each other.
    assert relative_error(linear, layered) < 0.02
    strong = layered_intensities(0.2 * cells(), told, leds)
    assert relative_error(2e4 * linear, strong) > 0.1


def test_a_slab_only_delays() -> None:
    """Light through an even layer as wide as the picture loses and gains nothing."""
    slab = torch.full((4, 16, 16), 0.05, dtype=torch.float64)
    seen = layered_intensities(slab, optics(16, 16, 4, first_um=-0.45), torch.zeros(1, 2))
    # But for its edges, beyond which nothing is.
    assert float(seen[0, 6:10, 6:10].abs().max()) < 0.25
    real = WeakScattering(optics(16, 16, 4), torch.zeros(1, 2)).forward(torch.stack([slab, 0 * slab]))
    assert float(real.abs().max()) < 1e-12
    # And an even one that absorbs takes exp(-2 k n_im d), here to first order: k0 e_im d / n0.
    lost = WeakScattering(optics(16, 16, 4), torch.zeros(1, 2)).forward(torch.stack([0 * slab, slab]))
    torch.testing.assert_close(lost, torch.full_like(lost, -2 * math.pi / 0.515 * 0.05 * 4 * 0.3 / 1.33))


def test_contrast_and_index() -> None:
    index = torch.linspace(1.3, 1.5, 5, dtype=torch.float64)
    torch.testing.assert_close(refractive_index(permittivity_contrast(index, 1.33), 0.0, 1.33), index)
    # (n + i k)² - n0².
    both = torch.complex(index, 0.01 * index) ** 2 - 1.33**2
    torch.testing.assert_close(refractive_index(both.real, both.imag, 1.33), index)


def test_tikhonov_is_the_least_of_its_sum() -> None:
    operator = WeakScattering(optics(8, 8, 4), ring(5, 0.6))
    y = random(operator.output_shape, 4)
    largest = float(operator.transfer_functions(torch.arange(64))[0].abs().square().sum(1).max())
    for absorption in (1.0, 0.5, 0.0):
        x = tikhonov(operator, y, weight=0.01, absorption=absorption)
        # Where its gradient is 0: A* (A x - y) + w x = 0, the imaginary part over absorption².
        gradient = operator.adjoint(operator.forward(x) - y)
        torch.testing.assert_close(gradient[0], -0.01 * largest * x[0], rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(absorption**2 * gradient[1], -0.01 * largest * x[1], rtol=1e-7, atol=1e-9)


def measured(**settings: object) -> Intensities:
    told = {"leds": 12, "held_out": 3, "ring_na": 0.65, "margin": 4, "noise": 0.0, "seed": 0, **settings}
    return measure_volume(2e-2 * cells(24, 6)[:, :24, :24], optics(24, 24, 6), **told)  # type: ignore[arg-type]


def test_noise_and_held_out_leds() -> None:
    clean, noisy = measured(), measured(noise=0.1)
    everything = [torch.cat([each.learnt, each.held_out]) for each in (clean, noisy)]
    assert relative_error(everything[1], everything[0]) == pytest.approx(0.1, rel=0.05)
    gaps = (clean.judge.led_na[:, None] - clean.operator.led_na[None]).norm(dim=-1).min(1).values
    torch.testing.assert_close(gaps, torch.full_like(gaps, 2 * 0.65 * math.sin(math.pi / 24)))
    same = measured(same_operator=True)
    x = torch.stack([2e-2 * cells(24, 6), torch.zeros(6, 24, 24)]).float()
    torch.testing.assert_close(same.learnt, same.operator.forward(x), rtol=1e-4, atol=1e-6)
    assert relative_error(same.learnt, clean.learnt) > 0.02


def test_the_classical_answer_finds_the_volume() -> None:
    made = measured(noise=0.05)
    found = smoothest_volume(made, absorbs=False)
    assert float(found.min()) >= 0
    assert float(found[1].abs().max()) == 0
    truth = 2e-2 * cells(24, 6).float()
    assert relative_error(found[0], truth) < 0.8
    assert relative_error(made.judge.forward(found), made.held_out) < 0.6


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 of 2 LEDs is beyond the objective's aperture of 0.65"):
        WeakScattering(optics(), torch.tensor([[0.1, 0.2], [0.5, 0.5]]))
    with pytest.raises(InputError, match="needs one LED"):
        WeakScattering(optics(), torch.zeros(0, 2))
    with pytest.raises(InputError, match="not below the index of the medium"):
        optics(na=1.4)
    with pytest.raises(InputError, match="positive numbers"):
        optics(pitch_um=0.0)
    with pytest.raises(InputError, match="at least one each"):
        optics(slices=0)
    operator = OPERATORS["a ring"]()
    with pytest.raises(InputError, match="is what is measured here"):
        operator.check(torch.zeros(3, 3, 3))
