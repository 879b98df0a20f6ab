"""`ns-train diner-image`: one image, from its pixels."""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.datamanager import SignalDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.row_adam import RowAdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.signals.diner_image import DinerImageModelConfig

_STEPS = 2_000

diner_image = MethodSpecification(
    config=InrTrainerConfig(
        method_name="diner-image",
        max_num_iterations=_STEPS,
        steps_per_save=500,
        pipeline=InrPipelineConfig(datamanager=SignalDataManagerConfig(), model=DinerImageModelConfig()),
        # A key's gradient is that of one pixel of all: tiny, so that eps has to be tinier.
        optimizers={
            "keys": {"optimizer": RowAdamConfig(lr=3e-2, eps=1e-15), "scheduler": RunDecayConfig()},
            "network": {"optimizer": AdamConfig(eps=1e-8), "scheduler": RunDecayConfig()},
        },
    ),
    description="DINER image: a learnable key for each pixel, and a small network behind the keys.",
)
