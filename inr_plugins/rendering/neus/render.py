"""Pictures of a signed distance from the sections of rays that are worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.rendering.neus.alpha import annealed_slope, section_optical_depth
from inr_plugins.rendering.packed import accumulate, packed_weights


@runtime_checkable
class SurfaceShading(Protocol):
    """What the renderer asks of a field, at any points of the normalised frame."""

    @property
    def sharpness(self) -> Float[Tensor, ""]:
        """Of the logistic function that turns distances into light, 1 / normalised unit."""

    def distance_and_gradient(
        self, x: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"], Float[Tensor, "n f"]]:
        """Signed distance in normalised units, its gradient, and what the colour is made from."""

    def shade(
        self,
        x: Float[Tensor, "n 3"],
        directions: Float[Tensor, "n 3"],
        gradient: Float[Tensor, "n 3"],
        features: Float[Tensor, "n f"],
    ) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] of points with these gradients and features, seen along unit directions."""


@dataclass(frozen=True)
class Sections:
    """Sections of a bundle of rays, packed: sorted by ray, then by distance.

    Attributes:
        ray: index of the ray of each section.
        distance: of its middle along the ray, normalised units.
        length: of the section.
    """

    ray: Int[Tensor, " s"]
    distance: Float[Tensor, " s"]
    length: Float[Tensor, " s"]

    def __len__(self) -> int:
        return len(self.ray)


@dataclass(frozen=True)
class SurfaceRendering:
    """What rays see.

    Attributes:
        rgb: sum of weights times colours; not blended with any background.
        accumulation: opacity in [0, 1].
        depth: expected distance along the ray of what is seen, 0 where nothing is; without a gradient.
        normal: sum of weights times unit normals, towards larger distances; without a gradient.
        gradient: the distance's gradient at all points that were evaluated, the extra ones included.
    """

    rgb: Float[Tensor, "r 3"]
    accumulation: Float[Tensor, "r 1"]
    depth: Float[Tensor, "r 1"]
    normal: Float[Tensor, "r 3"]
    gradient: Float[Tensor, "n 3"]


def pack_sections(edges: Float[Tensor, "h e"], kept: Bool[Tensor, "h s"], rays: Int[Tensor, " h"]) -> Sections:
    """The kept ones of the sections between neighbouring edges.

    Args:
        edges: distances along rays, ascending.
        kept: which sections.
        rays: index of the ray of each row, ascending.
    """
    row, section = kept.nonzero().unbind(-1)
    begin, end = edges[row, section], edges[row, section + 1]
    return Sections(rays[row], 0.5 * (begin + end), end - begin)


def render_sections(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    sections: Sections,
    field: SurfaceShading,
    *,
    anneal: float | Float[Tensor, ""] = 1.0,
    min_weight: float = 0.0,
    extra: Float[Tensor, "k 3"] | None = None,
) -> SurfaceRendering:
    """Evaluate sections at their middles and composite them; gradients flow through distances, normals and colours.

    All points go through the field in one pass, so that a normalization which couples rows sees one batch.

    Args:
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        sections: what is seen of the rays.
        field: distances and colours.
        anneal: see `annealed_slope`.
        min_weight: sections that contribute less to their pixel are not shaded; they count as opacity.
        extra: further points whose gradients are wanted.
    """
    ray, count = sections.ray, len(sections)
    x = origins[ray] + directions[ray] * sections.distance[:, None]
    sdf, gradient, features = field.distance_and_gradient(x if extra is None else torch.cat([x, extra]))
    along = directions[ray]
    cosine = (gradient[:count] * along).sum(-1)
    slope = annealed_slope(cosine, anneal)
    depths = section_optical_depth(sdf[:count], slope, sections.length, field.sharpness)
    weights, _ = packed_weights(depths, ray, len(origins))
    seen = (weights.detach() > min_weight).nonzero()[:, 0]
    colours = field.shade(x[seen], along[seen], gradient[seen], features[seen]).float()
    rgb = accumulate(weights[seen], colours, ray[seen], len(origins))
    opacity = accumulate(weights, None, ray, len(origins))
    with torch.no_grad():
        distance = accumulate(weights, sections.distance[:, None], ray, len(origins))
        normal = accumulate(weights, F.normalize(gradient[:count], dim=-1), ray, len(origins))
    return SurfaceRendering(rgb, opacity, distance / opacity.detach().clamp(min=1e-6), normal, gradient)
