"""Settings of `ns-train cn-mipnerf`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nerfstudio.models.base_model import ModelConfig

from inr_plugins.models.common.backgrounds import BackgroundColor
from inr_plugins.models.common.network_settings import PrecisionSettings
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.normalization.registry import NormalizationName


@dataclass
class CnMipNerfSettings(ModelConfig, PrecisionSettings):
    """mip-NeRF on a normalised coordinate network."""

    enable_collider: bool = False
    """Not used: rays are cut to the scene box, near_plane and far_plane."""
    activation: ActivationName = "relu"
    """Activation of the hidden layers; wavelets cannot be normalized."""
    normalization: NormalizationName = "cross"
    """Normalization before each activation; none makes it the plain mip-NeRF."""
    width: int = 256
    """Width of the hidden layers and of the bottleneck before the colour."""
    hidden_layers: int = 8
    """Hidden layers before the density; the encoded position joins again at the sixth and every fourth after it."""
    num_coarse_samples: int = 128
    """Sections into which each ray is cut evenly."""
    num_fine_samples: int = 128
    """Sections into which it is cut again, where the coarse ones were seen to matter."""
    coarse_loss_weight: float = 0.1
    """Weight of the coarse pass's colour error; that of the fine pass has 1."""
    background_color: BackgroundColor = "auto"
    """What is behind the scene. Auto: a random colour for each pixel in training and white in evaluation; white in
    training too where alpha was composited over it by the dataparser."""
    unbounded: Literal["auto", "yes", "no"] = "auto"
    """Sample rays beyond the scene box, as far as far_plane; auto: if the images have neither alpha nor masks."""
    near_plane: float = 0.05
    """Distance from the camera before which nothing is sampled."""
    far_plane: float | None = None
    """Distance from the camera beyond which nothing is sampled; None: where the ray leaves the scene box or, unbounded,
    twice the diagonal of the box."""
    min_transmittance: float = 1e-4
    """Fine sections that less light than this reaches, by the coarse pass, are left out; 0: none are."""
    eval_num_rays_per_chunk: int = 1 << 12
    """Rays rendered at once in evaluation."""
