"""`ns-train finer-stream`: one image in stages, each of which adds to the one before.

The number of steps is for a CPU: some minutes on two cores for an image of 128 x 128 pixels. Cho et al. have 50,000 a
stage; FINER++ says nothing of it.
"""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.datamanager import SignalDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.stage_decay import StageDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.signals.stream_image import StreamImageModelConfig

finer_stream = MethodSpecification(
    config=InrTrainerConfig(
        method_name="finer-stream",
        max_num_iterations=4_000,
        steps_per_save=500,
        pipeline=InrPipelineConfig(datamanager=SignalDataManagerConfig(), model=StreamImageModelConfig()),
        optimizers={
            "fields": {"optimizer": AdamConfig(betas=(0.9, 0.999), eps=1e-8), "scheduler": StageDecayConfig()},
        },
    ),
    description="FINER++ stream: an image in stages of a widening network, each of which can be had by itself.",
)
