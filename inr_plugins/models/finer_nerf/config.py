"""Settings of `ns-train finer-nerf` and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nerfstudio.models.base_model import ModelConfig

from inr_plugins.models.common.backgrounds import BackgroundColor
from inr_plugins.models.common.network_settings import BackboneSettings, PrecisionSettings
from inr_plugins.rendering.grid.backend import GridBackend


@dataclass
class FinerNerfSettings(ModelConfig, PrecisionSettings, BackboneSettings):
    """Radiance field of coordinate networks."""

    enable_collider: bool = False
    """Not used: rays are cut to the scene box, near_plane and far_plane."""
    width: int = 182
    """Width of the hidden layers of both networks."""
    detach_scale: bool = False
    """Leave |x| + 1 of the finer activations out of the gradient, as the authors' code does; normals are not given."""
    implementation: Literal["torch", "tcnn"] = "torch"
    """Code that runs the networks; tcnn (relu on CUDA only) is tiny-cuda-nn, with which normals are not given."""
    background_color: BackgroundColor = "auto"
    """What is behind the scene. Auto: a random colour for each pixel in training and white in evaluation; white in
    training too where alpha was composited over it by the dataparser."""
    box_scale: float = 1.0
    """Enlarges the scene box around its middle, for captures with more around the object than the dataparser's box."""
    unbounded: Literal["auto", "yes", "no"] = "auto"
    """Contract what lies outside the scene box into a shell around it; auto: if the images have neither alpha nor
    masks."""
    near_plane: float = 0.05
    """Distance from the camera before which nothing is sampled."""
    far_plane: float = 1000.0
    """Distance from the camera beyond which nothing is sampled."""
    samples_per_diagonal: int = 512
    """Samples that a ray along the diagonal of the box would have in the end, were nothing skipped."""
    double_samples_at: tuple[int, ...] = (500, 2000)
    """Training steps at which samples become twice as dense: before the first, with two of them, they are a quarter."""
    max_train_samples: int = 1 << 17
    """Most samples in a training step; rays beyond are left out, which happens while little is known to be empty."""
    skip_empty: bool = True
    """Evaluate samples only in occupied cells and only as far as light reaches; off: all of them, for comparison."""
    grid: GridBackend = "auto"
    """What traverses the occupied cells: torch, or nerfacc's CUDA code; auto: nerfacc on CUDA where it is built."""
    grid_resolution: int = 128
    """Cells along the longest side of the occupancy grid."""
    grid_refresh_every: int = 16
    """Training steps between two refreshes of the occupancy grid."""
    grid_warm_up_steps: int = 256
    """Training steps in which each refresh covers all cells, in blocks of eight."""
    min_transmittance: float = 1e-4
    """Samples that less light than this reaches are left out."""
    min_weight: float = 1e-4
    """Samples that contribute less to a pixel are not shaded."""
    average_decay: float = 0.95
    """Evaluation, viewer and meshes see a running mean of the weights, of which a training step keeps this part; 0: the
    weights as they are."""
    eval_num_rays_per_chunk: int = 1 << 13
    """Rays rendered at once in evaluation."""
