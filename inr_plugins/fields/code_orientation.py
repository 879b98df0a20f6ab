"""Which side of a surface is outside, as a dictionary believes it: signs of normals that were estimated from points."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.fields.code_solve import Solver, find_code
from inr_plugins.fields.dictionary_shape import ShapeDictionary
from inr_plugins.fields.surface_detail import Distance
from inr_plugins.sparse_codes.code_equations import Drawn, EquationWeights, left_sides, surface_equations

_POINTS = 1000
"""With which a code is found that tells signs."""
_ROUNDS = 4
_CHUNK = 4096
_REACH = 0.03
"""How far to both sides of a point the distance is asked for, normalised units."""


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
) -> Float[Tensor, "n 3"]:
    """Normals of points, with the signs that a shape of the dictionary gives them.

    The training shape whose surface is nearest to the points gives the first signs; a code that is found with them the
    next, and so on until they stay.

    Args:
        dictionary: the experts; one of patches turns nothing.
        codes: of the training shapes; rows of zeros do not count.
        points: of the surface.
        normals: unit vectors across it, of either sign.
        solver: how codes are found.
        offsets: lengths of differences along the normals, normalised units.
        weights: of equations.

    Raises:
        ValueError: the equations are too dependent to be solved.
    """
    seen = codes[codes.any(-1)].float()
    if dictionary.grid is not None or len(seen) == 0:
        return normals
    chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:_POINTS].to(points.device)
    some, across = points[chosen].float(), normals[chosen].float()
    nearest = (dictionary.atoms(some) @ seen.T).abs().mean(0).argmin()
    code = seen[nearest]
    for _ in range(_ROUNDS):
        turned = oriented_by(_of(dictionary, code), some, across)
        if torch.equal(turned, across) and code is not seen[nearest]:
            break
        across = turned
        drawn = Drawn(some, across, some[:0], some[:0, 0])
        equations = surface_equations(drawn, offsets=offsets, weights=weights, far_points=0)
        found = find_code(dictionary, codes, equations, solver)
        code = torch.zeros_like(seen[0]).scatter(0, found.index[0], found.weight[0])
    parts = zip(points.split(_CHUNK), normals.split(_CHUNK), strict=True)
    return torch.cat([oriented_by(_of(dictionary, code), *each) for each in parts])


def _of(dictionary: ShapeDictionary, code: Float[Tensor, " experts"]) -> Distance:
    """The distance of a code of all experts."""
    return lambda x: dictionary.atoms(x) @ code
