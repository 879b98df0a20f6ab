"""The pixels that a step of `ns-train nid-video` sees: some places of the picture, in all frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from inr_plugins import ranks
from inr_plugins.data.signals.batches import PixelBatches
from inr_plugins.data.signals.datamanager import SignalDataManager, SignalDataManagerConfig
from inr_plugins.data.signals.parser import SignalDataParserConfig, VideoDataParserConfig
from inr_plugins.signal_grid import SignalPixels


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
        """Means over all frames of what a `NidVideoModel` says of a background beside the frame (its `parted`)."""
        kind, found = self.image.kind, []
        for frame in range(kind.frames):
            video = self._values_of(self.image.picture(frame).reshape(-1, kind.channels))
            places = torch.arange(len(video), device=self.device) + frame * len(video)
            found.append(model.parted(model.field.at(model.grid.indices(places).double()), video))
        return {name: float(torch.stack([each[name] for each in found]).mean()) for name in found[0]}
