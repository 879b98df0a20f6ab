"""`ns-train diner-lensless`: the amplitude and the phase of an object, from holograms at several heights.

The number of steps is for a CPU; the paper's code has 10,000.
"""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.lensless import LightDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.inverse.lensless import LenslessModelConfig

diner_lensless = MethodSpecification(
    config=InrTrainerConfig(
        method_name="diner-lensless",
        max_num_iterations=40,
        steps_per_save=20,
        pipeline=InrPipelineConfig(datamanager=LightDataManagerConfig(), model=LenslessModelConfig()),
        optimizers={
            # A key's gradient is that of one pixel of all: tiny, so that eps has to be tinier.
            "keys": {"optimizer": AdamConfig(lr=1e-2, eps=1e-15), "scheduler": RunDecayConfig()},
            "network": {"optimizer": AdamConfig(eps=1e-12), "scheduler": RunDecayConfig()},
            # Millimetres.
            "heights": {"optimizer": AdamConfig(lr=2e-4, eps=1e-15), "scheduler": RunDecayConfig()},
        },
    ),
    description="DINER lensless imaging: amplitude and phase behind keys of each pixel, learnt from holograms.",
)
