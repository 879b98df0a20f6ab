"""Settings of all models of images and videos."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio.models.base_model import ModelConfig

from inr_plugins.models.common.network_settings import PrecisionSettings
from inr_plugins.networks.precision import Precision


@dataclass
class ImageSettings(ModelConfig, PrecisionSettings):
    """An image or a video as a function of the place."""

    enable_collider: bool = False
    """Not used: rays meet the plane of the image."""
    precision: Precision = "float32"
    """Precision of the network in training; grey values that differ by less than 1 in 256 are lost in bfloat16. auto:
    bfloat16 where it is fast, on GPUs from Ampere on and on CPUs with AVX-512, AMX or Arm's BF16, else float32."""
    eval_num_rays_per_chunk: int = 1 << 16
    """Rays rendered at once in evaluation."""
