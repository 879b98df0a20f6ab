"""`ns-train cn-ct`: a slice, from its views by computed tomography.

The number of steps is for a CPU; the normalization paper has 20,000.
"""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.tomography import SliceDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.inverse.tomography import CnSliceModelConfig

cn_ct = MethodSpecification(
    config=InrTrainerConfig(
        method_name="cn-ct",
        max_num_iterations=500,
        steps_per_save=250,
        pipeline=InrPipelineConfig(datamanager=SliceDataManagerConfig(), model=CnSliceModelConfig()),
        optimizers={
            "fields": {"optimizer": AdamConfig(betas=(0.9, 0.999), eps=1e-8), "scheduler": RunDecayConfig()},
        },
    ),
    description="Cross-normalised CT: a slice as a network of its coordinates, learnt from its parallel-beam views.",
)
