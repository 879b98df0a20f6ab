"""Measurements by magnetic resonance: made of a slice or a volume, or of k-space that several coils have seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.operators.fourier import MaskedFourier
from inr_plugins.operators.least_squares import total_variation
from inr_plugins.operators.tomography import relative_error

SPREAD = 0.1443
"""Standard deviation of the places of coefficients, of the extent of k-space: the square root of 2 / 96, as the code of
Fourier features (Tancik et al. 2020) has it."""
_HELD_OUT = 0.05
"""Of the coefficients that are measured, which judge a fit."""
_TV_WEIGHTS = (1e-3, 3e-3, 1e-2, 3e-2)
"""Of a volume of values from 0 to 1."""
_TV_STEPS = 100


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What was measured: coefficients that are learnt from, and others that judge a fit.

    Attributes:
        operator: measures the learnt ones.
        learnt: their real and imaginary parts.
        judge: measures the others.
        held_out: those.
    """

    operator: MaskedFourier
    learnt: Float[Tensor, "coils samples 2"]
    judge: MaskedFourier
    held_out: Float[Tensor, "coils held_out 2"]


def scattered_mask(shape: tuple[int, ...], *, share: float, seed: int) -> Bool[Tensor, "*axes"]:
    """Coefficients around the middle of k-space, each by chance for itself: many near to it, few far away.

    A coefficient is as likely as if places were drawn of a normal distribution (of `SPREAD`), with repetitions, until
    that share of all is there. The middle itself is always there.

    Args:
        shape: of k-space.
        share: of the coefficients that are measured, about; in (0, 1].
        seed: of the chance.
    """
    distance = sum(
        (((torch.arange(side, dtype=torch.float64) - side // 2) / side) ** 2).reshape(
            [-1 if axis == place else 1 for place in range(len(shape))]
        )
        for axis, side in enumerate(shape)
    )
    assert isinstance(distance, Tensor)
    weight = torch.exp(-distance / (2 * SPREAD**2))
    low, high = -5.0, 15.0
    for _ in range(60):
        middle = (low + high) / 2
        found = float((1 - torch.exp(-(10**middle) * weight)).mean())
        low, high = (middle, high) if found < share else (low, middle)
    chance = 1 - torch.exp(-(10**high) * weight)
    drawn = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) < chance
    drawn[tuple(side // 2 for side in shape)] = True
    return drawn


def measure_volume(
    volume: Float[Tensor, "*axes"], *, share: float, noise: float, seed: int, same_operator: bool = False
) -> Coefficients:
    """Measure a volume whose voxels are cubes of one value each: their Fourier integrals, which no fit computes.

    A fit is measured by the discrete transform, as one of points. The integral over a cube has
    sinc(k_x d) sinc(k_y d) sinc(k_z d) more, of frequencies k and voxels d apart.

    Args:
        volume: values of 0 and more.
        share: of the coefficients that are measured.
        noise: its root mean square as a share of that of the measurements, normally distributed.
        seed: of the mask and the noise.
        same_operator: measure points too, as a fit is: easier than it would be.
    """
    shape = tuple(volume.shape)
    mask = scattered_mask(shape, share=share, seed=seed)
    operator = MaskedFourier(mask)
    clean = operator.forward(volume.double())
    if not same_operator:
        for axis, side in enumerate(shape):
            numbers = torch.sinc((torch.arange(side, dtype=torch.float64) - side // 2) / side)
            part = numbers.reshape([-1 if axis == place else 1 for place in range(len(shape))]).expand(shape)[mask]
            clean = clean * part[:, None]
    # Two numbers are one measurement.
    scale = noise * (clean.square().sum(-1).mean() / 2).sqrt()
    drawn = torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(seed + 1))
    return parted(mask, (clean + scale * drawn).float(), maps=None, seed=seed)


def parted(
    mask: Bool[Tensor, "*axes"],
    measured: Float[Tensor, "coils samples 2"],
    *,
    maps: Complex[Tensor, " coils *axes"] | None,
    seed: int,
) -> Coefficients:
    """One coefficient in twenty, by chance, is held out of what was measured; that of frequency 0 never is.

    The coefficients of a frequency and its negative are held out together: of a real volume they are conjugates. Where
    there are coils, none is of the block that their maps are found from (`coil_maps`), which would know it.

    Raises:
        InputError: there are too few.
    """
    places = mask.reshape(-1).nonzero()[:, 0]
    origin = sum(side // 2 * math.prod(mask.shape[axis + 1 :]) for axis, side in enumerate(mask.shape))
    free = mask.clone()
    if maps is not None:
        free[_block(mask.shape, _half_of_whole(mask))] = False
    # As many as of all, of fewer: but never more than half of those.
    chance = min(0.5, _HELD_OUT * len(places) / max(1, int(free.sum())))
    drawn = torch.rand(mask.numel(), generator=torch.Generator().manual_seed(seed + 2)) < chance
    numbers = torch.arange(mask.numel()).reshape(mask.shape)
    aside = drawn[torch.minimum(numbers, _of_negatives(numbers)).reshape(-1)[places]]
    aside &= free.reshape(-1)[places] & (places != origin)
    if not aside.any() or aside.all():
        raise InputError(
            f"{len(places)} measured coefficients are too few to hold one in twenty out: give k-space with more, or of "
            "a volume a larger --pipeline.datamanager.dataparser.share."
        )
    parts = [
        mask.new_zeros(mask.numel()).index_fill(0, places[each], True).reshape(mask.shape) for each in (~aside, aside)
    ]
    learnt, judge = (MaskedFourier(each, maps) for each in parts)
    return Coefficients(learnt, measured[:, ~aside], judge, measured[:, aside])


def _of_negatives(numbers: Tensor) -> Tensor:
    """What stands at each frequency's negative, which of an even number of coefficients is itself for the first."""
    even = [axis for axis, side in enumerate(numbers.shape) if side % 2 == 0]
    flipped = numbers.flip(tuple(range(numbers.dim())))
    return flipped.roll([1] * len(even), even) if even else flipped


def coil_maps(
    mask: Bool[Tensor, "*axes"], coefficients: Complex[Tensor, " coils *axes"]
) -> Complex[Tensor, " coils *axes"]:
    """What each coil sees of a volume, with its phase: images of low resolution over the root of their sum of squares.

    The images are of the largest block around frequency 0 that was measured whole, through a Hann window (as ESPIRiT's
    simplest forebear has it: Pruessmann et al. 1999, sec. on the sensitivity assessment; Roemer et al. 1990).

    Raises:
        InputError: less than four coefficients along an axis were measured whole.
    """
    half = _half_of_whole(mask)
    if half < 2:
        raise InputError(
            "The coefficients around frequency 0 have gaps, and the phase and coils' maps are found from those: "
            "give k-space whose middle was measured whole."
        )
    window = torch.zeros(mask.shape, dtype=torch.float64)
    block = _block(mask.shape, half)
    shape = window[block].shape
    hann = torch.ones(shape, dtype=torch.float64)
    for axis, side in enumerate(shape):
        place = torch.arange(side, dtype=torch.float64) - side // 2
        part = 0.5 + 0.5 * torch.cos(math.pi * place / (half + 1))
        hann = hann * part.reshape([-1 if axis == each else 1 for each in range(len(shape))])
    window[block] = hann
    axes = tuple(range(-mask.dim(), 0))
    low = coefficients.to(torch.complex128) * window
    images = torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(low, dim=axes), dim=axes, norm="ortho"), dim=axes)
    size = images.abs().square().sum(0).sqrt()
    return (images / size.clamp(min=1e-6 * float(size.max()))).to(torch.complex64)


def _half_of_whole(mask: Bool[Tensor, "*axes"]) -> int:
    """How far the largest block around frequency 0 goes that was measured whole, without that itself."""
    half = 0
    while all(half < (side - 1) // 2 for side in mask.shape) and bool(mask[_block(mask.shape, half + 1)].all()):
        half += 1
    return half


def _block(shape: tuple[int, ...], half: int) -> tuple[slice, ...]:
    return tuple(slice(side // 2 - half, side // 2 + half + 1) for side in shape)


def zero_filled(measured: Coefficients) -> Float[Tensor, "*axes"]:
    """The volume whose coefficients are 0 where none was learnt from."""
    return measured.operator.adjoint(measured.learnt)


def smoothest_volume(measured: Coefficients) -> Float[Tensor, "*axes"]:
    """The volume of 0 and more of little total variation, whose weight of four the held-out coefficients choose."""
    found = [total_variation(measured.operator, measured.learnt, weight=w, steps=_TV_STEPS) for w in _TV_WEIGHTS]
    return min(found, key=lambda each: relative_error(measured.judge.forward(each), measured.held_out))
