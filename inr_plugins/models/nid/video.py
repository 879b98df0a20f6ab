"""`ns-train nid-video`: the background of a camera that stands still, and what moves before it (NID, sec. 4.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from inr_plugins.errors import InputError
from inr_plugins.fields.dictionary_video import DictionaryVideo
from inr_plugins.fields.image import ImageField
from inr_plugins.fields.image_views import ForegroundImage, StoredImage, stands_before
from inr_plugins.losses.dictionary import ordered_size
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.nid.parted import PartedModel
from inr_plugins.models.nid.video_panel import VideoPartsPanel
from inr_plugins.models.signals.base import ImageModelConfig
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.options import model_option
from inr_plugins.signal_grid import SignalPixels
from inr_plugins.viewer.page import LivePage

BACKGROUND, FOREGROUND, MASK = PARTS = ("background", "foreground", "mask")
_MOST_DECAY = 80.0
"""Of all experts together; e to the power of 88 is the largest number of float32."""
_LEAST_ERROR = 1e-12


@dataclass
class NidVideoModelConfig(ImageModelConfig):
    """The background of a video as a mixture of a few pictures, anew for each frame."""

    _target: type = field(default_factory=lambda: NidVideoModel)
    """Class to instantiate."""
    experts: int = 32
    """Number of experts; later ones are used less and less, so that more change nothing but the time of a step."""
    expert_width: int = 8
    """Width of the first of the two layers that each expert has of its own."""
    trunk_width: int = 128
    """Width of the layers that all experts share."""
    trunk_layers: int = 2
    """Number of layers that all experts share."""
    omega: float = 30.0
    """Frequency of the sines of these; higher for a background of finer detail."""
    time_width: int = 64
    """Width of the two layers that make the experts' weights of the time."""
    time_omega: float = 10.0
    """Frequency of the sines of these; higher where the light changes fast."""
    sparsity_weight: float = 0.01
    """Weight of what experts add to the background, λ of the paper; more of it, fewer experts."""
    decay: float = 0.5
    """How much less each expert is used than the one before, β of the paper: its share is counted e^β times."""
    threshold: float = 0.1
    """How far, in any colour and of values in [0, 1], a pixel is from the background where it is of the foreground."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        super().check_options()
        if self.decay * (self.experts - 1) > _MOST_DECAY:
            raise InputError(
                f"{model_option('decay')} {self.decay:g} counts the last of {self.experts} experts "
                f"e^{self.decay * (self.experts - 1):.0f} times, which no number holds: give at most "
                f"{_MOST_DECAY / (self.experts - 1):.2g}, or fewer {model_option('experts')}."
            )
        trunk, weights = self.networks()
        check_room(hidden_weights(trunk), "trunk_width", "trunk_layers", copies=IN_TRAINING)
        check_room(hidden_weights(weights), "time_width", copies=IN_TRAINING)
        bank = self.experts * self.expert_width * self.trunk_width
        check_room(bank, "experts", "expert_width", "trunk_width", copies=IN_TRAINING)

    def networks(self) -> tuple[CoordinateNetworkConfig, CoordinateNetworkConfig]:
        """The trunk, and what makes weights of the time; InputError where settings cannot be used."""
        with naming_options():
            return (
                CoordinateNetworkConfig(
                    activation="sine", omega=self.omega, width=self.trunk_width, hidden_layers=self.trunk_layers
                ),
                CoordinateNetworkConfig(
                    activation="sine", omega=self.time_omega, width=self.time_width, hidden_layers=2
                ),
            )


class NidVideoModel(PartedModel):
    """Robust principal components in the continuous domain: background Σ_i α_i(t) b_i(x, y), the rest is foreground.

    Fitted by absolute errors, of which what moves is a small part, and by NID's Eq. 15, which counts later experts
    exponentially more (`losses.dictionary.ordered_size`, with what was changed and why). What the field has is the
    background, at any place and time. The paper writes f = background + transient and does not say which experts are
    which; there is no released code of this either. Here every expert is of the background, since those that the
    penalty leaves are few and their weights hardly change with the time, and none is left that could hold what moves.
    The foreground is what RPCA has as its sparse part: the video itself where it is farther from the background than
    a threshold.

    Its parts are background, foreground (black where there is none) and mask (white where there is one); all but the
    first are made with the video.
    """

    config: NidVideoModelConfig
    field: DictionaryVideo

    def populate_modules(self) -> None:
        """As the base class."""
        super().populate_modules()
        self.parts = PARTS
        self.page = LivePage(
            panels=lambda: [VideoPartsPanel(frames=self.grid.frames)],
            has_surface=False,
            read_out=self.files_to_read_out(),
        )

    def files_to_read_out(self) -> dict[str, str | None]:
        """See ImageModel: a file for each part."""
        return {f"{part}.mkv": part if number else None for number, part in enumerate(PARTS)}

    def make_field(self) -> ImageField:
        """See ImageModel."""
        config = self.config
        if not self.grid.is_video:
            raise InputError("nid-video parts a video: give --data a video file or a folder of numbered frames.")
        trunk, weights = config.networks()
        return DictionaryVideo(
            self.grid,
            self.channels,
            trunk=trunk,
            weights=weights,
            experts=config.experts,
            expert_width=config.expert_width,
            precision=config.precision,
        )

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """The experts with what they share, and the network of the time."""
        own = self.field
        return {
            "dictionary": [*own.trunk.parameters(), *own.bank.parameters()],
            "weights": list(own.weights.parameters()),
        }

    # -- training ------------------------------------------------------------------------------------------------------

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels) -> dict[str, Any]:
        """As the base class; for pixels, whose places are those of the first frame, `values` of them in all frames
        (frames, pixels, channels), `weights` (frames, experts) and `sizes` (experts,)."""
        if isinstance(ray_bundle, SignalPixels):
            values, weights, sizes = self.field.columns(ray_bundle.places)
            return {"values": values, "weights": weights, "sizes": sizes}
        return super().forward(ray_bundle)

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """NID, eq. 15, of numbers in [-1, 1]; both terms as means."""
        size = ordered_size(outputs["weights"], outputs["sizes"], decay=self.config.decay)
        return {
            "l1_loss": 2 * F.l1_loss(outputs["values"], batch["values"]),
            "sparsity_loss": self.config.sparsity_weight * size,
        }

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Of a batch: share of the foreground; PSNR of the background elsewhere; experts that add over a thousandth."""
        added = (outputs["weights"].square().mean(0)).sqrt() * outputs["sizes"]
        return {
            **self.parted(outputs["values"], batch["values"]),
            "experts_used": (added > 1e-3).sum().float(),
        }

    def parted(self, background: Float[Tensor, "*n c"], video: Float[Tensor, "*n c"]) -> dict[str, Tensor]:
        """foreground_share, of pixels, and psnr_background, of the background where there is no foreground."""
        moves = self.is_foreground(background, video)
        error = (background.clamp(0, 1) - video)[~moves].square()
        mean = error.mean() if len(error) else background.new_tensor(1.0)
        return {
            "foreground_share": moves.float().mean(),
            "psnr_background": -10 * torch.log10(mean.clamp(min=_LEAST_ERROR)),
        }

    def is_foreground(self, background: Float[Tensor, "*n c"], video: Float[Tensor, "*n c"]) -> Bool[Tensor, "*n"]:
        """Where any colour of the video is farther from a background than the threshold."""
        found: Bool[Tensor, "*n"] = stands_before(background, video, self.config.threshold)[..., 0]
        return found

    # -- parts ---------------------------------------------------------------------------------------------------------

    def make_part(self, part: int, stored: StoredImage) -> ImageField:
        """See PartedModel."""
        return ForegroundImage(
            self.field,
            stored,
            threshold=self.config.threshold,
            as_mask=self.parts[part] == MASK,
            has_alpha=self.has_alpha,
        )

    # -- pictures ------------------------------------------------------------------------------------------------------

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """As the base class, of the background beside the frame; `foreground_share`, `psnr_background` as in training;
        and the picture of the foreground."""
        metrics, pictures = super().get_image_metrics_and_images(outputs, batch)
        video = pictures["img"][:, : outputs["rgb"].shape[1]]
        metrics |= {name: float(value) for name, value in self.parted(outputs["rgb"], video).items()}
        pictures["foreground"] = video * stands_before(outputs["rgb"], video, self.config.threshold)
        return metrics, pictures
