"""The viewer's own copy of a model: what is drawn while the model itself goes on learning."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from nerfstudio.viewer.viewer_elements import ViewerControl, ViewerElement
from torch import Tensor, nn

SHARED_FROM = 500 << 20
"""Bytes of a tensor that is not copied: the copy and the model hold the same one, and it is drawn between steps."""

_NEVER_COPIED = ("config", "kwargs", "scene_box", "render_aabb", "image_metrics")
"""Attributes of models that drawing leaves alone."""


@runtime_checkable
class OwnViewerCopy(Protocol):
    """A model that makes its own copy for the viewer, say with fewer samples a ray."""

    def viewer_copy(self) -> Any:
        """A model in eval mode that the next training steps do not change; `generic_copy` is the place to begin."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What is drawn until the next one is taken.

    Attributes:
        model: a copy in eval mode; nothing but the viewer uses it.
        step: the last training step that it has seen.
        is_shared: whether some of its tensors are those of the model that is trained, so that frames are to be drawn
            under the trainer's lock.
        baked: what has been made of this copy for quick frames, by whoever made it.
        source: the snapshot that this one is, but for what panels have changed; None of one that they were not asked
            about.
        is_edited: whether they have changed anything.
    """

    model: Any
    step: int
    is_shared: bool
    baked: dict[str, Any] = field(default_factory=dict)
    source: Snapshot | None = None
    is_edited: bool = False


def take_snapshot(model: Any, step: int, *, share_from: int = SHARED_FROM) -> Snapshot:
    """Copy a model for drawing; the caller sees to it that no training step runs meanwhile.

    Args:
        model: a nerfstudio Model, in whatever mode; it is left in that.
        step: the last training step that it has seen.
        share_from: bytes from which a tensor is shared.
    """
    made = model.viewer_copy() if isinstance(model, OwnViewerCopy) else generic_copy(model, share_from=share_from)
    own = {id(each) for each in (*model.parameters(), *model.buffers())}
    shared = any(id(each) in own and each.numel() > 0 for each in (*made.parameters(), *made.buffers()))
    return Snapshot(made, step, shared)


def edited(snapshot: Snapshot, edits: Sequence[Callable[[Any], None]]) -> Snapshot:
    """A snapshot as panels want it drawn: that of a shallow copy of its model, of which they have set attributes.

    Args:
        snapshot: as it was taken, or edited before, which then does not count.
        edits: each is given the copy, whose modules and tensors are those of the snapshot and stay as they are.
    """
    source = snapshot.source or snapshot
    if not edits:
        return source
    model = copy.copy(source.model)
    if isinstance(model, nn.Module):
        # copy.copy has the copy's tables be those of the original, in which setting a module would change both.
        for name in ("_modules", "_parameters", "_buffers"):
            vars(model)[name] = {**vars(model)[name]}
    for edit in edits:
        edit(model)
    return replace(source, model=model, baked={}, source=source, is_edited=_differ(model, source.model))


def _differ(made: Any, model: Any) -> bool:
    """Whether a shallow copy has other attributes than what it was copied from."""
    own, other = (_attributes(each) for each in (made, model))
    return own.keys() != other.keys() or any(own[name] is not other[name] for name in own)


def _attributes(model: Any) -> dict[str, Any]:
    tables = ("_modules", "_parameters", "_buffers")
    found = {name: value for name, value in vars(model).items() if name not in tables}
    for table in tables:
        found.update({f"{table}.{name}": value for name, value in vars(model).get(table, {}).items()})
    return found


def generic_copy(model: nn.Module, *, share_from: int = SHARED_FROM) -> Any:
    """A deep copy in eval mode, of whatever shape the model has by now, that asks for no gradients.

    Shared with the model are its controls in the viewer, its settings, and tensors of `share_from` bytes or more.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        for name, value in vars(module).items():
            _prepare(name, value, memo, is_top=module is model)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.numel() * tensor.element_size() >= share_from:
            memo[id(tensor)] = tensor
    made = copy.deepcopy(model, memo)
    for parameter in made.parameters():
        if id(parameter) not in memo:
            parameter.requires_grad_(False)
    return made.eval()


def _prepare(name: str, value: Any, memo: dict[int, Any], *, is_top: bool) -> None:
    """Enter into a deep copy's memo what is to be shared, and what deepcopy refuses: tensors inside a graph."""
    if isinstance(value, ViewerControl | ViewerElement) or (is_top and name in _NEVER_COPIED):
        memo[id(value)] = value
    elif isinstance(value, Tensor) and value.grad_fn is not None:
        with torch.no_grad():
            memo[id(value)] = value.detach().clone()
