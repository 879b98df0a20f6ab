"""The running mean of a module's weights over training steps, to evaluate with."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class WeightAverage(nn.Module):
    """mean <- decay * mean + (1 - decay) * weights, begun at the weights after the first step (torch's AveragedModel).

    Buffers are not averaged: the mean has those of the last step. It is saved with the module that holds it; a state
    without it (of a run that did not average) is taken for a mean that has not begun, and a mean that is not wanted any
    more is left out.
    """

    def __init__(self, source: nn.Module, *, decay: float) -> None:
        """
        Args:
            source: the module that is trained; a copy of it is held here, the module itself is not.
            decay: part of the mean that a step keeps, in [0, 1); 0: nothing is held, and `of` returns the module.
        """
        super().__init__()
        self.mean: AveragedModel | None = None
        if decay:
            self.mean = AveragedModel(source, multi_avg_fn=get_ema_multi_avg_fn(decay)).requires_grad_(False)
        self.register_load_state_dict_pre_hook(_take_what_is_there)

    def update(self, source: nn.Module) -> None:
        """Take the weights after a step into the mean."""
        if self.mean is not None:
            self.mean.update_parameters(source)

    def of(self, source: AnyModule) -> AnyModule:
        """The module to evaluate with: `source` before the first `update` and where nothing is averaged."""
        if self.mean is None or not int(self.mean.n_averaged):
            return source
        return self.mean.module  # type: ignore[return-value]


def _take_what_is_there(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Make the part of `state` that is this module's complete."""
    own = module.state_dict(prefix=prefix)
    saved = {name for name in state if name.startswith(prefix)}
    if not own:
        for name in saved:
            del state[name]
    elif not saved:
        begun = f"{prefix}mean.n_averaged"
        state.update(own, **{begun: torch.zeros_like(own[begun])})
