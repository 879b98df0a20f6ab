"""NID's dictionary: many small networks on the features of a shared one, of which every shape uses a few."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from inr_plugins.networks.activations.settings import Activation, ActivationSettings, make_activation
from inr_plugins.networks.voxels.key_table import gather_distinct

PIECE = 2**21
"""Hidden values made at a time where they need not be kept: 8 MB in float32, which a C library takes from what it has
freed; of 16 MB each is fetched from the system anew, and points took 1.9 times as long."""


class ExpertBank(nn.Module):
    """Experts b_j(x) = v_j . act(W_j h(x) + c_j) + e_j on the features h of a trunk that all share.

    A shape is f(x) = sum_j code_j b_j(x): linear in its code, and not linear in the features. Two layers of its own for
    each expert is what the paper says (Wang et al. 2022, "Neural Implicit Dictionary Learning", sec. 3.3). In the
    authors' code an expert is one column of the last linear layer; a mixture is then one linear function of h, so that
    thousands of experts span no more functions than h is wide, and selecting a few of them saves nothing.

    Parameters are tables with a row for each expert: hidden_weight (n, m, d), hidden_bias (n, m), last_weight
    (n, m, out) and last_bias (n, out). `selected` gives them gradients that hold the selected rows only, for
    `engine.optimization.row_adam.RowAdam`; the cost of a step does not depend on n then.

    Both layers start as hidden and last layer of a network with that activation, and last_bias at 0, because the
    constants of SIREN's rule, U(±1/sqrt(m)), would be larger than the functions that they shift. Experts are
    independent draws of mean 0, so a mixture has the variance of one expert whatever k is, as the squares of an
    l2-normalised code sum to 1. With sines on sines it is 1/ω² (m terms of 2/(m ω²) times 1/2).

    Products follow autocast up to the hidden values; mixing is done in float32 (float64 for a bank of that type).
    """

    def __init__(
        self,
        in_dim: int,
        experts: int,
        width: int,
        out_dim: int = 1,
        *,
        activation: Activation | None = None,
        sparse_grad: bool = True,
    ) -> None:
        """
        Args:
            in_dim: d, how wide the features are.
            experts: n, how many experts there are.
            width: m, hidden width of an expert.
            out_dim: values of an expert; with 1, results have no dimension for them.
            activation: that of the experts' hidden layer, which starts them; SIREN's sine, if not given.
            sparse_grad: whether `selected` gives the tables sparse gradients; dense ones are for optimizers that
                cannot use those, and cost a pass over all experts at every step.

        Raises:
            ValueError: a size below 1, or an activation of complex numbers.
        """
        super().__init__()
        sizes = {"in_dim": in_dim, "experts": experts, "width": width, "out_dim": out_dim}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} of a bank of experts must be at least 1, got {value}")
        self.activation = make_activation(ActivationSettings("sine")) if activation is None else activation
        if self.activation.is_complex:
            raise ValueError("activation of a bank of experts must be one of real numbers, such as 'sine'")
        self.in_dim, self.experts, self.width, self.out_dim = in_dim, experts, width, out_dim
        self.sparse_grad = sparse_grad
        bound = self.activation.weight_bound(in_dim, is_first=False)
        shift = self.activation.bias_bound(in_dim, is_first=False)
        last = self.activation.weight_bound(width, is_first=False)
        self.hidden_weight = nn.Parameter(torch.empty(experts, width, in_dim).uniform_(-bound, bound))
        self.hidden_bias = nn.Parameter(torch.empty(experts, width).uniform_(-shift, shift))
        self.last_weight = nn.Parameter(torch.empty(experts, width, out_dim).uniform_(-last, last))
        self.last_bias = nn.Parameter(torch.zeros(experts, out_dim))

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_dim={self.in_dim}, experts={self.experts}, width={self.width}, out_dim={self.out_dim}"

    def selected(
        self,
        h: Float[Tensor, "s p in_dim"],
        index: Int[Tensor, "s k"],
        weight: Float[Tensor, "s k"],
    ) -> Float[Tensor, "s p *out"]:
        """Mixtures of k experts, others for each shape; time and memory grow with s p k and not with n.

        Args:
            h: features at the points of each shape.
            index: the shape's experts, in [0, n); one that is named twice counts twice.
            weight: its code for them.

        Returns:
            Values, (s, p) for out_dim 1, otherwise (s, p, out).
        """
        shapes, k = index.shape
        hidden, bias, last, shift = self._rows_of(index.flatten())
        code = weight.to(last.dtype)
        hidden = hidden.reshape(shapes, k * self.width, self.in_dim).transpose(1, 2)
        bias = bias.reshape(shapes, 1, k * self.width)
        last = (code[..., None, None] * last.view(shapes, k, self.width, self.out_dim)).flatten(1, 2)
        shift = (code[..., None] * shift.view(shapes, k, self.out_dim)).sum(1, keepdim=True)

        def mixture(h: Tensor) -> Tensor:
            return self._mix(self.activation(torch.baddbmm(bias, h, hidden)), last, shift)

        if torch.is_grad_enabled():
            return self._squeezed(mixture(h))
        points = max(1, PIECE // max(1, shapes * k * self.width))
        return self._squeezed(torch.cat([mixture(piece) for piece in h.split(points, 1)], 1))

    def mixed(self, h: Float[Tensor, "s p in_dim"], code: Float[Tensor, "s n"]) -> Float[Tensor, "s p *out"]:
        """Mixtures of all experts, as training starts before a few are selected; time grows with s p n.

        Pieces of the bank take turns and their hidden values are computed again in the backward pass, so that memory
        does not grow with n. The tables' gradients are dense.

        Args:
            h: features at the points of each shape.
            code: the shape's weight of every expert.
        """
        shapes, points, _ = h.shape
        step = max(1, PIECE // max(1, shapes * points * self.width))
        total = h.new_zeros(shapes, points, self.out_dim, dtype=self.last_weight.dtype)
        for piece in zip(code.to(total.dtype).split(step, 1), *self._split(self._tables(), step), strict=True):
            if torch.is_grad_enabled():
                total = total + checkpoint(self._mix_all, h, *piece, use_reentrant=False, preserve_rng_state=False)
            else:
                total += self._mix_all(h, *piece)
        return self._squeezed(total)

    def all_outputs(
        self, h: Float[Tensor, "p in_dim"], index: Int[Tensor, " k"] | None = None
    ) -> Float[Tensor, "p n *out"]:
        """What every expert says at every point: the equations that a code has to solve.

        Hidden values are made in pieces; the result itself has p n numbers, so pass points a few thousand at a time.

        Args:
            h: features.
            index: the experts asked for, in that order; all, if not given.
        """
        tables = self._tables() if index is None else [table.index_select(0, index) for table in self._tables()]
        step = max(1, PIECE // max(1, len(h) * self.width))
        outputs = [self._each(h, *piece) for piece in zip(*self._split(tables, step), strict=True)]
        return self._squeezed(torch.cat(outputs, 1))

    def _tables(self) -> list[Tensor]:
        return [self.hidden_weight, self.hidden_bias, self.last_weight, self.last_bias]

    @staticmethod
    def _split(tables: list[Tensor], step: int) -> list[tuple[Tensor, ...]]:
        # One split and not many slices: the backward pass of each slice would fill a gradient of the whole table.
        return [table.split(step) for table in tables]

    def _rows_of(self, index: Tensor) -> list[Tensor]:
        """Rows of the tables, one for each entry of the index, which may repeat itself."""
        tables = self._tables()
        if not (torch.is_grad_enabled() and any(table.requires_grad for table in tables)):
            return [table.index_select(0, index) for table in tables]
        # Two steps: sparse gradients want distinct rows, and shapes share experts.
        rows, place = torch.unique(index, return_inverse=True)
        return [gather_distinct(t, rows, sparse_grad=self.sparse_grad).index_select(0, place) for t in tables]

    def _mix(self, hidden: Tensor, last: Tensor, shift: Tensor) -> Tensor:
        """(s, p, c m) hidden values, (s, c m, out) weighted last layers and (s, 1, out) constants to (s, p, out)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return torch.baddbmm(shift, hidden.to(last.dtype), last)

    def _mix_all(self, h: Tensor, code: Tensor, hidden: Tensor, bias: Tensor, last: Tensor, shift: Tensor) -> Tensor:
        """The part of a mixture that some consecutive experts make, (s, p, out)."""
        values = self.activation(F.linear(h, hidden.flatten(0, 1), bias.flatten()))
        weighted = (code[..., None, None] * last).flatten(1, 2)
        return self._mix(values, weighted, (code[..., None] * shift).sum(1, keepdim=True))

    def _each(self, h: Tensor, hidden: Tensor, bias: Tensor, last: Tensor, shift: Tensor) -> Tensor:
        """Outputs (p, c, out) of some experts; one product makes the hidden values of all of them."""
        values = self.activation(F.linear(h, hidden.flatten(0, 1), bias.flatten()))
        values = values.view(len(h), len(hidden), self.width).transpose(0, 1)
        return self._mix(values, last, shift[:, None]).transpose(0, 1)

    def _squeezed(self, values: Tensor) -> Tensor:
        return values.squeeze(-1) if self.out_dim == 1 else values
