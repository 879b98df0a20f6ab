"""Another run's surface, in the frame of the model that is to start from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.engine.runs.run import Run, load_run
from inr_plugins.engine.runs.same_data import TOLERANCE
from inr_plugins.errors import InputError
from inr_plugins.fields.protocol import ColourField, SDFField
from inr_plugins.options import model_option

_APART = 1e-3
"""Cameras that are farther apart, of how far all of them spread, are not the same."""


@dataclass(frozen=True)
class MovedSurface:
    """A field with its points moved: `inr_plugins.fields.field_start.StartSurface`.

    Attributes:
        field: the run's, in eval mode.
        rotation: from the model's frame to the run's.
        scale: length in the run's frame of a length in the model's.
        offset: of the model's origin in the run's frame.
    """

    field: Any
    rotation: Float[Tensor, "3 3"]
    scale: float
    offset: Float[Tensor, " 3"]

    def _moved(self, x: Tensor) -> Tensor:
        return self.scale * x @ self.rotation.T + self.offset

    @torch.no_grad()
    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance, negative inside."""
        return self.field.sdf(self._moved(x)).detach() / self.scale

    @torch.no_grad()
    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals near the surface."""
        return self.field.normal(self._moved(x)).detach() @ self.rotation

    @torch.no_grad()
    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"] | None:
        """RGB in [0, 1], where the field has colours."""
        if not isinstance(self.field, ColourField):
            return None
        return self.field.colour(self._moved(x), d @ self.rotation.T).detach()


def surface_of_run(path: Path, manager: Any, device: torch.device) -> tuple[MovedSurface, float | None]:
    """The surface of a run that has learnt from the same data, and its sharpness.

    Args:
        path: run folder, or its config.yml.
        manager: the datamanager of the training that is to start.
        device: where to put the surface.

    Returns:
        The surface, and how sharp it is seen, 1 / normalised unit of the model's frame, where that is known.

    Raises:
        InputError: there is no such run, it has no signed distance, or its data are others.
    """
    run = load_run(path, device=device)
    model: Any = run.pipeline.model
    field: Any = getattr(model, "field", None)
    if not isinstance(field, SDFField) or not hasattr(field, "normal"):
        raise InputError(
            f"{model_option('start')} {path} has no signed distance to start from: give a run of diner-surface."
        )
    mine, theirs = (_frame(each) for each in (manager, run.pipeline.datamanager))
    if mine is None or theirs is None:
        raise InputError(f"{model_option('start')} {path} is of data whose frame is not known: train it anew.")
    _check_same_data(path, manager, run, mine, theirs)
    between = theirs.after(mine.inverse())
    rotation, offset = (torch.from_numpy(each).float().to(device) for each in (between.rotation, between.offset))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    sharpness = _sharpness(model)
    return (
        MovedSurface(field, rotation, float(between.scale), offset),
        None if sharpness is None else sharpness * float(between.scale),
    )


def _frame(manager: Any) -> Any:
    """The map from the dataset's frame to the normalised one."""
    return (manager.train_dataset.metadata or {}).get("dataset_frame")


def _check_same_data(path: Path, manager: Any, run: Run, mine: Any, theirs: Any) -> None:
    """See that both learn from the same cameras, in the dataset's frame, and from the same pictures."""
    told = f"{model_option('start')} {path}"
    other: Any = run.pipeline.datamanager
    here, there = (
        frame.inverse().points(each.train_dataset.cameras.camera_to_worlds[:, :3, 3].double().cpu().numpy())
        for frame, each in ((mine, manager), (theirs, other))
    )
    few, many = (here, there) if len(here) <= len(there) else (there, here)
    apart = np.sqrt(((few[:, None] - many[None]) ** 2).sum(-1).min(1))
    elsewhere = int((apart > _APART * max(float(np.ptp(many, axis=0).max()), 1e-9)).sum())
    if elsewhere:
        raise InputError(
            f"{told} has learnt in another frame: {elsewhere} of {len(few)} cameras of its data are not among those "
            "of --data; give a run of the same data."
        )
    pictures, seen = manager.data_fingerprint(), other.data_fingerprint()
    if pictures["count"] == seen["count"] and _differ(pictures["pictures"], seen["pictures"]):
        raise InputError(f"{told} has learnt from other pictures than those of --data: give a run of the same data.")


def _differ(a: list[float], b: list[float]) -> bool:
    return len(a) != len(b) or any(abs(x - y) > TOLERANCE for x, y in zip(a, b, strict=True))


def _sharpness(model: Any) -> float | None:
    """How sharp a model sees its surface, 1 / normalised unit."""
    own = getattr(model.field, "sharpness", None)
    if own is not None:
        return float(own)
    per_cell, lattice = getattr(model, "sharpness", None), getattr(model.field, "lattice", None)
    return None if per_cell is None or lattice is None else float(per_cell) / float(lattice.edge)
