"""Settings of all models of shapes."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio.models.base_model import ModelConfig

from inr_plugins.models.common.network_settings import PrecisionSettings
from inr_plugins.networks.precision import Precision


@dataclass
class ShapeSettings(ModelConfig, PrecisionSettings):
    """Shapes that are learnt from points."""

    enable_collider: bool = False
    """Not used: rays are cut to the scene box."""
    precision: Precision = "float32"
    """Precision of the hidden layers in training; fine detail is lost in bfloat16. auto: bfloat16 where it is fast, on
    GPUs from Ampere on and on CPUs with AVX-512, AMX or Arm's BF16, else float32. Dictionaries have float32 alone."""
    trace_slope: float = 1.2
    """Rays step by the fitted distance divided by this; raise it if pictures show holes that the mesh has not."""
    trace_steps: int = 128
    """Most steps of a ray towards a signed distance."""
    march_samples: int = 96
    """Steps along the longest side of the box of a ray towards an occupancy; pictures can miss what is thinner."""
    eval_num_rays_per_chunk: int = 1 << 16
    """Rays rendered at once in evaluation."""
