"""Fourier operators by dot products, differences and numpy's transform; what is made and answered with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from operator_checks import check_adjoint, check_gradients, random

from inr_plugins.errors import InputError
from inr_plugins.operators.fourier import MaskedFourier
from inr_plugins.operators.resonance import (
    coil_maps,
    measure_volume,
    parted,
    scattered_mask,
    smoothest_volume,
    zero_filled,
)
from inr_plugins.operators.tomography import relative_error


def some(shape: tuple[int, ...], seed: int = 9) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4


def maps(coils: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.complex(random((coils, *shape), 7), random((coils, *shape), 8))


OPERATORS = {
    "a slice": lambda: MaskedFourier(some((6, 9))),
    "a volume": lambda: MaskedFourier(some((4, 5, 6))),
    "coils": lambda: MaskedFourier(some((5, 8)), maps(3, (5, 8))),
    "coils of a volume": lambda: MaskedFourier(some((3, 4, 5)), maps(2, (3, 4, 5))),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_adjoint_is_that_of_the_map(name: str) -> None:
    check_adjoint(OPERATORS[name]())


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_are_those_of_differences(name: str) -> None:
    check_gradients(OPERATORS[name]())


@pytest.mark.parametrize("name", OPERATORS)
def test_numpy_transforms_the_same(name: str) -> None:
    operator = OPERATORS[name]()
    x, coils = random(operator.input_shape, 3).numpy(), 1 if operator.maps is None else len(operator.maps)
    seen = np.broadcast_to(x, (coils, *x.shape)) if operator.maps is None else operator.maps.numpy() * x
    axes = tuple(range(1, seen.ndim))
    wanted = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(seen, axes=axes), axes=axes, norm="ortho"), axes=axes)
    found = torch.view_as_complex(operator.forward(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(found, wanted[:, operator.mask.numpy()], atol=1e-12)


def test_a_voxel_in_the_middle_has_equal_coefficients() -> None:
    x = torch.zeros(6, 7)
    x[3, 3] = 1.0
    found = MaskedFourier(torch.ones(6, 7, dtype=torch.bool)).forward(x)
    torch.testing.assert_close(found, torch.tensor([1 / math.sqrt(42), 0.0]).expand(1, 42, 2))


def test_other_measurements_and_masks_are_refused() -> None:
    operator = OPERATORS["a slice"]()
    with pytest.raises(InputError, match="is what is measured here"):
        operator.check(torch.zeros(1, 3, 2))
    with pytest.raises(InputError, match="no finite numbers"):
        operator.check(torch.full(operator.output_shape, torch.nan))
    with pytest.raises(InputError, match="without a single coefficient"):
        MaskedFourier(torch.zeros(3, 3, dtype=torch.bool))
    with pytest.raises(InputError, match="not of a volume"):
        MaskedFourier(some((3, 3)), maps(2, (3, 4)))


def test_a_mask_has_its_share_and_its_middle() -> None:
    mask = scattered_mask((32, 30, 28), share=0.126, seed=0)
    assert float(mask.float().mean()) == pytest.approx(0.126, rel=0.02)
    assert bool(mask[16, 15, 14])
    assert torch.equal(mask, scattered_mask((32, 30, 28), share=0.126, seed=0))
    assert not torch.equal(mask, scattered_mask((32, 30, 28), share=0.126, seed=1))
    assert all(bool(scattered_mask((6, 6), share=0.03, seed=seed)[3, 3]) for seed in range(40))
    # The published mask: places of a normal distribution, with repetitions, of a variance of 2 sides.
    side = 24
    rng = np.random.default_rng(0)
    count = np.zeros((side, side, side))
    for _ in range(40):
        places = np.rint(rng.normal(side // 2, math.sqrt(2 / 96) * side, (200_000 * side**3 // 96**3, 3))).astype(int)
        places = places[((places >= 0) & (places < side)).all(1)]
        count[tuple(np.unique(places, axis=0).T)] += 1
    share = float(count.mean()) / 40
    ours = np.mean([scattered_mask((side,) * 3, share=share, seed=each).numpy() for each in range(40)], 0)
    for radius in (2, 5, 8):
        shell = np.abs(np.linalg.norm(np.indices((side,) * 3) - side // 2, axis=0) - radius) < 0.5
        assert ours[shell].mean() == pytest.approx(count[shell].mean() / 40, abs=0.03)


def ball(side: int) -> torch.Tensor:
    place = torch.stack(torch.meshgrid(*[torch.arange(side) - side // 2] * 3, indexing="ij")).float()
    return ((place - 1).norm(dim=0) < side / 4).float() * 0.6 + ((place + 1).norm(dim=0) < side / 8).float() * 0.4


def test_what_is_measured_are_integrals_over_cubes() -> None:
    volume = ball(12)
    made = measure_volume(volume, share=0.5, noise=0.0, seed=3)
    # Of cubes cut into 5 x 5 x 5 points, at the frequencies of the coefficients, cycles a voxel.
    point = ((torch.arange(5) + 0.5) / 5 - 0.5).double()
    place = (torch.arange(12)[:, None] - 6 + point[None]).flatten()
    fine = volume.double()
    for axis in range(3):
        fine = fine.repeat_interleave(5, axis)
    frequency = (made.operator.mask.nonzero()[:40].double() - 6) / 12
    waves = [torch.exp(-2j * math.pi * frequency[:, axis, None] * place[None]) for axis in range(3)]
    wanted = torch.einsum("zyx,nz,ny,nx->n", fine.to(torch.complex128), *waves) / 5**3 / 12**1.5
    torch.testing.assert_close(made.learnt[0, :40], torch.view_as_real(wanted).float(), rtol=0.02, atol=2e-3)
    points = measure_volume(volume, share=0.5, noise=0.0, seed=3, same_operator=True)
    torch.testing.assert_close(points.learnt, made.operator.forward(volume), rtol=1e-4, atol=1e-5)
    assert relative_error(points.learnt, made.learnt) > 0.005


def test_noise_and_held_out_coefficients() -> None:
    clean = measure_volume(ball(16), share=0.3, noise=0.0, seed=0)
    noisy = measure_volume(ball(16), share=0.3, noise=0.1, seed=0)
    for name in ("learnt", "held_out"):
        assert getattr(clean, name).shape == getattr(noisy, name).shape
    assert relative_error(noisy.learnt, clean.learnt) == pytest.approx(0.1, rel=0.1)
    # The noise of those is of the same size, though they are smaller.
    spread = (noisy.held_out - clean.held_out).std() / (noisy.learnt - clean.learnt).std()
    assert float(spread) == pytest.approx(1, rel=0.3)
    both = clean.operator.mask & clean.judge.mask
    assert not both.any()
    # The mean of all is learnt from, whatever chance says.
    everything = torch.ones(24, 24, dtype=torch.bool)
    for seed in range(120):
        assert not parted(everything, torch.zeros(1, 576, 2), maps=None, seed=seed).judge.mask[12, 12]
    # A real volume's coefficients of k and -k are conjugates, so that neither may tell the other one.
    odd = measure_volume(torch.rand(9, 8, 7), share=0.5, noise=0.0, seed=0)
    for each in (clean, odd):
        assert relative_error(each.judge.forward(zero_filled(each)), each.held_out) == pytest.approx(1, abs=1e-5)
    assert int(clean.judge.mask.sum()) == pytest.approx(
        0.05 * int(scattered_mask((16,) * 3, share=0.3, seed=0).sum()), rel=0.3
    )


def test_answers_without_a_network() -> None:
    volume = ball(16)
    made = measure_volume(volume, share=0.25, noise=0.02, seed=1)
    zero, tv = zero_filled(made), smoothest_volume(made)
    assert relative_error(zero, volume) < 0.5
    assert relative_error(tv, volume) < 0.7 * relative_error(zero, volume)
    assert float(tv.min()) >= 0


def test_coils_are_told_from_their_own_k_space() -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    body = ((x**2 + y**2).sqrt() < 0.8).double()
    # Three coils around it, with phases that change slowly.
    true = torch.stack(
        [
            torch.exp(-((x - a) ** 2 + (y - b) ** 2)) * torch.exp(1j * (a * x + b))
            for a, b in ((1, 0), (-1, 0.5), (0, -1))
        ]
    )
    true = (true / true.abs().square().sum(0).sqrt()).to(torch.complex128)
    everything = torch.ones(32, 32, dtype=torch.bool)
    k = torch.view_as_complex(MaskedFourier(everything, true).forward(body)).reshape(3, 32, 32)
    found = coil_maps(everything, k).to(torch.complex128)
    inside = ((x**2 + y**2).sqrt() < 0.6)[None].expand(3, -1, -1)
    torch.testing.assert_close(found[inside], true[inside], rtol=0, atol=0.1)
    mask = scattered_mask((32, 32), share=0.4, seed=0)
    mask[12:21, 12:21] = True
    measured = parted(mask, torch.view_as_real(k[:, mask]), maps=coil_maps(mask, k * mask), seed=0)
    assert relative_error(smoothest_volume(measured)[inside[0]], body.float()[inside[0]]) < 0.1
    # The maps know the block that they are of, and of that nothing judges.
    assert measured.judge.mask.any()
    assert not measured.judge.mask[12:21, 12:21].any()
    gaps = mask.clone()
    gaps[16, 17] = False
    with pytest.raises(InputError, match=r"have gaps.*: give k-space whose middle was measured whole\.$"):
        coil_maps(gaps, k * gaps)
