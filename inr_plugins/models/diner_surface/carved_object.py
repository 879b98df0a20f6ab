"""`ns-train diner-surface` of an object with masks: a density in its visual hull is learnt before the surface."""

from __future__ import annotations

from typing import Any

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.colour_start import colours_of
from inr_plugins.models.common.hull import hull_distances, masked_views
from inr_plugins.models.diner_surface.carving import carved_hull
from inr_plugins.models.diner_surface.density_first import DensityFirstModel
from inr_plugins.models.diner_surface.learnt_density import LearntDensity
from inr_plugins.models.diner_surface.limit import SurfaceLimit
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, dilate
from inr_plugins.rendering.crop import crop_of

_HULL_RAW = -4.0
"""Raw density at the start: some of the light passes the hull, so that what is behind its surface learns too."""


class DinerSurfaceCarvedModel(DensityFirstModel):
    """What no camera looks through of a density in the visual hull becomes the surface; the density goes.

    Attributes:
        looked_in: the box in which the hull was looked for, normalised frame.

    The hull alone fills every hollow that no outline shows, and a surface leaves such a place one cell after another.

    Raises:
        InputError: a setting out of range, images without masks, or masks that leave nothing.
    """

    looked_in: Tensor

    def populate_modules(self) -> None:
        super().populate_modules()
        self.register_buffer("looked_in", self.box.clone())
        self._dataset: Any = None
        # A stand-in, until the hull is known or a checkpoint read.
        self._learn(LearntDensity(SparseLattice.over_box(self.box, 16**3), _HULL_RAW))

    @property
    def density_stages(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.config.hull_sizes, self.config.hull_steps

    # -- training ------------------------------------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on; one that begins is given the visual hull.

        Raises:
            InputError: there are no masks, or they leave nothing.
        """
        if training_callback_attributes.pipeline is not None:
            self._dataset = training_callback_attributes.pipeline.datamanager.train_dataset
        return super().get_training_callbacks(training_callback_attributes)

    def start_from(self, dataset: Any) -> None:
        """Learn a density in the visual hull of a dataset's masks.

        Raises:
            InputError: they leave nothing, or all.
        """
        box, (origin, edge, distances) = self._hull(dataset, self.config.hull_sizes[0])
        self.looked_in.copy_(box)
        cells = F.max_pool3d((distances < 0).float()[None, None], 2, stride=1)[0, 0] > 0
        self._learn(LearntDensity(SparseLattice(origin, edge, dilate(cells)), _HULL_RAW).to(self.device))
        self.is_started.fill_(True)

    def carve(self) -> None:
        """Make what no camera looks through the surface, and let the density go.

        Raises:
            InputError: nothing is left.
        """
        assert self._dataset is not None
        density = self._learnt
        views = masked_views(self._dataset)
        hull = hull_distances(views, self.looked_in, self.config.lattice_sizes[0])
        found = carved_hull(
            self._dataset.cameras.to("cpu"),
            self._see_evenly,
            *hull,
            margin=density.cell,
            device=self.device,
        )
        colours = colours_of(density.field)
        self.density = None
        self._take_field(self._placeholder().to(self.device))
        self.limit = SurfaceLimit.of_hull(*hull, found).to(self.device)
        origin, edge, _ = hull
        self.start_at(origin, edge, found.distances, colours)

    # -- rendering -----------------------------------------------------------------------------------------------------

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if not self.is_coarse or isinstance(ray_bundle, Cameras):
            return super().get_outputs(ray_bundle)
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        seen = self._see_density(origins, directions, crop_of(ray_bundle))
        return self._density_outputs(seen, ray_bundle.origins.shape[:-1])

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        losses = super().get_loss_dict(outputs, batch, metrics_dict)
        if "density" in outputs:
            image = batch["image"].to(self.device)
            target = self._target(image, self._mask(image, batch))
            losses |= self._density_losses(outputs["density"], outputs["accumulation"], target)
        return losses
