"""Measurements of a slice, or of a stack of slices, by computed tomography, made of an image of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.operators.least_squares import total_variation
from inr_plugins.operators.radon import ParallelBeam, filtered_back_projection, spread_angles

_FINER = 3
"""Pixels and rays along one of the slice, by which it is measured; what is looked for is measured by one."""
_TV_WEIGHTS = (0.03, 0.3, 3.0, 30.0)
"""Of pixels of 1 mm."""
_TV_STEPS = 200


@dataclass(frozen=True)
class Geometry:
    """A slice and the views of it: as many numbers as a run keeps.

    Attributes:
        width: of the slice, pixels.
        height: of the slice, pixels.
        pixel_mm: side of a pixel of the slice, mm.
        bins: of the detector.
        pitch_mm: distance of the detector's bins, mm.
        shift: of the detector, bins (see `ParallelBeam`).
        learnt_deg: angles of the views that are learnt from, degrees.
        held_out_deg: angles of views that nothing is learnt from, degrees.
        slice_mm: distance of the slices of a stack, mm; None of one slice.
    """

    width: int
    height: int
    pixel_mm: float
    bins: int
    pitch_mm: float
    shift: float
    learnt_deg: tuple[float, ...]
    held_out_deg: tuple[float, ...]
    slice_mm: float | None = None

    @classmethod
    def around(cls, width: int, height: int, *, pixel_mm: float, views: int, held_out: int) -> Geometry:
        """A detector of bins like pixels, which sees all of a slice in every view.

        Args:
            width: of the slice, pixels.
            height: of the slice, pixels.
            pixel_mm: side of a pixel, mm.
            views: that are learnt from, evenly over 180 degrees, the end left out.
            held_out: views half-way between two of those.
        """
        behind = torch.arange(held_out, dtype=torch.float64) * views // held_out
        return cls(
            width,
            height,
            pixel_mm,
            bins=math.ceil(math.hypot(width, height)) // 2 * 2 + 3,
            pitch_mm=pixel_mm,
            shift=0.0,
            learnt_deg=tuple(spread_angles(views).tolist()),
            held_out_deg=tuple(((behind + 0.5) * (180 / views)).tolist()),
        )

    @property
    def learnt_angles(self) -> Float[Tensor, " views"]:
        """Degrees."""
        return torch.tensor(self.learnt_deg, dtype=torch.float64)

    @property
    def held_out_angles(self) -> Float[Tensor, " held_out"]:
        """Degrees."""
        return torch.tensor(self.held_out_deg, dtype=torch.float64)

    def beam(self, angles: Float[Tensor, " views"], *, finer: int = 1) -> ParallelBeam:
        """The instrument at angles; `finer`: pixels of its slice, and rays of a bin, along one pixel."""
        return ParallelBeam(
            (self.height * finer, self.width * finer),
            angles,
            bins=self.bins,
            pixel_mm=self.pixel_mm / finer,
            pitch_mm=self.pitch_mm,
            shift=self.shift,
            rays_per_bin=finer,
        )


@dataclass(frozen=True, eq=False)
class Sinograms:
    """What was measured of a slice, or of each of a stack: line integrals, the slice's unit times mm.

    Attributes:
        geometry: by which.
        learnt: views that are learnt from.
        held_out: views that are not.
    """

    geometry: Geometry
    learnt: Float[Tensor, "*slices views bins"]
    held_out: Float[Tensor, "*slices held_out bins"]

    def each(self) -> list[Sinograms]:
        """Those of each slice of a stack."""
        return [Sinograms(self.geometry, *both) for both in zip(self.learnt, self.held_out, strict=True)]


def measure(slices: Float[Tensor, "*slices height width"], geometry: Geometry, *, noise: float, seed: int) -> Sinograms:
    """Measure a slice whose pixels are squares of one value each, with rays and pixels finer than those of a fit.

    Args:
        slices: values of 0 and more, of one or of a stack.
        geometry: by which.
        noise: its root mean square as a share of that of the measurements, normally distributed.
        seed: of the noise.
    """
    beam = geometry.beam(torch.cat([geometry.learnt_angles, geometry.held_out_angles]), finer=_FINER)

    def views_of(slice_: Tensor) -> Tensor:
        return beam.forward(slice_.double().repeat_interleave(_FINER, 0).repeat_interleave(_FINER, 1))

    clean = of_each_slice(views_of, slices)
    drawn = torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(seed))
    found = (clean + drawn * (noise * clean.square().mean().sqrt())).float()
    count = len(geometry.learnt_deg)
    return Sinograms(geometry, found[..., :count, :], found[..., count:, :])


def of_each_slice(make: Callable[[Tensor], Tensor], slices: Float[Tensor, "*slices height width"]) -> Tensor:
    """What is made of a slice; of a stack one after the other, for which there is memory whatever it holds."""
    return make(slices) if slices.ndim == 2 else torch.stack([make(each) for each in slices])


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """|found - wanted| / |wanted|, of all numbers as one vector."""
    return float((found - wanted).norm() / wanted.norm().clamp(min=1e-12))


def back_projected(measured: Sinograms) -> Float[Tensor, "*slices height width"]:
    """Filtered back-projection of the learnt views: of ramp and Hann window what the held-out views choose."""
    if measured.learnt.ndim == 3:
        return torch.stack([back_projected(each) for each in measured.each()])
    geometry = measured.geometry
    beam = geometry.beam(geometry.learnt_angles)
    return _chosen([filtered_back_projection(beam, measured.learnt, smooth=each) for each in (False, True)], measured)


def smoothest(measured: Sinograms) -> Float[Tensor, "*slices height width"]:
    """The slice of 0 and more of little total variation, whose weight of four the held-out views choose: of a stack
    those of its middle slice, for all of them."""
    if measured.learnt.ndim == 2:
        return _smoothest(measured, _TV_WEIGHTS)[0]
    slices = measured.each()
    _, weight = _smoothest(slices[len(slices) // 2], _TV_WEIGHTS)
    return torch.stack([_smoothest(each, (weight,))[0] for each in slices])


def _smoothest(measured: Sinograms, weights: tuple[float, ...]) -> tuple[Float[Tensor, "height width"], float]:
    """Of one slice, and its weight."""
    geometry = measured.geometry
    beam, unit = geometry.beam(geometry.learnt_angles), geometry.pixel_mm**2
    found = [total_variation(beam, measured.learnt, weight=each * unit, steps=_TV_STEPS) for each in weights]
    chosen = _chosen(found, measured)
    return chosen, weights[next(number for number, each in enumerate(found) if each is chosen)]


def _chosen(slices: list[Tensor], measured: Sinograms) -> Tensor:
    beam = measured.geometry.beam(measured.geometry.held_out_angles)
    return min(slices, key=lambda each: relative_error(beam.forward(each), measured.held_out))
