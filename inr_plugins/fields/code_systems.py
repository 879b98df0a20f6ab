"""The equations of a shape as sums, by patch, by kind, and apart for the points that are held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from inr_plugins.fields.dictionary_shape import ShapeDictionary
from inr_plugins.sparse_codes.code_equations import Equations, left_sides
from inr_plugins.sparse_codes.gram_system import GramSystem

_HELD_OUT = 5
"""Of so many points of the surface one is held out to choose by."""


@dataclass(frozen=True)
class KindSystem:
    """The equations of one kind.

    Attributes:
        known: of points that are not held out; None: there are none.
        held_out: of the others.
        weight: what each counts where weights are given.
        strength: what their precision is multiplied by where it is found.
    """

    known: GramSystem | None
    held_out: GramSystem | None
    weight: float
    strength: float


PatchSystems = dict[int, KindSystem]
"""By kind of equations."""


def is_held_out(group: Int[Tensor, " m"]) -> Bool[Tensor, " m"]:
    """Which points of a surface, by their numbers in the order drawn, are held out to choose by: every fifth."""
    return group % _HELD_OUT == 0


@torch.no_grad()
def code_systems(dictionary: ShapeDictionary, equations: Equations) -> list[PatchSystems]:
    """The sums of a shape's equations, for each patch.

    A blend of patches meets an equation if each of them does where it counts, so that each has a system of its own, in
    which equations weigh as much as the patch does at their points. Those that weigh nothing are left out.
    """
    strengths = dict(equations.strength)
    found: list[PatchSystems] = []
    for places, reaches, share, rest in _of_patches(dictionary, equations):
        # Those far away say little of where the surface is, and are known less well.
        out = is_held_out(rest.group) & (rest.group < equations.on_surface)
        systems: PatchSystems = {}
        for kind in rest.kinds.unique().tolist():
            own = (rest.kinds == kind) & (rest.weight > 0)
            weight = float(rest.weight[own].max()) if bool(own.any()) else 0.0
            pair = []
            for part in (own & ~out, own & out):
                place = torch.cat([places[part], reaches[part]], -1)
                counts = share[part] * (rest.weight[part] / weight if weight else 1)

                def rows(at: Tensor) -> Tensor:
                    return left_sides(dictionary.atoms, at[:, :3], at[:, 3:])

                usable = len(counts) > 0 and float(counts.sum()) > 0
                pair.append(GramSystem.from_function(rows, place, rest.target[part], counts) if usable else None)
            systems[kind] = KindSystem(pair[0], pair[1], weight, strengths.get(kind, 1.0))
        found.append(systems)
    return found


def _of_patches(
    dictionary: ShapeDictionary, equations: Equations
) -> Iterator[tuple[Tensor, Tensor, Tensor, Equations]]:
    """For each patch places and reaches in its frame, its share of each equation, and the equations that it has."""
    if dictionary.grid is None:
        yield equations.position, equations.reaches, torch.ones_like(equations.target), equations
        return
    patch, share, place = dictionary.grid.local(equations.position)
    reaches = equations.reaches / dictionary.grid.spacing
    for number in range(dictionary.patches):
        row, corner = ((patch == number) & (share > 0)).nonzero(as_tuple=True)
        own = Equations(
            equations.position[row],
            equations.target[row],
            equations.weight[row],
            equations.group[row],
            int((row < equations.on_surface).sum()),
            reaches[row],
            equations.kinds[row],
            equations.strength,
        )
        yield place[row, corner], reaches[row], share[row, corner], own
