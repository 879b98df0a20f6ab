"""`ns-train cn-mri`: a slice or a volume, from some of its Fourier coefficients.

The normalization paper has 1,000 steps too.
"""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.resonance import VolumeDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.inverse.resonance import CnVolumeModelConfig

cn_mri = MethodSpecification(
    config=InrTrainerConfig(
        method_name="cn-mri",
        max_num_iterations=1_000,
        steps_per_save=500,
        pipeline=InrPipelineConfig(datamanager=VolumeDataManagerConfig(), model=CnVolumeModelConfig()),
        optimizers={
            "fields": {"optimizer": AdamConfig(betas=(0.9, 0.999), eps=1e-8), "scheduler": RunDecayConfig()},
        },
    ),
    description="Cross-normalised MRI: a volume as a network of its coordinates, learnt from a part of its k-space.",
)
