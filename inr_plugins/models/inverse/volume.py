"""What fits of volumes have in common that are learnt from measurements: all voxels at once, and what judges them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inr_plugins.models.inverse.planes import PlaneView, planes_of
from inr_plugins.models.inverse.volume_panel import VolumePanel
from inr_plugins.models.signals.base import ImageModel
from inr_plugins.models.signals.panels import SLICE, ImagePanel


class MeasuredVolume(ImageModel):
    """A volume that is learnt from measurements, whose slices are to it what frames are to a video; or one slice.

    Every slice that is judged has the same scores by measurements that were held out.
    """

    frame_noun = SLICE
    view: PlaneView | None = None
    """Planes that are seen in place of a slice; for copies that are looked at."""
    _scored: tuple[tuple[int, ...], dict[str, float]] | None = None

    @abstractmethod
    def measurement_scores(
        self,
        measured: Any,
        answers: Mapping[str, Float[Tensor, "*axes"]],
        truth: Float[Tensor, "*axes"] | None,
    ) -> dict[str, float]:
        """Scores of the fit by what was held out of `measured`, and those of other answers, by their names."""

    def files_to_read_out(self) -> dict[str, str | None]:
        """See ImageModel."""
        return {"volume.nii.gz" if self.grid.is_video else "slice.nii.gz": None}

    def image_panel(self, make: Callable[..., ImagePanel] = VolumePanel, **more: Any) -> ImagePanel:
        """See ImageModel; of a volume with planes in three directions."""
        if not self.grid.is_video:
            return super().image_panel(**more)
        assert self.spacing_mm is not None
        rows, columns = self.spacing_mm
        voxel_mm = (columns, rows, self.slice_mm)
        return super().image_panel(
            make, planes=planes_of(self.affine), sides=self.grid.sides, voxel_mm=voxel_mm, **more
        )

    def seen_at(
        self, coordinates: Float[Tensor, "n 2"], times: Tensor | None
    ) -> tuple[Bool[Tensor, " n"], Float[Tensor, "n d"]]:
        """See ImageModel."""
        return super().seen_at(coordinates, times) if self.view is None else self.view.voxels(coordinates)

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """See ImageModel; and how far held-out measurements are missed. Without a truth there is nothing else."""
        metrics, pictures = super().get_image_metrics_and_images(outputs, batch)
        if "measured" not in batch:
            return metrics, pictures
        return (metrics if batch["has_truth"] else {}) | self._fit_scores(batch["measured"]), pictures

    def _fit_scores(self, measured: Any) -> dict[str, float]:
        """Of the fit as it is: asked for with every slice, and the same for all of them."""
        version = tuple(each._version for each in self.parameters())
        if self._scored is None or self._scored[0] != version:
            self._scored = (version, self.measurement_scores(measured, {}, None))
        return dict(self._scored[1])

    @torch.no_grad()
    def volume_values(self) -> Float[Tensor, "*axes"]:
        """The field in the middles of all voxels, as it is seen, unclamped."""
        places = self.grid.indices(torch.arange(self.grid.count, device=self.device))
        return self._as_volume(self.field.at(places.double()))

    def _as_volume(self, values: Float[Tensor, "n 1"]) -> Float[Tensor, "*axes"]:
        return values.reshape(self.grid.sides[::-1])
