"""`ns-train cn-neus`, `cn-neus-table`, `cn-neus-room` and `finer-neus`: one model, three kinds of capture.

The schedule is NeuS's, 300,000 steps of 512 rays, for a GPU, and 20,000 on a CPU: warm-up, cosine and annealing take
the same parts of any run.
"""

from __future__ import annotations

from typing import Any

from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_cosine import RunCosineConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.models.common.capture import Capture
from inr_plugins.models.neus.length import NeusTrainerConfig
from inr_plugins.models.neus.model import NeusModelConfig


def _method(name: str, capture: Capture, description: str, **model: Any) -> MethodSpecification:
    # Alpha is left to the model; made scenes and the usual synthetic ones have it.
    parser: DataParserConfig = BlenderDataParserConfig(alpha_color=None)
    if capture != "object":
        parser = NerfstudioDataParserConfig()
    return MethodSpecification(
        config=NeusTrainerConfig(
            method_name=name,
            steps_per_save=500,
            pipeline=InrPipelineConfig(
                datamanager=InrDataManagerConfig(
                    dataparser=parser,
                    masks="labels",
                    train_num_rays_per_batch=512,
                    eval_num_rays_per_batch=512,
                ),
                model=NeusModelConfig(capture=capture, **model),
            ),
            optimizers={"fields": {"optimizer": AdamConfig(), "scheduler": RunCosineConfig()}},
        ),
        description=description,
    )


cn_neus = _method(
    "cn-neus", "object", "Cross-normalised NeuS: surface of an object with masks or alpha.", normalization="cross"
)
cn_neus_table = _method(
    "cn-neus-table", "table", "Cross-normalised NeuS of an object and what is around it.", normalization="cross"
)
cn_neus_room = _method("cn-neus-room", "room", "Cross-normalised NeuS of a room from inside.", normalization="cross")
finer_neus = _method(
    "finer-neus",
    "object",
    "FINER++ NeuS, sin(ω (|x| + 1) x) without encoding: object with masks or alpha.",
    activation="finer-sine",
)
