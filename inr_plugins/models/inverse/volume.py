"""What fits of volumes have in common that are learnt from measurements: all voxels at once, and what judges them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.models.inverse.planes import BodyView, PlaneView, body_of, planes_of
from inr_plugins.models.inverse.volume_panel import VolumePanel
from inr_plugins.models.signals.base import BEYOND, ImageModel
from inr_plugins.models.signals.panels import SLICE, ImagePanel
from inr_plugins.rendering.crop import crop_of
from inr_plugins.rendering.voxel_volume import picture_of

_MOST_SAMPLES = 128
"""Along each side of a volume that rays see all of."""
_AT_ONCE = 1 << 16


class MeasuredVolume(ImageModel):
    """A volume that is learnt from measurements, whose slices are to it what frames are to a video; or one slice.

    Every slice that is judged has the same scores by measurements that were held out.
    """

    frame_noun = SLICE
    view: PlaneView | BodyView | None = None
    """Planes, or all of it, that are seen in place of a slice; for copies that are looked at."""
    seen_values: dict[int, tuple[Any, Float[Tensor, "nz ny nx"]]]
    """Of copies that are looked at: of each part the field that is seen, and its values where rays are to see them."""
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
        return super().image_panel(
            make,
            planes=planes_of(self.affine),
            sides=self.grid.sides,
            voxel_mm=(columns, rows, self.slice_mm),
            is_patient=self.affine is not None,
            **more,
        )

    def viewer_copy(self) -> Any:
        """See ImageModel; what panels change, they change of shallow copies of it, which share what it has seen."""
        made = super().viewer_copy()
        made.seen_values = {}
        return made

    @torch.no_grad()
    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        """See ImageModel; or all of the volume, in front of black."""
        if not isinstance(self.view, BodyView) or isinstance(ray_bundle, Cameras):
            return super().get_outputs(ray_bundle)
        assert self.spacing_mm is not None
        rows, columns = self.spacing_mm
        half = body_of(self.affine).half_extent(self._sides, (columns, rows, self.slice_mm or rows))
        found = picture_of(
            self._windowed(self._values_for_rays()),
            half,
            ray_bundle.origins.reshape(-1, 3).float(),
            ray_bundle.directions.reshape(-1, 3).float(),
            kind=self.view.kind,
            opacity=self.view.opacity,
            crop=crop_of(ray_bundle),
        )
        hits = found.hits[:, None]
        rgb = torch.where(hits, found.grey[:, None], self._background_colour(ray_bundle.origins.reshape(-1, 3).float()))
        depth = torch.where(hits & (found.depth > 0)[:, None], found.depth[:, None], BEYOND)
        outputs = {"rgb": rgb, "depth": depth, "accumulation": hits.float()}
        return {name: value.reshape(*ray_bundle.origins.shape[:-1], -1) for name, value in outputs.items()}

    @property
    def _sides(self) -> tuple[int, int, int]:
        return self.grid.width, self.grid.height, self.grid.frames

    def _values_for_rays(self) -> Float[Tensor, "nz ny nx"]:
        """What is seen of the field, in the order of the scene's z, y and x; asked for once of each copy and part."""
        known = self.seen_values.get(self.part)
        if known is None or known[0] is not self.field:
            shape, places = body_of(self.affine).samples(self._sides, _MOST_SAMPLES)
            parts = [self.values_at(each.to(self.device)) for each in places.split(_AT_ONCE)]
            known = (self.field, torch.cat(parts).reshape(shape).float())
            self.seen_values[self.part] = known
        return known[1]

    def seen_at(
        self, coordinates: Float[Tensor, "n 2"], times: Tensor | None
    ) -> tuple[Bool[Tensor, " n"], Float[Tensor, "n d"]]:
        """See ImageModel."""
        if not isinstance(self.view, PlaneView):
            return super().seen_at(coordinates, times)
        return self.view.voxels(coordinates)

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


def volume_psnr(found: Float[Tensor, "*axes"], truth: Float[Tensor, "*axes"]) -> float:
    """Of all voxels, clamped to [0, 1]."""
    return float(-10 * (found.clamp(0, 1) - truth).square().mean().clamp(min=1e-12).log10())
