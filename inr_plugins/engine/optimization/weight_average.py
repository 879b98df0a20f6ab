"""The running mean of a module's weights over training steps, to evaluate with."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class WeightAverage(nn.Module):
    """mean <- decay * mean + (1 - decay) * weights, begun at the weights after the first step (torch's AveragedModel).

    Buffers are not averaged: the mean has those of the last step. It is saved with the module that holds it, see
    :func:`load_states_of_either_kind`.
    """

    def __init__(self, source: nn.Module, *, decay: float) -> None:
        """
        Args:
            source: the module that is trained; a copy of it is held here, the module itself is not.
            decay: part of the mean that a step keeps, in [0, 1); 0: nothing is held, and `of` returns the module.
        """
        super().__init__()
        self.mean: AveragedModel | None = None
        self._average = get_ema_multi_avg_fn(decay) if decay else None
        self._has_begun: bool | None = False
        if decay:
            self.mean = AveragedModel(source).requires_grad_(False)
        self.register_load_state_dict_post_hook(_forget_whether_begun)

    @torch.no_grad()
    def update(self, source: nn.Module) -> None:
        """Take the weights after a step into the mean.

        As AveragedModel.update_parameters, which asks the device at each step whether the mean has begun.
        """
        if self.mean is None or self._average is None:
            return
        means, weights = list(self.mean.module.parameters()), list(source.parameters())
        if self.has_begun:
            self._average(means, weights, self.mean.n_averaged)
        else:
            for mean, weight in zip(means, weights, strict=True):
                mean.copy_(weight)
        for own, buffer in zip(self.mean.module.buffers(), source.buffers(), strict=True):
            own.copy_(buffer)
        self.mean.n_averaged += 1
        self._has_begun = True

    @property
    def has_begun(self) -> bool:
        """Whether there has been an `update`, here or in what was loaded."""
        if self._has_begun is None:
            self._has_begun = self.mean is not None and bool(self.mean.n_averaged > 0)
        return self._has_begun

    def of(self, source: AnyModule) -> AnyModule:
        """The module to evaluate with: `source` before the first `update` and where nothing is averaged."""
        if self.mean is None or not self.has_begun:
            return source
        return self.mean.module  # type: ignore[return-value]


def _forget_whether_begun(average: nn.Module, _: Any) -> None:
    average._has_begun = None  # type: ignore[assignment]


def load_states_of_either_kind(owner: nn.Module, *, average: str, source: str) -> None:
    """Let a module load states with and without its average.

    A mean that is missing has not begun; one that the module does not hold is left out. A state that has nothing of the
    source either (nerfstudio's pipeline loads the rest of a state once its model has taken its part) changes nothing.

    Args:
        owner: what has both.
        average: its attribute that is a :class:`WeightAverage`.
        source: its attribute that is averaged.
    """

    def complete(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        own_prefix = f"{prefix}{average}."
        own = getattr(module, average).state_dict(prefix=own_prefix)
        saved = [name for name in state if name.startswith(own_prefix)]
        if not own:
            for name in saved:
                del state[name]
        elif not saved and any(name.startswith(f"{prefix}{source}.") for name in state):
            begun = f"{own_prefix}mean.n_averaged"
            state.update(own, **{begun: torch.zeros_like(own[begun])})

    owner.register_load_state_dict_pre_hook(complete)
