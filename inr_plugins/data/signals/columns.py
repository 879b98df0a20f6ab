"""The pixels that a step of `ns-train nid-video` sees: some places of the picture, in all frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins import ranks
from inr_plugins.data.signals.batches import PixelBatches
from inr_plugins.data.signals.clip_judge import Background, ClipTruth, classical_backgrounds, truth_beside
from inr_plugins.data.signals.datamanager import SignalDataManager, SignalDataManagerConfig
from inr_plugins.data.signals.parser import SignalDataParserConfig, VideoDataParserConfig
from inr_plugins.signal_grid import SignalPixels

_LEAST_ERROR = 1e-12


@dataclass
class ColumnDataManagerConfig(SignalDataManagerConfig):
    """Settings of the datamanager of methods that learn a video place by place."""

    _target: type = field(default_factory=lambda: ColumnDataManager)
    """Class to instantiate."""
    dataparser: SignalDataParserConfig = field(default_factory=VideoDataParserConfig)
    """Which video."""
    pixels_per_batch: int = 1 << 16
    """Pixels of a training step in all frames together, at the most; every place that a step sees is seen in all
    frames, so that a long video is seen at fewer places."""


class ColumnDataManager(SignalDataManager):
    """As the base class; a batch's `places` are those of some pixels in the first frame, and `values` are theirs in
    all frames, (frames, pixels, channels)."""

    config: ColumnDataManagerConfig

    def _batches(self) -> PixelBatches:
        kind = self.image.kind
        most = max(1, self.config.pixels_per_batch // kind.frames)
        return PixelBatches(kind.width * kind.height, most, seed=self._seed, rank=ranks.rank(), ranks=ranks.number())

    def _pixels(self, step: int) -> tuple[SignalPixels, dict[str, Any]]:
        places, kind = self._batches().places(step), self.image.kind
        if places is None:
            if self._truth is None:
                self._truth = self._values_of(self.image.flat)
            return SignalPixels(None), {"values": self._truth.view(kind.frames, -1, kind.channels)}
        first = torch.arange(kind.frames)[:, None] * (kind.width * kind.height)
        values = self._values_of(self.image.flat[(first + places).flatten().numpy()])
        batch = {"values": values.view(kind.frames, -1, kind.channels)}
        return SignalPixels(places.to(self.device)), batch

    def get_train_rays_per_batch(self) -> int:
        """Pixels of a training step, of all frames."""
        return self._batches().size * self.image.kind.frames

    def get_eval_rays_per_batch(self) -> int:
        """Pixels of a step, of all frames."""
        return self.get_train_rays_per_batch()

    def evaluated(self, number: int, count: int) -> str:
        """What metrics are of: the frames, whose background alone is learnt."""
        return f"{super().evaluated(number, count)}, whose background is learnt"

    @torch.no_grad()
    def measurement_scores(self, model: Any) -> dict[str, float]:
        """What a `NidVideoModel` says of its background beside the frames (its `parted`), as means over all of them.

        The same of other answers, under names that end in theirs (see `classical_backgrounds`). Of a made clip, whose
        truth is beside it, also psnr_still, of the background over all of every frame, and precision, recall and f of
        the foreground.
        """
        truth = truth_beside(Path(self.config.dataparser.data), self.image)
        size = self.image.kind.width * self.image.kind.height

        def learnt(frame: int) -> Float[Tensor, "pixels channels"]:
            places = torch.arange(size, device=self.device) + frame * size
            found: Float[Tensor, "pixels channels"] = model.field.at(model.grid.indices(places).double())
            return found

        scores = self._scores_of(learnt, model, truth)
        for name, background in classical_backgrounds(self.image).items():
            scores |= {f"{key}_{name}": value for key, value in self._scores_of(background, model, truth).items()}
        return scores

    def _scores_of(self, background: Background, model: Any, truth: ClipTruth | None) -> dict[str, float]:
        """Of one answer."""
        kind, parts, errors, counts = self.image.kind, [], [], torch.zeros(3)
        for frame in range(kind.frames):
            video = self._values_of(self.image.picture(frame).reshape(-1, kind.channels))
            found = background(frame).to(self.device)
            parts.append(model.parted(found, video))
            if truth is not None:
                mask = truth.mask[frame].to(self.device)
                errors.append((found.clamp(0, 1) - truth.background.to(self.device)).square().mean())
                moves = model.is_foreground(found, video)
                counts += torch.stack([each.sum() for each in (moves & mask, moves, mask)]).cpu()
        scores = {name: float(torch.stack([each[name] for each in parts]).mean()) for name in parts[0]}
        if truth is not None:
            both, called, there = counts.tolist()
            scores["psnr_still"] = float(-10 * torch.stack(errors).mean().clamp(min=_LEAST_ERROR).log10())
            scores |= {"precision": both / max(called, 1), "recall": both / max(there, 1)}
            scores["f"] = 2 * both / max(called + there, 1)
        return scores
