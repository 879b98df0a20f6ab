"""The part of a training run that neither weights nor optimizers hold: random generators, cached images, gradients.

With it a resumed run takes, bit for bit on a CPU, the steps that the interrupted one would have taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from nerfstudio.data.datamanagers.base_datamanager import DataManager
from nerfstudio.data.utils.dataloaders import CacheDataloader
from nerfstudio.utils.misc import get_dict_to_torch
from torch.nn import Parameter

from inr_plugins.engine.rng import rng_state, seed_all, set_rng_state
from inr_plugins.engine.runs.same_data import KnownData


@runtime_checkable
class ResumableData(Protocol):
    """A datamanager with a state of its own, of plain numbers, lists, dicts and tensors."""

    def resume_state(self) -> dict[str, Any]:
        """What its next batches depend on, besides the random generators."""

    def load_resume_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`resume_state` returned."""


def _image_order(loader: CacheDataloader) -> list[int]:
    batch = loader.cached_collated_batch
    return [] if batch is None else torch.as_tensor(batch["image_idx"]).tolist()


def _cache_images(loader: CacheDataloader, order: list[int]) -> None:
    """Make `loader` hold the images `order`, in that order."""
    if _image_order(loader) == order:
        return
    if not order:
        loader.cached_collated_batch = None
        return
    batch = loader.collate_fn([loader.dataset[index] for index in order])
    loader.cached_collated_batch = get_dict_to_torch(
        batch, device=loader.device, exclude=loader.exclude_batch_keys_from_device
    )


def data_state(datamanager: DataManager) -> dict[str, Any]:
    """What the next training batches of `datamanager` depend on, besides the random generators.

    The images it holds matter, and their order: nerfstudio draws pixels from a stack of images whose order is random.
    """
    if isinstance(datamanager, ResumableData):
        return {"own": datamanager.resume_state()}
    state: dict[str, Any] = {"train_count": datamanager.train_count}
    loader = getattr(datamanager, "train_image_dataloader", None)
    if isinstance(loader, CacheDataloader):
        state["images"] = {
            "order": _image_order(loader),
            "repeated": loader.num_repeated,
            "first_time": loader.first_time,
        }
    return state


def load_data_state(datamanager: DataManager, state: Mapping[str, Any]) -> None:
    """Put `datamanager` back to what :func:`data_state` returned; ValueError if that was another kind of one."""
    if "own" in state:
        if not isinstance(datamanager, ResumableData):
            raise ValueError(f"{type(datamanager).__name__} has no state of its own")
        datamanager.load_resume_state(state["own"])
        return
    datamanager.train_count = state["train_count"]
    loader = getattr(datamanager, "train_image_dataloader", None)
    if isinstance(loader, CacheDataloader) and "images" in state:
        _cache_images(loader, state["images"]["order"])
        loader.num_repeated, loader.first_time = state["images"]["repeated"], state["images"]["first_time"]


def capture(datamanager: DataManager, accumulating: Mapping[str, list[Parameter]]) -> dict[str, Any]:
    """Return what the next step depends on besides weights and optimizers, as plain numbers, lists and tensors.

    Args:
        datamanager: Where training batches come from.
        accumulating: Parameter groups that are in the middle of accumulating gradients over several steps.
    """
    known = {"fingerprint": datamanager.data_fingerprint()} if isinstance(datamanager, KnownData) else {}
    return {
        **known,
        "generators": rng_state(),
        "data": data_state(datamanager),
        "gradients": {name: [param.grad for param in params] for name, params in accumulating.items()},
    }


def restore(
    state: Mapping[str, Any], datamanager: DataManager, parameters: Mapping[str, list[Parameter]], *, rank: int
) -> None:
    """Put back what :func:`capture` returned, right before the next step of process `rank`.

    Only the first process writes checkpoints. Were the others to take its random generators they would draw its rays,
    and were they to keep theirs, those of their beginning again; so they go on from a seed that the first one's state
    gives: several processes resume soundly, but not bit for bit.
    """
    load_data_state(datamanager, state["data"])
    for name, gradients in state["gradients"].items():
        for param, gradient in zip(parameters[name], gradients, strict=True):
            param.grad = None if gradient is None else gradient.to(param.device)
    set_rng_state(state["generators"])
    if rank > 0:
        seed_all(int(torch.randint(2**31, ())) + rank)
