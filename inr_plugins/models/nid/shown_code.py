"""The code that copies in the viewer are drawn with: of a shape, between two shapes, with entries of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Entry = tuple[int, int]
"""Of a code: its row, which is the patch, and the number of the expert."""


@runtime_checkable
class CodedModel(Protocol):
    """A model of shapes that are codes over a dictionary.

    Attributes:
        codes: of the shapes that the dictionary was learnt on, P rows for each; zero where they were never seen.
        shown_shape: number of the shape that is shown.
        drawn_code: experts and weights (P, k) that the shown shape is drawn with; None for its own.
    """

    codes: Tensor
    shown_shape: int
    drawn_code: tuple[Tensor, Tensor] | None

    @property
    def code_names(self) -> tuple[str, ...]:
        """Names of all shapes that there is a code of."""

    def code_of(self, number: int) -> Float[Tensor, "p n"]:
        """The code of one of them, a row for each patch, zero for experts that it does not use."""


@dataclass(frozen=True)
class CodeEdit:
    """What a user wants drawn.

    Attributes:
        start: number of the shape whose code is taken.
        towards: number of a second shape.
        share: t, how far the code is on its way to that one's, in [0, 1].
        entries: values that replace entries of the code.
    """

    start: int = 0
    towards: int = 0
    share: float = 0.0
    entries: Mapping[Entry, float] = field(default_factory=dict)

    def changes(self, shown: int) -> bool:
        """Whether anything but the shape that is shown is to be drawn."""
        return self.start != shown or self.share > 0 or bool(self.entries)

    @torch.no_grad()
    def code(self, model: CodedModel) -> Float[Tensor, "p n"]:
        """(1 - t) a + t b, of the codes a and b that the two shapes have now, with the user's entries in it."""
        code = model.code_of(self.start)
        if self.share > 0:
            code = (1 - self.share) * code + self.share * model.code_of(self.towards)
        for (row, expert), value in self.entries.items():
            code[row, expert] = value
        return code


def dense_rows(index: Int[Tensor, "p k"], weight: Float[Tensor, "p k"], experts: int) -> Float[Tensor, "p n"]:
    """Codes with a number for each expert, from those that they name."""
    return torch.zeros(len(index), experts, device=weight.device).scatter(1, index, weight.detach().float())


def used_entries(code: Float[Tensor, "p n"]) -> tuple[Int[Tensor, "p k"], Float[Tensor, "p k"]]:
    """Experts and weights of codes: as many as the row that uses most of them has, at least one."""
    most = max(1, int((code != 0).sum(1).max()))
    index = code.abs().topk(most, dim=1).indices
    return index, code.gather(1, index)


def largest_entries(code: Float[Tensor, "p n"], count: int) -> list[Entry]:
    """The entries of largest absolute value, largest first, without those that are 0."""
    flat = code.abs().flatten()
    value, place = flat.topk(min(count, len(flat)))
    return [divmod(number, code.shape[1]) for number in place[value > 0].tolist()]


def shapes_of_experts(codes: Float[Tensor, "r n"], patches: int) -> Int[Tensor, " n"]:
    """How many shapes use each expert, in any of their patches."""
    return (codes.view(-1, patches, codes.shape[1]) != 0).any(1).sum(0)


def half_of_length(code: Float[Tensor, "p n"]) -> int:
    """How many entries, the largest, hold half of the code's squared length."""
    squares = code.square().flatten().sort(descending=True).values.cumsum(0)
    return int((squares < squares[-1] / 2).sum()) + 1 if float(squares[-1]) > 0 else 0
