"""A field and a picture have the same values whatever the chunks that they are evaluated in, for every method.

And what a method writes can be read by torch's own reader of plain data.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from campaign import small_runs
from campaign.case import Case
from campaign.rules import hold
from torch import Tensor

from inr_plugins.engine.runs.checkpoints import checkpoint_path, checkpoint_steps
from inr_plugins.engine.runs.run import load_run

_POINTS = 1500
_SIZES = (1, 7, 64, 1000)
_ALIKE = 2e-6
"""Largest difference, as a part of the largest value: what rounding may do. 9.1e-7 was the largest ever seen."""


def _loaded(method: str, place: Path) -> Any:
    """The model of the shared run, and a bundle of rays of its whole first view."""
    return load_run(small_runs.trained(method, place), device="cpu").pipeline


def _answers(field: Any) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """What a field says of points and directions, by name."""
    found = {
        name: partial(lambda call, x, d: call(x), getattr(field, name))
        for name in ("density", "sdf", "occupancy") if hasattr(field, name)
    }  # fmt: skip
    if hasattr(field, "colour"):
        found["colour"] = field.colour
    return found


def _alike(first: Tensor, second: Tensor, what: str) -> None:
    scale = float(first.abs().max())
    hold(scale > 0, f"{what}: all is zero, so that nothing is shown")
    hold(bool(torch.isfinite(first).all()), f"{what}: not finite")
    difference = float((first - second).abs().max()) / scale
    hold(difference <= _ALIKE, f"{what}: a part of {difference:.1e} differs")


def _field(method: str, place: Path, rng: random.Random) -> None:
    model = _loaded(method, place).model
    torch.manual_seed(rng.randrange(1 << 30))
    points = 1.6 * torch.rand(_POINTS, 3) - 0.8
    directions = torch.nn.functional.normalize(torch.randn(_POINTS, 3), dim=-1)
    answers = _answers(model.field)
    hold(bool(answers), "the field has no values")
    with torch.no_grad():
        for name, call in answers.items():
            whole = call(points, directions)
            hold(len(whole) == _POINTS, f"{name}: {tuple(whole.shape)} of {_POINTS} points")
            for size in _SIZES:
                some = _POINTS if size > 1 else 60
                parts = [call(points[k : k + size], directions[k : k + size]) for k in range(0, some, size)]
                _alike(whole[:some], torch.cat(parts), f"{name} in chunks of {size}")
            order = torch.randperm(_POINTS)
            _alike(whole[order], call(points[order], directions[order]), f"{name} in another order")


def _picture(method: str, place: Path, rng: random.Random) -> None:
    pipeline = _loaded(method, place)
    model, cameras = pipeline.model, pipeline.datamanager.train_dataset.cameras
    bundle = cameras.generate_rays(camera_indices=rng.randrange(len(cameras)), keep_shape=True)
    rays, pictures = bundle.origins[..., 0].numel(), []
    for size in (10**6, 1 << 5, rays // 2 + 1, rng.randrange(20, rays)):
        model.config.eval_num_rays_per_chunk = size
        with torch.no_grad():
            pictures.append(model.get_outputs_for_camera_ray_bundle(bundle))
    for other in pictures[1:]:
        for name in ("rgb", "depth", "accumulation", "normals"):
            # A ray that sees nothing has no light in it, and a scene may be all of those.
            if name in other and bool(pictures[0][name].any()):
                _alike(pictures[0][name], other[name], name)


def _plain(method: str, place: Path, rng: random.Random) -> None:
    models = small_runs.trained(method, place) / "nerfstudio_models"
    steps = checkpoint_steps(models)
    hold(len(steps) == 2, f"the run has the checkpoints of steps {steps}")
    for step in steps:
        state = torch.load(checkpoint_path(models, step), map_location="cpu", weights_only=True)
        hold(state["step"] == step, f"the checkpoint of step {step} is of step {state['step']}")
        hold(any(isinstance(value, Tensor) for value in state["pipeline"].values()), "there are no weights")


def cases() -> list[Case]:
    """All of the group."""
    attacks = {"field": _field, "picture": _picture, "plain": _plain}
    return [
        Case(f"chunks/{method}/{name}", "chunks", partial(attack, method), 120)
        for method in (*small_runs.SETTINGS, *small_runs.VARIANTS)
        for name, attack in attacks.items()
    ]
