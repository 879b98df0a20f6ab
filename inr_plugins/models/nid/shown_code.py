"""Codes that shapes are drawn with in place of their own: between two shapes, the mean, with entries of the user's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.shape_names import number_of_shape

Entry = tuple[int, int]
"""Of a code: its row, which is the patch, and the number of the expert."""
MEAN = "mean"
"""In the place of a shape's name: the mean of all codes of the dictionary."""


@runtime_checkable
class CodedModel(Protocol):
    """A model of shapes that are codes over a dictionary.

    Attributes:
        shown_shape: number of the shape that is shown.
        drawn_code: experts and weights (P, k) that the shown shape is drawn with; None for its own.
    """

    shown_shape: int
    drawn_code: tuple[Tensor, Tensor] | None

    @property
    def code_names(self) -> tuple[str, ...]:
        """Names of all shapes that there is a code of; those of the dictionary come last."""

    @property
    def dictionary_names(self) -> tuple[str, ...]:
        """Names of the shapes that the dictionary was learnt on."""

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


@torch.no_grad()
def code_towards(model: CodedModel, towards: str, share: float, *, given_by: str) -> Float[Tensor, "p n"]:
    """(1 - t) a + t b, of the code a of the shape that is shown and b of one of the dictionary's.

    Args:
        model: with the codes.
        towards: name or number of the dictionary's shape; "mean", where none is called so: b is the mean of all codes.
        share: t.
        given_by: what `towards` was given as, for the sentence.

    Raises:
        InputError: there is no such shape.
    """
    names = model.dictionary_names
    first = len(model.code_names) - len(names)
    if towards == MEAN and MEAN not in names:
        code = torch.stack([model.code_of(first + number) for number in range(len(names))]).mean(0)
    else:
        code = model.code_of(first + number_of_shape(towards, names, given_by=given_by))
    return (1 - share) * model.code_of(model.shown_shape) + share * code


class BlendsCodes:
    """Adds to a `CodedModel` what `meshing.shapes.BlendsShapes` asks for."""

    drawn_code: tuple[Tensor, Tensor] | None = None
    """Experts and weights (P, k) that the shown shape is drawn with, where those are not its own."""

    @contextmanager
    def blending(self: CodedModel, towards: str, share: float, *, given_by: str) -> Iterator[None]:
        """Meanwhile the field is that of `code_towards`.

        Raises:
            InputError: there is no such shape.
        """
        before = self.drawn_code
        self.drawn_code = used_entries(code_towards(self, towards, share, given_by=given_by))
        try:
            yield
        finally:
            self.drawn_code = before


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
