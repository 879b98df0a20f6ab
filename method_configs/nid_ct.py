"""`ns-train nid-ct`: a slice from few views, over a dictionary of nid-images."""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.tomography import SliceDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.nid.slice import NidSliceModelConfig

nid_ct = MethodSpecification(
    config=InrTrainerConfig(
        method_name="nid-ct",
        # What counts was done before the first of them.
        max_num_iterations=10,
        steps_per_save=500,
        pipeline=InrPipelineConfig(datamanager=SliceDataManagerConfig(), model=NidSliceModelConfig()),
        optimizers={"code": {"optimizer": AdamConfig(lr=1e-2), "scheduler": RunDecayConfig()}},
    ),
    description="CT from few views: the code of a slice over a dictionary of pictures of such slices (nid-images).",
)
