"""What points with normals say of a distance, as equations that are linear in a dictionary's code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_NEAREST_SHARE = 0.9
"""An offset point is used if no point of the cloud is nearer to it than this part of its offset."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn of a shape, normalised frame.

    Attributes:
        points: different points of the surface.
        normals: theirs, outward, unit length.
        anywhere: other points.
        sdf: signed distance of those.
    """

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    anywhere: Float[Tensor, "f 3"]
    sdf: Float[Tensor, " f"]


@dataclass(frozen=True)
class Equations:
    """f(position) = target, each counting with a weight; normalised frame and units.

    Attributes:
        position: where.
        target: signed distance there, negative inside.
        weight: what the squared error is multiplied by, 1 on average.
        group: number of the point that an equation was made from; those of a point's offsets have that of the point.
        on_surface: how many of them, the first ones, are points of the surface itself.
    """

    position: Float[Tensor, "m 3"]
    target: Float[Tensor, " m"]
    weight: Float[Tensor, " m"]
    group: Int[Tensor, " m"]
    on_surface: int


@dataclass(frozen=True)
class EquationWeights:
    """What each kind counts, all equations of a kind together: on the surface, beside it, far from it."""

    surface: float = 1.0
    offset: float = 1.0
    far: float = 0.1


def surface_equations(
    drawn: Drawn, *, offsets: tuple[float, ...], weights: EquationWeights, far_points: int
) -> Equations:
    """What was drawn of a shape as equations: f = 0 on the surface, f = ±d beside it along its normals, f = sdf far.

    An offset point is left out where another part of the cloud is nearer to it than the point it belongs to, so that d
    is not its distance. Of other points those beyond twice the largest offset are used: the distance to a cloud is
    that to its nearest point, which close to the surface is too large.

    Args:
        drawn: points of the surface and others.
        offsets: the distances d, normalised units, > 0.
        weights: of the three kinds.
        far_points: most equations of the last kind.

    Raises:
        ValueError: no kind that has equations has a weight.
    """
    beside, distance, owner = _offset_points(drawn, offsets)
    is_far = drawn.sdf.abs() > 2 * max(offsets)
    far, far_distance = drawn.anywhere[is_far][:far_points], drawn.sdf[is_far][:far_points]
    targets = [torch.zeros_like(drawn.points[:, 0]), distance, far_distance]
    shares = (weights.surface, weights.offset, weights.far)
    each = [torch.full_like(t, share / max(len(t), 1)) for t, share in zip(targets, shares, strict=True)]
    weight = torch.cat(each)
    total = float(weight.sum())
    if not total > 0:
        raise ValueError("no equation of a shape has a weight")
    count = len(drawn.points)
    alone = torch.arange(count + len(far), device=owner.device)
    return Equations(
        torch.cat([drawn.points, beside, far]),
        torch.cat(targets),
        weight * (len(weight) / total),
        torch.cat([alone[:count], owner, alone[count:]]),
        count,
    )


def _offset_points(drawn: Drawn, offsets: tuple[float, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Points at plus and minus each offset along the normals, where that is their distance; it; and whose they are."""
    from scipy.spatial import cKDTree

    signed = [sign * offset for offset in offsets for sign in (1.0, -1.0)]
    position = torch.cat([drawn.points + offset * drawn.normals for offset in signed])
    distance = torch.cat([torch.full_like(drawn.points[:, 0], offset) for offset in signed])
    owner = torch.arange(len(drawn.points), device=distance.device).repeat(len(signed))
    nearest, _ = cKDTree(drawn.points.cpu().numpy()).query(position.cpu().numpy(), workers=-1)
    kept = torch.from_numpy(nearest).to(distance) >= _NEAREST_SHARE * distance.abs()
    return position[kept], distance[kept], owner[kept]
