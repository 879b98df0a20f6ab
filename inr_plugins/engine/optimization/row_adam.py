"""Adam for tables of which a step touches few rows: only those rows move, and only they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from nerfstudio.engine.optimizers import OptimizerConfig
from torch import Tensor


class RowAdam(torch.optim.Optimizer):
    """Adam that leaves alone, moments included, every row whose gradient is zero (DVGO's masked Adam, row by row).

    Plain Adam goes on moving a row by its old momentum, and pays for the whole table at every step. Parameters are
    tables (rows first); gradients may be dense, where the touched rows are those with a nonzero entry, or sparse and
    coalesced, where they are the rows held.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        """
        Args:
            params: tables to optimize.
            lr: step size, >= 0.
            betas: decay of the first and second moments, each in [0, 1).
            eps: added to the root of the second moment.

        Raises:
            ValueError: a setting out of range.
        """
        if lr < 0 or eps < 0 or not all(0 <= b < 1 for b in betas):
            raise ValueError(f"RowAdam needs lr >= 0, eps >= 0 and betas in [0, 1), got {lr}, {eps}, {betas}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; the closure, if any, is called first with gradients on."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group)
        return loss

    def _update(self, table: Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(table)
            state["exp_avg_sq"] = torch.zeros_like(table)
        state["step"] += 1
        step = float(state["step"])
        beta1, beta2 = group["betas"]
        if table.device.type != "cpu" and table.grad is not None and not table.grad.is_sparse:
            self._update_all(table, state, group, step)
            return
        rows, grad = touched_rows(table.grad)
        first = state["exp_avg"].index_select(0, rows).lerp_(grad, 1 - beta1)
        second = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, first)
        state["exp_avg_sq"].index_copy_(0, rows, second)
        root = second.sqrt_().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        change = first.div_(root).mul_(-group["lr"] / (1 - beta1**step))
        table.index_copy_(0, rows, table.index_select(0, rows).add_(change))

    @staticmethod
    def _update_all(table: Tensor, state: dict[str, Any], group: dict[str, Any], step: float) -> None:
        """The same in passes over the whole table, which on an accelerator cost less than asking which rows moved."""
        beta1, beta2 = group["betas"]
        grad, first, second = table.grad, state["exp_avg"], state["exp_avg_sq"]
        assert grad is not None
        touched = (grad != 0).reshape(len(grad), -1).any(-1).view(-1, *[1] * (grad.ndim - 1))
        first.copy_(torch.where(touched, first.lerp(grad, 1 - beta1), first))
        second.copy_(torch.where(touched, (second * beta2).addcmul_(grad, grad, value=1 - beta2), second))
        root = second.sqrt().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        change = (first / root).mul_(-group["lr"] / (1 - beta1**step))
        table.add_(torch.where(touched, change, 0.0))


def touched_rows(grad: Tensor | None) -> tuple[Tensor, Tensor]:
    """The rows that a gradient touches, and the gradient of those rows."""
    if grad is None:
        raise ValueError("the table has no gradient")
    if grad.is_sparse:
        rows = grad._indices()[0]
        # Autograd forgets that a gradient was coalesced; rows in strictly ascending order are, and sorting them costs.
        if bool((rows.diff() > 0).all()):
            return rows, grad._values()
        grad = grad.coalesce()
        return grad.indices()[0], grad.values()
    rows = (grad.reshape(len(grad), -1) != 0).any(-1).nonzero()[:, 0]
    return rows, grad.index_select(0, rows)


@dataclass
class RowAdamConfig(OptimizerConfig):
    """Adam that moves only the rows of a table which a step touched."""

    _target: type = field(default_factory=lambda: RowAdam)
    """Class to instantiate."""
    lr: float = 1e-3
    """Step size."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the first and second moments."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
