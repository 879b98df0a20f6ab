"""What a surface is compared with: pixels, as far as the object covers them, and the length of its gradient."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.losses.surface import eikonal, mask_entropy, masked_l1
from inr_plugins.models.neus.config import NeusSettings


def coverage(image: Tensor, batch: dict[str, Any], config: NeusSettings) -> Tensor | None:
    """What of each pixel the object covers, in [0, 1]: its alpha, else its mask; None where there is neither."""
    if image.shape[-1] == 4:
        return image[..., 3:]
    return batch["mask"].to(image) if "mask" in batch and config.capture == "object" else None


def object_losses(
    outputs: dict[str, Any], image: Tensor, mask: Tensor | None, config: NeusSettings
) -> dict[str, Tensor]:
    """Losses of an object in training, over black.

    Raises:
        InputError: there is no mask.
    """
    if mask is None:
        raise InputError(
            "The batches carry neither masks nor alpha: leave the dataparser's --alpha-color at None, and the options "
            "of the pixel sampler as they are."
        )
    # Over black on both sides; what is beside the object has no colour of its own, only a mask.
    return {
        "rgb_loss": masked_l1(outputs["rgb"], image[:, :3] * mask, (mask > 0).float()),
        "mask_loss": config.mask_weight * mask_entropy(outputs["accumulation"], mask),
    }


def eikonal_loss(gradient: Tensor, config: NeusSettings) -> Tensor:
    """Weighted squared error of the gradient's length, of points near the surface and of even ones, which come last.

    As many even points as points near the surface count in NeuS, which evaluates both kinds on each ray.
    """
    near, even = gradient.tensor_split([-config.eikonal_points])
    return config.eikonal_weight * 0.5 * (eikonal(near) + eikonal(even))
