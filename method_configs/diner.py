"""`ns-train diner`."""

from __future__ import annotations

from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.engine.optimization.row_adam import RowAdamConfig
from inr_plugins.engine.optimization.schedulers import ExponentialDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.diner.model import DinerModelConfig

_STEPS = 6000
_FIRST_COARSE_STEPS, _COARSE_STEPS = 240, 480
"""Of the first coarse stage, and of both."""


def _decay(lr: float) -> ExponentialDecayConfig:
    return ExponentialDecayConfig(lr_final=lr * 0.1, max_steps=_STEPS)


def _decay_of_last_stage(lr: float) -> ExponentialDecayConfig:
    """Even in the first coarse stage, which has to find the scene, and falling over the last, which has to settle."""
    return ExponentialDecayConfig(
        lr_final=lr * 0.1, max_steps=_COARSE_STEPS, warmup_steps=_FIRST_COARSE_STEPS, lr_pre_warmup=None
    )


diner = MethodSpecification(
    config=InrTrainerConfig(
        method_name="diner",
        max_num_iterations=_STEPS,
        steps_per_save=500,
        pipeline=InrPipelineConfig(
            datamanager=InrDataManagerConfig(
                dataparser=BlenderDataParserConfig(),
                train_num_rays_per_batch=8192,
                eval_num_rays_per_batch=4096,
            ),
            model=DinerModelConfig(),
        ),
        optimizers={
            "coarse": {"optimizer": RowAdamConfig(lr=0.3), "scheduler": _decay_of_last_stage(0.3)},
            "density": {"optimizer": RowAdamConfig(lr=0.1), "scheduler": _decay(0.1)},
            "keys": {"optimizer": RowAdamConfig(lr=0.03), "scheduler": _decay(0.03)},
            "network": {"optimizer": AdamOptimizerConfig(lr=3e-3, eps=1e-8), "scheduler": _decay(3e-3)},
        },
    ),
    description="DINER: spherical harmonics behind a table of learnable keys on a sparse voxel lattice.",
)
