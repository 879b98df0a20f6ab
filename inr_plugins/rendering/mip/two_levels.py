"""A coarse and a fine pass over cones (mip-NeRF, sec. 3.4): evenly cut sections say where to cut a second time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.rendering.mip.cones import Cones, section_gaussians
from inr_plugins.rendering.mip.resampling import resampled_edges
from inr_plugins.rendering.mip.section_rendering import max_weight_section, termination_distance
from inr_plugins.rendering.packed import accumulate
from inr_plugins.rendering.sections import SectionRendering, Sections, even_edges, pack_sections, weigh_sections


@runtime_checkable
class ConeShading(Protocol):
    """What the renderer asks of a field, about Gaussians of the normalised frame in one of two sampling levels."""

    def density_and_colour(
        self,
        mean: Float[Tensor, "n 3"],
        variance: Float[Tensor, "n 3"],
        directions: Float[Tensor, "r 3"],
        ray: Int[Tensor, " n"],
        *,
        sampling_level: int,
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Density, 1 / unit length, and RGB of Gaussians (mean, diagonal covariance) of rays with these directions."""

    def density_of_gaussians(
        self, mean: Float[Tensor, "n 3"], variance: Float[Tensor, "n 3"], *, sampling_level: int
    ) -> Float[Tensor, " n"]:
        """Density, 1 / unit length, of Gaussians."""


@dataclass(frozen=True)
class LevelSettings:
    """How rays are cut.

    Attributes:
        coarse: sections of the coarse pass.
        fine: sections of the fine pass.
        min_transmittance: fine sections that less light than this reaches are left out; 0 leaves out none.
    """

    coarse: int
    fine: int
    min_transmittance: float


@dataclass(frozen=True)
class TwoLevels:
    """What rays see, and what the fine pass looked at.

    Attributes:
        rgb: sum of weights times colours of the fine pass, not blended with any background.
        rgb_coarse: that of the coarse pass; None in evaluation, where nobody asks for it.
        fine: how opaque and how far it is, by the fine pass.
        coarse: the same by the coarse pass.
        coarse_sections: of the coarse pass.
        sections: of the fine pass.
        mean: of their Gaussians, normalised frame.
        variance: diagonal of their covariances, that frame's unit squared.
    """

    rgb: Float[Tensor, "r 3"]
    rgb_coarse: Float[Tensor, "r 3"] | None
    fine: SectionRendering
    coarse: SectionRendering
    coarse_sections: Sections
    sections: Sections
    mean: Float[Tensor, "s 3"]
    variance: Float[Tensor, "s 3"]

    def max_weight_sections(self, *, least_accumulation: float = 0.5) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"]]:
        """Rays that see something opaque enough, and for each the index of the section that it sees most of."""
        rays, section = max_weight_section(self.sections, self.fine.weights, len(self.fine.accumulation))
        kept = (self.fine.accumulation[rays, 0] > least_accumulation).nonzero()[:, 0]
        return rays[kept], section[kept]


def render_two_levels(
    cones: Cones,
    near: Float[Tensor, " r"],
    far: Float[Tensor, " r"],
    field: ConeShading,
    settings: LevelSettings,
    *,
    training: bool,
) -> TwoLevels:
    """Render cones between two distances; those whose far is not beyond their near see nothing and cost nothing.

    Args:
        cones: the cones of pixels.
        near: distance from which each is sampled, >= 0.
        far: distance up to which it is.
        field: densities and colours, asked once for each level.
        settings: how to cut.
        training: cut at random, and give the coarse pass colours.
    """
    hit = (far > near).nonzero()[:, 0]
    near, far, total = near[hit], far[hit], len(cones)

    def jitter(sections: int) -> Tensor | None:
        return torch.rand(len(hit), sections + 1, dtype=near.dtype, device=near.device) if training else None

    edges = even_edges(near, far, settings.coarse, jitter=jitter(settings.coarse))
    sections = coarse_sections = pack_sections(edges, rays=hit)
    mean, variance = section_gaussians(cones, sections.ray, sections.start, sections.end)
    rgb_coarse = None
    if training:
        density, colours = field.density_and_colour(mean, variance, cones.directions, sections.ray, sampling_level=0)
        coarse = weigh_sections(sections, density * sections.length, total)
        rgb_coarse = accumulate(coarse.weights, colours, sections.ray, total)
    else:
        density = field.density_of_gaussians(mean, variance, sampling_level=0)
        coarse = weigh_sections(sections, density * sections.length, total)
    weights = coarse.weights.view(len(hit), settings.coarse)
    dark = termination_distance(edges, weights, settings.min_transmittance)
    edges = resampled_edges(edges, weights, settings.fine, jitter=jitter(settings.fine))
    sections = pack_sections(edges, edges[:, :-1] < dark[:, None], rays=hit)
    mean, variance = section_gaussians(cones, sections.ray, sections.start, sections.end)
    density, colours = field.density_and_colour(mean, variance, cones.directions, sections.ray, sampling_level=1)
    fine = weigh_sections(sections, density * sections.length, total)
    rgb = accumulate(fine.weights, colours, sections.ray, total)
    return TwoLevels(rgb, rgb_coarse, fine, coarse, coarse_sections, sections, mean, variance)
