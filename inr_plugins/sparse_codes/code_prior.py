"""Codes of unseen shapes, given how those of training shapes are distributed: that decides where points are few."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.sparse_codes.gram_system import GramSystem, SparseCode
from inr_plugins.sparse_codes.sparse_coding import solve_positive

FLAT = 1e-10
"""Directions with less than this share of the largest variance are rounding."""


@dataclass(frozen=True)
class CodePrior:
    """A normal distribution of codes, N(mean, U diag(variances) Uᵀ + rest I).

    The training shapes are fewer than the experts, so their covariance has no variance across their span; a part of
    it is therefore spread evenly over all directions, as in shrinkage estimates (Ledoit and Wolf 2004).
    """

    mean: Float[Tensor, " n"]
    """Mean code."""
    directions: Float[Tensor, "n r"]
    """U, orthonormal: in which the training codes vary."""
    variances: Float[Tensor, " r"]
    """Variance along each, beyond rest."""
    rest: float
    """Variance of every direction, > 0."""

    @classmethod
    def from_codes(cls, codes: Float[Tensor, "t n"], *, isotropic: float = 0.1) -> CodePrior:
        """Mean and shrunk covariance of some codes.

        Args:
            codes: one for each training shape, at least one.
            isotropic: share of their total variance that is spread over all n directions, in (0, 1]. Small: unseen
                shapes are combinations of the training shapes; 1: ridge regression towards the mean. Codes that do not
                vary, such as a single one, are given their mean's squared norm as total variance.

        Raises:
            ValueError: no codes, codes that are all zero, or a share out of range.
        """
        if not 0 < isotropic <= 1:
            raise ValueError(f"isotropic must be in (0, 1], got {isotropic}")
        if len(codes) == 0 or not bool(codes.any()):
            raise ValueError("a prior needs at least one code that is not zero")
        codes = codes.detach().double()
        mean = codes.mean(0)
        _, spread, directions = torch.linalg.svd(codes - mean, full_matrices=False)
        variances = spread.square() / max(len(codes) - 1, 1)
        varied = variances > FLAT * torch.maximum(variances.max(), codes.square().sum(1).mean())
        total = float(variances[varied].sum()) or float(mean.square().sum())
        rest = isotropic * total / codes.shape[1]
        return cls(mean, directions[varied].T.contiguous(), (1 - isotropic) * variances[varied], rest)

    def precision(self, support: Int[Tensor, " u"]) -> Float[Tensor, "u u"]:
        """Rows and columns of the inverse covariance, (I - U diag(v / (v + rest)) Uᵀ) / rest."""
        rows = self.directions[support]
        identity = torch.eye(len(support), dtype=rows.dtype, device=rows.device)
        return (identity - (rows * (self.variances / (self.variances + self.rest))) @ rows.T) / self.rest

    def weighted_mean(self) -> Float[Tensor, " n"]:
        """The inverse covariance times the mean."""
        along = self.directions.T @ self.mean * (self.variances / (self.variances + self.rest))
        return (self.mean - self.directions @ along) / self.rest

    def outside(self, code: Float[Tensor, " n"]) -> float:
        """Share of a code's squared distance from the mean that leaves the span of the training codes, in [0, 1]."""
        away = code.detach().to(self.mean) - self.mean
        length = float(away.square().sum())
        within = float((self.directions.T @ away).square().sum())
        return min(1.0, max(0.0, 1 - within / length)) if length > 0 else 0.0

    def to(self, device: torch.device | str) -> CodePrior:
        """The same on a device."""
        return CodePrior(self.mean.to(device), self.directions.to(device), self.variances.to(device), self.rest)


def prior_code(system: GramSystem, prior: CodePrior, *, noise: float, keep: int | None = None) -> SparseCode:
    """The most likely code, given equations with normal errors and a normal prior.

        |W^½ (y - Φ code)|² / noise² + (code - mean)ᵀ C⁻¹ (code - mean)    least

    Many equations decide the code; where few do, it stays near what training shapes have. It is dense. With `keep` the
    half of its entries that contribute least (|code| times norm) is set to zero and the others are solved for again
    under the same prior, until so many are left: dropping all at once would lose what atoms do together.

    Args:
        system: the equations; errors of neighbouring points are not independent, which weights below 1 can say.
        prior: distribution of codes.
        noise: standard deviation of an equation of weight 1, > 0, in the targets' unit.
        keep: most atoms of the answer; all, if not given.

    Raises:
        ValueError: a setting out of range, a prior for another number of atoms, or equations too dependent to solve.
    """
    if not noise > 0 or (keep is not None and keep < 1):
        raise ValueError(f"a prior's code needs noise > 0 and keep >= 1, got {noise} and {keep}")
    if len(prior.mean) != system.atoms:
        raise ValueError(f"the prior is for {len(prior.mean)} experts, the equations have {system.atoms}")
    wanted = prior.weighted_mean() + system.moment / noise**2
    norms = system.norms()
    support = torch.arange(system.atoms, device=wanted.device)
    solves = 0
    while True:
        block = system.gram[support][:, support] / noise**2 + prior.precision(support)
        weights = solve_positive(block, wanted[support])
        solves += 1
        if keep is None or len(support) <= keep:
            break
        left = max(keep, len(support) // 2)
        support = support[(weights.abs() * norms[support]).topk(left).indices].sort().values
    code = torch.zeros_like(wanted)
    code[support] = weights
    return system.answer(code, iterations=solves)
