"""Settings of `ns-train diner-surface`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nerfstudio.models.base_model import ModelConfig

from inr_plugins.models.common.network_settings import PrecisionSettings
from inr_plugins.models.common.object_box import BoxChoice
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig


@dataclass
class DinerSurfaceSettings(ModelConfig, PrecisionSettings):
    """Signed distances on voxels, coloured by keys and normals."""

    enable_collider: bool = False
    """Not used: rays are cut to the band of cells, near_plane and far_plane."""
    lattice_sizes: tuple[int, ...] = (112, 176, 256)
    """Cells along the longest side of the object's box, one stage after another."""
    stage_steps: tuple[int, ...] = (150, 350)
    """Training steps of each stage but the last, which lasts as long as training does."""
    sharpening_steps: int = 300
    """Steps in which the last stage's surface sharpens."""
    sharpness_start: float = 1.0
    """Sharpness of the surface at the beginning of a stage, 1 / cell: light is stopped within a few cells."""
    sharpness_end: float = 4.0
    """Sharpness at the end of a stage, 1 / cell."""
    key_width: int = 15
    """Length of a vertex's key."""
    network: CoordinateNetworkConfig = field(default_factory=CoordinateNetworkConfig)
    """Network from a key and a normal to 27 spherical-harmonic coefficients."""
    colour_degrees: tuple[int, ...] = (2, 2, 2)
    """Degree of the spherical harmonics in each stage, 0 to 2. Of matt objects the surface is the same where colours
    depend on the view late, as with 0 1 2; where something mirrors, they explain what dents would otherwise."""
    background_color: Literal["white", "black"] = "white"
    """What is behind the object."""
    box: BoxChoice = "found"
    """Where the object is looked for. found: where the masks or alpha of all pictures agree that it can be; scene: in
    the dataparser's box."""
    box_scale: float = 1.0
    """Enlarges that box around its middle."""
    near_plane: float = 0.05
    """Distance from the camera before which nothing is sampled."""
    far_plane: float = 1000.0
    """Distance from the camera beyond which nothing is sampled."""
    step_size: float = 0.7
    """Distance between samples, in cells."""
    min_weight: float = 1e-3
    """Sections that contribute less to a pixel are not shaded."""
    refresh_every: int = 50
    """Steps after which the band of cells follows the surface."""
    mask_weight: float = 0.02
    """Weight of the loss that compares opacity with masks or alpha."""
    eikonal_weight: float = 2e-3
    """Weight of the loss that makes the field a distance."""
    curvature_weight: float = 2e-3
    """Weight of squared second differences of the distance."""
    area_weight: float = 1e-3
    """Weight of the surface's area, which closes what no camera sees by a surface that is no larger than it must be."""
    smooth_share: tuple[float, ...] = (0.5, 2.0, 4.0)
    """What both of these weights are multiplied by in each stage: carve first, smooth late."""
    eval_num_rays_per_chunk: int = 1 << 15
    """Rays rendered at once in evaluation."""
    coarse_sizes: tuple[int, ...] = (48, 96)
    """Cells along the sides of the lattices of density that are learnt first, one stage after another; half of each
    lies in the object's box, the rest in all of space around it."""
    coarse_steps: tuple[int, ...] = (240, 240)
    """Training steps of each of them."""
    hull_sizes: tuple[int, ...] = (64, 112)
    """The same of an object with masks: cells along the longest side of its visual hull, in which alone density is."""
    hull_steps: tuple[int, ...] = (150, 350)
    """Training steps of each of them; none, with no sizes either: the surface starts as the hull itself."""
    colour_start_steps: int = 300
    """Steps, without rays, in which the network learns the colours that a surface starts with from its density."""
    coarse_prune_every: int = 80
    """Steps after which cells of density that no training ray saw are dropped."""
    coarse_step_size: float = 1.0
    """Distance between samples of the density, in its cells."""
    visible_weight: float = 0.05
    """A cell of density counts as seen when a sample in it made up this part of some pixel."""
    coarse_entropy_weight: float = 0.01
    """Weight of the background entropy while density is learnt."""
    coarse_point_weight: float = 0.1
    """Weight of the per-point colour loss while density is learnt."""
