"""Settings of `ns-train cn-neus` and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nerfstudio.models.base_model import ModelConfig

from inr_plugins.models.common.capture import Capture
from inr_plugins.models.common.network_settings import PrecisionSettings
from inr_plugins.models.common.object_box import BoxChoice
from inr_plugins.networks.activations.settings import ActivationName, ActivationSettings
from inr_plugins.networks.normalization.registry import NormalizationName

NormalizationPlace = Literal["both", "sdf", "colour"]

_SHARP_STEPS = 20_000
"""Runs of fewer steps are given a faster sharpness. At NeuS's rate, 5e-4, Adam moves its logarithm by 0.005 a step at
most; from 20 to 1000 are 800 such steps, all in one direction."""
_ANNEALED = 1 / 6
"""Part of a run in which slopes are annealed where there are no masks; NeuS: 50,000 of 300,000 steps."""


@dataclass
class NeusSettings(ModelConfig, PrecisionSettings, ActivationSettings):
    """Surface of coordinate networks."""

    enable_collider: bool = False
    """Not used: rays are cut to the scene box, near_plane and far_plane."""
    capture: Capture = "object"
    """What the pictures show: an object with masks or alpha, an object on a table with its surroundings, or a room
    from inside."""
    activation: ActivationName = "softplus"
    """Activation of the distance network; encoding, constants and depth follow it unless they are given."""
    normalization: NormalizationName = "none"
    """Normalization before each activation."""
    normalization_at: NormalizationPlace = "colour"
    """Which network is normalised: that of the distance (sdf), of the colour, or both."""
    width: int = 256
    """Width of the hidden layers of the distance network and of a table's background, and number of features."""
    hidden_layers: int | None = None
    """Hidden layers of the distance network; None: the activation's own, 8 for softplus and relu, 4 for others."""
    skips: tuple[int, ...] | None = None
    """Hidden layers, counted from 0, that get the position again; None: the activation's own, 4 or none."""
    octaves: int | None = None
    """Octaves of the positional encoding, 0 for none; None: the activation's own, 6 for softplus and relu."""
    colour_width: int = 256
    """Width of the colour network's hidden layers."""
    colour_layers: int = 4
    """Hidden layers of the colour network."""
    background_color: Literal["auto", "white", "black"] = "auto"
    """What pictures show where nothing is; auto: white."""
    box: BoxChoice = "found"
    """Where the surface is looked for. found: around what masks or alpha cut out of the pictures; without them around
    the point that the cameras look at. scene: the dataparser's box, which a room always has."""
    box_scale: float | None = None
    """Enlarges that box around its middle; None: 1, and 2 for a room, whose walls are behind the cameras."""
    near_plane: float = 0.05
    """Distance from the camera before which nothing is sampled."""
    far_plane: float = 1000.0
    """Distance from the camera beyond which nothing of the surface is sampled."""
    uniform_samples: int = 64
    """Samples spread evenly over what a ray crosses of the scene box."""
    finer_samples: int = 64
    """Samples added near the surface, in all rounds together."""
    sampling_rounds: int = 4
    """Rounds in which samples are added, each for a surface twice as sharp as the one before."""
    outside_samples: int = 32
    """Samples of the background behind an object on a table."""
    min_weight: float = 1e-3
    """Sections of a ray that a first look gives less of its pixel are not evaluated (in evaluation a tenth of it
    counts); 0 evaluates all."""
    skip_empty: bool = True
    """Ask the networks only where a lattice of distances says that the surface can be seen: where it cannot, all
    sections of a ray together have less than min_weight; False asks everywhere, for comparison."""
    grid_resolution: int = 64
    """Cells of that lattice along the box's longest side."""
    grid_refresh_every: int = 16
    """Steps between two looks at the lattice's distances."""
    eikonal_points: int = 1024
    """Points of the scene box, drawn anew in each step, that take part in the eikonal loss beside those on rays."""
    eikonal_weight: float = 0.1
    """Weight of the loss that makes the field a distance."""
    mask_weight: float = 0.1
    """Weight of the loss that compares opacity with masks or alpha; for objects only."""
    initial_variance: float = 0.3
    """Learnt sharpness exp(10 v) of the surface starts at this v."""
    sharpness_rate: float | None = None
    """How many times faster than the networks the sharpness learns; None: 20,000 / steps of the run, at least 1 and at
    most 10, since a short run would end with a blurred surface, and 1 where it starts from a run."""
    anneal_share: float | None = None
    """Part of the run in which surfaces that a ray leaves stop light too; None: 0 for objects with masks, else 1/6."""
    start_steps: int = 200
    """Steps of the fit to a sphere before training begins; it takes seconds."""
    start: Path | None = None
    """Folder of a run whose surface training starts from, in the place of a sphere: one of diner-surface, of the same
    data."""
    start_run_steps: int = 1000
    """Steps of the fit to that run's distances, normals and colours."""
    eval_num_rays_per_chunk: int = 1 << 12
    """Rays rendered at once in evaluation."""

    @property
    def resolved_box_scale(self) -> float:
        """box_scale, or the capture's own."""
        return (2.0 if self.capture == "room" else 1.0) if self.box_scale is None else self.box_scale

    def resolved_sharpness_rate(self, steps: int) -> float:
        """sharpness_rate, or what suits a run of so many steps; one that starts from a run need not hurry."""
        if self.sharpness_rate is None and self.start is not None:
            return 1.0
        return min(max(_SHARP_STEPS / max(steps, 1), 1.0), 10.0) if self.sharpness_rate is None else self.sharpness_rate

    @property
    def resolved_anneal_share(self) -> float:
        """anneal_share, or the capture's own."""
        return (0.0 if self.capture == "object" else _ANNEALED) if self.anneal_share is None else self.anneal_share
