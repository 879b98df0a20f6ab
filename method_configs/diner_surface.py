"""`ns-train diner-surface`."""

from __future__ import annotations

from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.row_adam import RowAdamConfig
from inr_plugins.engine.optimization.schedulers import ExponentialDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.diner_surface.table import DinerSurfaceCaptureConfig

_STEPS = 1350
_FIRST_DENSITY_STEPS, _DENSITY_STEPS = 240, 480
"""In which the density's rate is even, and at the end of which it has fallen."""
_SURFACE_STEPS = 850
"""Those in which there is a surface, whose rates begin with it."""


def _decay(lr: float, part: float = 0.1) -> ExponentialDecayConfig:
    return ExponentialDecayConfig(lr_final=lr * part, max_steps=_SURFACE_STEPS)


diner_surface = MethodSpecification(
    config=InrTrainerConfig(
        method_name="diner-surface",
        max_num_iterations=_STEPS,
        steps_per_save=500,
        pipeline=InrPipelineConfig(
            datamanager=InrDataManagerConfig(
                # Alpha is left to the model; made scenes and the usual synthetic ones have it.
                dataparser=BlenderDataParserConfig(alpha_color=None),
                masks="labels",
                train_num_rays_per_batch=4096,
                eval_num_rays_per_batch=4096,
            ),
            model=DinerSurfaceCaptureConfig(),
        ),
        optimizers={
            "distances": {"optimizer": AdamConfig(lr=0.1), "scheduler": _decay(0.1, 0.2)},
            "keys": {"optimizer": RowAdamConfig(lr=0.03), "scheduler": _decay(0.03)},
            # Density of everything, or in a hull; of captures without masks later of what is around the object, which
            # at such a rate would go on to explain each picture by fog before its camera.
            "surroundings": {
                "optimizer": RowAdamConfig(lr=0.3),
                "scheduler": ExponentialDecayConfig(
                    lr_final=0.03, max_steps=_DENSITY_STEPS, warmup_steps=_FIRST_DENSITY_STEPS, lr_pre_warmup=None
                ),
            },
            "network": {"optimizer": AdamOptimizerConfig(lr=3e-3, eps=1e-8), "scheduler": _decay(3e-3)},
        },
    ),
    description="Signed distances on voxels, coloured by DINER's keys and normals: of an object, also without masks.",
)
