"""`ns-train nid-video`: background and foreground of a camera that stands still.

The number of steps is for a CPU: one or two minutes on two cores for a clip of 160 x 120 pixels.
"""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.columns import ColumnDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.nid.video import NidVideoModelConfig

nid_video = MethodSpecification(
    config=InrTrainerConfig(
        method_name="nid-video",
        max_num_iterations=1_500,
        steps_per_save=500,
        pipeline=InrPipelineConfig(datamanager=ColumnDataManagerConfig(), model=NidVideoModelConfig()),
        optimizers={
            name: {"optimizer": AdamConfig(lr=1e-3), "scheduler": RunDecayConfig()}
            for name in ("dictionary", "weights")
        },
    ),
    description="Neural implicit dictionary of a video: the background of a still camera, and what moves before it.",
)
