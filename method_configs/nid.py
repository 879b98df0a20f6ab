"""`ns-train nid-shapes` and `nid-fit`: a dictionary learnt over a folder of shapes, and an unseen shape coded over it.

The paper trains thousands of shapes with Adam at 1e-4 for thousands of epochs. Rates here are for runs of some thousand
steps on a CPU, and fall to a tenth in any run.
"""

from __future__ import annotations

from typing import Any

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.shapes.datamanager import ShapeDataManagerConfig
from inr_plugins.data.shapes.parser import ShapeDataParserConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.row_adam import RowAdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.nid.fit import NidFitModelConfig
from inr_plugins.models.nid.fit_trainer import NidFitTrainerConfig
from inr_plugins.models.nid.shapes import NidShapesModelConfig

_OPTIMIZERS: dict[str, Any] = {
    "trunk": {"optimizer": AdamConfig(lr=5e-4), "scheduler": RunDecayConfig()},
    # A step touches the rows of some experts and some shapes.
    "experts": {"optimizer": RowAdamConfig(lr=5e-4), "scheduler": RunDecayConfig()},
    "codes": {"optimizer": RowAdamConfig(lr=2e-3), "scheduler": RunDecayConfig()},
    "encoder": {"optimizer": AdamConfig(lr=5e-4), "scheduler": RunDecayConfig()},
}

nid_shapes = MethodSpecification(
    config=InrTrainerConfig(
        method_name="nid-shapes",
        max_num_iterations=5_000,
        steps_per_save=500,
        pipeline=InrPipelineConfig(
            datamanager=ShapeDataManagerConfig(
                dataparser=ShapeDataParserConfig(near_scale=0.02),
                points_per_batch=8 * 2048,
                shapes_per_batch=8,
                surface_share=0.2,
                near_share=0.4,
                far_share=0.2,
                uniform_share=0.2,
            ),
            model=NidShapesModelConfig(),
        ),
        optimizers=_OPTIMIZERS,
    ),
    description="Neural implicit dictionary: learns what the shapes of a folder share.",
)
nid_fit = MethodSpecification(
    config=NidFitTrainerConfig(
        method_name="nid-fit",
        # What counts was done before the first of them.
        max_num_iterations=10,
        steps_per_save=500,
        pipeline=InrPipelineConfig(
            # Eq. 17 of the paper: points of the surface, and points anywhere.
            datamanager=ShapeDataManagerConfig(
                points_per_batch=4096, near_share=0.0, far_share=0.0, uniform_share=0.5, surface_share=0.5
            ),
            model=NidFitModelConfig(),
        ),
        optimizers={"code": {"optimizer": AdamConfig(lr=3e-4), "scheduler": RunDecayConfig()}},
    ),
    description="An unseen shape from few points, as a code over a dictionary of nid-shapes.",
)
