"""Models whose pictures stand before white: what they learn from says nothing of what is behind."""

from __future__ import annotations

from nerfstudio.model_components.renderers import RGBRenderer
from torch import Tensor, cat


class OverWhite:
    """A model's pictures over white, their opacity in `accumulation`."""

    def _background_colour(self, rgb: Tensor) -> Tensor:
        """White, or the colour that a command wants behind everything, in the shape of some colours."""
        return RGBRenderer.get_background_color("white", shape=rgb.shape, device=rgb.device)

    def get_rgba_image(self, outputs: dict[str, Tensor], output_name: str = "rgb") -> Tensor:
        """A picture with the opacity in its alpha, which is all that nerfstudio's exporters keep."""
        return cat([outputs[output_name], outputs["accumulation"]], -1)
