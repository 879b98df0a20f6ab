"""The code of an unseen shape by sparse regression: a shape is linear in its code, so that nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.fields.code_systems import PatchSystems, code_systems
from inr_plugins.fields.dictionary_shape import CodedShape, ShapeDictionary
from inr_plugins.networks.dictionary.gates import top_k_code
from inr_plugins.sparse_codes.code_equations import ACROSS, ALONG, FAR, SURFACE, Equations
from inr_plugins.sparse_codes.code_prior import CodePrior, prior_code
from inr_plugins.sparse_codes.gram_system import GramSystem
from inr_plugins.sparse_codes.sparse_coding import matching_pursuit, proximal_code

SolverName = Literal["prior", "pursuit", "proximal"]
_BELIEVED, _NEAR = 0.25, 0.02
"""By what part of it, and how much more, a distance far away may differ from a code's; normalised units."""
_BEGIN = {SURFACE: 0.01, ACROSS: 0.01, FAR: 0.03}
_LEAST = {SURFACE: 0.001, ACROSS: 0.001, FAR: 0.01}
"""Errors of equations to begin with, and the least that are believed, normalised units; of differences along the
normal so many times half of them:"""
_BEGIN_ALONG, _LEAST_ALONG = 0.2, 0.1
_LARGEST = 0.1
_ROUNDS = 3
_FLATTEST = 0.3
"""Slopes below are rather a failure than flat."""


@dataclass(frozen=True)
class Solver:
    """How a code is found.

    Attributes:
        name: near the codes of training shapes, by orthogonal matching pursuit, or by proximal steps under an l1 norm.
        active: experts of a code at the most.
        noise: standard deviation of an equation's error that the prior reckons with, normalised units; None finds one
            for each kind of equations, from what a code that was found without a fifth of the points misses there.
        isotropic: part of the prior's variance that leaves the span of the training codes.
        l1: strength of the l1 norm, in (0, 1].
    """

    name: SolverName
    active: int
    noise: float | None
    isotropic: float
    l1: float

    def solve(
        self, systems: PatchSystems, prior: CodePrior | None
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"], float | None]:
        """The code of some equations, that of those that are not held out, and the prior's noise of points.

        Without a prior, as where training never went, by pursuit.
        """
        weights = {kind: each.weight for kind, each in systems.items()}
        if self.name == "proximal":
            whole, part = (proximal_code(each, self.l1, keep=self.active).code for each in _both(systems, weights))
            return whole, part, None
        if self.name == "pursuit" or prior is None:
            whole, part = (matching_pursuit(each, self.active).code for each in _both(systems, weights))
            return whole, part, None
        if self.noise is None:
            errors = self._errors(systems, prior)
            precisions = {kind: each.strength / errors[kind] ** 2 for kind, each in systems.items()}
            noise, unit = errors.get(SURFACE), 1.0
        else:
            precisions, noise, unit = weights, self.noise, self.noise
        whole, part = (
            prior_code(each, prior, noise=unit, keep=self.active).code for each in _both(systems, precisions)
        )
        return whole, part, noise

    def _errors(self, systems: PatchSystems, prior: CodePrior) -> dict[int, float]:
        """Standard deviation of each kind of equations, normalised units.

        All but the differences along normals are met by 0 everywhere; what a code misses them by is divided by its
        slope there, or the flattest code would be the best one.
        """
        errors = {kind: _BEGIN[kind] if kind in _BEGIN else _BEGIN_ALONG * _half(systems, kind) for kind in systems}
        for _ in range(_ROUNDS):
            precisions = {kind: each.strength / errors[kind] ** 2 for kind, each in systems.items()}
            code = prior_code(_both(systems, precisions)[1], prior, noise=1.0, keep=self.active).code
            slope = min(1.0, max(_FLATTEST, _slope(systems, code)))
            for kind, each in systems.items():
                # Of those far away none is held out.
                tested = each.held_out or each.known
                if tested is None:
                    continue
                missed = tested.residual(code)
                if kind % 10 == ALONG:
                    errors[kind] = max(missed, _LEAST_ALONG * _half(systems, kind))
                else:
                    errors[kind] = min(_LARGEST, max(missed / slope, _LEAST[kind]))
        return errors


def _half(systems: PatchSystems, kind: int) -> float:
    """Half the difference that equations of a kind ask for."""
    some = systems[kind].known or systems[kind].held_out
    return 1.0 if some is None else (some.energy / some.weight) ** 0.5


def _slope(systems: PatchSystems, code: Tensor) -> float:
    """How many times a code's differences along held-out normals are what they should be, where those are known."""
    own = [each.held_out for kind, each in systems.items() if kind % 10 == ALONG and each.held_out is not None]
    energy = sum(each.energy for each in own)
    return sum(float(each.moment @ code) for each in own) / energy if energy > 0 else 1.0


def _both(systems: PatchSystems, weights: dict[int, float]) -> tuple[GramSystem, GramSystem]:
    """All equations together, and those that are not held out."""
    used = [(each, weights[kind]) for kind, each in systems.items() if weights[kind] > 0]
    known = [(each.known, weight) for each, weight in used if each.known is not None]
    held_out = [(each.held_out, weight) for each, weight in used if each.held_out is not None]
    whole, part = (GramSystem.combined(*zip(*pairs, strict=True)) for pairs in (known + held_out, known))
    return whole, part


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


@torch.no_grad()
def find_code(
    dictionary: ShapeDictionary, codes: Float[Tensor, "rows n"], equations: Equations, solver: Solver
) -> FoundCode:
    """Codes with which a dictionary meets equations: one, or one for each patch.

    Args:
        dictionary: the experts.
        codes: of training shapes, a row for each patch of each.
        equations: of the shape.
        solver: how.

    Raises:
        ValueError: the equations are too dependent to be solved.
    """
    return solve_codes(codes, code_systems(dictionary, equations), solver)


@torch.no_grad()
def solve_codes(codes: Float[Tensor, "rows n"], systems: list[PatchSystems], solver: Solver) -> FoundCode:
    """As `find_code`, of equations that are sums already.

    Raises:
        ValueError: the equations are too dependent to be solved.
    """
    rows = codes.view(-1, len(systems), codes.shape[1])
    solved: list[Tensor] = []
    in_part: list[Tensor] = []
    outside: list[float] = []
    noises: list[float] = []
    for patch, own in enumerate(systems):
        seen = rows[:, patch][rows[:, patch].any(-1)]
        prior = CodePrior.from_codes(seen, isotropic=solver.isotropic) if len(seen) else None
        used = [each for each in own.values() if each.weight > 0]
        if not all(any(getattr(each, part) is not None for each in used) for part in ("known", "held_out")):
            # Hardly a point of the cloud, near or far, says anything here.
            solved.append(torch.zeros_like(codes[0]) if prior is None else prior.mean)
            in_part.append(solved[-1])
            continue
        code, without, noise = solver.solve({kind: each for kind, each in own.items() if each.weight > 0}, prior)
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
    value = equations.left(CodedShape(dictionary, found.index, found.weight).sdf)
    differs = (value - equations.target).abs() > _BELIEVED * equations.target.abs() + _NEAR
    wrong = (equations.group >= equations.on_surface) & ((value * equations.target < 0) | differs)
    return replace(equations, weight=equations.weight.masked_fill(wrong, 0.0))


def with_free_space(
    dictionary: ShapeDictionary,
    found: FoundCode,
    equations: Equations,
    places: Float[Tensor, "f 3"],
    away: Float[Tensor, " f"],
) -> Equations:
    """The equations, and one more for each place that is known to be outside and that a code has inside.

    There the distance is to be positive: by half of how far the nearest point is, since an unseen part may be nearer.

    Args:
        dictionary: the experts.
        found: the code.
        equations: what is known otherwise.
        places: outside the shape.
        away: distance of the nearest point of the surface that is known.
    """
    value = CodedShape(dictionary, found.index, found.weight).sdf(places)
    wrong = value < 0
    count = int(wrong.sum())
    if count == 0:
        return equations
    far = equations.group >= equations.on_surface
    known = equations.weight[far & (equations.weight > 0)]
    weight = known.mean() if len(known) else equations.weight.mean()
    position, target = places[wrong], away[wrong] / 2
    numbers = int(equations.group.max()) + 1 + torch.arange(count, device=position.device)
    return replace(
        equations,
        position=torch.cat([equations.position, position]),
        target=torch.cat([equations.target, target]),
        weight=torch.cat([equations.weight, weight.expand(count)]),
        group=torch.cat([equations.group, numbers]),
        reach=torch.cat([equations.reaches, torch.zeros_like(position)]),
        kind=torch.cat([equations.kinds, torch.full_like(numbers, FAR)]),
    )


def signed_by(dictionary: ShapeDictionary, found: FoundCode, equations: Equations) -> Equations:
    """The equations, of which those far from the surface have the signs of a code.

    For distances to points whose normals were estimated, which say little of what is inside.
    """
    value = equations.left(CodedShape(dictionary, found.index, found.weight).sdf)
    is_far = equations.group >= equations.on_surface
    return replace(equations, target=torch.where(is_far, torch.copysign(equations.target, value), equations.target))


def only_near(equations: Equations, *, near: bool = True) -> Equations:
    """The equations of points of the surface and beside them; or those far from it."""
    kept = (equations.group < equations.on_surface) == near
    return Equations(
        equations.position[kept],
        equations.target[kept],
        equations.weight[kept],
        equations.group[kept],
        equations.on_surface,
        equations.reaches[kept],
        equations.kinds[kept],
        equations.strength,
    )
