"""A surface of networks that begins as the surface of another field: its distances, normals and colours, regressed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.fields.surface import SurfaceField
from inr_plugins.networks.activations.settings import ReLU, Softplus

_SEED = 20210620
"""Of the points: all processes fit the same network in the same way."""
_LATTICE = 96
"""Cells along the longest side of the box among which those near the surface are found."""
_NEAR_LR, _FAR_LR = 2e-3, 5e-4
"""The lower one is as much as wide networks of sines bear."""
_CHUNK = 1 << 17


@runtime_checkable
class StartSurface(Protocol):
    """What a surface may begin as, in the frame of the field that begins so."""

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance, negative inside; only nearly, and not too great, far from the surface."""

    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals, outward, near the surface; zero where none is known."""

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"] | None:
        """RGB in [0, 1] of points near the surface seen along unit directions; None: no colours are known."""


@dataclass(frozen=True)
class FieldStart:
    """How a field is fitted to a surface.

    Attributes:
        steps: optimizer steps.
        points: points of each step.
        sharpness: that the field has in the end, 1 / normalised unit; None: the one that it has.
    """

    steps: int
    points: int = 4096
    sharpness: float | None = None


def near_cells(target: StartSurface, box: Float[Tensor, "2 3"]) -> tuple[Float[Tensor, "n 3"], float]:
    """Middles and edge of the cells of a lattice that a surface crosses or nearly does; there may be none."""
    edge = float((box[1] - box[0]).max()) / _LATTICE
    axes = [torch.arange(low, high, edge) + edge / 2 for low, high in box.T.tolist()]
    x = torch.cartesian_prod(*axes).to(box)
    distance = torch.cat([target.sdf(part) for part in x.split(_CHUNK)])
    return x[distance.abs() < 1.5 * edge], edge


def start_as_field(
    field: SurfaceField, target: StartSurface, start: FieldStart, *, tell: Callable[[int, int], None]
) -> float:
    """Fit the field to a surface: distances everywhere, normals and colours near it; in the precision of training.

    Three fifths of the points lie within two cells of the surface, a quarter within a wider shell, the others anywhere
    in the box. No random number is drawn but from a generator of its own.

    Args:
        field: whose networks are changed, and which is left in the mode (training, eval) that it was in.
        target: the surface.
        start: how.
        tell: told how many steps of how many are done.

    Returns:
        Mean absolute error of the distance near the surface over the last tenth of the steps, normalised units.

    Raises:
        ValueError: there is no surface in the field's box.
    """
    with torch.no_grad():
        cells, edge = near_cells(target, field.box)
    if len(cells) == 0:
        raise ValueError("there is no surface in the box")
    was_training = field.training
    field.train()
    try:
        with torch.enable_grad():
            return _fit(field, target, start, cells, edge, tell)
    finally:
        field.train(was_training)


def _fit(
    field: SurfaceField,
    target: StartSurface,
    start: FieldStart,
    cells: Tensor,
    edge: float,
    tell: Callable[[int, int], None],
) -> float:
    generator = torch.Generator().manual_seed(_SEED)
    is_near = isinstance(field.distance_network.activation, ReLU | Softplus)
    parameters = [p for name, p in field.named_parameters() if name != "variance"]
    adam = torch.optim.Adam(parameters, lr=_NEAR_LR if is_near else _FAR_LR, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: _rate(step, start.steps))
    unit, errors = float(field.network_unit), []
    for step in range(start.steps):
        x, near = _points(field, cells, edge, start.points, generator)
        with torch.no_grad():
            distance, normal = target.sdf(x), target.normal(x[:near])
        found, gradient, features = field.distance_and_gradient(x)
        known = (normal.norm(dim=-1) > 0.5).float()
        error = (found[:near] - distance[:near]).abs().mean()
        turned = ((gradient[:near] - normal).norm(dim=-1) * known).sum() / known.sum().clamp(min=1)
        lengths = (gradient.norm(dim=-1) - 1).square().mean()
        # Far away the target knows its distance roughly.
        rough = (found[near:] - distance[near:]).abs().mean()
        loss = (error + 0.1 * rough) / unit + 0.05 * turned + 0.02 * lengths
        along = _directions(normal, known, generator)
        with torch.no_grad():
            colour = target.colour(x[:near], along)
        if colour is not None:
            seen = field.shade(x[:near], along, gradient[:near], features[:near])
            loss = loss + 0.1 * ((seen - colour).abs().sum(-1) * known).sum() / known.sum().clamp(min=1)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        schedule.step()
        errors.append(error.detach())
        tell(step + 1, start.steps)
    adam.zero_grad()
    if start.sharpness is not None:
        field.sharpen(start.sharpness)
    last = errors[-max(1, len(errors) // 10) :]
    return float(torch.stack(last).mean()) if last else math.inf


def _rate(step: int, steps: int) -> float:
    """Warm-up of a twentieth, then half a cosine wave."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _points(
    field: SurfaceField, cells: Tensor, edge: float, count: int, generator: torch.Generator
) -> tuple[Tensor, int]:
    """Points of a step, those near the surface first, and how many these are."""
    near, wide = 3 * count // 5, count // 4
    which = torch.randint(len(cells), (near + wide,), generator=generator).to(cells.device)
    shift = torch.rand(near, 3, generator=generator) - 0.5
    far = 0.15 * float(field.network_unit) * torch.randn(wide, 3, generator=generator)
    moved = cells[which] + torch.cat([edge * shift, far]).to(cells)
    low, high = field.box
    even = low + (high - low) * torch.rand(count - near - wide, 3, generator=generator).to(cells)
    return torch.cat([torch.maximum(torch.minimum(moved, high), low), even]), near


def _directions(normal: Tensor, known: Tensor, generator: torch.Generator) -> Tensor:
    """Unit directions that meet a surface from outside, or any where its normal is not known."""
    drawn = F.normalize(torch.randn(normal.shape, generator=generator), dim=-1).to(normal)
    against = (drawn * normal).sum(-1, keepdim=True)
    return torch.where(against > 0, -drawn, drawn)
