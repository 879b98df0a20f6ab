"""Codes of many signals over one dictionary at once: matching pursuit, and the most likely codes under a prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from inr_plugins.sparse_codes.code_prior import CodePrior
from inr_plugins.sparse_codes.sparse_coding import DEPENDENT

_ROUNDS = 12
"""Of the noise, or of the weights of robust errors, which are found by turns with the codes."""
_LEAST_NOISE = 1e-4
"""Of numbers in [-1, 1]: a tenth of what eight bits can tell."""
_OUTLYING = 4.0
"""Standard deviations beyond which what is missed is no noise."""
_MAD = 1.4826
"""Standard deviation of normal errors over the median of their absolute values."""


@dataclass(frozen=True)
class Pursuit:
    """Atoms that many signals have chosen, one after another.

    Attributes:
        index: the atoms, in the order in which they were chosen.
        gains: by how much each made the squared error less, when it was chosen.
        factor: Cholesky factors of the chosen atoms' products, of norm 1.
        moments: products of these and the signals.
        scale: that makes atoms of norm 1.
    """

    index: Int[Tensor, "s k"]
    gains: Float[Tensor, "s k"]
    factor: Float[Tensor, "s k k"]
    moments: Float[Tensor, "s k"]
    scale: Float[Tensor, "s k"]

    def weights(self, taken: Int[Tensor, " s"] | None = None) -> Float[Tensor, "s k"]:
        """Least squares over the first so many atoms of each signal (None: all), and 0 for the others."""
        factor, moments = self.factor, self.moments
        if taken is not None:
            beyond = torch.arange(factor.shape[1], device=factor.device) >= taken[:, None]
            identity = torch.eye(factor.shape[1], dtype=factor.dtype, device=factor.device)
            factor = torch.where(beyond[:, :, None], identity, factor)
            moments = torch.where(beyond, 0.0, moments)
        return torch.cholesky_solve(moments[..., None], factor)[..., 0] * self.scale

    def shared_out(self, count: int, groups: int) -> Int[Tensor, " s"]:
        """How many atoms each signal takes where so many are for every group of neighbours, and gain most.

        Args:
            count: atoms of a group.
            groups: of equally many signals, one after another.
        """
        # An atom that gains more than one before it can be had with that one only.
        least = self.gains.cummin(1).values.view(groups, -1)
        chosen = least.sort(dim=1, descending=True, stable=True).indices[:, :count]
        taken = torch.zeros_like(least, dtype=torch.bool).scatter(1, chosen, True)
        return taken.view(self.gains.shape).sum(1)


def pursue(
    gram: Float[Tensor, "n n"],
    moments: Float[Tensor, "s n"],
    k: int,
    *,
    first: Int[Tensor, " f"],
    ridge: float = 1e-8,
) -> Pursuit:
    """Orthogonal matching pursuit of many signals, each with the atoms that `sparse_coding.matching_pursuit` takes.

    Chosen atoms are made orthogonal one after another, together with their products with all others (as rows of a
    Cholesky factor that reach on), so that a step costs n times the number chosen so far for each signal, in few calls.

    Args:
        gram: Φᵀ Φ, of all signals.
        moments: Φᵀ y of each.
        k: atoms that each has in the end.
        first: atoms that all take, before any is chosen by its resemblance.
        ridge: of atoms of norm 1; see there.

    Returns:
        Atoms; those that would add nothing have the weight 0.

    Raises:
        ValueError: k beyond the number of atoms, or below that of the first ones.
    """
    signals, atoms = moments.shape
    if not len(first) <= k <= atoms:
        raise ValueError(f"k must be {len(first)} to {atoms}, got {k}")
    gram, moments = gram.double(), moments.double()
    scale = gram.diagonal().clamp(min=1e-30).sqrt().reciprocal()
    normal = gram * scale[:, None] * scale
    wanted = moments * scale
    left = wanted.clone()
    reach = normal.new_zeros(signals, k, atoms)
    factor = normal.new_zeros(signals, k, k)
    gains = normal.new_zeros(signals, k)
    chosen = torch.zeros(signals, k, dtype=torch.long, device=gram.device)
    free = torch.ones_like(wanted, dtype=torch.bool)
    rows = torch.arange(signals, device=gram.device)
    for taken in range(k):
        resembles = torch.where(free, left.abs(), -1.0)
        pick = first[taken].expand(signals) if taken < len(first) else resembles.argmax(1)
        known = reach[rows, :taken, pick]
        pivot = 1 + ridge - known.square().sum(1)
        adds = pivot > DEPENDENT
        pivot = torch.where(adds, pivot, 1.0).sqrt()
        new = (normal[pick] - torch.einsum("st,stn->sn", known, reach[:, :taken])) / pivot[:, None]
        # Of what adds nothing a row of its own, whose weight comes out as 0.
        new = torch.where(adds[:, None], new, 0.0)
        factor[:, taken, :taken] = torch.where(adds[:, None], known, 0.0)
        factor[:, taken, taken] = pivot
        reach[:, taken], chosen[:, taken] = new, pick
        free[rows, pick] = False
        share = torch.where(adds, left[rows, pick] / pivot, 0.0)
        left = left - share[:, None] * new
        gains[:, taken] = share.square()
        wanted[rows, pick] = torch.where(adds, wanted[rows, pick], 0.0)
    return Pursuit(chosen, gains, factor, wanted.gather(1, chosen), scale[chosen])


@dataclass(frozen=True)
class LikelyCode:
    """What `likely_code` found of one signal.

    Attributes:
        code: the most likely one, float64.
        noise: standard deviation of the equations that it was found with.
        used: equations that are believed.
    """

    code: Float[Tensor, " n"]
    noise: float
    used: Bool[Tensor, " m"]


def likely_code(
    atoms: Float[Tensor, "m n"],
    y: Float[Tensor, " m"],
    prior: CodePrior,
    *,
    known: Bool[Tensor, " m"] | None = None,
    independent: float = 1.0,
    around: Callable[[Tensor], Tensor] | None = None,
) -> LikelyCode:
    """The most likely code of a signal under a normal prior, with errors of a size that is found with it.

        p Σ_i w_i (y_i - Φ_i code)² / σ² + (code - mean)ᵀ C⁻¹ (code - mean)    least

    σ is that which makes the equations most likely, by expectation and maximisation: the mean square of what is missed
    and of what the code's own uncertainty adds to it. What a dictionary misses is alike at neighbouring pixels, which
    p below 1 can say: so many equations are worth one.

    With `around` some equations may be wrong, which lie together. Errors then have the weights of absolute ones
    (w = σ / |error|, found by turns), each by the root mean square of the errors around it; after that, equations
    around which errors have a mean of four standard deviations and more of all these means are left out, with those
    that are next to them, and the others have normal errors, again by turns.

    Args:
        atoms: Φ, an equation a row.
        y: wanted values.
        prior: of codes.
        known: equations that there are; None: all.
        independent: p.
        around: the mean around each equation, of a number for each; where it is given, all are known.

    Raises:
        ValueError: no equation is known.
    """
    known = torch.ones_like(y, dtype=torch.bool) if known is None else known
    if not bool(known.any()):
        raise ValueError("nothing is known of it")
    rows, right = atoms[known].double(), y[known].double()
    everyone = torch.arange(rows.shape[1], device=rows.device)
    precision, wanted = prior.precision(everyone), prior.weighted_mean()
    used = torch.ones_like(right, dtype=torch.bool)
    if around is None:
        codes, noises = likely_codes(rows, right[None], prior, independent=independent)
        return LikelyCode(codes[0], float(noises[0]), known)
    code, noise = prior.mean, 0.0
    for _ in range(_ROUNDS):
        missed = right - rows @ code
        noise = float(missed.abs().mean()) + _LEAST_NOISE
        weight = independent / (noise * around(missed.square()).sqrt().clamp(min=_LEAST_NOISE))
        factor = torch.linalg.cholesky(rows.T @ (rows * weight[:, None]) + precision)
        code = torch.cholesky_solve((rows.T @ (weight * right) + wanted)[:, None], factor)[:, 0]
    everything = rows.T @ rows
    for _ in range(_ROUNDS):
        missed = around(right - rows @ code).abs()
        outlying = missed > _OUTLYING * (_MAD * missed.median() + _LEAST_NOISE)
        used = around(outlying.double()) <= 0
        these, those = rows[used], right[used]
        if len(those) == 0:
            break
        gram = _gram_of(rows, used, everything)
        factor = torch.linalg.cholesky(independent * gram / noise**2 + precision)
        code = torch.cholesky_solve((independent * these.T @ those / noise**2 + wanted)[:, None], factor)[:, 0]
        doubt = float((torch.cholesky_inverse(factor) * gram).sum())
        noise = max(_LEAST_NOISE, ((float((those - these @ code).square().sum()) + doubt) / len(those)) ** 0.5)
    believed = torch.zeros_like(known)
    believed[known] = used
    return LikelyCode(code, noise, believed)


def _gram_of(rows: Tensor, used: Tensor, everything: Tensor) -> Tensor:
    """The products of the columns of some rows, by the fewer of these and the others.

    Args:
        rows: of all equations.
        used: which of them count.
        everything: the products of all.
    """
    if 2 * int(used.sum()) < len(used):
        return rows[used].T @ rows[used]
    return everything - rows[~used].T @ rows[~used]


def likely_codes(
    atoms: Float[Tensor, "m n"], y: Float[Tensor, "s m"], prior: CodePrior, *, independent: float = 1.0
) -> tuple[Float[Tensor, "s n"], Float[Tensor, " s"]]:
    """What `likely_code` finds of many signals that have the same equations, all of which are believed.

    Equations and prior are brought to diagonal form together, G = Φᵀ Φ to diag(g) and C⁻¹ to I, in which a round of all
    signals costs as many products as there are numbers in their codes.

    Args:
        atoms: Φ.
        y: wanted values of each signal.
        prior: of codes.
        independent: see `likely_code`.

    Returns:
        Codes, and standard deviations of the equations, float64.
    """
    rows, right = atoms.double(), y.double()
    lower = torch.linalg.cholesky(prior.precision(torch.arange(rows.shape[1], device=rows.device)))
    half = torch.linalg.solve_triangular(lower, rows.T @ rows, upper=False)
    both = torch.linalg.solve_triangular(lower, half.T, upper=False)
    g, directions = torch.linalg.eigh((both + both.T) / 2)
    g, basis = g.clamp(min=0), torch.linalg.solve_triangular(lower.T, directions, upper=True)
    moments, wanted = right @ (rows @ basis), prior.weighted_mean() @ basis
    noise = (right - rows @ prior.mean).square().mean(1).sqrt() + _LEAST_NOISE
    code = torch.zeros_like(moments)
    squares = right.square().sum(1)
    for _ in range(_ROUNDS):
        weight = (independent / noise.square())[:, None]
        doubt = 1 / (weight * g + 1)
        code = doubt * (weight * moments + wanted)
        missed = (squares - 2 * (code * moments).sum(1) + (g * code.square()).sum(1)).clamp(min=0)
        noise = ((missed + doubt @ g) / rows.shape[0]).sqrt().clamp(min=_LEAST_NOISE)
    return code @ basis.T, noise
