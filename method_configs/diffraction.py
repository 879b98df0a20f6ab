"""`ns-train diner-tomography`: a volume, from pictures in the light of one LED after the other.

Some minutes of two cores for a volume of 96 x 96 x 40. DINER's journal version (sec. 7.2) has 91 minutes of a GPU.
"""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.diffraction import ScatteringDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.inverse.diffraction import DinerVolumeModelConfig

diner_tomography = MethodSpecification(
    config=InrTrainerConfig(
        method_name="diner-tomography",
        max_num_iterations=500,
        steps_per_save=250,
        pipeline=InrPipelineConfig(datamanager=ScatteringDataManagerConfig(), model=DinerVolumeModelConfig()),
        optimizers={
            # A key's gradient is that of one voxel of all: tiny, so that eps has to be tinier.
            "keys": {"optimizer": AdamConfig(lr=4e-2, betas=(0.9, 0.99), eps=1e-15), "scheduler": RunDecayConfig()},
            "network": {"optimizer": AdamConfig(eps=1e-8), "scheduler": RunDecayConfig()},
            "fields": {"optimizer": AdamConfig(betas=(0.9, 0.999), eps=1e-8), "scheduler": RunDecayConfig()},
        },
    ),
    description="DINER tomography: a learnable key for each voxel, learnt from intensities by diffraction tomography.",
)
