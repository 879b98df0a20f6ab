"""What the processes of a training agree on: that they have the same model, what its losses are, and when to stop."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import torch
from nerfstudio.engine.optimizers import Optimizers
from torch import Tensor, nn
from torch.cuda.amp.grad_scaler import GradScaler

from inr_plugins import ranks
from inr_plugins.engine.runs.same_data import KnownData, what_differs
from inr_plugins.errors import InputError


class JointOptimizers(Optimizers):
    """nerfstudio's optimizers, which step by the mean of all processes' gradients."""

    def optimizer_scaler_step_some(self, grad_scaler: GradScaler, param_groups: list[str]) -> None:
        """Step the groups named, after their gradients have been averaged."""
        ranks.average_gradients([each for name in param_groups for each in self.parameters[name]])
        super().optimizer_scaler_step_some(grad_scaler, param_groups)


def share_state(model: nn.Module, datamanager: Any) -> None:
    """Give every process the first one's weights and buffers.

    Raises:
        InputError: the processes have other data, or other models.
    """
    if not ranks.is_joint():
        return
    own = datamanager.data_fingerprint() if isinstance(datamanager, KnownData) else {}
    makes = ranks.gather_objects((_make_of(model), own))
    for rank, (make, data) in enumerate(makes):
        differs = what_differs(makes[0][1], data)
        if differs is not None:
            raise InputError(
                f"Process {rank} does not train on what process 0 does ({differs}): give all machines the same data."
            )
        if make != makes[0][0]:
            raise InputError(
                f"Process {rank} has another model than process 0: give all machines the same options, data and "
                "version."
            )
    ranks.send_from_first(ranks.tensors_of(model))


def _make_of(model: nn.Module) -> str:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    make = [(name, tuple(each.shape), str(each.dtype)) for name, each in tensors]
    return hashlib.sha256(repr(make).encode()).hexdigest()


def mean_losses(loss: Tensor, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of a step, averaged over the processes: one that is not finite is so for all of them."""
    if not ranks.is_joint():
        return loss, losses
    packed = torch.stack([loss.detach().float(), *(each.detach().float() for each in losses.values())])
    total, *parts = ranks.mean_over_ranks(packed).unbind()
    return total, dict(zip(losses, parts, strict=True))


class StopVote:
    """Whether the processes stop after the step that they are about to take: as soon as one of them wants to.

    One whose parent is gone, which no longer could pass signals on, wants to.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._parent = os.getppid()

    def is_carried(self) -> bool:
        """Ask all of them; waits for those that have not come this far."""
        wanted = self.wanted or os.getppid() != self._parent
        return any(vote for (vote,) in ranks.gather_numbers([int(wanted)]))


def come_apart(tensors: Sequence[Tensor]) -> list[int]:
    """The numbers of the processes whose tensors have other bits than the first one's."""
    digest = hashlib.sha256()
    for each in tensors:
        digest.update(each.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    found = ranks.gather_objects(digest.hexdigest())
    return [rank for rank, each in enumerate(found) if each != found[0]]
