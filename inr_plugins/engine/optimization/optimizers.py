"""Replace the parameters of a group during training, optimizer state and learning-rate schedule included.

A model that changes shape as it learns (a coarse grid that becomes a fine one, a table cut down to the rows in use)
calls these from a training callback, through ``training_callback_attributes.optimizers``. Such a model must also
override ``load_state_dict`` to take on the shapes of the checkpoint; the trainer then builds the optimizers from the
model as loaded, so that resuming needs nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int
from nerfstudio.engine.optimizers import Optimizers
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer


def rebuild_param_group(
    optimizers: Optimizers,
    name: str,
    params: list[Parameter],
    *,
    carry_state_index: Mapping[int, Int[Tensor, " new_rows"]] | None = None,
    keep_schedule: bool = True,
) -> None:
    """Make group `name` optimize `params` from now on, in place in `optimizers`.

    A parameter that the group already held keeps its state (moments, step count). A new one starts without state,
    unless `carry_state_index` says which rows of which old state it goes on with.

    Args:
        optimizers: nerfstudio's optimizers, changed in place.
        name: Group to rebuild; a name that has a configuration but no group yet is added.
        params: All parameters of the group, in their new order.
        carry_state_index: From a position in `params` to an index into the rows (first axis) of the *old* parameter at
            the same position: row i of the new state is row ``index[i]`` of the old one, and zero where the index is
            -1. Adam's step count is carried whole, so fresh rows among carried ones take their first steps without
            bias correction.
        keep_schedule: Go on in the learning-rate schedule where the group was, rather than at its beginning. A group
            that is added begins at the beginning.

    Raises:
        KeyError: `name` has no optimizer configuration.
        ValueError: `params` is empty (see :func:`drop_param_group`), or an index does not fit its parameter.
    """
    if not params:
        raise ValueError(f"Parameter group {name!r} would be empty: use drop_param_group to end it.")
    config = optimizers.config[name]
    old = optimizers.optimizers.get(name)
    new: Optimizer = config["optimizer"].setup(params=params)
    if old is not None:
        _carry_state(old, new, optimizers.parameters[name], params, carry_state_index or {})
    scheduler = None
    if config["scheduler"]:
        scheduler = config["scheduler"].setup().get_scheduler(optimizer=new, lr_init=config["optimizer"].lr)
        if old is not None and keep_schedule and name in optimizers.schedulers:
            scheduler.load_state_dict(optimizers.schedulers[name].state_dict())
    if old is not None and keep_schedule:
        for old_group, new_group in zip(old.param_groups, new.param_groups, strict=True):
            new_group["lr"] = old_group["lr"]
    # Only now, so that an error above leaves the group as it was.
    optimizers.optimizers[name] = new
    optimizers.parameters[name] = params
    if scheduler is not None:
        optimizers.schedulers[name] = scheduler


def drop_param_group(optimizers: Optimizers, name: str) -> None:
    """End group `name`: its parameters are no longer optimized. Nothing happens if there is no such group."""
    for table in (optimizers.optimizers, optimizers.parameters, optimizers.schedulers):
        table.pop(name, None)


def _carry_state(
    old: Optimizer,
    new: Optimizer,
    old_params: list[Parameter],
    new_params: list[Parameter],
    index: Mapping[int, Tensor],
) -> None:
    """Give `new` the state of the parameters it shares with `old`, and the indexed rows of those it replaces."""
    for param in new_params:
        if param in old.state:
            new.state[param] = old.state[param]
    for position, rows in index.items():
        source, target = old_params[position], new_params[position]
        if rows.shape != target.shape[:1] or source.shape[1:] != target.shape[1:]:
            raise ValueError(
                f"Parameter {position} has shape {tuple(target.shape)}: it cannot take rows {tuple(rows.shape)} of the "
                f"state of one of shape {tuple(source.shape)}."
            )
        if source in old.state:
            new.state[target] = {key: _take_rows(value, rows, source) for key, value in old.state[source].items()}


def _take_rows(value: Any, rows: Tensor, source: Parameter) -> Any:
    """Rows of one entry of a parameter's state; an entry that has none (Adam's step count) whole."""
    if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != len(source):
        return value
    rows = rows.to(value.device)
    taken = value[rows.clamp_min(0)]
    kept = (rows >= 0).view(-1, *(1,) * (value.ndim - 1))
    return torch.where(kept, taken, torch.zeros_like(taken))
