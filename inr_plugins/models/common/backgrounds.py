"""What is behind the scene in the pixels that radiance fields are trained on and compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from nerfstudio.model_components.renderers import RGBRenderer
from torch import Tensor

BackgroundColor = Literal["auto", "white", "black", "random"]


@dataclass(frozen=True)
class Background:
    """Colours behind pixels, in training and in evaluation.

    Attributes:
        wanted: one colour; random ones in training (evaluation is over white); or auto, which is random in training,
            but white where images come without alpha that they had: it was composited over white by the dataparser.
        opaque: whether the images show all that was in front of the camera: they have neither alpha nor masks.
    """

    wanted: BackgroundColor
    opaque: bool

    def for_training(self, image: Float[Tensor, "rays channels"], *, has_mask: bool) -> Float[Tensor, "rays 3"]:
        """Colours behind pixels (RGB or RGBA). What is in front of random ones must be opaque to look alike."""
        wanted = self.wanted
        if wanted == "auto":
            was_composited = image.shape[-1] == 3 and not has_mask and not self.opaque
            wanted = "white" if was_composited else "random"
        if wanted == "random":
            return torch.rand_like(image[:, :3])
        return RGBRenderer.get_background_color(wanted, shape=image[:, :3].shape, device=image.device)

    def for_evaluation(self, rgb: Float[Tensor, "*pixels 3"]) -> Float[Tensor, "*pixels 3"]:
        """The background of evaluation, in the shape of some colours; that of a command goes before the model's own."""
        colour: Literal["black", "white"] = "black" if self.wanted == "black" else "white"
        return RGBRenderer.get_background_color(colour, shape=rgb.shape, device=rgb.device)

    def under_image(self, image: Float[Tensor, "*pixels channels"]) -> Float[Tensor, "*pixels 3"]:
        """An image, RGB or RGBA with straight alpha, over the background of evaluation."""
        return over(image, self.for_evaluation(image[..., :3]))


def over(
    image: Float[Tensor, "*pixels channels"], background: Float[Tensor, "*pixels 3"]
) -> Float[Tensor, "*pixels 3"]:
    """An image with straight alpha over a background; one without alpha as it is."""
    if image.shape[-1] == 3:
        return image
    return image[..., :3] * image[..., 3:] + background * (1 - image[..., 3:])
