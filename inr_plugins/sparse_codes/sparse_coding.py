"""Sparse codes over a dictionary: orthogonal matching pursuit and proximal steps, on the products of the equations."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.sparse_codes.gram_system import GramSystem, SparseCode

DEPENDENT = 1e-10
"""An atom whose squared distance from the span of those in use is below this share of its own norm adds nothing."""


def matching_pursuit(system: GramSystem, k: int, *, ridge: float = 1e-8, tolerance: float = 1e-6) -> SparseCode:
    """Orthogonal matching pursuit: atoms one by one, each the one that what is left resembles most.

    After each choice all chosen weights are solved for again, by a Cholesky factor of the chosen block of the Gram
    matrix that grows by a row (Rubinstein, Zibulevsky and Elad 2008, "Efficient implementation of the K-SVD algorithm
    using batch orthogonal matching pursuit"): a step costs n times the number chosen so far. Minimises

        |W^½ (y - Φ code)|² + ridge Σ_j (norm_j code_j)²

    over the chosen atoms.

    Args:
        system: the equations.
        k: most atoms to choose, at least 1; with more than there are, all may be.
        ridge: of atoms of norm 1, >= 0; what keeps weights of near-parallel atoms from growing against each other.
            Take 1e-5 or more if products were made in float32.
        tolerance: stop when no atom's correlation with what is left exceeds this share of the norm of y.

    Returns:
        At most k atoms; fewer when the tolerance is met or no independent atom remains.

    Raises:
        ValueError: k below 1, or a negative ridge or tolerance.
    """
    if k < 1 or ridge < 0 or tolerance < 0:
        raise ValueError(f"pursuit needs k >= 1, ridge >= 0 and tolerance >= 0, got {k}, {ridge} and {tolerance}")
    scale, gram, moment = system.normalised()
    k = min(k, system.atoms)
    free = system.alive()
    factor = gram.new_zeros(k, k)
    columns = gram.new_zeros(system.atoms, k)
    chosen = torch.zeros(k, dtype=torch.long, device=gram.device)
    weights, left, taken = gram.new_zeros(0), moment, 0
    while taken < k:
        pick = int(torch.where(free, left.abs(), -1.0).argmax())
        if not free[pick] or abs(float(left[pick])) <= tolerance * system.energy**0.5:
            break
        free[pick] = False
        known = gram.new_zeros(0)
        if taken > 0:
            beside = gram[chosen[:taken], pick][:, None]
            known = torch.linalg.solve_triangular(factor[:taken, :taken], beside, upper=False)[:, 0]
        pivot = 1 + ridge - float(known @ known)
        if pivot <= DEPENDENT:
            continue
        factor[taken, :taken], factor[taken, taken] = known, pivot**0.5
        columns[:, taken], chosen[taken] = gram[:, pick], pick
        taken += 1
        weights = torch.cholesky_solve(moment[chosen[:taken], None], factor[:taken, :taken])[:, 0]
        left = moment - columns[:, :taken] @ weights
    code = torch.zeros_like(moment)
    code[chosen[:taken]] = weights
    return system.answer(code * scale, iterations=taken)


def proximal_code(
    system: GramSystem, l1: float, *, iterations: int = 2000, tolerance: float = 1e-4, keep: int | None = None
) -> SparseCode:
    """The lasso by accelerated proximal gradient steps (FISTA, Beck and Teboulle 2009).

        ½ |W^½ (y - Φ code)|² + λ Σ_j norm_j |code_j|,    λ = l1 · max_j |Φ_jᵀ W y| / norm_j

    The step is 1 / L, with L from a power iteration and doubled wherever the quadratic bound that the method rests on
    does not hold; momentum is dropped where it points uphill (O'Donoghue and Candès 2015). It stops when the duality
    gap says that the objective is within `tolerance` of its least value, in units of ½ |y|².

    Args:
        system: the equations.
        l1: strength of the penalty, in (0, 1]: at 1 the code is zero.
        iterations: most steps, each one product with the Gram matrix.
        tolerance: on the gap, > 0.
        keep: if given, keep this many of the largest contributions (|code| times norm) and solve for those again
            without the penalty, which otherwise shrinks weights.

    Raises:
        ValueError: a setting out of range.
    """
    if not 0 < l1 <= 1 or iterations < 1 or not tolerance > 0 or (keep is not None and keep < 1):
        raise ValueError(
            "proximal steps need l1 in (0, 1], iterations >= 1, tolerance > 0 and keep >= 1, "
            f"got {l1}, {iterations}, {tolerance} and {keep}"
        )
    scale, gram, moment = system.normalised()
    code, steps = _fista(gram, moment, system.energy, l1 * float(moment.abs().max()), iterations, tolerance)
    answer = system.answer(code * scale, iterations=steps)
    if keep is None:
        return answer
    solved = refit(system, answer.support[:keep])
    return SparseCode(solved.code, solved.support, solved.residual, steps)


def _fista(
    gram: Tensor, moment: Tensor, energy: float, penalty: float, iterations: int, tolerance: float
) -> tuple[Tensor, int]:
    """Code and number of steps; gram times the points of the iteration is carried along, one product a step."""
    bound = max(1.0, _largest_eigenvalue(gram))
    code = ahead = torch.zeros_like(moment)
    gram_code = gram_ahead = torch.zeros_like(moment)
    inertia = 1.0
    for step in range(1, iterations + 1):
        new = _shrink(ahead - (gram_ahead - moment) / bound, penalty / bound)
        gram_new = _times_sparse(gram, new)
        move = new - ahead
        if float(move @ (gram_new - gram_ahead)) > bound * (1 + 1e-9) * float(move @ move):
            bound *= 2
            continue
        if float((ahead - new) @ (new - code)) > 0:
            inertia = 1.0
        grown = (1 + (1 + 4 * inertia**2) ** 0.5) / 2
        push = (inertia - 1) / grown
        ahead, gram_ahead = new + push * (new - code), gram_new + push * (gram_new - gram_code)
        code, gram_code, inertia = new, gram_new, grown
        if _duality_gap(code, gram_code, moment, energy, penalty) <= tolerance * energy / 2:
            return code, step
    return code, iterations


def _times_sparse(gram: Tensor, code: Tensor) -> Tensor:
    """gram @ code for a symmetric gram, reading only the rows that a code uses where they are few."""
    used = code.nonzero()[:, 0]
    return code[used] @ gram[used] if 3 * len(used) < len(code) else gram @ code


def _shrink(value: Tensor, by: float) -> Tensor:
    """Proximal map of by · |.|: towards zero by that much, and not beyond."""
    return value.sign() * (value.abs() - by).clamp_min(0)


def _largest_eigenvalue(gram: Tensor, *, rounds: int = 20) -> float:
    """From below, by power iteration from a fixed start."""
    generator = torch.Generator().manual_seed(0)
    vector = torch.rand(len(gram), generator=generator, dtype=gram.dtype).to(gram.device)
    value = 0.0
    for _ in range(rounds):
        vector = gram @ (vector / vector.norm().clamp_min(1e-300))
        value = float(vector.norm())
    return value


def _duality_gap(code: Tensor, gram_code: Tensor, moment: Tensor, energy: float, penalty: float) -> float:
    """Objective minus the dual's at the residual r = y - Φ code, scaled by s until |Φᵀ s r| <= penalty.

    The dual is ½ |y|² - ½ |y - s r|² = s rᵀy - ½ s² |r|², and all of it can be had from products.
    """
    fit = float(moment @ code)
    residual = energy - 2 * fit + float(code @ gram_code)
    largest = float((moment - gram_code).abs().max())
    shrink = 1.0 if largest <= penalty else penalty / largest
    primal = residual / 2 + penalty * float(code.abs().sum())
    return primal - (shrink * (energy - fit) - shrink**2 * residual / 2)


def refit(system: GramSystem, support: Int[Tensor, " u"], *, ridge: float = 1e-8) -> SparseCode:
    """Least squares over some atoms only, with the ridge of `matching_pursuit`.

    Args:
        system: the equations.
        support: the atoms, distinct.
        ridge: of atoms of norm 1, > 0.

    Raises:
        ValueError: a ridge that is not positive, or that is too small for the equations.
    """
    if not ridge > 0:
        raise ValueError(f"ridge must be > 0, got {ridge}")
    scale, gram, moment = system.normalised()
    block = gram[support][:, support] + ridge * torch.eye(len(support), dtype=gram.dtype, device=gram.device)
    code = torch.zeros_like(moment)
    code[support] = solve_positive(block, moment[support])
    return system.answer(code * scale, iterations=1)


def solve_positive(matrix: Float[Tensor, "n n"], right: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Solve matrix x = right for a positive definite matrix.

    Raises:
        ValueError: rounding left it without that property.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info) != 0:
        raise ValueError(
            "the equations of a code are too dependent for their precision: take a larger ridge (or noise), or make "
            "their products in float64"
        )
    return torch.cholesky_solve(right[:, None], factor)[:, 0]
