"""Where along a ray a surface is looked for: evenly at first, then closer and closer to it (NeuS, sec. 3.2 and B.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.rendering.neus.alpha import annealed_slope, section_optical_depth
from inr_plugins.rendering.sections import between, even_edges, quantiles

DistanceFunction = Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]

_LEAST_WEIGHT = 1e-5
"""Added to the weights that places are drawn from, as in NeRF, so that a ray which hits nothing is sampled evenly."""


@dataclass(frozen=True)
class SectionSettings:
    """How many places, and how sharp a surface they are drawn for.

    Attributes:
        uniform: places spread evenly over a ray, its two ends included, at least 2.
        finer: places added near the surface, in all rounds together.
        rounds: rounds in which they are added.
        base_sharpness: sharpness in the first round, in 1 / unit of `place_edges`; doubled in each further round.
    """

    uniform: int = 64
    finer: int = 64
    rounds: int = 4
    base_sharpness: float = 64.0


@torch.no_grad()
def place_edges(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    near: Float[Tensor, " r"],
    far: Float[Tensor, " r"],
    distance: DistanceFunction,
    *,
    settings: SectionSettings,
    network_unit: float | Float[Tensor, ""],
    jitter: Float[Tensor, " r"] | None = None,
    rough: DistanceFunction | None = None,
) -> tuple[Float[Tensor, "r e"], Float[Tensor, "r e"]]:
    """Ends of the sections of each ray, ascending, and the signed distance at them.

    The distance at places of the last round is interpolated between its neighbours, not asked for: it serves to tell
    which sections matter, and the final pass evaluates their middles anyway.

    Args:
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        near: distance at which each ray's first section begins.
        far: distance at which its last one ends.
        distance: signed distance at points, normalised units, negative inside.
        settings: how many.
        network_unit: length for which NeuS's numbers are made: half the longest side of the scene box, normalised.
        jitter: in [0, 1) for each ray, which moves all first places but the two ends alike, by up to half of what lies
            between them; None: none are moved.
        rough: a distance that is cheap and nearly right, which is asked in the place of `distance` in all rounds but
            the last two in which one is asked.
    """

    def at(edges: Tensor, asked: DistanceFunction) -> Tensor:
        points = origins[:, None] + directions[:, None] * edges[..., None]
        return asked(points.reshape(-1, 3)).view(edges.shape)

    rounds = settings.rounds if settings.finer else 0
    cheap = distance if rough is None else rough
    edges = even_edges(near, far, settings.uniform - 1, jitter=_ends_held(jitter, settings.uniform))
    sdf = at(edges, cheap if rounds > 1 else distance)
    for i in range(rounds):
        sharpness = settings.base_sharpness * 2**i / network_unit
        count = settings.finer // settings.rounds
        new, guess = finer_places(edges, sdf, count, sharpness=sharpness)
        found = guess if i == rounds - 1 else at(new, cheap if i < rounds - 3 else distance)
        edges, order = torch.cat([edges, new], -1).sort(-1)
        sdf = torch.cat([sdf, found], -1).gather(-1, order)
    return edges, sdf


def _ends_held(jitter: Float[Tensor, " r"] | None, edges: int) -> Float[Tensor, "r edges"] | None:
    """The jitter of `even_edges` that moves all edges of a ray alike, but for its two ends, which stay."""
    if jitter is None:
        return None
    first, last = torch.zeros_like(jitter[:, None]), torch.ones_like(jitter[:, None])
    return torch.cat([first, jitter[:, None].expand(len(jitter), edges - 2), last], -1)


def finer_places(
    edges: Float[Tensor, "r e"], sdf: Float[Tensor, "r e"], count: int, *, sharpness: float | Float[Tensor, ""]
) -> tuple[Float[Tensor, "r count"], Float[Tensor, "r count"]]:
    """Places near the surface that the distances at some edges tell of, and the distance there by interpolation.

    Weights of the sections come from the slope between their ends, or the slope of the section before where that is
    steeper, so that a thin part seen by one edge only is not passed over; places are quantiles of those weights.

    Args:
        edges: distances along each ray, ascending.
        sdf: signed distance there.
        count: number of new places.
        sharpness: of the logistic function, 1 / normalised unit.
    """
    length = edges.diff(dim=-1)
    middle = 0.5 * (sdf[:, 1:] + sdf[:, :-1])
    slope = _slopes(edges, sdf)
    steepest = torch.minimum(slope, F.pad(slope[:, :-1], (1, 0)))
    weights = _weights(
        section_optical_depth(middle, steepest.clamp(max=0), length, torch.as_tensor(sharpness).to(edges))
    )
    wanted = (torch.arange(count, device=weights.device, dtype=weights.dtype) + 0.5) / count
    section, part = quantiles(weights + _LEAST_WEIGHT, wanted.expand(len(weights), count).contiguous())
    return between(edges, section, part), between(sdf, section, part)


def _slopes(edges: Tensor, sdf: Tensor) -> Tensor:
    """Slope of the distance in each section; 0 where a section has no length."""
    length, fall = edges.diff(dim=-1), sdf.diff(dim=-1)
    return torch.where(length > 0, fall / length.clamp(min=torch.finfo(edges.dtype).tiny), 0.0)


def _weights(optical_depth: Float[Tensor, "r s"]) -> Float[Tensor, "r s"]:
    # Not the whole sum minus the section's own: a large one would swallow what lies before it.
    before = F.pad(torch.cumsum(optical_depth[:, :-1], -1), (1, 0))
    return torch.exp(-before) * -torch.expm1(-optical_depth)


@torch.no_grad()
def worthwhile_sections(
    edges: Float[Tensor, "r e"],
    sdf: Float[Tensor, "r e"],
    *,
    sharpness: Float[Tensor, ""],
    anneal: float | Float[Tensor, ""],
    min_weight: float,
) -> Bool[Tensor, "r s"]:
    """Sections, between neighbouring edges, that are seen, as far as the distances at the edges tell; all for 0.

    A section is kept whose weight exceeds min_weight, and so are its neighbours on the ray: the distances are those of
    an earlier, cheaper look, and surfaces move.

    Args:
        edges: ends of the sections.
        sdf: signed distance there.
        sharpness: of the field, 1 / normalised unit.
        anneal: see `annealed_slope`.
        min_weight: least part of a pixel's light.
    """
    length = edges.diff(dim=-1)
    if min_weight <= 0:
        return torch.ones_like(length, dtype=torch.bool)
    middle = 0.5 * (sdf[:, 1:] + sdf[:, :-1])
    # The steepest of three: a ray that grazes the surface comes nearest to it inside a section, unseen by its ends.
    steepest = -F.max_pool1d(-_slopes(edges, sdf).clamp(-1, 1)[:, None], 3, stride=1, padding=1)[:, 0]
    slope = annealed_slope(steepest, anneal)
    seen = _weights(section_optical_depth(middle, slope, length, sharpness)) > min_weight
    return F.max_pool1d(seen.to(edges.dtype)[:, None], 3, stride=1, padding=1)[:, 0] > 0


def distances_beyond(
    start: Float[Tensor, " r"],
    scale: Float[Tensor, " r"],
    count: int,
    jitter: Float[Tensor, " r"] | None = None,
) -> tuple[Float[Tensor, "r count"], Float[Tensor, "r count"]]:
    """Distances from `start` to infinity that are even in inverse depth (NeRF++, sec. 4), and their sections' lengths.

    Section k runs from start + scale k / (count - k) to the same of k + 1, and is sampled inside; the last one has no
    end, and its length is given as infinite.

    Args:
        start: where each ray leaves the scene box.
        scale: distance from the camera of what lies there, > 0: sections grow beyond it.
        count: sections of each ray.
        jitter: place in each section, in [0, 1); the middle when None.
    """
    k = torch.arange(count + 1, device=start.device, dtype=start.dtype)
    ends = start[:, None] + scale[:, None] * k[:-1] / (count - k[:-1])
    length = torch.cat([ends.diff(dim=-1), torch.full_like(ends[:, :1], torch.inf)], -1)
    inner = k[:-1] + (0.5 if jitter is None else jitter[:, None] * (1 - 1e-3))
    return start[:, None] + scale[:, None] * inner / (count - inner), length
