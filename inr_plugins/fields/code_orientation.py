"""Normals of points that came without any: their signs and directions, as far as a dictionary believes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.code_solve import FoundCode, Solver, find_code
from inr_plugins.fields.dictionary_shape import CodedShape, ShapeDictionary
from inr_plugins.fields.sheet_signs import Sheets
from inr_plugins.fields.surface_detail import Distance
from inr_plugins.sparse_codes.code_equations import ACROSS, Drawn, EquationWeights, left_sides, surface_equations

_POINTS = 1000
"""With which a code is found that tells signs."""
_ROUNDS = 3
_NEIGHBOURS = (5, 8, 12, 20, 32)
"""Of a point, from which the direction across the surface is estimated: few where points are sparse, many in noise."""
_WORTH = 0.85
"""By what part of what estimated directions miss held-out points the field's own gradients must miss them, to be
taken instead."""
_CLEARLY = 0.015
"""By how much a mean cosine must be larger to count: a code's field is smoother than the surface, and so are directions
of many neighbours."""
_REACH = 0.03
"""How far to both sides of a point the distance is asked for, normalised units."""
_RISING = 0.6
"""By what part of the way along a normal a field has to rise for it to be believed: wrong ones are where it hardly does
(a body of FAUST, 1,000 points: 86 of 87 wrong signs are among the 276 below)."""
_FEW = 1000
"""Points up to which normals are doubted: estimates of more are better than a code is where it is flat (10,000 points
of one body: 0.00141 without doubts, 0.00187 with them, of 1,000 0.0062 and 0.0040)."""
_SPARSE = 2000
"""Points up to which neighbours are not believed about signs. Theirs are right at 0.98 to 0.99 of 10,000 points of a
body, but at 0.81 of 1,000, and at 0.44 of 2,000 with noise of 1 cm; a code's are wrong for whole limbs in poses that no
training shape has."""
_NEAREST, _ALIKE = 6, 0.93
"""Estimated normals of so many nearest points have a mean cosine above this where directions that all points agree on
may be believed (2,000 points of a body of FAUST seen from the front: 0.97). Where limbs are as thin as points lie apart
they bend towards the limb (1,000 points: 0.89; Chamfer distances of three bodies 0.0046 for 0.0038)."""
_PLANE = 12
"""Neighbours whose plane is taken then."""
_TRUSTED = 0.9
"""Mean cosine with the field's gradients from which estimated directions are taken as they are."""


@torch.no_grad()
def oriented_by(shape: Distance, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Normals, turned to where a signed distance grows.

    Args:
        shape: the distance.
        points: of its surface.
        normals: unit vectors across it, of either sign.
    """
    rises = left_sides(shape, points, _REACH * normals)
    return torch.where((rises < 0)[:, None], -normals, normals)


def _signed_rises(
    shape: Distance, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "n 3"], Bool[Tensor, " n"]]:
    """As `oriented_by`, and where the distance hardly grows along the normal, so that it is doubtful."""
    rises = left_sides(shape, points, _REACH * normals)
    return torch.where((rises < 0)[:, None], -normals, normals), rises.abs() < _RISING * _REACH


def neighbour_directions(points: Float[Tensor, "n 3"]) -> list[Float[Tensor, "n 3"]]:
    """Unit directions, of either sign, in which few or more neighbours of each point vary least: a set for each number.

    Args:
        points: different points of a surface, at least four.
    """
    return _plane_directions(points, _NEIGHBOURS)


def _plane_directions(points: Float[Tensor, "n 3"], numbers: Sequence[int]) -> list[Float[Tensor, "n 3"]]:
    places = points.double().cpu()
    most = min(max(numbers), len(points) - 1)
    near = cKDTree(places.numpy()).query(places.numpy(), k=most + 1, workers=-1)[1]
    found = []
    for count in sorted({min(number, most) for number in numbers}):
        around = places[torch.from_numpy(near[:, : count + 1])]
        around = around - around.mean(1, keepdim=True)
        axes = torch.linalg.eigh(around.mT @ around).eigenvectors
        found.append(axes[:, :, 0].to(points))
    return found


def unbent(points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Estimated normals as they are where those of neighbours are alike, else across the planes of a few neighbours.

    Args:
        points: of a surface, at least four.
        normals: unit vectors across it, as all points agree on them.
    """
    places, across = points.double().cpu(), normals.double().cpu()
    near = cKDTree(places.numpy()).query(places.numpy(), k=min(_NEAREST + 1, len(places)), workers=-1)[1]
    if float(torch.einsum("ni,nki->nk", across, across[torch.from_numpy(near[:, 1:])]).mean()) > _ALIKE:
        return normals
    (flat,) = _plane_directions(points, (_PLANE,))
    return torch.where((flat * normals).sum(-1, keepdim=True) < 0, -flat, flat).to(normals)


def agreeing(
    slopes: Float[Tensor, "n 3"], candidates: Sequence[Float[Tensor, "n 3"]]
) -> tuple[Float[Tensor, "n 3"], float]:
    """The set of directions that agrees best with a field's gradients, with their signs, and its mean cosine.

    Args:
        slopes: unit vectors, or zero.
        candidates: sets of unit vectors, of either sign; the first is taken where none is clearly better.
    """
    cosines = [(slopes * each).sum(-1) for each in candidates]
    agreements = [float(each.abs().mean()) for each in cosines]
    best = agreements.index(max(agreements))
    if agreements[best] < agreements[0] + _CLEARLY:
        best = 0
    return torch.where((cosines[best] < 0)[:, None], -candidates[best], candidates[best]), agreements[best]


def believed_sheets(points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Sheets:
    """Within what neighbours are believed about signs; of few points within nothing.

    Args:
        points: of a surface.
        normals: unit vectors across it, whose signs agree with those of neighbours.
    """
    return Sheets.of(points, normals, dense=len(points) > _SPARSE)


def settled_directions(
    slopes: Float[Tensor, "n 3"], candidates: Sequence[Float[Tensor, "n 3"]], sheets: Sheets | None = None
) -> Float[Tensor, "n 3"]:
    """Normals by estimates and by a field that was fitted with them: where both hardly agree, halfway between them.

    Arguments as those of `agreeing`, and within what signs are decided together; None: each point's by itself.
    """
    normals, agreement = agreeing(slopes, candidates)
    settled = normals if agreement >= _TRUSTED else F.normalize(normals + slopes, dim=-1)
    return settled if sheets is None else sheets.turn(settled)


@torch.no_grad()
def orient(
    dictionary: ShapeDictionary,
    codes: Float[Tensor, "rows experts"],
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    solver: Solver,
    *,
    offsets: tuple[float, ...],
    weights: EquationWeights,
    others: Sequence[Float[Tensor, "n 3"]] = (),
) -> tuple[Float[Tensor, "n 3"], Bool[Tensor, " n"]]:
    """Normals of points, with the signs that a shape of the dictionary gives them, and in directions that it believes.

    The training shape whose surface is nearest to the points comes first. Then codes are found that are zero at the
    points and have the slope 1 there, whichever way they rise: no estimate has a say, so that a wrong one does not
    confirm itself. The set of directions that the last of those agrees with best is taken, with the signs of codes that
    are found with it, the first of them by that code or by the training shape, whichever ends with a code that meets
    points it does not know better. Or the gradients are taken, where a code of theirs meets those a good deal better.
    Of many points those that neighbours agree about are turned together, by what a code says of most of them. Of few
    points, where a code that is found with normals hardly rises along one, that is doubtful, and codes are found
    without it: wrong signs and directions would have them rise less still.

    Args:
        dictionary: the experts; one of patches turns nothing.
        codes: of the training shapes; rows of zeros do not count.
        points: of the surface.
        normals: unit vectors across it, whose signs agree with those of neighbours, which counts where points are many.
        solver: how codes are found.
        offsets: lengths of differences along the normals, normalised units.
        weights: of equations.
        others: other such unit vectors, among which those that agree best are chosen.

    Returns:
        The normals, and which of them are doubtful.

    Raises:
        ValueError: the equations are too dependent to be solved.
    """
    seen = codes[codes.any(-1)].float()
    if dictionary.grid is not None or len(seen) == 0:
        return normals, torch.zeros(len(points), dtype=torch.bool, device=points.device)
    chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:_POINTS].to(points.device)
    some = points[chosen].float()
    sheets = believed_sheets(points, normals.float())

    def find(across: Tensor, *, turns: bool, doubtful: Tensor | None = None) -> FoundCode:
        drawn = Drawn(some, across, some[:0], some[:0, 0], doubtful)
        equations = surface_equations(drawn, offsets=offsets, weights=weights, far_points=0)
        if not turns:
            equations = replace(equations, weight=equations.weight.masked_fill(equations.kinds == ACROSS, 0.0))
        return find_code(dictionary, codes, equations, solver)

    def refine(across: Tensor) -> tuple[Tensor, Tensor, FoundCode]:
        # Directions that are believed give a better code, which knows their signs better, and then which to believe.
        doubtful = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        for doubts in (False, True) if len(points) <= _FEW else (False,):
            for _ in range(_ROUNDS):
                found = find(across[chosen], turns=True, doubtful=doubtful[chosen])
                shape = CodedShape(dictionary, found.index, found.weight)
                signed, weak = _signed_rises(shape.sdf, points.float(), across)
                signed, weak = sheets.turn(signed), weak & doubts
                if torch.equal(signed, across) and torch.equal(weak, doubtful):
                    break
                across, doubtful = signed, weak
        return across, doubtful, found

    code = seen[(dictionary.atoms(some) @ seen.T).abs().mean(0).argmin()]
    nearest = shape = CodedShape(dictionary, torch.arange(len(code), device=code.device)[None], code[None])
    for _ in range(_ROUNDS):
        found = find(shape.normal(some), turns=False)
        shape = CodedShape(dictionary, found.index, found.weight)
    slopes = shape.normal(points.float())
    best, _ = agreeing(slopes, [normals.float(), *others])
    best, doubtful, found = refine(sheets.turn(best))
    by_nearest = oriented_by(nearest.sdf, points.float(), best)
    other, other_doubtful, other_found = refine(sheets.turn(by_nearest))
    if _is_better(other_found, found, solver):
        best, doubtful, found = other, other_doubtful, other_found
    with_slopes = find(slopes[chosen], turns=True)
    if _is_better(with_slopes, found, solver, by=_WORTH):
        return slopes, torch.zeros_like(doubtful)
    return best, doubtful


def _is_better(one: FoundCode, other: FoundCode, solver: Solver, *, by: float = 1.0) -> bool:
    """Whether a code misses held-out points by less than so many times what another does; False if nobody asked."""
    if solver.noise is not None or one.noise is None or other.noise is None:
        return False
    return one.noise < by * other.noise
