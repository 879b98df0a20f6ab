"""Least squares for a dictionary's code: linear equations kept as their products, and what an answer consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

BLOCK = 1024
"""Columns of a product made at a time, so that most of its upper triangle need not be."""
DEAD = 1e-8
"""Atoms whose norm is below this share of the largest say nothing at the points, and are not used."""


@dataclass(frozen=True)
class SparseCode:
    """An answer to the equations of a `GramSystem`."""

    code: Float[Tensor, " n"]
    """Weight of every atom, float64; zero off the support."""
    support: Int[Tensor, " u"]
    """Atoms in use, those that contribute most (weight times norm) first."""
    residual: float
    """Root of the weighted mean square of what is missed, in the targets' unit."""
    iterations: int
    """Steps of the method that found it."""


@dataclass
class GramSystem:
    """Equations Φ code = y with a row for each point and a column for each atom, as the sums that least squares needs.

    Φ is never held: 30,000 points times 4,096 experts would be half a gigabyte, and its products are all that pursuit,
    proximal steps and priors look at. Products square the condition number, and experts of one dictionary are much
    alike, so all sums are made and kept in float64; with Φ itself in float32 they are exact to about 1e-15 of their
    largest terms. (float32 products take half the time and leave noise of about 1e-7 times the norm of an atom, which
    swamps directions that matter; `of` and `from_function` allow them.)
    """

    gram: Float[Tensor, "n n"]
    """Φᵀ W Φ."""
    moment: Float[Tensor, " n"]
    """Φᵀ W y."""
    energy: float
    """yᵀ W y."""
    weight: float
    """Sum of the equations' weights W; their number, if they have none."""

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        phi: Float[Tensor, "m n"],
        y: Float[Tensor, " m"],
        weight: Float[Tensor, " m"] | None = None,
        *,
        product: torch.dtype = torch.float64,
    ) -> GramSystem:
        """The system of a matrix that is at hand; see `from_function`."""
        system = cls._empty(phi.shape[1], phi.device)
        system._add(phi, y, weight, product)
        return system._finished()

    @classmethod
    @torch.no_grad()
    def from_function(
        cls,
        atoms: Callable[[Tensor], Tensor],
        points: Float[Tensor, "m d"],
        y: Float[Tensor, " m"],
        weight: Float[Tensor, " m"] | None = None,
        *,
        chunk: int = 2048,
        product: torch.dtype = torch.float64,
    ) -> GramSystem:
        """The system of a dictionary, evaluated at some points at a time.

        Args:
            atoms: gives the value of every atom at points, (c, d) to (c, n).
            points: where the equations stand.
            y: wanted values there.
            weight: of each equation, >= 0; 1, if not given. An equation of weight w counts as w equal ones.
            chunk: points at a time; so many times n numbers are held.
            product: type in which products of a chunk are made; sums of chunks are float64.

        Raises:
            ValueError: no equations, a negative weight, or values that are not finite.
        """
        system: GramSystem | None = None
        for start in range(0, len(points), chunk):
            rows = slice(start, start + chunk)
            phi = atoms(points[rows])
            system = system or cls._empty(phi.shape[1], phi.device)
            system._add(phi, y[rows], None if weight is None else weight[rows], product)
        if system is None:
            raise ValueError("a code cannot be found from no equations: give at least one point")
        return system._finished()

    @staticmethod
    def combined(systems: Sequence[GramSystem], weights: Sequence[float]) -> GramSystem:
        """The equations of several systems, those of each weighing so many times what they weigh in it."""
        pairs = list(zip(systems, weights, strict=True))
        return GramSystem(
            sum((w * s.gram for s, w in pairs[1:]), pairs[0][1] * pairs[0][0].gram),
            sum((w * s.moment for s, w in pairs[1:]), pairs[0][1] * pairs[0][0].moment),
            sum(w * s.energy for s, w in pairs),
            sum(w * s.weight for s, w in pairs),
        )

    @classmethod
    def _empty(cls, atoms: int, device: torch.device) -> GramSystem:
        moment = torch.zeros(atoms, dtype=torch.float64, device=device)
        return cls(moment.new_zeros(atoms, atoms), moment, 0.0, 0.0)

    def _add(self, phi: Tensor, y: Tensor, weight: Tensor | None, product: torch.dtype) -> None:
        """Add some equations; only blocks that reach the lower triangle of gram are made."""
        if weight is not None and bool((weight < 0).any()):
            raise ValueError("weights of equations must not be negative")
        self.weight += float(len(y) if weight is None else weight.double().sum())
        root = torch.ones_like(y, dtype=product) if weight is None else weight.to(product).sqrt()
        phi, y = phi.to(product) * root[:, None], y.to(product) * root
        self.moment += (phi.T @ y).double()
        self.energy += float(y.double().square().sum())
        for start in range(0, phi.shape[1], BLOCK):
            columns = slice(start, start + BLOCK)
            self.gram[start:, columns] += phi[:, start:].T @ phi[:, columns]

    def _finished(self) -> GramSystem:
        """With the upper triangle filled in, after a look at the numbers."""
        self.gram.tril_()
        self.gram += self.gram.tril(-1).T
        sums = torch.stack([self.gram.sum(), self.moment.sum()])
        if not (bool(sums.isfinite().all()) and self.energy < float("inf")):
            raise ValueError("the equations of a code have values that are not finite")
        if not self.weight > 0:
            raise ValueError("a code cannot be found from no equations: give at least one point of positive weight")
        return self

    @property
    def atoms(self) -> int:
        """n, how many unknowns there are."""
        return len(self.moment)

    def norms(self) -> Float[Tensor, " n"]:
        """Weighted norm of every atom over the points."""
        return self.gram.diagonal().clamp_min(0).sqrt()

    def alive(self) -> Bool[Tensor, " n"]:
        """Which atoms are not zero at all points, up to rounding."""
        norms = self.norms()
        return norms > DEAD * norms.max()

    def normalised(self) -> tuple[Float[Tensor, " n"], Float[Tensor, "n n"], Float[Tensor, " n"]]:
        """The system for atoms of norm 1.

        Returns:
            What such a system's code is multiplied with to be one of this system (1 / norm, and 0 for dead atoms), and
            its gram and moment.
        """
        scale = torch.where(self.alive(), 1 / self.norms().clamp_min(torch.finfo(torch.float64).tiny), 0.0)
        return scale, scale[:, None] * self.gram * scale, scale * self.moment

    def residual(self, code: Float[Tensor, " n"]) -> float:
        """Root of the weighted mean square of Φ code - y.

        As a difference of sums it has a floor of about 1e-8 of the root mean square of y and of the terms of Φ code.
        """
        code = code.double()
        left = self.energy - 2 * float(self.moment @ code) + float(code @ (self.gram @ code))
        return (max(left, 0.0) / self.weight) ** 0.5

    def answer(self, code: Float[Tensor, " n"], *, iterations: int) -> SparseCode:
        """A code with its support and residual."""
        share = code.abs() * self.norms()
        used = code.nonzero()[:, 0]
        order = share[used].argsort(descending=True, stable=True)
        return SparseCode(code, used[order], self.residual(code), iterations)
