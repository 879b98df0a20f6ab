"""What the methods of measurements learn from in the report: a few balls, measured as a fit is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor

from inr_plugins.operators import diffraction, lensless
from inr_plugins.operators.diffraction_tomography import ring
from inr_plugins.operators.fourier import MaskedFourier
from inr_plugins.operators.propagation import intensity
from inr_plugins.operators.protocol import Operator
from inr_plugins.operators.resonance import scattered_mask
from inr_plugins.operators.tomography import Geometry
from inr_plugins.signal_grid import SignalPixels

_SLICE, _VOLUME, _HOLOGRAM, _CELL = 256, 96, 400, 96
"""Pixels or voxels along a side of what is looked for, as the papers have it."""
_CELL_SLICES = 40
_HEIGHTS_MM = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85)


@dataclass(frozen=True)
class Measured:
    """What is looked for, and what it is learnt from.

    Attributes:
        count: pixels or voxels of a step.
        signal: what the model is told of those.
        seen: what it is told of the instrument, under its name.
        measured: all measurements.
        operator: that the model does not have itself.
    """

    count: int
    signal: dict[str, Any]
    seen: dict[str, Any]
    measured: Tensor
    operator: Operator | None = None

    @classmethod
    def for_config(cls, config: Any) -> Measured:
        """Of a method, as large as the papers have it, or as `pixels_per_batch` allows."""
        return _MADE[config.method_name](int(config.pipeline.datamanager.pixels_per_batch))

    def scene(self) -> dict[str, Any]:
        """What a model is told of the data."""
        box = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
        return {"scene_box": box, "num_train_data": 1, "metadata": {"signal": self.signal, **self.seen}}

    def batch(self, step: int, device: torch.device) -> tuple[Any, dict[str, Tensor]]:
        """All of it, whatever the step."""
        operator = self.operator.to(device) if isinstance(self.operator, MaskedFourier) else self.operator
        return SignalPixels(None, operator), {"measured": self.measured.to(device)}


def _balls(*sides: int) -> Tensor:
    """Two balls or discs of values up to 1."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, side) for side in sides], indexing="ij")
    place = torch.stack(axes, -1)
    outer = (place.norm(dim=-1) < 0.7).float()
    return 0.6 * outer + 0.4 * ((place - 0.15).norm(dim=-1) < 0.3)


def _signal(*sides: int, channels: int = 1, parts: tuple[str, ...] = (), span: tuple[float, float] = (0.0, 1.0)) -> Any:
    *frames, height, width = sides
    signal = {"width": width, "height": height, "frames": (frames or [1])[0], "channels": channels, "bits": 32}
    return {**signal, "has_alpha": False, "span": span, "parts": parts}


def _slice(most: int) -> Measured:
    side = min(_SLICE, int(most**0.5))
    geometry = Geometry.around(side, side, pixel_mm=1.0, views=100, held_out=8)
    seen = {"tomography": {"geometry": asdict(geometry), "has_truth": True}}
    views = geometry.beam(geometry.learnt_angles).forward(_balls(side, side))
    return Measured(side**2, _signal(side, side), seen, views)


def _volume(most: int) -> Measured:
    side = min(_VOLUME, round(most ** (1 / 3)))
    operator = MaskedFourier(scattered_mask((side,) * 3, share=0.126, seed=0))
    seen = {"voxels": {"spacing_mm": (1.0,) * 3, "has_truth": True}}
    return Measured(side**3, _signal(*[side] * 3), seen, operator.forward(_balls(*[side] * 3)), operator)


def _holograms(most: int) -> Measured:
    side = min(_HOLOGRAM, int(most**0.5))
    optics = lensless.margin_for(lensless.Optics(side, side, 3.45, 537.0, _HEIGHTS_MM[1:], _HEIGHTS_MM[:1]), None)
    light = torch.polar(1 - 0.5 * _balls(side, side), _balls(side, side).flip(0))
    seen = {"imaging": {"optics": asdict(optics), "high": 1.0, "has_truth": True}}
    holograms = intensity(lensless.light_at(optics.space(optics.heights()), light)).float()
    return Measured(side**2, _signal(side, side, channels=2, parts=("amplitude", "phase")), seen, holograms)


def _cell(most: int) -> Measured:
    side, slices = min(_CELL, int((most / 4) ** 0.5)), _CELL_SLICES if most > _CELL**2 * _CELL_SLICES else 4
    optics = diffraction.Optics(side, side, slices, 0.1625, 0.3, -0.15 * (slices - 1), 0.515, 0.65, 1.33)
    operator = diffraction.WeakScattering(optics, ring(24, 0.65), margin=min(16, side // 4))
    volume = 0.1 * _balls(slices, side, side)
    seen = {"scattering": {"optics": asdict(optics), "has_truth": True}}
    pictures = operator.forward(torch.stack([volume, torch.zeros_like(volume)]))
    return Measured(side**2 * slices, _signal(slices, side, side, span=(1.33, 1.38)), seen, pictures, operator)


_MADE: dict[str, Callable[[int], Measured]] = {
    "cn-ct": _slice,
    "cn-mri": _volume,
    "diner-lensless": _holograms,
    "diner-tomography": _cell,
}
METHODS = tuple(_MADE)
"""Methods that learn from measurements."""
