"""The lattice's cells from stage to stage of a training: how many there were, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, dilate, unpack_bits


@dataclass(frozen=True)
class Cells:
    """A lattice at a step; holds one bit a cell.

    Attributes:
        stage: 0, 1, ... of the coarse stages, then that of the keys.
        step: training step after which it was seen first.
        origin: smallest corner, normalised frame.
        edge: of a cell, normalised units.
        shape: cells along x, y, z.
        packed: which of them are occupied (`pack_bits`).
        kept: how many are.
        vertices: of these cells, each with a row of the tables.
    """

    stage: int
    step: int
    origin: Tensor
    edge: float
    shape: tuple[int, int, int]
    packed: Tensor
    kept: int
    vertices: int

    @classmethod
    def of(cls, lattice: SparseLattice, stage: int, step: int) -> Cells:
        """What a lattice is; its tensors are taken as they are, since nothing changes them."""
        numbers = (len(lattice.corner_rows), lattice.num_rows)
        return cls(stage, step, lattice.origin, float(lattice.edge), lattice.shape, lattice.packed, *numbers)

    @property
    def occupied(self) -> Bool[Tensor, "x y z"]:
        """Which cells are occupied."""
        return unpack_bits(self.packed, self.shape).cpu()


class LatticeHistory:
    """The first and the newest lattice of each stage that has been watched."""

    def __init__(self) -> None:
        self.stages: dict[int, tuple[Cells, Cells]] = {}
        self._last: SparseLattice | None = None
        self._is_watched = False

    def begin(self, model: Any, step: int) -> None:
        """Note the lattice that a model has before it is trained, or without being."""
        self._note(model, step)

    def note(self, model: Any, step: int) -> bool:
        """Note a model's lattice after a step; whether it is a new one. Takes microseconds where it is not."""
        lattice = model.field.lattice
        if lattice is self._last:
            self._is_watched = True
            return False
        if not self._is_watched:
            # A checkpoint has been read since: what there was before was not trained.
            self.stages.clear()
        self._is_watched = True
        self._note(model, step)
        return True

    def _note(self, model: Any, step: int) -> None:
        self._last = model.field.lattice
        now = Cells.of(self._last, int(model.stage), step)
        first = self.stages[now.stage][0] if now.stage in self.stages else now
        self.stages = {**self.stages, now.stage: (first, now)}

    def table(self, num_coarse: int) -> str:
        """The stages so far, in markdown."""
        lines = ["| Stage | Cells | Kept | Pruned |", "|:-|:-|-:|-:|"]
        for stage, (first, now) in sorted(self.stages.items()):
            name = f"{stage + 1}" if stage < num_coarse else "keys"
            pruned = f"{1 - now.kept / first.kept:.0%}" if now is not first else "-"
            kept = f"{now.kept / np.prod(now.shape):.1%}"
            lines.append(f"| {name} | {' x '.join(map(str, now.shape))} | {kept} | {pruned} |")
        return "\n".join(lines)


def shell(occupied: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The occupied cells of which a neighbour, diagonals included, is empty or outside: what of them can be seen."""
    around = torch.nn.functional.pad(~occupied, (1, 1, 1, 1, 1, 1), value=True)
    return occupied & dilate(around)[1:-1, 1:-1, 1:-1]


def some(mask: Bool[Tensor, "x y z"], most: int) -> Int[Tensor, "n 3"]:
    """Cells of a mask, at most so many of them, spread evenly; the same ones each time."""
    cells = mask.nonzero()
    if len(cells) > most:
        chosen = np.random.default_rng(0).choice(len(cells), most, replace=False)
        cells = cells[torch.from_numpy(np.sort(chosen))]
    return cells


def middles(cells: Int[Tensor, "n 3"], of: Cells, contraction: Contraction | None = None) -> Float[Tensor, "n 3"]:
    """Middles of cells in the normalised frame.

    Args:
        cells: indices along x, y, z.
        of: the lattice.
        contraction: what the lattice's frame is contracted by, if it is.
    """
    at = of.origin + of.edge * (cells.to(of.origin) + 0.5)
    return (at if contraction is None else contraction.inverse(at)).cpu()
