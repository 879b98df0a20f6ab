"""`ns-train finer-sdf` and `cn-occupancy`: one shape from a mesh or a cloud, as a signed distance or an occupancy.

The numbers of steps are for a CPU: some minutes on two cores. FINER++ has 200,000 of 10,000 points; the learning rate
falls as far in any run.
"""

from __future__ import annotations

from typing import Any

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.shapes.datamanager import ShapeDataManagerConfig
from inr_plugins.data.shapes.parser import ShapeDataParserConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.shapes.cn_occupancy import CnOccupancyModelConfig
from inr_plugins.models.shapes.config import ShapeSettings
from inr_plugins.models.shapes.finer_sdf import FinerSdfModelConfig

_STEPS = 2_000


def _method(
    name: str,
    description: str,
    *,
    model: ShapeSettings,
    datamanager: ShapeDataManagerConfig,
    optimizers: dict[str, Any],
) -> MethodSpecification:
    return MethodSpecification(
        config=InrTrainerConfig(
            method_name=name,
            max_num_iterations=_STEPS,
            steps_per_save=500,
            pipeline=InrPipelineConfig(datamanager=datamanager, model=model),
            optimizers=optimizers,
        ),
        description=description,
    )


finer_sdf = _method(
    "finer-sdf",
    "FINER++ signed distance of a mesh or cloud, sin(ω (|x| + 1) x).",
    model=FinerSdfModelConfig(),
    datamanager=ShapeDataManagerConfig(
        dataparser=ShapeDataParserConfig(cloud_surface="auto"), points_per_batch=10_000, near_share=0.5, far_share=0.5
    ),
    # The authors have Adam with amsgrad; plain here.
    optimizers={"fields": {"optimizer": AdamConfig(max_norm=1.0), "scheduler": RunDecayConfig(final_fraction=None)}},
)
cn_occupancy = _method(
    "cn-occupancy",
    "Cross-normalised occupancy of a mesh or cloud.",
    model=CnOccupancyModelConfig(),
    datamanager=ShapeDataManagerConfig(
        # An occupancy changes on one side of the surface only: points as close as a distance's tell it nothing.
        dataparser=ShapeDataParserConfig(cloud_surface="auto", noise="normal", near_scale=0.02),
        points_per_batch=10_000,
        near_share=0.5,
        far_share=0.0,
        uniform_share=0.5,
    ),
    optimizers={"fields": {"optimizer": AdamConfig(), "scheduler": RunDecayConfig()}},
)
