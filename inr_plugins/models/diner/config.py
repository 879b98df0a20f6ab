"""Settings of `ns-train diner`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nerfstudio.models.base_model import ModelConfig

from inr_plugins.models.common.network_settings import PrecisionSettings
from inr_plugins.models.common.object_box import BoxChoice
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig


@dataclass
class DinerSettings(ModelConfig, PrecisionSettings):
    """DINER voxel-SH radiance field."""

    enable_collider: bool = False
    """Not used: rays are cut to the occupied box, near_plane and far_plane."""
    num_voxels: int = 160**3
    """Cells of the final lattice over the tightened box; the paper's is 160^3."""
    key_width: int = 15
    """Length of a vertex's key; the paper's quality saturates near 15."""
    network: CoordinateNetworkConfig = field(default_factory=CoordinateNetworkConfig)
    """Network from a key to 27 spherical-harmonic coefficients."""
    background_color: Literal["white", "black", "random"] = "white"
    """What is behind the scene; random needs images with alpha."""
    box: BoxChoice = "found"
    """Where the scene is looked for. found: around what masks or alpha cut out of the pictures, if they cut anything
    out; else, and by scene, in the dataparser's box."""
    box_scale: float = 1.0
    """Enlarges that box around its middle, for captures with more around the object than the dataparser's box."""
    unbounded: Literal["auto", "yes", "no"] = "auto"
    """Contract what lies outside the scene box into a shell around it; auto: if the images have neither alpha nor
    masks."""
    near_plane: float = 0.05
    """Distance from the camera before which nothing is sampled."""
    far_plane: float = 1000.0
    """Distance from the camera beyond which nothing is sampled."""
    coarse_voxels: tuple[int, ...] = (48**3, 100**3)
    """Cells of the explicit grids that find the occupied cells, one stage after another."""
    coarse_steps: tuple[int, ...] = (240, 240)
    """Training steps of each of them."""
    coarse_prune_every: int = 80
    """Steps in the coarse stages after which cells that no training ray saw are dropped."""
    coarse_step_size: float = 1.0
    """Distance between samples in the coarse stages, in cells."""
    step_size: float = 0.5
    """Distance between samples on the final lattice, in cells."""
    prune_steps: tuple[int, ...] = (200, 600, 2000)
    """Steps after the coarse stages at which cells that no training ray saw are dropped from the table."""
    visible_weight: float = 0.05
    """A cell counts as seen when a sample in it made up this part of some pixel."""
    min_weight: float = 1e-3
    """Samples that contribute less to a pixel are not shaded."""
    train_min_weight: float = 5e-3
    """The same where keys are trained: the light of those samples takes the mean colour of the others on their ray."""
    warm_up_steps: int = 300
    """Steps in which the network learns the coarse stage's colours from keys that are laid out by them, before they see
    rays; 0: keys and network know nothing."""
    coarse_entropy_weight: float = 0.01
    """Weight of the background entropy in the coarse stages."""
    entropy_weight: float = 0.001
    """Weight of the background entropy on the final lattice."""
    coarse_point_weight: float = 0.1
    """Weight of the per-point colour loss in the coarse stages."""
    point_weight: float = 0.01
    """Weight of the per-point colour loss on the final lattice."""
    compile_network: bool = False
    """Run the network through torch.compile in training; needs a C++ compiler."""
    sparse_gradients: bool = True
    """Give the keys sparse gradients; turn off for optimizers that need dense ones."""
    eval_num_rays_per_chunk: int = 1 << 15
    """Rays rendered at once in evaluation."""
