"""The code of an unseen shape by sparse regression: a shape is linear in its code, so that nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inr_plugins.fields.dictionary_shape import CodedShape, ShapeDictionary
from inr_plugins.networks.dictionary.gates import top_k_code
from inr_plugins.sparse_codes.code_equations import Equations
from inr_plugins.sparse_codes.code_prior import CodePrior, prior_code
from inr_plugins.sparse_codes.gram_system import GramSystem
from inr_plugins.sparse_codes.sparse_coding import matching_pursuit, proximal_code

SolverName = Literal["prior", "pursuit", "proximal"]
NOISES = (0.1, 0.03, 0.01, 0.003)
"""Errors of equations, normalised units, among which the prior's is chosen."""
_HELD_OUT = 5
"""Of so many points of the surface one is held out to choose by."""


_BELIEVED, _NEAR = 0.25, 0.02
"""By what part of it, and how much more, a distance far away may differ from a code's; normalised units."""


@dataclass(frozen=True)
class Solver:
    """How a code is found.

    Attributes:
        name: near the codes of training shapes, by orthogonal matching pursuit, or by proximal steps under an l1 norm.
        active: experts of a code at the most.
        noise: standard deviation of an equation's error that the prior reckons with, normalised units; None takes that
            of `NOISES` whose code, found without a fifth of the points, meets the equations of that fifth best.
        isotropic: part of the prior's variance that leaves the span of the training codes.
        l1: strength of the l1 norm, in (0, 1].
    """

    name: SolverName
    active: int
    noise: float | None
    isotropic: float
    l1: float

    def solve(
        self, known: GramSystem, held_out: GramSystem, prior: CodePrior | None
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], float | None]:
        """The code of one system of equations, in two parts; that of the part that is known; and the prior's noise.

        Without a prior, as where training never went, by pursuit.
        """
        systems = (_together(known, held_out), known)
        if self.name == "proximal":
            whole, part = (proximal_code(each, self.l1, keep=self.active).code for each in systems)
            return whole, part, None
        if self.name == "pursuit" or prior is None:
            whole, part = (matching_pursuit(each, self.active).code for each in systems)
            return whole, part, None
        noises = NOISES if self.noise is None else (self.noise,)
        tried = {each: prior_code(known, prior, noise=each, keep=self.active).code for each in noises}
        noise = min(noises, key=lambda each: held_out.residual(tried[each]))
        return prior_code(systems[0], prior, noise=noise, keep=self.active).code, tried[noise], noise


def _together(one: GramSystem, other: GramSystem) -> GramSystem:
    """The equations of both."""
    sums = (one.gram + other.gram, one.moment + other.moment)
    return GramSystem(*sums, one.energy + other.energy, one.weight + other.weight)


@dataclass(frozen=True)
class FoundCode:
    """What was found.

    Attributes:
        index: experts of each patch's code, those with the largest entries first.
        weight: the codes.
        outside: share of the code's squared distance from the training codes' mean that leaves their span, in [0, 1],
            averaged over patches; None where there is no training code to compare with.
        noise: that the prior reckoned with, the median over patches; None where no prior was used.
        part_index: as `index`, of codes that were found without the points `is_held_out` tells.
        part_weight: those codes.
    """

    index: Int[Tensor, "patches k"]
    weight: Float[Tensor, "patches k"]
    outside: float | None
    noise: float | None
    part_index: Int[Tensor, "patches k"] | None = None
    part_weight: Float[Tensor, "patches k"] | None = None


def is_held_out(group: Int[Tensor, " m"]) -> Bool[Tensor, " m"]:
    """Which points of a surface, by their numbers in the order drawn, are held out to choose by: every fifth."""
    return group % _HELD_OUT == 0


@torch.no_grad()
def find_code(
    dictionary: ShapeDictionary, codes: Float[Tensor, "rows n"], equations: Equations, solver: Solver
) -> FoundCode:
    """Codes with which a dictionary meets equations: one, or one for each patch.

    A blend of patches meets an equation if each of them does where it counts, so that each has a system of its own, in
    which equations weigh as much as the patch does at their points.

    Args:
        dictionary: the experts.
        codes: of training shapes, a row for each patch of each.
        equations: of the shape.
        solver: how.

    Raises:
        ValueError: the equations are too dependent to be solved.
    """
    rows = codes.view(-1, dictionary.patches, codes.shape[1])
    solved: list[Tensor] = []
    in_part: list[Tensor] = []
    outside: list[float] = []
    noises: list[float] = []
    for patch, (places, rest) in enumerate(_systems(dictionary, equations)):
        seen = rows[:, patch][rows[:, patch].any(-1)]
        prior = CodePrior.from_codes(seen, isotropic=solver.isotropic) if len(seen) else None
        # Those far away say little of where the surface is, and are known less well.
        held_out = is_held_out(rest.group) & (rest.group < equations.on_surface)
        parts = [
            GramSystem.from_function(dictionary.atoms, places[part], rest.target[part], rest.weight[part])
            for part in (~held_out, held_out)
            if bool((rest.weight[part] > 0).any())
        ]
        if len(parts) < 2:
            # Hardly a point of the cloud, near or far, says anything here.
            solved.append(torch.zeros_like(codes[0]) if prior is None else prior.mean)
            in_part.append(solved[-1])
            continue
        code, without, noise = solver.solve(parts[0], parts[1], prior)
        solved.append(code)
        in_part.append(without)
        outside += [] if prior is None else [prior.outside(code)]
        noises += [] if noise is None else [noise]
    index, weight = _sparse(solved, solver.active)
    return FoundCode(
        index,
        weight,
        sum(outside) / len(outside) if outside else None,
        median(noises) if noises else None,
        *_sparse(in_part, solver.active),
    )


def _sparse(codes: list[Tensor], active: int) -> tuple[Tensor, Tensor]:
    """Experts and weights of codes, those with the largest entries."""
    found = torch.stack([each.float() for each in codes])
    index, _ = top_k_code(found, min(active, found.shape[1]))
    return index, found.gather(1, index)


def without_contradicted(dictionary: ShapeDictionary, found: FoundCode, equations: Equations) -> Equations:
    """The equations, of which those far from the surface weigh nothing where a code contradicts them.

    A distance to a cloud is the true one only where the cloud is all of the surface: of a scan from one side everything
    behind it is inside, by the normals, and the way to it is too long. The sign beside a sparse cloud is wrong at some
    points too, by twice the distance, which squares do not forgive. A code that was found without any of them tells
    which: it has the point on the other side, or its distance differs by more than a quarter.
    """
    value = CodedShape(dictionary, found.index, found.weight).sdf(equations.position)
    differs = (value - equations.target).abs() > _BELIEVED * equations.target.abs() + _NEAR
    wrong = (equations.group >= equations.on_surface) & ((value * equations.target < 0) | differs)
    return replace(equations, weight=equations.weight.masked_fill(wrong, 0.0))


def near_surface(equations: Equations) -> Equations:
    """The equations, of which those far from the surface weigh nothing."""
    return replace(equations, weight=equations.weight.masked_fill(equations.group >= equations.on_surface, 0.0))


def _systems(dictionary: ShapeDictionary, equations: Equations) -> Iterator[tuple[Tensor, Equations]]:
    """The equations of each patch with their places in its frame."""
    if dictionary.grid is None:
        yield equations.position, equations
        return
    patch, share, place = dictionary.grid.local(equations.position)
    for number in range(dictionary.patches):
        row, corner = ((patch == number) & (share > 0)).nonzero(as_tuple=True)
        own = Equations(
            equations.position[row],
            equations.target[row],
            equations.weight[row] * share[row, corner],
            equations.group[row],
            int((row < equations.on_surface).sum()),
        )
        yield place[row, corner], own
