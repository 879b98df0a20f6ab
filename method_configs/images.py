"""`ns-train diner-image`, `finer-image`, `cn-image`, `diner-video`, `finer-video`: one image or video, from its pixels.

The numbers of steps are for a CPU: some minutes on two cores for an image of 256 x 256 pixels, and longer with the wide
network of finer-image. DINER has 10,000, FINER++ 5,000, the normalization paper 100,000.
"""

from __future__ import annotations

from typing import Any

from nerfstudio.plugins.types import MethodSpecification

from inr_plugins.data.signals.datamanager import SignalDataManagerConfig
from inr_plugins.data.signals.parser import VideoDataParserConfig
from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.row_adam import RowAdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.models.signals.config import ImageSettings
from inr_plugins.models.signals.coordinate_image import (
    CnImageModelConfig,
    FinerImageModelConfig,
    FinerVideoModelConfig,
)
from inr_plugins.models.signals.diner_image import DinerImageModelConfig

_STEPS = 2_000
_PIXELS_OF_KEYS = 1 << 16
"""Of a step of methods with keys: at equal work many steps on some pixels come much nearer than few on all of them."""


def _method(
    name: str,
    description: str,
    *,
    model: ImageSettings,
    optimizers: dict[str, Any],
    datamanager: SignalDataManagerConfig | None = None,
) -> MethodSpecification:
    return MethodSpecification(
        config=InrTrainerConfig(
            method_name=name,
            max_num_iterations=_STEPS,
            steps_per_save=500,
            pipeline=InrPipelineConfig(datamanager=datamanager or SignalDataManagerConfig(), model=model),
            optimizers=optimizers,
        ),
        description=description,
    )


def _of_keys() -> dict[str, Any]:
    # A key's gradient is that of one pixel of all: tiny, so that eps has to be tinier.
    return {
        "keys": {"optimizer": RowAdamConfig(lr=3e-2, eps=1e-15), "scheduler": RunDecayConfig()},
        "network": {"optimizer": AdamConfig(eps=1e-8), "scheduler": RunDecayConfig()},
    }


def _of_a_network() -> dict[str, Any]:
    return {"fields": {"optimizer": AdamConfig(betas=(0.9, 0.999), eps=1e-8), "scheduler": RunDecayConfig()}}


diner_image = _method(
    "diner-image",
    "DINER image: a learnable key for each pixel, and a small network behind the keys.",
    model=DinerImageModelConfig(),
    optimizers=_of_keys(),
    datamanager=SignalDataManagerConfig(pixels_per_batch=_PIXELS_OF_KEYS),
)
finer_image = _method(
    "finer-image",
    "FINER++ image: a network of the coordinates, sin(ω (|x| + 1) x).",
    model=FinerImageModelConfig(),
    optimizers=_of_a_network(),
)
cn_image = _method(
    "cn-image",
    "Cross-normalised image: a deep and narrow network of the encoded coordinates.",
    model=CnImageModelConfig(),
    optimizers=_of_a_network(),
)
diner_video = _method(
    "diner-video",
    "DINER video: a learnable key for each pixel of each frame, and a small network behind the keys.",
    model=DinerImageModelConfig(),
    optimizers=_of_keys(),
    datamanager=SignalDataManagerConfig(dataparser=VideoDataParserConfig(), pixels_per_batch=_PIXELS_OF_KEYS),
)
finer_video = _method(
    "finer-video",
    "FINER++ video: a network of the place and the time, sin(ω (|x| + 1) x).",
    model=FinerVideoModelConfig(),
    optimizers=_of_a_network(),
    # All pixels of a video in every step would take seconds.
    datamanager=SignalDataManagerConfig(dataparser=VideoDataParserConfig(), pixels_per_batch=1 << 15),
)
