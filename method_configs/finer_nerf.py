"""`ns-train finer-nerf`, `finer-gauss-nerf` and `finer-wavelet-nerf`: one model, three activations.

The schedule is the published one, 0.1^(t/T) (FINER++, released code), over as many steps as the run has. 30,000 steps
of 4,096 rays are for a GPU; on a CPU give --max-num-iterations 1000 or so, and the learning rate falls as far in those.
"""

from __future__ import annotations

from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.finer_nerf.model import FinerNerfModelConfig
from inr_plugins.networks.activations.settings import ActivationName

_STEPS = 30_000


def _method(name: str, activation: ActivationName, description: str) -> MethodSpecification:
    return MethodSpecification(
        config=InrTrainerConfig(
            method_name=name,
            max_num_iterations=_STEPS,
            steps_per_save=500,
            pipeline=InrPipelineConfig(
                datamanager=InrDataManagerConfig(
                    # Alpha is left to the model, which puts random colours behind it.
                    dataparser=BlenderDataParserConfig(alpha_color=None),
                    train_num_rays_per_batch=4096,
                    eval_num_rays_per_batch=4096,
                ),
                model=FinerNerfModelConfig(activation=activation),
            ),
            optimizers={"fields": {"optimizer": AdamConfig(), "scheduler": RunDecayConfig()}},
        ),
        description=description,
    )


finer_nerf = _method("finer-nerf", "finer-sine", "FINER++ radiance field, sin(ω (|x| + 1) x); no encoding.")
finer_gauss_nerf = _method("finer-gauss-nerf", "finer-gauss", "FINER++ radiance field with Gaussian activations.")
finer_wavelet_nerf = _method(
    "finer-wavelet-nerf", "finer-wavelet", "FINER++ radiance field with complex wavelet activations."
)
