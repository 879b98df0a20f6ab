"""Settings of all models of shapes."""

from __future__ import annotations

from dataclasses import dataclass

from nerfstudio.models.base_model import ModelConfig


@dataclass
class ShapeSettings(ModelConfig):
    """Shapes that are learnt from points."""

    enable_collider: bool = False
    """Not used: rays are cut to the scene box."""
    trace_slope: float = 1.2
    """Rays step by the fitted distance divided by this; raise it if pictures show holes that the mesh has not."""
    trace_steps: int = 128
    """Most steps of a ray towards a signed distance."""
    march_samples: int = 96
    """Steps along the longest side of the box of a ray towards an occupancy; pictures can miss what is thinner."""
    eval_num_rays_per_chunk: int = 1 << 16
    """Rays rendered at once in evaluation."""
