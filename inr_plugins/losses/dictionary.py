"""What keeps a dictionary's experts in use: NID's balance of codes (eq. 12), made to have a gradient, and its l1.

The paper penalises the squared coefficient of variation of the sum of all codes, experts being what varies. Codes have
signs, so that sum is near 0 on average and the quotient is unstable; here absolute values are summed, as with the gates
of Shazeer et al. 2017, which are positive. The authors' code adds the variation of how often each expert is selected,
an integer without a gradient; `soft_load` has one, also for experts that just miss selection.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.losses.means import joint_mean

SMALL = 1e-12
"""Added where a quotient or a root could meet 0."""


def squared_variation(total: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Var / mean² over experts (NID, eq. 12), with the variance over n; 0 when all are equal, at most n - 1.

    Of s codes of k equal entries each, it cannot be below n / (s k) - 1, which is reached when no two share an expert.
    In a batch with s k < n it therefore pulls shapes apart: sum over as many codes as can be had, with a table over
    all of it.

    Args:
        total: how much each expert is used, >= 0: its absolute weights summed over shapes, or its `soft_load`.
    """
    mean = total.mean()
    return (total - mean).square().mean() / (mean.square() + SMALL)


def soft_load(raw: Float[Tensor, "s n"], k: int, *, softness: float = 0.1) -> Float[Tensor, " n"]:
    """About how many shapes select each expert, differentiable.

    An expert is among the k of a shape if its absolute entry exceeds the k-th largest of all others. Shazeer et al.
    2017 (eq. 8 to 10) add noise to their gates and take the probability of that under other noise, which is a smooth
    step of the margin. Here gates have no noise and the step is a sigmoid, `softness` wide in units of the row's root
    mean square, so that a code's scale does not matter (codes are normalised anyway). Entries within a few widths of
    the threshold, kept or not, have a gradient; as softness goes to 0 the count becomes the integer one.

    Args:
        raw: raw codes.
        k: how many experts a shape selects.
        softness: width of the step, > 0.

    Raises:
        ValueError: k or softness out of range.
    """
    shapes, experts = raw.shape
    if not 1 <= k <= experts:
        raise ValueError(f"k must be from 1 to the number of experts, {experts}, got {k}")
    if not softness > 0:
        raise ValueError(f"softness of the load must be > 0, got {softness}")
    if k == experts:
        return raw.new_full((experts,), float(shapes))
    size = raw.abs()
    largest = size.topk(k + 1, dim=1).values
    last_in, first_out = largest[:, k - 1 : k], largest[:, k:]
    threshold = torch.where(size >= last_in, first_out, last_in)
    scale = (raw.square().mean(1, keepdim=True) + SMALL).sqrt()
    return torch.sigmoid((size - threshold) / (softness * scale)).sum(0)


def code_length(code: Float[Tensor, "s n"]) -> Float[Tensor, ""]:
    """l1 norm of codes, averaged over all processes' and divided by sqrt(n): 1 for a flat code of l2 norm 1 at any n.

    The paper sums the norms over shapes; its authors' code averages over all entries, which is this over sqrt(n).
    """
    return joint_mean(code.abs().sum(1)) / code.shape[1] ** 0.5


def ordered_size(weights: Float[Tensor, "t n"], sizes: Float[Tensor, " n"], *, decay: float) -> Float[Tensor, ""]:
    """How much ordered experts add, later ones counted exponentially more: mean over t of Σ_i |α_i(t)| s_i e^(β i).

    The second term of NID's Eq. 15, with i from 0, has no s_i. It then has no minimum where experts are learnt with
    their weights: halving α and doubling b leaves f as it is and the term half as large. With the size s_i of an
    expert what counts is what it adds to f.

    Args:
        weights: α, for each time.
        sizes: s, root mean square of each expert.
        decay: β; β (n - 1) must be below 80, beyond which float32 overflows.
    """
    order = torch.arange(weights.shape[1], device=weights.device, dtype=weights.dtype)
    return (weights.abs() * sizes * torch.exp(decay * order)).sum(1).mean()
