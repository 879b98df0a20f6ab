"""Volume rendering of a field whose samples are expensive to evaluate: from the front, until no light is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.rendering.device_sums import ray_starts
from inr_plugins.rendering.grid.march import Samples
from inr_plugins.rendering.packed import packed_weights


@runtime_checkable
class PointShading(Protocol):
    """What the renderer asks of a field, at any points of the normalised frame."""

    def density_and_features(self, x: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n f"]]:
        """Density in 1 / unit of the length in which samples are spaced, and what the colour is made from."""

    def shade(self, features: Float[Tensor, "n f"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] of points with these features, seen along unit directions."""


@dataclass(frozen=True)
class StopSettings:
    """When to stop, and how much to do at once.

    Attributes:
        min_transmittance: samples that less light than this reaches do not count; 0 counts all.
        min_weight: samples that contribute less than this to their pixel are not shaded; they count as opacity.
        first_wave: samples of each ray that are evaluated before it is asked whether any light is left; each further
            wave is twice as long as the one before.
        max_points: most samples evaluated at once, where a wave would be longer.
        at_once: evaluate all samples in one wave, however many there are, and ask the field also where there is none,
            so that each of several processes asks it equally often: a normalization may average over all of them.
    """

    min_transmittance: float = 1e-4
    min_weight: float = 0.0
    first_wave: int = 8
    max_points: int = 1 << 18
    at_once: bool = False


@dataclass(frozen=True)
class PointRendering:
    """What rays see.

    Attributes:
        rgb: sum of weights times colours; not blended with any background.
        accumulation: opacity in [0, 1].
        depth: expected distance along the ray of what is seen, 0 where nothing is.
        peak: distance of the sample with the greatest weight, 0 where there is none.
        evaluated: number of densities that were evaluated.
        shaded: number of colours that were evaluated.
    """

    rgb: Float[Tensor, "r 3"]
    accumulation: Float[Tensor, "r 1"]
    depth: Float[Tensor, "r 1"]
    peak: Float[Tensor, "r 1"]
    evaluated: int
    shaded: int


def render_front_to_back(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    samples: Samples,
    field: PointShading,
    *,
    step: float,
    stop: StopSettings = StopSettings(),
) -> PointRendering:
    """Evaluate samples in waves from the front and composite them: w = T (1 - exp(-density step)) (NeRF, eq. 3).

    A ray takes part in a wave as long as light is left of it, so hidden samples cost nothing beyond the wave in which
    the light went out. The result does not depend on the length of waves: a sample counts if the light that reaches it
    exceeds min_transmittance. Gradients flow through densities, colours and the transmittance.

    Args:
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        samples: where to look, sorted by ray, then by distance.
        field: densities and colours.
        step: length that each sample stands for.
        stop: when to stop.
    """
    sums = _Sums.zeros(len(origins), origins)
    if stop.at_once:
        evaluated = len(samples)
        shaded = _add_wave(sums, origins, directions, samples, field, step, stop)
    else:
        evaluated, shaded = _add_waves(sums, origins, directions, samples, field, step, stop)
    depth = sums.distance / sums.opacity.detach().clamp(min=1e-6)
    return PointRendering(sums.rgb, sums.opacity, depth, sums.peak, evaluated, shaded)


def _add_waves(
    sums: _Sums,
    origins: Tensor,
    directions: Tensor,
    samples: Samples,
    field: PointShading,
    step: float,
    stop: StopSettings,
) -> tuple[int, int]:
    """Composite samples, wave by wave; returns how many were evaluated, and how many shaded."""
    first = ray_starts(samples.ray, len(origins))
    counts = torch.diff(first, append=first.new_tensor([len(samples)]))
    longest = int(counts.max()) if len(counts) else 0
    alive, done, wave = counts.nonzero()[:, 0], 0, stop.first_wave
    evaluated = shaded = 0
    while len(alive):
        length = max(1, min(wave, stop.max_points // len(alive), longest - done))
        place = done + torch.arange(length, device=alive.device)
        index = (first[alive, None] + place)[place < counts[alive, None]]
        evaluated += len(index)
        shaded += _add_wave(sums, origins, directions, samples.select(index), field, step, stop)
        done, wave = done + length, 2 * wave
        lit = torch.exp(-sums.optical_depth.detach()[alive]) > stop.min_transmittance
        alive = alive[lit & (counts[alive] > done)]
    return evaluated, shaded


@dataclass
class _Sums:
    """What has been gathered along each ray so far."""

    optical_depth: Tensor
    rgb: Tensor
    opacity: Tensor
    distance: Tensor
    peak: Tensor
    peak_weight: Tensor

    @classmethod
    def zeros(cls, rays: int, like: Tensor) -> _Sums:
        one, column = like.new_zeros(rays), like.new_zeros(rays, 1)
        return cls(one, like.new_zeros(rays, 3), column, column, column.clone(), one.clone())


def _add_wave(
    sums: _Sums,
    origins: Tensor,
    directions: Tensor,
    part: Samples,
    field: PointShading,
    step: float,
    stop: StopSettings,
) -> int:
    """Composite samples behind those that are in already; returns how many were shaded."""
    ray = part.ray
    density, features = field.density_and_features(origins[ray] + directions[ray] * part.distance[:, None])
    optical_depth = density.float() * step
    weights, light = packed_weights(optical_depth, ray, len(origins))
    before = torch.exp(-sums.optical_depth[ray])
    weights = torch.where((before * light).detach() > stop.min_transmittance, before * weights, 0.0)
    sums.optical_depth = sums.optical_depth.index_add(0, ray, optical_depth)
    sums.opacity = sums.opacity.index_add(0, ray, weights[:, None])
    with torch.no_grad():
        sums.distance = sums.distance.index_add(0, ray, (weights * part.distance)[:, None])
        _note_peak(sums, ray, weights, part.distance)
    seen = (weights > stop.min_weight).nonzero()[:, 0]
    colours = field.shade(features[seen], directions[ray[seen]]).float()
    sums.rgb = sums.rgb.index_add(0, ray[seen], weights[seen, None] * colours)
    return len(seen)


def _note_peak(sums: _Sums, ray: Int[Tensor, " s"], weights: Tensor, distance: Tensor) -> None:
    greatest = sums.peak_weight.scatter_reduce(0, ray, weights, "amax")
    is_peak = (weights == greatest[ray]) & (weights > sums.peak_weight[ray])
    # Later waves are farther away; of equal weights the farthest counts.
    farthest = torch.where(is_peak, distance, 0.0)[:, None]
    sums.peak.scatter_reduce_(0, ray[:, None], farthest, "amax")
    sums.peak_weight = greatest
