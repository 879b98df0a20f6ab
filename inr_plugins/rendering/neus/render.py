"""Pictures of a signed distance from the sections of rays that are worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.rendering.neus.alpha import annealed_slope, section_optical_depth
from inr_plugins.rendering.packed import accumulate
from inr_plugins.rendering.sections import Sections, weigh_sections


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


def render_surface(
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
    x = origins[ray] + directions[ray] * sections.middle[:, None]
    sdf, gradient, features = field.distance_and_gradient(x if extra is None else torch.cat([x, extra]))
    along = directions[ray]
    cosine = (gradient[:count] * along).sum(-1)
    slope = annealed_slope(cosine, anneal)
    depths = section_optical_depth(sdf[:count], slope, sections.length, field.sharpness)
    whole = weigh_sections(sections, depths, len(origins))
    weights = whole.weights
    seen = (weights.detach() > min_weight).nonzero()[:, 0]
    colours = field.shade(x[seen], along[seen], gradient[seen], features[seen]).float()
    rgb = accumulate(weights[seen], colours, ray[seen], len(origins))
    with torch.no_grad():
        normal = accumulate(weights, F.normalize(gradient[:count], dim=-1), ray, len(origins))
    return SurfaceRendering(rgb, whole.accumulation, whole.depth, normal, gradient)
