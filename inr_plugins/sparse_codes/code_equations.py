"""What points with normals say of a distance, as equations that are linear in a dictionary's code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

_NEAREST_SHARE = 0.9
"""An offset point is used if no point of the cloud is nearer to it than this part of its offset."""
SURFACE, ALONG, ACROSS, FAR = range(4)
"""Kinds of equations: a value at a point of the surface; a difference across the surface, along the point's normal;
one beside it, within the surface; a value far from it. Each length of offset along the normal is a kind by itself, so
that the numbers of those are ALONG + 10 i."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn of a shape, normalised frame.

    Attributes:
        points: different points of the surface.
        normals: theirs, outward, unit length.
        anywhere: other points.
        sdf: signed distance of those.
        doubtful: points whose normals say nothing; None: there are none.
    """

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    anywhere: Float[Tensor, "f 3"]
    sdf: Float[Tensor, " f"]
    doubtful: Bool[Tensor, " n"] | None = None


@dataclass(frozen=True)
class Equations:
    """f(x) = target, or (f(x + e) - f(x - e)) / 2 = target, each counting with a weight; normalised frame and units.

    Attributes:
        position: x.
        target: a signed distance, negative inside, or half the difference of two.
        weight: what the squared error is multiplied by, 1 on average.
        group: number of the point that an equation was made from; those of a point's offsets have that of the point.
        on_surface: how many of them, the first ones, are points of the surface itself.
        reach: e, zero where f has a value at x; None: all are.
        kind: whose errors are alike; None: SURFACE up to `on_surface`, FAR the others.
        strength: of each kind, what its precision is multiplied by where it is found from the errors; 1 if not told.
    """

    position: Float[Tensor, "m 3"]
    target: Float[Tensor, " m"]
    weight: Float[Tensor, " m"]
    group: Int[Tensor, " m"]
    on_surface: int
    reach: Float[Tensor, "m 3"] | None = None
    kind: Int[Tensor, " m"] | None = None
    strength: tuple[tuple[int, float], ...] = ()

    @property
    def reaches(self) -> Float[Tensor, "m 3"]:
        """e of each."""
        return torch.zeros_like(self.position) if self.reach is None else self.reach

    @property
    def kinds(self) -> Int[Tensor, " m"]:
        """Kind of each."""
        if self.kind is not None:
            return self.kind
        return torch.where(torch.arange(len(self.target), device=self.group.device) < self.on_surface, SURFACE, FAR)

    def left(self, function: Callable[[Tensor], Tensor]) -> Float[Tensor, " m"]:
        """Left sides, for a function that gives a value (m,) at points (m, 3)."""
        return left_sides(function, self.position, self.reaches)


def left_sides(function: Callable[[Tensor], Tensor], position: Tensor, reach: Tensor) -> Tensor:
    """f(x) where e is zero and (f(x + e) - f(x - e)) / 2 elsewhere; the function may give a row at each point."""
    differs = reach.any(-1)
    if not bool(differs.any()):
        return function(position)
    x, e = position[differs], reach[differs]
    half = (function(x + e) - function(x - e)) / 2
    if bool(differs.all()):
        return half
    values = function(position[~differs])
    sides = values.new_empty(len(position), *values.shape[1:])
    sides[differs], sides[~differs] = half, values
    return sides


@dataclass(frozen=True)
class EquationWeights:
    """What each kind counts, all equations of a kind together: on the surface, beside it, far from it."""

    surface: float = 1.0
    offset: float = 1.0
    far: float = 0.1


def surface_equations(
    drawn: Drawn, *, offsets: tuple[float, ...], weights: EquationWeights, far_points: int
) -> Equations:
    """What was drawn of a shape as equations: f = 0 on the surface, how f changes beside it, f = sdf far.

    Beside a point p with normal n, f(p + d n) - f(p - d n) = 2 d, and f(p + d t) - f(p - d t) = 0 for two tangents t,
    the second with the largest d only: bending cancels. Differences do not ask where the point is along its normal. If
    values at p ± d n were asked for, f at points with noise of about d would be best met by a much too flat one, as
    in any regression on places that are not known exactly.

    A difference is left out where another part of the cloud is nearer to one of its ends than the point it belongs to,
    so that d is not its distance, and all of a point whose normal is doubtful. Of other points those beyond twice the
    largest offset are used: the distance to a cloud is that to its nearest point, which close to the surface is too
    large.

    Args:
        drawn: points of the surface and others.
        offsets: the distances d, normalised units, > 0.
        weights: of the three kinds.
        far_points: most equations of the last kind.

    Raises:
        ValueError: no kind that has equations has a weight.
    """
    beside, reach, half, owner, kind = _differences(drawn, offsets)
    is_far = drawn.sdf.abs() > 2 * max(offsets)
    far, far_distance = drawn.anywhere[is_far][:far_points], drawn.sdf[is_far][:far_points]
    targets = [torch.zeros_like(drawn.points[:, 0]), half, far_distance]
    shares = (weights.surface, weights.offset, weights.far)
    each = [torch.full_like(t, share / max(len(t), 1)) for t, share in zip(targets, shares, strict=True)]
    weight = torch.cat(each)
    total = float(weight.sum())
    if not total > 0:
        raise ValueError("no equation of a shape has a weight")
    count = len(drawn.points)
    alone = torch.arange(count + len(far), device=owner.device)
    kinds = torch.cat([torch.full_like(alone[:count], SURFACE), kind, torch.full_like(alone[count:], FAR)])
    beside_kinds = sorted({int(k) for k in kind.unique()})
    return Equations(
        torch.cat([drawn.points, beside, far]),
        torch.cat(targets),
        weight * (len(weight) / total),
        torch.cat([alone[:count], owner, alone[count:]]),
        count,
        torch.cat([torch.zeros_like(drawn.points), reach, torch.zeros_like(far)]),
        kinds,
        ((SURFACE, weights.surface), *((k, weights.offset) for k in beside_kinds), (FAR, weights.far)),
    )


def _differences(drawn: Drawn, offsets: tuple[float, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Positions, reaches, half differences, whose they are, and kinds, of what is known beside the points."""
    from scipy.spatial import cKDTree

    points, normals = drawn.points, drawn.normals
    tree = cKDTree(points.cpu().numpy())
    numbers = torch.arange(len(points), device=points.device)
    known = torch.ones_like(numbers, dtype=torch.bool) if drawn.doubtful is None else ~drawn.doubtful
    parts = []
    for place, offset in enumerate(offsets):
        clear = known.clone()
        for sign in (1.0, -1.0):
            nearest, _ = tree.query((points + sign * offset * normals).cpu().numpy(), workers=-1)
            clear &= torch.from_numpy(nearest).to(points) >= _NEAREST_SHARE * offset
        own = numbers[clear]
        half = torch.full_like(points[own, 0], offset)
        parts.append((own, offset * normals[own], half, torch.full_like(own, ALONG + 10 * place)))
    for tangent in tangents(normals):
        own = numbers[known]
        parts.append((own, max(offsets) * tangent[own], torch.zeros_like(points[own, 0]), torch.full_like(own, ACROSS)))
    owner, reach, half, kind = (torch.cat(each) for each in zip(*parts, strict=True))
    return points[owner], reach, half, owner, kind


def tangents(normals: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Two unit vectors across each unit vector, and across each other."""
    axis = F.one_hot(normals.abs().argmin(-1), 3).to(normals)
    first = F.normalize(torch.linalg.cross(normals, axis), dim=-1)
    return first, torch.linalg.cross(normals, first)
