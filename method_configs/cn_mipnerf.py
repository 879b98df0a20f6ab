"""`ns-train cn-mipnerf`: mip-NeRF on a coordinate network with cross normalization.

Rate and schedule are mip-NeRF's, which the normalization paper leaves as they are: Adam with 5e-4 falling to 5e-6,
held back in the first 1/400 of the run, over as many steps as the run has. The paper takes a million steps of 4,096
rays of one image each; here are 200,000 of 1,024 rays of all images, a twentieth of its rays, because a step of 4,096
rays of 128 + 128 sections keeps more activations than most machines have memory for. On a CPU give
--max-num-iterations 2000 or so.
"""

from __future__ import annotations

from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.delayed_decay import DelayedDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.cn_mipnerf.model import CnMipNerfModelConfig

cn_mipnerf = MethodSpecification(
    config=InrTrainerConfig(
        method_name="cn-mipnerf",
        max_num_iterations=200_000,
        steps_per_save=500,
        pipeline=InrPipelineConfig(
            datamanager=InrDataManagerConfig(
                # Alpha is left to the model, which puts random colours behind it.
                dataparser=BlenderDataParserConfig(alpha_color=None),
                train_num_rays_per_batch=1024,
                eval_num_rays_per_batch=1024,
            ),
            model=CnMipNerfModelConfig(),
        ),
        optimizers={
            "fields": {
                # The moments of mip-NeRF's code, Adam's own.
                "optimizer": AdamConfig(lr=5e-4, eps=1e-8, betas=(0.9, 0.999)),
                "scheduler": DelayedDecayConfig(),
            }
        },
    ),
    description="mip-NeRF on a coordinate network with cross normalization (or none, batch, layer, global).",
)
