"""Holograms of a thin object at several heights above a sensor: how they are made, and the answer without a network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from inr_plugins.operators.propagation import FreeSpace, Frequencies, Kernel, intensity

GS_STEPS = 100
"""Of Gerchberg and Saxton's method; by then little changes."""
_FINER = 2
"""Pixels along one of the object by which it is recorded; what is looked for is measured by one."""
_LEAST = 1e-9


@dataclass(frozen=True)
class Optics:
    """How holograms were recorded: as many numbers as a run keeps.

    Attributes:
        width: of the sensor and the object, pixels.
        height: of both, pixels.
        pitch_um: distance of the pixels, um.
        wavelength_nm: of the light, nm.
        learnt_mm: from the object to the sensor, of the holograms that are learnt from, mm.
        held_out_mm: of those that nothing is learnt from, mm.
        kernel: of the propagation (`operators.propagation.FreeSpace`).
        frequencies: its grid.
        margin: pixels around the object where there is nothing but light, in which what would come back from the other
            side is lost.
    """

    width: int
    height: int
    pitch_um: float
    wavelength_nm: float
    learnt_mm: tuple[float, ...]
    held_out_mm: tuple[float, ...]
    kernel: Kernel = "angular-spectrum"
    frequencies: Frequencies = "fft"
    margin: int = 0

    def heights(self, *, held_out: bool = False) -> Float[Tensor, " n"]:
        """Of the learnt holograms, or of the held-out ones, mm."""
        return torch.tensor(self.held_out_mm if held_out else self.learnt_mm, dtype=torch.float64)

    def space(self, heights_mm: Float[Tensor, " n"]) -> FreeSpace:
        """From the object to sensors at heights."""
        return FreeSpace(
            (self.height, self.width),
            heights_mm,
            wavelength_nm=self.wavelength_nm,
            pitch_um=self.pitch_um,
            kernel=self.kernel,
            margin=self.margin,
            frequencies=self.frequencies,
        )


@dataclass(frozen=True, eq=False)
class Holograms:
    """What a sensor has measured: intensities, 1 being that of the light without an object; -v: v or more.

    Attributes:
        optics: by which.
        learnt: that are learnt from.
        held_out: that are not.
    """

    optics: Optics
    learnt: Float[Tensor, "n height width"]
    held_out: Float[Tensor, "held_out height width"]


def margin_for(optics: Optics, wanted: int | None) -> Optics:
    """The same with a margin; None: as wide as light goes to the side from the greatest height, up to a quarter of the
    longer side, and then so that the sides of the whole have no large prime factors."""
    longer = max(optics.width, optics.height)
    if wanted is not None or optics.frequencies == "both-ends":
        return replace(optics, margin=wanted or 0)
    finest = min(0.999, optics.wavelength_nm * 1e-3 / (2 * optics.pitch_um) * math.sqrt(2))
    furthest = max((*optics.learnt_mm, *optics.held_out_mm))
    reach = furthest * 1e3 * finest / math.sqrt(1 - finest**2) / optics.pitch_um
    margin = math.ceil(min(reach, longer / 4))
    while not all(_is_smooth(side + 2 * margin) for side in (optics.width, optics.height)):
        margin += 1
    return replace(optics, margin=margin)


def _is_smooth(number: int) -> bool:
    for factor in (2, 3, 5, 7):
        while number % factor == 0:
            number //= factor
    return number == 1


def light_at(space: FreeSpace, field: Complex[Tensor, "height width"]) -> Complex[Tensor, "n height width"]:
    """The light at the sensors: of a plane wave of amplitude 1 that has gone through an object.

    Around the object there is the plane wave, which stays as it is: 1 + A (O - 1) (see `FreeSpace`). With the grid of
    frequencies that has both ends and so no 0 there is no plane wave, and it is A O.
    """
    if space.frequencies == "both-ends":
        return space.forward(field)
    return 1 + space.forward(field - 1)


def wanted_of(
    measured: Float[Tensor, "n height width"], found: Float[Tensor, "n height width"]
) -> Float[Tensor, "n height width"]:
    """The measured intensities nearest to those that are found: where they are v or more (-v), v or what is found."""
    return torch.where(measured < 0, torch.maximum(-measured, found), measured)


def back_at(space: FreeSpace, light: Complex[Tensor, "n height width"]) -> Complex[Tensor, "height width"]:
    """The mean of light propagated back from the sensors to the object."""
    count = space.output_shape[0]
    if space.frequencies == "both-ends":
        return space.adjoint(light) / count
    return 1 + space.adjoint(light - 1) / count


def weights_of_heights(optics: Optics, *, most: float) -> Float[Tensor, "height frequencies"]:
    """How much more differences between the learnt heights count at each frequency, 1 and more (see `weighted_square`).

    A weak phase of the frequency f is seen at the height z as sin(pi l z f²): of a slow one there is next to nothing,
    and that differs between heights by next to nothing. The weight is one over the standard deviation of those sines,
    which is 1 / sqrt(2) where f is high.

    Args:
        optics: of heights and pixels.
        most: that a weight is.
    """
    pitch_mm, length = optics.pitch_um * 1e-3, optics.wavelength_nm * 1e-6
    rows = torch.fft.fftfreq(optics.height, pitch_mm, dtype=torch.float64)
    columns = torch.fft.rfftfreq(optics.width, pitch_mm, dtype=torch.float64)
    square = rows.square()[:, None] + columns.square()[None]
    seen = torch.sin(math.pi * length * optics.heights()[:, None, None] * square).std(0, correction=0)
    return (1 / (math.sqrt(2) * seen).clamp(min=1 / most)).clamp(min=1).float()


def weighted_square(
    missed: Float[Tensor, "n height width"], weights: Float[Tensor, "height frequencies"]
) -> Float[Tensor, ""]:
    """The sum of squares of what is missed, in which each height's difference from their mean is weighted."""
    differences = torch.fft.rfft2(missed - missed.mean(0), norm="ortho")
    # Of a real picture the frequencies that are not there are those of their negatives.
    twice = torch.full((weights.shape[1],), 2.0, device=missed.device)
    twice[0] = 1.0
    if missed.shape[-1] % 2 == 0:
        twice[-1] = 1.0
    more = (differences.real.square() + differences.imag.square()) * ((weights.square() - 1) * twice)
    return missed.square().sum() + more.sum()


def record(field: Complex[Tensor, "height width"], optics: Optics, *, noise: float, seed: int) -> Holograms:
    """Record holograms of an object of squares of one value, by another discretisation than that of a fit.

    The light goes in pixels of half the side, through a margin that makes the field twice as wide, by the angular
    spectrum; a pixel of the sensor measures the mean of the four intensities in it.

    Args:
        field: amplitude times exp(i phase), where the light alone is 1.
        optics: by which.
        noise: its root mean square as a share of that of the measurements, normally distributed; what is below 0 then
            is 0, as of a sensor.
        seed: of the noise.
    """
    fine = field.to(torch.complex128).repeat_interleave(_FINER, 0).repeat_interleave(_FINER, 1)
    heights = torch.cat([optics.heights(), optics.heights(held_out=True)])
    found = []
    for height in heights:
        space = FreeSpace(
            (optics.height * _FINER, optics.width * _FINER),
            height[None],
            wavelength_nm=optics.wavelength_nm,
            pitch_um=optics.pitch_um / _FINER,
            margin=_FINER * max(optics.height, optics.width) // 2,
        )
        seen = intensity(1 + space.forward(fine - 1))[0]
        found.append(seen.unflatten(1, (-1, _FINER)).unflatten(0, (-1, _FINER)).mean((1, 3)))
    clean = torch.stack(found)
    drawn = torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(seed))
    noisy = (clean + drawn * (noise * clean.square().mean().sqrt())).clamp(min=0).float()
    count = len(optics.learnt_mm)
    return Holograms(optics, noisy[:count], noisy[count:])


@torch.no_grad()
def gerchberg_saxton(measured: Holograms, *, steps: int = GS_STEPS) -> Complex[Tensor, "height width"]:
    """The object by projections: light at all heights is given the measured amplitudes, sent back, and its mean taken.

    Of several heights as Allen and Oxley (2001) and Zhang, Pedrini and others (2003) have it, begun at the light alone.

    Args:
        measured: the holograms.
        steps: of the iteration.
    """
    space = measured.optics.space(measured.optics.heights())
    field = torch.ones(measured.learnt.shape[1:], dtype=torch.complex64)
    for _ in range(steps):
        light = light_at(space, field)
        amplitudes = wanted_of(measured.learnt, intensity(light)).sqrt()
        field = back_at(space, light * (amplitudes / light.abs().clamp(min=_LEAST)))
    return field


def turned_to(
    field: Complex[Tensor, "height width"], truth: Complex[Tensor, "height width"]
) -> Complex[Tensor, "height width"]:
    """A field turned by the one phase, which no intensity tells, that brings it nearest to another."""
    overlap = (field.conj() * truth).sum()
    return field * overlap / overlap.abs().clamp(min=_LEAST)
